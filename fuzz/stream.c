/* SPDX-License-Identifier: Apache-2.0 */
/* Stream messages and WebSocket frames: what parses is written back byte for byte. */
#include "copal/error.h"
#include "copal/msg.h"
#include "require.h"

enum { ROOM = 1 << 17 };
static uint8_t room[ROOM];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  copal_msg m;
  size_t used = 0;
  const copal_span in = copal_span_of(data, size);
  if (size > ROOM)
    return 0;
  copal_wr w = copal_wr_init((copal_mspan){room, ROOM});
  const int err = copal_msg_parse_stream(in, &m, &used);
  REQUIRE(err != COPAL_EAGAIN || used > size);
  if (err == COPAL_OK) {
    REQUIRE(copal_msg_write_stream(&w, &m, NULL, 0) == COPAL_OK && used <= size);
    REQUIRE(copal_span_is_equal(copal_wr_done(&w), copal_span_of(data, used)));
  }
  w = copal_wr_init((copal_mspan){room, ROOM});
  if (copal_msg_parse_ws(in, &m) == COPAL_OK)
    REQUIRE(copal_msg_write_ws(&w, &m, NULL, 0) == COPAL_OK &&
            copal_span_is_equal(copal_wr_done(&w), in));
  return 0;
}
