/* SPDX-License-Identifier: Apache-2.0 */
/* The memory engine through the store's interface. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "store/memory/memory.h"

/* One port, and the result of the last operation. */
typedef struct bed {
  store *s;
  store_port *p;
  unsigned done;
  store_result result;
  unsigned wakes;
  store_waker waker;
  copal_time now;
} bed;

typedef struct bed_op {
  store_op op;
  bed *b;
} bed_op;

static void on_done(store_op *op, const store_result *result)
{
  bed *b = ((bed_op *)op)->b;
  b->result = *result;
  b->done++;
}

static void on_wake(store_waker *w)
{
  ((bed *)((char *)w - offsetof(bed, waker)))->wakes++;
}

static void bed_open(bed *b, const memory_store_cfg *cfg)
{
  *b = (bed){.waker = {.wake = on_wake}, .now = 5};
  b->s = memory_store_open(cfg);
  assert_non_null(b->s);
  assert_int_equal(store_port_open(b->s, &b->waker, &b->p), COPAL_OK);
}

static void bed_close(bed *b)
{
  store_port_close(b->p);
  store_close(b->s);
}

static bed_op op_of(bed *b, store_verb verb, const char *key, const char *body)
{
  return (bed_op){.op = {.done = on_done,
                         .verb = verb,
                         .key = copal_span_str(key),
                         .body = copal_span_str(body),
                         .content_format = STORE_NO_FORMAT,
                         .max_age_s = STORE_NO_MAX_AGE},
                  .b = b};
}

static store_status run(bed *b, bed_op *op)
{
  const unsigned before = b->done;
  assert_int_equal(store_commit(b->p, &op->op, b->now), COPAL_OK);
  assert_int_equal(b->done, before); /* never inside the commit */
  assert_int_equal(store_drain(b->p, 10), 1);
  assert_int_equal(b->done, before + 1);
  return b->result.status;
}

static store_status put(bed *b, const char *key, const char *body)
{
  bed_op op = op_of(b, STORE_PUT, key, body);
  return run(b, &op);
}

static store_status del(bed *b, const char *key)
{
  bed_op op = op_of(b, STORE_DELETE, key, "");
  return run(b, &op);
}

static bool body_is(bed *b, const char *key, const char *body)
{
  store_item item;
  return store_get(b->p, copal_span_str(key), &item, b->now) == STORE_OK &&
         copal_span_is_equal(item.body, copal_span_str(body));
}

/* ------------------------------------------------------------------------------------------------
 */

static void put_creates_then_changes(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_open(&b, NULL);
  assert_int_equal(put(&b, "/a", "1"), STORE_OK);
  assert_true(b.result.created);
  const store_result first = b.result;
  b.now = 9;
  assert_int_equal(put(&b, "/a", "22"), STORE_OK);
  assert_false(b.result.created);
  assert_true(b.result.rev > first.rev);
  assert_memory_not_equal(b.result.etag.bytes, first.etag.bytes, STORE_ETAG_SIZE);
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  assert_true(item.rev == b.result.rev && item.written == 9);
  assert_true(body_is(&b, "/a", "22"));
  assert_false(body_is(&b, "/b", ""));
  bed_close(&b);
}

static void completion_wakes_once_and_waits_for_drain(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, NULL);
  bed_op one = op_of(&b, STORE_PUT, "/a", "1");
  bed_op two = op_of(&b, STORE_PUT, "/a", "2");
  assert_int_equal(store_commit(b.p, &one.op, 0), COPAL_OK);
  assert_int_equal(store_commit(b.p, &two.op, 0), COPAL_OK);
  assert_int_equal(b.done, 0);
  assert_int_equal(b.wakes, 1);
  assert_int_equal(store_drain(b.p, 1), 1);
  assert_int_equal(b.done, 1);
  assert_int_equal(store_drain(b.p, 5), 1);
  assert_int_equal(store_drain(b.p, 5), 0);
  bed_close(&b);
}

static void delete_succeeds_also_when_absent(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, NULL);
  put(&b, "/a", "1");
  assert_int_equal(del(&b, "/a"), STORE_OK);
  assert_true(b.result.created && b.result.rev == 0);
  assert_int_equal(del(&b, "/a"), STORE_OK);
  assert_false(b.result.created);
  assert_int_equal(store_usage_now(b.s).resources, 0);
  assert_int_equal(store_usage_now(b.s).bytes, 0);
  bed_close(&b);
}

