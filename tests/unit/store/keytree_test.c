/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered tree against a sorted array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/keytree.h"

enum { KEYS = 200, STEPS = 20000 };

typedef struct item {
  keytree_node node;
  char name[16];
  bool is_in;
  uint64_t weight;
} item;

static item items[KEYS]; /* names in ascending order */

static copal_span name_of(const item *i)
{
  return copal_span_of(i->name, strlen(i->name));
}

static uint64_t model_before(copal_span key, keytree_edge edge)
{
  uint64_t sum = 0;
  for (int i = 0; i < KEYS; i++) {
    const int order = keytree_compare(name_of(&items[i]), key);
    const bool before = order < 0 || (edge != KEYTREE_BEFORE && order == 0) ||
                        (edge == KEYTREE_PAST && copal_span_has_prefix(name_of(&items[i]), key));
    sum += items[i].is_in && before ? items[i].weight : 0;
  }
  return sum;
}

typedef struct seen {
  uint64_t at;
  size_t count;
  const keytree_node *last;
} seen;

static bool check_order(void *ctx, keytree_node *n, uint64_t at)
{
  seen *s = ctx;
  assert_int_equal(at, s->at);
  if (s->last != NULL)
    assert_true(keytree_compare(keytree_key(s->last), keytree_key(n)) < 0);
  s->at = at + n->weight;
  s->last = n;
  s->count++;
  return true;
}

static void keytree_random_steps_match_a_sorted_array(void **state)
{
  (void)state;
  unsigned random = 7;
  keytree t = keytree_init(42);
  for (int i = 0; i < KEYS; i++)
    snprintf(items[i].name, sizeof items[i].name, "/%02d%s", i / 2, i % 2 != 0 ? "/x" : "");
  for (int step = 0; step < STEPS; step++) {
    random = random * 1103515245u + 12345u;
    item *i = &items[(random >> 8) % KEYS];
    const uint64_t weight = (random >> 20) % 50 + 1;
    if (!i->is_in)
      keytree_insert(&t, &i->node, name_of(i), weight);
    else if (random & 64)
      keytree_reweigh(&t, name_of(i), weight);
    else
      assert_ptr_equal(keytree_remove(&t, name_of(i)), &i->node);
    i->is_in = !i->is_in || (random & 64);
    i->weight = weight;
    const keytree_edge edge = (keytree_edge)(random >> 10 & 1 ? KEYTREE_PAST : random >> 11 & 1);
    assert_int_equal(keytree_sum_before(&t, name_of(i), edge), model_before(name_of(i), edge));
  }
  seen s = {0};
  keytree_walk(&t, 0, UINT64_MAX, check_order, &s);
  assert_int_equal(s.count, t.count);
  assert_int_equal(s.at, keytree_sum(&t));
}

static void keytree_first_respects_edges(void **state)
{
  (void)state;
  keytree t = keytree_init(1);
  keytree_node n[3];
  keytree_insert(&t, &n[0], copal_span_str("/a"), 1);
  keytree_insert(&t, &n[1], copal_span_str("/a/b"), 1);
  keytree_insert(&t, &n[2], copal_span_str("/b"), 1);
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_BEFORE), &n[0]);
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_BEHIND), &n[1]);
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_PAST), &n[2]);
  assert_null(keytree_first(&t, copal_span_str("/b"), KEYTREE_BEHIND));
  assert_null(keytree_remove(&t, copal_span_str("/c")));
}

static bool stop_at_once(void *ctx, keytree_node *n, uint64_t at)
{
  (void)n;
  (void)at;
  ++*(int *)ctx;
  return false;
}

static void keytree_walk_sees_only_the_stretch_and_stops(void **state)
{
  (void)state;
  keytree t = keytree_init(1);
  keytree_node n[3];
  keytree_insert(&t, &n[0], copal_span_str("a"), 10);
  keytree_insert(&t, &n[1], copal_span_str("b"), 10);
  keytree_insert(&t, &n[2], copal_span_str("c"), 10);
  seen s = {.at = 10};
  keytree_walk(&t, 10, 20, check_order, &s);
  assert_int_equal(s.count, 1);
  assert_ptr_equal(s.last, &n[1]);
  int calls = 0;
  keytree_walk(&t, 0, 30, stop_at_once, &calls);
  assert_int_equal(calls, 1);
}

static void count_drop(void *ctx, keytree_node *n)
{
  (void)n;
  ++*(int *)ctx;
}

static void keytree_clear_drops_each_once(void **state)
{
  (void)state;
  static keytree_node n[1000];
  static char names[1000][16];
  keytree t = keytree_init(3);
  for (int i = 0; i < 1000; i++) {
    snprintf(names[i], sizeof names[i], "%d", i);
    keytree_insert(&t, &n[i], copal_span_str(names[i]), 0);
  }
  int drops = 0;
  keytree_clear(&t, count_drop, &drops);
  assert_int_equal(drops, 1000);
  assert_int_equal(t.count, 0);
  assert_null(keytree_find(&t, copal_span_str("5")));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keytree_random_steps_match_a_sorted_array),
      cmocka_unit_test(keytree_first_respects_edges),
      cmocka_unit_test(keytree_walk_sees_only_the_stretch_and_stops),
      cmocka_unit_test(keytree_clear_drops_each_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
