/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered list against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/keylist.h"

enum { KEYS = 6000, STEPS = 60000, EACH = 50 };

typedef struct item {
  char name[16];
  bool is_in;
  uint64_t weight;
} item;

static item items[KEYS]; /* names in ascending order */

static copal_span key_of(const void *i)
{
  const item *it = i;
  return copal_span_of(it->name, strlen(it->name));
}

static uint64_t weight_of(const void *i)
{
  return ((const item *)i)->weight;
}

static const keylist_kind kind = {.key = key_of, .weight = weight_of};

static bool lies_before(const item *i, copal_span key, keytree_edge edge)
{
  const int order = keytree_compare(key_of(i), key);
  return order < 0 || (edge != KEYTREE_BEFORE && order == 0) ||
         (edge == KEYTREE_PAST && copal_span_has_prefix(key_of(i), key));
}

static void check_edge(const keylist *l, copal_span key, keytree_edge edge)
{
  uint64_t sum = 0;
  item *first = NULL;
  for (int i = 0; i < KEYS; i++) {
    const bool before = lies_before(&items[i], key, edge);
    sum += items[i].is_in && before ? items[i].weight : 0;
    if (items[i].is_in && !before && first == NULL)
      first = &items[i];
  }
  assert_int_equal(keylist_sum_before(l, key, edge), sum);
  assert_ptr_equal(keylist_first(l, key, edge), first);
}

typedef struct seen {
  uint64_t at;
  size_t count;
  const item *last;
} seen;

static bool check_order(void *ctx, void *i, uint64_t at)
{
  seen *s = ctx;
  assert_int_equal(at, s->at);
  if (s->last != NULL)
    assert_true(keytree_compare(key_of(s->last), key_of(i)) < 0);
  s->at = at + weight_of(i);
  s->last = i;
  s->count++;
  return true;
}

static void step(keylist *l, unsigned random, unsigned one_in)
{
  item *i = &items[(random >> 8) % KEYS];
  const uint64_t weight = random % 50 + 1;
  if (!i->is_in) {
    assert_null(keylist_find(l, key_of(i)));
    assert_null(keylist_remove(l, key_of(i)));
    i->weight = weight;
    if (random % 2 == 0)
      assert_true(keylist_insert(l, i));
    else
      assert_ptr_equal(keylist_insert_or_find(l, i), i);
    i->is_in = true;
  } else if (random % one_in == 0) {
    const uint64_t before = i->weight;
    i->weight = weight;
    keylist_reweigh(l, i, before);
  } else {
    assert_ptr_equal(keylist_find(l, key_of(i)), i);
    item again = *i;
    assert_ptr_equal(keylist_insert_or_find(l, &again), i);
    assert_ptr_equal(keylist_remove(l, key_of(i)), i);
    i->is_in = false;
  }
}

static void keylist_random_steps_match_a_sorted_array(void **state)
{
  (void)state;
  unsigned random = 7;
  keylist l = keylist_init(&kind);
  for (int i = 0; i < KEYS; i++)
    items[i] = (item){.is_in = false};
  for (int i = 0; i < KEYS; i++)
    snprintf(items[i].name, sizeof items[i].name, "/%04d%s", i / 2, i % 2 != 0 ? "/x" : "");
  for (int n = 0; n < STEPS; n++) {
    random = random * 1103515245u + 12345u;
    step(&l, random, 3);
    if (n % EACH == 0)
      check_edge(&l, key_of(&items[(random >> 9) % KEYS]), (keytree_edge)(random >> 20) % 3);
  }
  seen s = {0};
  keylist_walk(&l, 0, UINT64_MAX, check_order, &s);
  assert_int_equal(s.count, l.count);
  assert_int_equal(s.at, l.sum);
  for (int i = 0; i < KEYS; i++) /* down to nothing */
    assert_ptr_equal(keylist_remove(&l, key_of(&items[i])), items[i].is_in ? &items[i] : NULL);
  assert_null(l.root);
  assert_int_equal(l.sum, 0);
}

