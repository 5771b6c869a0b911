/* SPDX-License-Identifier: Apache-2.0 */
/* SenML Packs as JSON values: resolving, selecting and patching records. RFC 8428 section 4, RFC
 * 8790. */
#ifndef SERVICE_SENML_H
#define SERVICE_SENML_H

#include <jansson.h>
#include <stdbool.h>

#include "service/problem.h"

/* Comparisons of records that one request may cost; beyond that 4.13. */
enum { SENML_WORK_MAX = 1 << 18 };

/* Bytes of the resolved names of a Pack; beyond that 4.13: a base name stands in front of each. */
enum { SENML_NAMES_MAX = 1 << 20 };

/* The records of a stored Pack in resolved form (RFC 8428 section 4.6, without making times
 * absolute). Returns a new array, or NULL and 4.13 or 4.22. `pack` is borrowed. */
json_t *senml_resolve(const json_t *pack, problem *why);

/* The records of `pack` (resolved) that a Fetch Pack selects, in their order. Returns a new array,
 * or NULL and the problem. RFC 8790 section 3.1. */
json_t *senml_fetch(const json_t *pack, const json_t *fetch, problem *why);

/* Applies a Patch Pack to `pack` (resolved), in place. Returns false and the problem; `pack` is
 * then of no use. RFC 8790 section 3.2. */
bool senml_patch(json_t *pack, const json_t *patch, problem *why);

#endif
