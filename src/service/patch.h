/* SPDX-License-Identifier: Apache-2.0 */
/* Partial changes and partial reads of representations: which document format works on which
 * Content-Format, and with what result. RFC 8132; RFC 7396, RFC 6902, RFC 8790. */
#ifndef SERVICE_PATCH_H
#define SERVICE_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "service/problem.h"

/* A document that is applied to a representation. Spans are borrowed. */
typedef struct patch_job {
  uint16_t format; /* Content-Format of the document, or STORE_NO_FORMAT */
  copal_span document;
  uint16_t target_format;
  copal_span target;
  uint32_t input_max;  /* bytes of document and target; beyond that 4.13 */
  uint32_t result_max; /* bytes; beyond that 4.13 */
} patch_job;

/* Applies a patch. Returns true and the new body, which the caller frees; false and the problem:
 * 4.00, 4.09, 4.13, 4.15 or 4.22, RFC 8132 section 3.4. */
bool patch_apply(const patch_job *job, copal_mspan *result, problem *why);

/* Selects records. `accept` is a Content-Format or REPLY_ANY_FORMAT. Returns true and the selection
 * with its Content-Format, which the caller frees; false and the problem: 4.00, 4.06, 4.13, 4.15 or
 * 4.22. RFC 8132 section 2.2, RFC 8790 section 3.1. */
bool patch_select(const patch_job *job, uint32_t accept, copal_mspan *result, uint16_t *format,
                  problem *why);

#endif