static void etags_are_not_reused_after_delete_or_restart(void **state)
{
  (void)state;
  store_etag seen[40];
  size_t count = 0;
  for (int life = 0; life < 2; life++) {
    bed b;
    bed_open(&b, NULL);
    for (int i = 0; i < 20; i++) {
      put(&b, "/a", "same");
      seen[count++] = b.result.etag;
      del(&b, "/a");
    }
    bed_close(&b);
  }
  for (size_t i = 0; i < count; i++)
    for (size_t k = 0; k < i; k++)
      assert_memory_not_equal(seen[i].bytes, seen[k].bytes, STORE_ETAG_SIZE);
}

static void rfc7252_5_10_8_conditions_decide(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, NULL);
  bed_op op = op_of(&b, STORE_PUT, "/a", "1");
  op.op.must_be_present = true;
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  op = op_of(&b, STORE_PUT, "/a", "1");
  op.op.must_be_absent = true;
  assert_int_equal(run(&b, &op), STORE_OK);
  const store_result made = b.result;
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  assert_true(b.result.rev == made.rev);
  op = op_of(&b, STORE_PUT, "/a", "2");
  op.op.etag_count = 2;
  memset(op.op.etags[0].bytes, 0x55, STORE_ETAG_SIZE);
  op.op.etags[1] = made.etag;
  assert_int_equal(run(&b, &op), STORE_OK);
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  op = op_of(&b, STORE_PUT, "/a", "3");
  op.op.must_be_rev = made.rev;
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  op = op_of(&b, STORE_DELETE, "/b", "");
  op.op.etag_count = 1;
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  assert_true(body_is(&b, "/a", "2"));
  bed_close(&b);
}

static void attributes_are_kept_replaced_and_set(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_open(&b, NULL);
  bed_op op = op_of(&b, STORE_SET_ATTRS, "/a", "");
  op.op.attrs = copal_span_str(";rt=\"x\"");
  assert_int_equal(run(&b, &op), STORE_ABSENT);
  op = op_of(&b, STORE_PUT, "/a", "1");
  op.op.attrs = copal_span_str(";rt=\"x\"");
  op.op.keeps_attrs = true;
  run(&b, &op);
  op.op.attrs = copal_span_none();
  run(&b, &op);
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  assert_true(copal_span_is_equal(item.attrs, copal_span_str(";rt=\"x\"")));
  const store_item before = item;
  op = op_of(&b, STORE_SET_ATTRS, "/a", "");
  op.op.attrs = copal_span_str(";if=\"y\"");
  assert_int_equal(run(&b, &op), STORE_OK);
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  assert_true(copal_span_is_equal(item.attrs, copal_span_str(";if=\"y\"")));
  assert_true(body_is(&b, "/a", "1"));
  assert_memory_equal(item.etag.bytes, before.etag.bytes, STORE_ETAG_SIZE);
  assert_true(item.rev > before.rev);
  bed_close(&b);
}

static void lent_items_live_until_the_view_is_renewed(void **state)
{
  (void)state;
  bed b;
  store_item items[200];
  bed_open(&b, NULL);
  put(&b, "/a", "first");
  for (int i = 0; i < 200; i++)
    assert_true(store_get(b.p, copal_span_str("/a"), &items[i], b.now) == STORE_OK);
  put(&b, "/a", "second");
  del(&b, "/a");
  assert_memory_equal(items[199].body.ptr, "first", 5);
  store_view_renew(b.p);
  bed_close(&b);
}

static void limits_refuse_and_count(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, &(memory_store_cfg){.resource_max = 2, .byte_max = 2000, .stripe_count = 1});
  assert_int_equal(put(&b, "/a", "1"), STORE_OK);
  assert_int_equal(put(&b, "/b", "1"), STORE_OK);
  assert_int_equal(put(&b, "/c", "1"), STORE_FULL);
  assert_int_equal(memory_store_counts_now(b.s).resources_refused, 1);
  char large[3000];
  memset(large, 'x', sizeof large);
  large[sizeof large - 1] = 0;
  assert_int_equal(put(&b, "/a", large), STORE_FULL);
  assert_int_equal(memory_store_counts_now(b.s).bytes_refused, 1);
  assert_true(body_is(&b, "/a", "1"));
  del(&b, "/b");
  assert_int_equal(put(&b, "/c", large), STORE_FULL);
  assert_int_equal(put(&b, "/c", "1"), STORE_OK);
  bed_close(&b);
}

