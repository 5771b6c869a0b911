/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: what parses is written back byte for byte, and its options stay inside it. */
#include "copal/msg.h"
#include "copal/error.h"
#include "require.h"

enum { ROOM = 1 << 17 };
static uint8_t room[ROOM];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  copal_msg m;
  copal_msg again;
  if (size > ROOM || copal_msg_parse(copal_span_of(data, size), &m) != COPAL_OK)
    return 0;
  copal_opt_iter it = copal_opt_iter_init(m.options);
  for (copal_opt opt; copal_opt_next(&it, &opt);)
    REQUIRE(opt.value.ptr >= data && opt.value.ptr + opt.value.len <= data + size);
  REQUIRE(it.rd.err == COPAL_OK);
  copal_wr w = copal_wr_init((copal_mspan){room, ROOM});
  REQUIRE(copal_msg_write(&w, &m, NULL, 0) == COPAL_OK);
  REQUIRE(w.len == size && copal_span_is_equal(copal_wr_done(&w), copal_span_of(data, size)));
  REQUIRE(copal_msg_parse(copal_wr_done(&w), &again) == COPAL_OK);
  REQUIRE(again.type == m.type && again.code == m.code && again.mid == m.mid);
  return 0;
}
