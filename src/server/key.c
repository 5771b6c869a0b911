/* SPDX-License-Identifier: Apache-2.0 */
/* From Uri-Path options to a canonical path. RFC 7252 sections 5.10.1 and 6.5. */
#include "server/key.h"

#include <string.h>

#include "copal/error.h"
#include "copal/option.h"
#include "copal/registry.h"
#include "copal/uri.h"

/* "." and ".." are resolved before a URI becomes options. RFC 7252 section 5.10.1. */
static bool is_dot_segment(copal_span segment)
{
  return (segment.len == 1 || segment.len == 2) && memcmp(segment.ptr, "..", segment.len) == 0;
}

int key_write(copal_wr *w, copal_span options)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt) && opt.number <= COPAL_OPT_URI_PATH;) {
    if (opt.number != COPAL_OPT_URI_PATH)
      continue;
    if (is_dot_segment(opt.value))
      return COPAL_EURI;
    copal_wr_u8(w, '/');
    copal_uri_put_segment(w, opt.value);
  }
  if (w->len == 0)
    copal_wr_u8(w, '/');
  return w->err;
}
