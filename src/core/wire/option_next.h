/* SPDX-License-Identifier: Apache-2.0 */
/* Appending the next option of a run. RFC 7252 section 3.1. */
#ifndef COPAL_CORE_WIRE_OPTION_NEXT_H
#define COPAL_CORE_WIRE_OPTION_NEXT_H

#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"

/* Appends an option whose number is `delta` above that of the option before. One that would descend
 * has a delta beyond every limit: COPAL_EINVAL. */
void copal_opt_put_next(copal_wr *w, size_t delta, const copal_span *value);

#endif