/* Former representations count as long as they are kept, each with its own size. */
static void bytes_of_former_representations_are_given_back(void **state)
{
  (void)state;
  bed b;
  static const char *const bodies[] = {"1", "a longer one, which is followed by short ones", "22",
                                       ""};
  bed_open(&b, &(memory_store_cfg){.history = 3});
  for (int i = 0; i < 5; i++)
    for (size_t n = 0; n < sizeof bodies / sizeof bodies[0]; n++)
      assert_int_equal(put(&b, "/a", bodies[n]), STORE_OK);
  const uint64_t all = store_usage_now(b.s).bytes;
  for (size_t n = 0; n < sizeof bodies / sizeof bodies[0]; n++)
    assert_int_equal(put(&b, "/a", bodies[n]), STORE_OK);
  assert_int_equal(store_usage_now(b.s).bytes, all);
  assert_int_equal(put(&b, "/a", ""), STORE_OK); /* the short one goes, then the long one */
  assert_int_equal(put(&b, "/a", ""), STORE_OK);
  assert_true(store_usage_now(b.s).bytes < all);
  del(&b, "/a");
  assert_int_equal(store_usage_now(b.s).bytes, 0);
  bed_close(&b);
}

static void commits_beyond_pending_max_are_refused(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, &(memory_store_cfg){.pending_max = 2});
  bed_op op[3];
  for (int i = 0; i < 3; i++)
    op[i] = op_of(&b, STORE_PUT, "/a", "1");
  assert_int_equal(store_commit(b.p, &op[0].op, 0), COPAL_OK);
  assert_int_equal(store_commit(b.p, &op[1].op, 0), COPAL_OK);
  assert_int_equal(store_commit(b.p, &op[2].op, 0), COPAL_ENOSLOT);
  assert_int_equal(memory_store_counts_now(b.s).pending_refused, 1);
  assert_int_equal(store_drain(b.p, 10), 2);
  assert_int_equal(store_commit(b.p, &op[2].op, 0), COPAL_OK);
  assert_int_equal(store_drain(b.p, 10), 1);
  bed_close(&b);
}

static void keys_and_configurations_out_of_range_are_refused(void **state)
{
  (void)state;
  bed b;
  static uint8_t key[STORE_KEY_MAX + 1];
  memset(key, 'k', sizeof key);
  assert_null(memory_store_open(&(memory_store_cfg){.stripe_count = 3}));
  bed_open(&b, NULL);
  bed_op op = op_of(&b, STORE_PUT, "", "");
  op.op.key = copal_span_of(key, sizeof key);
  assert_int_equal(store_commit(b.p, &op.op, 0), COPAL_EINVAL);
  op.op.key.len = STORE_KEY_MAX;
  assert_int_equal(run(&b, &op), STORE_OK);
  op.op.etag_count = STORE_ETAG_MAX + 1;
  assert_int_equal(store_commit(b.p, &op.op, 0), COPAL_EINVAL);
  bed_close(&b);
  store_close(NULL);
  store_port_close(NULL);
}

/* ------------------------------------------------------------------------------------------------
 * listing and following */

static int collect(void *ctx, copal_span key, const store_item *item)
{
  char *text = ctx;
  assert_non_null(item);
  strncat(text, (const char *)key.ptr, key.len);
  strcat(text, " ");
  return 0;
}

static int stop_with(void *ctx, copal_span key, const store_item *item)
{
  (void)key;
  (void)item;
  return *(int *)ctx;
}