static void count_drop(void *ctx, void *i)
{
  (void)i;
  ++*(int *)ctx;
}

static void keylist_ascending_and_descending_keys_stay_in_order(void **state)
{
  (void)state;
  for (int direction = 0; direction < 3; direction++) { /* the third: appended */
    keylist l = keylist_init(&kind);
    for (int n = 0; n < KEYS; n++) {
      const int i = direction != 1 ? n : KEYS - 1 - n;
      snprintf(items[i].name, sizeof items[i].name, "%08d", i);
      items[i].weight = 1;
      items[i].is_in = true;
      assert_true(direction < 2 ? keylist_insert(&l, &items[i]) : keylist_append(&l, &items[i]));
    }
    seen s = {0};
    keylist_walk(&l, 0, UINT64_MAX, check_order, &s);
    assert_int_equal(s.count, KEYS);
    assert_int_equal(keylist_sum_before(&l, key_of(&items[KEYS / 3]), KEYTREE_BEHIND),
                     KEYS / 3 + 1);
    int drops = 0;
    keylist_clear(&l, count_drop, &drops);
    assert_int_equal(drops, KEYS);
  }
}

static void keylist_first_respects_edges(void **state)
{
  (void)state;
  keylist l = keylist_init(&kind);
  item n[3] = {{.name = "/a"}, {.name = "/a/b"}, {.name = "/b"}};
  for (int i = 0; i < 3; i++)
    assert_true(keylist_insert(&l, &n[i]));
  assert_ptr_equal(keylist_first(&l, copal_span_str("/a"), KEYTREE_BEFORE), &n[0]);
  assert_ptr_equal(keylist_first(&l, copal_span_str("/a"), KEYTREE_BEHIND), &n[1]);
  assert_ptr_equal(keylist_first(&l, copal_span_str("/a"), KEYTREE_PAST), &n[2]);
  assert_null(keylist_first(&l, copal_span_str("/b"), KEYTREE_BEHIND));
  assert_null(keylist_remove(&l, copal_span_str("/c")));
  for (int i = 0; i < 3; i++)
    assert_non_null(keylist_remove(&l, key_of(&n[i])));
}

static bool stop_at_once(void *ctx, void *i, uint64_t at)
{
  (void)i;
  (void)at;
  ++*(int *)ctx;
  return false;
}

static void keylist_walk_sees_only_the_stretch_and_stops(void **state)
{
  (void)state;
  keylist l = keylist_init(&kind);
  item n[3] = {{"a", true, 10}, {"b", true, 10}, {"c", true, 10}};
  for (int i = 0; i < 3; i++)
    assert_true(keylist_insert(&l, &n[i]));
  seen s = {.at = 10};
  keylist_walk(&l, 10, 20, check_order, &s);
  assert_int_equal(s.count, 1);
  assert_ptr_equal(s.last, &n[1]);
  int calls = 0;
  keylist_walk(&l, 0, 30, stop_at_once, &calls);
  assert_int_equal(calls, 1);
  int drops = 0;
  keylist_clear(&l, count_drop, &drops);
  assert_int_equal(drops, 3);
}

static void keylist_clear_drops_each_once(void **state)
{
  (void)state;
  keylist l = keylist_init(&kind);
  for (int i = 0; i < KEYS; i++) {
    snprintf(items[i].name, sizeof items[i].name, "%d", i);
    assert_true(keylist_insert(&l, &items[i]));
  }
  int drops = 0;
  keylist_clear(&l, count_drop, &drops);
  assert_int_equal(drops, KEYS);
  assert_int_equal(l.count, 0);
  assert_null(keylist_find(&l, copal_span_str("5")));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keylist_random_steps_match_a_sorted_array),
      cmocka_unit_test(keylist_ascending_and_descending_keys_stay_in_order),
      cmocka_unit_test(keylist_first_respects_edges),
      cmocka_unit_test(keylist_walk_sees_only_the_stretch_and_stops),
      cmocka_unit_test(keylist_clear_drops_each_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
