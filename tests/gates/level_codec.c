/* SPDX-License-Identifier: Apache-2.0 */
/* What a device calls that only parses and writes messages: the level "codec" of tools/gates. It is
 * linked and measured, never run. */
#include "copal/error.h"
#include "copal/msg.h"
#include "copal/option.h"

/* Parses a request, walks its options and writes a response beside it. */
int level_main(copal_span in, copal_wr *out);
int level_main(copal_span in, copal_wr *out)
{
  copal_msg m;
  const int err = copal_msg_parse(in, &m);
  if (err != COPAL_OK)
    return copal_msg_write_empty(out, COPAL_RST, m.mid);
  copal_opt_iter it = copal_opt_iter_init(m.options);
  copal_opt seen = {0, {NULL, 0}};
  uint32_t v = 0;
  while (copal_opt_next(&it, &seen))
    if (copal_opt_uint(seen.value, &v) != COPAL_OK)
      return COPAL_EFORMAT;
  return copal_msg_write(out, &m, &seen, 1);
}