static void list_is_ordered_and_continues_behind_a_key(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, NULL);
  const char *keys[] = {"/b", "/a/2", "/a", "/a/1", "/ab", "/c"};
  for (size_t i = 0; i < 6; i++)
    put(&b, keys[i], "");
  char text[100] = "";
  assert_int_equal(store_list(b.p, &(store_range){.max = 100}, collect, text, 0), 6);
  assert_string_equal(text, "/a /a/1 /a/2 /ab /b /c ");
  text[0] = 0;
  assert_int_equal(
      store_list(
          b.p,
          &(store_range){.prefix = copal_span_str("/a"), .after = copal_span_str("/a/1"), .max = 1},
          collect, text, 0),
      1);
  assert_string_equal(text, "/a/2 ");
  text[0] = 0;
  assert_int_equal(
      store_list(
          b.p,
          &(store_range){.prefix = copal_span_str("/a"), .after = copal_span_str("/a/2"), .max = 9},
          collect, text, 0),
      1);
  assert_string_equal(text, "/ab ");
  int stop = -7;
  assert_int_equal(store_list(b.p, &(store_range){.max = 9}, stop_with, &stop, 0), -7);
  stop = 1;
  assert_int_equal(store_list(b.p, &(store_range){.max = 9}, stop_with, &stop, 0), 1);
  bed_close(&b);
}

typedef struct witness {
  store_follower f;
  store_rev rev;
  unsigned calls;
  bool was_present, links_changed, is_deleted;
} witness;

static void note_change(store_follower *f, const store_change *c)
{
  witness *w = (witness *)f;
  if (c->item != NULL)
    assert_true(c->rev > w->rev && c->rev == c->item->rev);
  w->rev = c->item != NULL ? c->rev : w->rev;
  w->calls++;
  w->was_present = c->was_present;
  w->links_changed = c->links_changed;
  w->is_deleted = c->item == NULL;
  assert_int_equal(c->rev == 0, c->item == NULL);
}

static void followers_hear_of_changes_that_took_effect(void **state)
{
  (void)state;
  bed b;
  bed_open(&b, NULL);
  witness one = {.f = {.on_change = note_change}};
  witness two = {.f = {.on_change = note_change}};
  store_follow(b.s, &one.f);
  store_follow(b.s, &two.f);
  put(&b, "/a", "1");
  assert_true(one.calls == 1 && two.calls == 1 && !one.was_present && one.links_changed);
  put(&b, "/a", "2");
  assert_true(one.calls == 2 && one.was_present && !one.links_changed);
  bed_op op = op_of(&b, STORE_PUT, "/a", "3");
  op.op.content_format = 50;
  run(&b, &op);
  assert_true(one.links_changed);
  op.op.must_be_absent = true;
  run(&b, &op);
  assert_int_equal(one.calls, 3);
  del(&b, "/a");
  assert_true(one.calls == 4 && one.is_deleted && one.was_present && one.links_changed);
  del(&b, "/a");
  assert_int_equal(one.calls, 4);
  bed_close(&b);
}

static void rfc6690_3_3_listed_size_changes_links(void **state)
{
  (void)state;
  static const uint8_t bytes[2000];
  const store_item small = {.body = copal_span_of(bytes, 10)};
  const store_item small2 = {.body = copal_span_of(bytes, 1024)};
  const store_item large = {.body = copal_span_of(bytes, 1025)};
  const store_item large2 = {.body = copal_span_of(bytes, 2000)};
  assert_false(store_links_differ(&small, &small2));
  assert_true(store_links_differ(&small2, &large));
  assert_true(store_links_differ(&large, &large2));
  assert_false(store_links_differ(&large, &large));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(put_creates_then_changes),
      cmocka_unit_test(completion_wakes_once_and_waits_for_drain),
      cmocka_unit_test(delete_succeeds_also_when_absent),
      cmocka_unit_test(etags_are_not_reused_after_delete_or_restart),
      cmocka_unit_test(rfc7252_5_10_8_conditions_decide),
      cmocka_unit_test(attributes_are_kept_replaced_and_set),
      cmocka_unit_test(lent_items_live_until_the_view_is_renewed),
      cmocka_unit_test(limits_refuse_and_count),
      cmocka_unit_test(bytes_of_former_representations_are_given_back),
      cmocka_unit_test(commits_beyond_pending_max_are_refused),
      cmocka_unit_test(keys_and_configurations_out_of_range_are_refused),
      cmocka_unit_test(list_is_ordered_and_continues_behind_a_key),
      cmocka_unit_test(followers_hear_of_changes_that_took_effect),
      cmocka_unit_test(rfc6690_3_3_listed_size_changes_links),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
