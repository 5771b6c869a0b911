/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of messages received, handed from one endpoint to the next. RFC 7252 section 4.5. */
#include <stdio.h>

#include "unit/core/proto/fixture.h"

enum { KEPT_MAX = 32 };

typedef struct keeper {
  copal_dup_visitor visitor;
  int count;
  int fails_at;
  copal_dup dups[KEPT_MAX];
  uint8_t replies[KEPT_MAX][256];
} keeper;

static int on_dup(copal_dup_visitor *v, const copal_dup *dup)
{
  keeper *k = (keeper *)v;
  if (k->fails_at > 0 && k->count + 1 == k->fails_at)
    return COPAL_ENOSPC;
  assert_true(k->count < KEPT_MAX && dup->reply.len <= sizeof k->replies[0]);
  copal_dup *kept = &k->dups[k->count];
  *kept = *dup;
  if (dup->reply.len > 0)
    memcpy(k->replies[k->count], dup->reply.ptr, dup->reply.len);
  kept->reply.ptr = k->replies[k->count++];
  return COPAL_OK;
}

static keeper save(fixture *f)
{
  keeper k = {.visitor.on_dup = on_dup};
  const int count = copal_ep_dups_save(f->ep, &k.visitor, f->now);
  assert_int_equal(count, k.count);
  return k;
}

static void restore(fixture *f, const keeper *k)
{
  for (int i = 0; i < k->count; i++) {
    copal_dup dup = k->dups[i];
    dup.reply.ptr = k->replies[i];
    assert_int_equal(copal_ep_dup_restore(f->ep, &dup, f->now), COPAL_OK);
  }
}

static void rfc7252_4_5_a_duplicate_after_a_restart_gets_the_same_reply(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CREATED, "a reply of some length, longer than a small chunk is");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa ff 'x'"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa ff 'a reply of some length, longer than a small chunk is'");
  const keeper k = save(f);
  assert_int_equal(k.count, 1);
  assert_int_equal(k.dups[0].answer, COPAL_DUP_REPLAYED);
  assert_int_equal(k.dups[0].left, 247 * COPAL_SECOND);
  f->now += 5000;
  fx_restart(f);
  restore(f, &k);
  assert_int_equal(fx_feed(f, "41 02 12 34 aa ff 'x'"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa ff 'a reply of some length, longer than a small chunk is'");
  assert_int_equal(f->calls, 1);
  assert_int_equal(fx_stats(f)->dup_replayed, 1);
}

static void a_restored_entry_ends_with_what_was_left_of_its_lifetime(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CREATED, "");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa");
  fx_advance(f, 200 * (copal_time)COPAL_SECOND);
  const keeper k = save(f);
  assert_int_equal(k.dups[0].left, 47 * COPAL_SECOND);
  fx_restart(f);
  restore(f, &k);
  fx_advance(f, 46 * (copal_time)COPAL_SECOND);
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa");
  assert_int_equal(f->calls, 1);
  fx_advance(f, 2 * (copal_time)COPAL_SECOND);
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa");
  assert_int_equal(f->calls, 2);
  fx_expect_idle(f);
}

static void rfc7252_4_5_a_non_confirmable_duplicate_stays_ignored(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "51 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "51 44 .. .. aa");
  const keeper k = save(f);
  assert_int_equal(k.count, 1);
  assert_int_equal(k.dups[0].answer, COPAL_DUP_IGNORED);
  assert_int_equal(k.dups[0].reply.len, 0);
  fx_restart(f);
  restore(f, &k);
  assert_int_equal(fx_feed(f, "51 02 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
}

static void rfc7252_5_2_2_what_was_answered_separately_is_acknowledged(void **state)
{
  fixture *f = *state;
  const copal_response done = {.code = COPAL_CODE_CHANGED};
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_advance(f, 10 * (copal_time)COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(save(f).count, 0); /* the answer is still to come: it must be asked for anew */
  assert_int_equal(copal_ep_resume(f->ep, f->late, &done, f->now), COPAL_OK);
  fx_expect(f, "41 44 .. .. aa");
  assert_int_equal(save(f).count, 0); /* nobody has acknowledged it */
  char text[32];
  const fx_datagram *sent = fx_last(f);
  snprintf(text, sizeof text, "60 00 %02x %02x", sent->bytes[2], sent->bytes[3]);
  assert_int_equal(fx_feed(f, text), COPAL_OK);
  const keeper k = save(f);
  assert_int_equal(k.count, 1);
  assert_int_equal(k.dups[0].answer, COPAL_DUP_ACKED);
  fx_restart(f);
  restore(f, &k);
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(f->calls, 1);
}

static void the_local_side_and_the_order_are_kept(void **state)
{
  fixture *f = *state;
  copal_path a = fx_peer(1), b = fx_peer(2);
  a.local = 7;
  b.local = 9;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed_from(f, &a, "41 02 00 01 aa"), COPAL_OK);
  assert_int_equal(fx_feed_from(f, &b, "41 02 00 01 aa"), COPAL_OK);
  a.local = 8;
  assert_int_equal(fx_feed_from(f, &a, "41 02 00 01 aa"), COPAL_OK);
  const keeper k = save(f);
  assert_int_equal(k.count, 3);
  assert_int_equal(k.dups[0].path.local, 7);
  assert_int_equal(k.dups[1].path.local, 9);
  assert_int_equal(k.dups[2].path.local, 8);
}

static void what_is_remembered_already_is_refused(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  const keeper k = save(f);
  assert_int_equal(copal_ep_dup_restore(f->ep, &k.dups[0], f->now), COPAL_EINVAL);
}

static void a_visitor_may_end_the_visit(void **state)
{
  fixture *f = *state;
  keeper k = {.visitor.on_dup = on_dup, .fails_at = 2};
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  assert_int_equal(fx_feed(f, "41 02 12 35 aa"), COPAL_OK);
  assert_int_equal(copal_ep_dups_save(f->ep, &k.visitor, f->now), COPAL_ENOSPC);
  assert_int_equal(k.count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_5_a_duplicate_after_a_restart_gets_the_same_reply),
      TEST(a_restored_entry_ends_with_what_was_left_of_its_lifetime),
      TEST(rfc7252_4_5_a_non_confirmable_duplicate_stays_ignored),
      TEST(rfc7252_5_2_2_what_was_answered_separately_is_acknowledged),
      TEST(the_local_side_and_the_order_are_kept),
      TEST(what_is_remembered_already_is_refused),
      TEST(a_visitor_may_end_the_visit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
