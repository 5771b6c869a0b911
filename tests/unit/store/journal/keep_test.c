/* SPDX-License-Identifier: Apache-2.0 */
/* What the overlay keeps although the database has it: found, changed again, dropped in time. */
#include "store/journal/keep.h"

#include "../bed.h"

enum { BUCKETS = 1024, KEYS = 300 };

typedef struct table {
  overlay o;
  keep k;
  uint64_t checkpoint;
  store_rev rev;
} table;

static void begin(table *t)
{
  *t = (table){.checkpoint = 0};
  assert_true(overlay_init(&t->o, BUCKETS, 0));
}

static void end(table *t)
{
  keep_wipe(&t->k);
  overlay_wipe(&t->o);
}

static uint64_t count(atomic_uint_fast64_t *n)
{
  return atomic_load(n);
}

static overlay_entry *pin(table *t, const char *key)
{
  const copal_span k = copal_span_str(key);
  return overlay_pin(&t->o, STORE_RESOURCES, k, overlay_hash(&t->o, STORE_RESOURCES, k));
}

/* As the writer does; `body` NULL deletes. */
static overlay_entry *publish(table *t, const char *key, const char *body, bool is_new)
{
  batch_record r = {
      .kind = body != NULL ? BATCH_PUT : BATCH_DELETE, .key = copal_span_str(key), .rev = ++t->rev};
  if (body != NULL)
    r.rec.item = (store_item){.rev = t->rev, .body = copal_span_str(body)};
  overlay_entry *e = pin(t, key);
  overlay_publish(&t->o, e, version_make(&r, &t->o.stock), is_new);
  return e;
}

/* As the checkpointer does, for one entry; what is to go goes. */
static overlay_fate settle(table *t, overlay_entry *e)
{
  trail *before;
  version *v = overlay_capture(&t->o, e, &before);
  const overlay_fate fate = overlay_settle(&t->o, e, v, ++t->checkpoint);
  version_give(v);
  trail_give(before);
  if (fate == OVERLAY_KEPT)
    assert_true(keep_push(&t->k, e, t->checkpoint));
  else if (fate == OVERLAY_GOES)
    overlay_drop(&t->o, e, t->checkpoint);
  return fate;
}

static bool shows(table *t, const char *key, const char *body)
{
  const copal_span k = copal_span_str(key);
  version *v = overlay_find(&t->o, STORE_RESOURCES, k, overlay_hash(&t->o, STORE_RESOURCES, k));
  const bool is_it = v != NULL && v->kind == BATCH_PUT &&
                     copal_span_is_equal(v->rec.item.body, copal_span_str(body));
  version_give(v);
  return is_it;
}

static void assert_empty(table *t)
{
  assert_int_equal(count(&t->o.entries), 0);
  assert_int_equal(count(&t->o.bytes), 0);
  assert_int_equal(overlay_idle(&t->o), 0);
  assert_int_equal(t->k.count, 0);
}

static void what_was_changed_is_kept_until_memory_is_short(void **state)
{
  (void)state;
  table t;
  begin(&t);
  assert_int_equal(settle(&t, publish(&t, "/a", "1", false)), OVERLAY_KEPT);
  assert_true(overlay_idle(&t.o) > 0);
  keep_trim(&t.k, &t.o, overlay_idle(&t.o), t.checkpoint);
  assert_true(shows(&t, "/a", "1"));
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_false(shows(&t, "/a", "1"));
  assert_empty(&t);
  end(&t);
}

static void nothing_goes_that_an_older_snapshot_lacks(void **state)
{
  (void)state;
  table t;
  begin(&t);
  settle(&t, publish(&t, "/a", "1", false));
  keep_trim(&t.k, &t.o, 0, t.checkpoint - 1);
  assert_true(shows(&t, "/a", "1"));
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_empty(&t);
  end(&t);
}

static void what_changes_again_gets_a_second_chance(void **state)
{
  (void)state;
  table t;
  begin(&t);
  settle(&t, publish(&t, "/a", "1", false));
  settle(&t, publish(&t, "/b", "1", false));
  const uint64_t one = overlay_idle(&t.o) / 2;
  assert_int_equal(settle(&t, publish(&t, "/a", "2", false)), OVERLAY_STAYS);
  keep_trim(&t.k, &t.o, one, t.checkpoint);
  assert_true(shows(&t, "/a", "2")); /* the older one, but for the change */
  assert_false(shows(&t, "/b", "1"));
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_empty(&t);
  end(&t);
}

static void what_is_not_settled_leaves_the_ring_and_stays(void **state)
{
  (void)state;
  table t;
  begin(&t);
  settle(&t, publish(&t, "/b", "1", false));
  overlay_entry *e = publish(&t, "/a", "1", false);
  settle(&t, e);
  publish(&t, "/a", "2", false);
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_true(shows(&t, "/a", "2"));
  assert_int_equal(overlay_idle(&t.o), 0);
  settle(&t, e);
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_empty(&t);
  end(&t);
}

