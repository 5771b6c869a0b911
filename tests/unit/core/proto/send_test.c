/* SPDX-License-Identifier: Apache-2.0 */
/* Putting datagrams into the sink: whole, within its room, or not at all. */
#include "unit/core/proto/fixture.h"

#include "core/proto/send.h"

static void room_is_message_max(void **state)
{
  fixture *f = *state;
  copal_wr w = send_begin(f->ep, &f->peer);
  assert_int_equal(w.err, COPAL_OK);
  assert_int_equal(w.cap, 1152); /* RFC 7252 section 4.6 */
  copal_wr_u8(&w, 7);
  send_commit(f->ep, &f->peer, &w);
  fx_expect(f, "07");
  assert_int_equal(fx_stats(f)->tx_datagrams, 1);
}

static copal_mspan more_than_asked(copal_sink *s, const copal_path *path, size_t cap)
{
  fixture *f = (fixture *)(void *)((char *)s - offsetof(fixture, sink));
  (void)path;
  return (copal_mspan){f->room, cap + 100};
}

static copal_mspan less_than_asked(copal_sink *s, const copal_path *path, size_t cap)
{
  fixture *f = (fixture *)(void *)((char *)s - offsetof(fixture, sink));
  (void)path;
  (void)cap;
  return (copal_mspan){f->room, 6};
}

static void a_generous_sink_does_not_enlarge_messages(void **state)
{
  fixture *f = *state;
  f->sink.reserve = more_than_asked;
  assert_int_equal(send_begin(f->ep, &f->peer).cap, 1152);
}

static void a_full_sink_is_counted(void **state)
{
  fixture *f = *state;
  f->is_full = true;
  assert_int_equal(send_begin(f->ep, &f->peer).err, COPAL_ENOSLOT);
  send_empty(f->ep, &f->peer, COPAL_ACK, 1);
  assert_int_equal(fx_stats(f)->tx_dropped, 2);
  assert_int_equal(fx_stats(f)->tx_acks, 0);
  fx_expect_nothing(f);
}

static void rfc7252_4_1_empty_messages_have_four_bytes(void **state)
{
  fixture *f = *state;
  send_empty(f->ep, &f->peer, COPAL_ACK, 0x1234);
  fx_expect(f, "60 00 12 34");
  send_empty(f->ep, &f->peer, COPAL_RST, 0xffff);
  fx_expect(f, "70 00 ff ff");
  assert_int_equal(fx_stats(f)->tx_acks, 1);
  assert_int_equal(fx_stats(f)->tx_resets, 1);
  assert_int_equal(fx_stats(f)->tx_datagrams, 2);
}

static void a_kept_datagram_is_sent_as_it_was(void **state)
{
  fixture *f = *state;
  const copal_span bytes = copal_span_str("0123456789");
  copal_chain kept;
  assert_int_equal(copal_chain_keep(&kept, &f->ep->chunks, bytes), COPAL_OK);
  send_kept(f->ep, &f->peer, &kept);
  send_kept(f->ep, &f->peer, &kept);
  fx_expect(f, "'0123456789'");
  fx_expect(f, "'0123456789'");
  f->sink.reserve = less_than_asked; /* never a part of it */
  send_kept(f->ep, &f->peer, &kept);
  fx_expect_nothing(f);
  copal_chain_give(&kept, &f->ep->chunks);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(room_is_message_max),
      TEST(a_generous_sink_does_not_enlarge_messages),
      TEST(a_full_sink_is_counted),
      TEST(rfc7252_4_1_empty_messages_have_four_bytes),
      TEST(a_kept_datagram_is_sent_as_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
