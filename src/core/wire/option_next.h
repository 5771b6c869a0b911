/* SPDX-License-Identifier: Apache-2.0 */
/* Appending the next option of a run. RFC 7252 section 3.1. */
#ifndef COPAL_CORE_WIRE_OPTION_NEXT_H
#define COPAL_CORE_WIRE_OPTION_NEXT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/cursor_join.h"
#include "core/wire/extended.h"

/* What opt_put_next() does when delta or length do not fit a nibble. */
void copal_opt_put_long(copal_wr *w, size_t delta, copal_span value);

/* Appends an option whose number is `delta` above that of the option before. One that would descend
 * has a delta beyond every limit: COPAL_EINVAL. */
static inline void opt_put_next(copal_wr *w, size_t delta, copal_span value)
{
  if (delta < EXT_BIAS_8 && value.len < EXT_BIAS_8)
    copal_wr_join(w, value.ptr, value.len, (unsigned)(delta << 4 | value.len));
  else
    copal_opt_put_long(w, delta, value);
}

#endif