static void what_is_deleted_while_it_is_kept_is_absent_and_freed_once(void **state)
{
  (void)state;
  table t;
  begin(&t);
  overlay_entry *e = publish(&t, "/a", "1", false);
  settle(&t, e);
  publish(&t, "/a", NULL, false);
  assert_int_equal(settle(&t, e), OVERLAY_GOES);
  assert_false(shows(&t, "/a", "1"));
  assert_int_equal(count(&t.o.entries), 1); /* the ring names it */
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_empty(&t);
  end(&t);
}

static void what_is_pinned_goes_when_it_is_unpinned(void **state)
{
  (void)state;
  table t;
  begin(&t);
  settle(&t, publish(&t, "/a", "1", false));
  overlay_entry *e = pin(&t, "/a");
  keep_trim(&t.k, &t.o, 0, t.checkpoint);
  assert_true(shows(&t, "/a", "1"));
  overlay_unpin(&t.o, e);
  assert_empty(&t);
  end(&t);
}

static void new_long_and_absent_ones_are_not_kept(void **state)
{
  (void)state;
  static char large[4096];
  table t;
  memset(large, 'x', sizeof large - 1);
  begin(&t);
  assert_int_equal(settle(&t, publish(&t, "/new", "1", true)), OVERLAY_GOES);
  assert_int_equal(settle(&t, publish(&t, "/large", large, false)), OVERLAY_GOES);
  assert_int_equal(settle(&t, publish(&t, "/gone", NULL, false)), OVERLAY_GOES);
  assert_empty(&t);
  end(&t);
}

/* ------------------------------------------------------------------------------------------------
 * the store */

static void change(bed *b, unsigned key, unsigned round)
{
  char path[32], body[64];
  snprintf(path, sizeof path, "/k/%03u", key);
  snprintf(body, sizeof body, "round %u of %u", round, key);
  assert_int_equal(key % 7 == round % 7 ? del(b, path) : put(b, path, body), STORE_OK);
}

static void check_all(bed *b, unsigned round)
{
  store_view_renew(b->p);
  for (unsigned key = 0; key < KEYS; key++) {
    char path[32], body[64];
    store_item item;
    snprintf(path, sizeof path, "/k/%03u", key);
    snprintf(body, sizeof body, "round %u of %u", round, key);
    const store_status is = store_get(b->p, copal_span_str(path), &item, b->now);
    assert_int_equal(is, key % 7 == round % 7 ? STORE_ABSENT : STORE_OK);
    if (is == STORE_OK)
      assert_true(copal_span_is_equal(item.body, copal_span_str(body)));
  }
}

static int count_one(void *ctx, copal_span key, const store_item *item)
{
  (void)key;
  (void)item;
  ++*(unsigned *)ctx;
  return 0;
}

static void a_store_short_of_memory_shows_what_was_acknowledged(void **state)
{
  (void)state;
  enum { ROUNDS = 20 };
  bed b;
  bed_init(&b);
  bed_make_dir(&b);
  const journal_store_cfg cfg = {
      .common.byte_max = 64u << 20, .memory_max = 128u << 10, .checkpoint_us = 1000};
  bed_use(&b, bed_journal(&b, &cfg));
  unsigned left = 0;
  for (unsigned round = 0; round < ROUNDS; round++) {
    for (unsigned key = 0; key < KEYS; key++)
      change(&b, key, round);
    check_all(&b, round);
  }
  for (unsigned key = 0; key < KEYS; key++)
    left += key % 7 != (ROUNDS - 1) % 7;
  unsigned listed = 0;
  const store_range all = {.max = SIZE_MAX};
  assert_int_equal(store_list(b.p, &all, count_one, &listed, b.now), left);
  assert_int_equal(listed, left);
  assert_true(journal_store_counts_now(b.s).checkpoints > 1);
  bed_leave(&b);
  bed_use(&b, bed_journal(&b, &cfg));
  check_all(&b, ROUNDS - 1);
  bed_leave(&b);
  bed_remove_dir(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_changed_is_kept_until_memory_is_short),
      cmocka_unit_test(nothing_goes_that_an_older_snapshot_lacks),
      cmocka_unit_test(what_changes_again_gets_a_second_chance),
      cmocka_unit_test(what_is_not_settled_leaves_the_ring_and_stays),
      cmocka_unit_test(what_is_deleted_while_it_is_kept_is_absent_and_freed_once),
      cmocka_unit_test(what_is_pinned_goes_when_it_is_unpinned),
      cmocka_unit_test(new_long_and_absent_ones_are_not_kept),
      cmocka_unit_test(a_store_short_of_memory_shows_what_was_acknowledged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
