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
} item;

static item items[KEYS]; /* names in ascending order */

static copal_span name_of(const item *i)
{
  return copal_span_of(i->name, strlen(i->name));
}

/* The first item that does not lie in front of the edge. */
static keytree_node *model_first(copal_span key, keytree_edge edge)
{
  for (int i = 0; i < KEYS; i++) {
    const int order = keytree_compare(name_of(&items[i]), key);
    const bool before = order < 0 || (edge != KEYTREE_BEFORE && order == 0) ||
                        (edge == KEYTREE_PAST && copal_span_has_prefix(name_of(&items[i]), key));
    if (items[i].is_in && !before)
      return &items[i].node;
  }
  return NULL;
}

static void keytree_random_steps_match_a_sorted_array(void **state)
{
  (void)state;
  unsigned random = 7;
  size_t count = 0;
  keytree t = keytree_init(42);
  for (int i = 0; i < KEYS; i++)
    snprintf(items[i].name, sizeof items[i].name, "/%02d%s", i / 2, i % 2 != 0 ? "/x" : "");
  for (int step = 0; step < STEPS; step++) {
    random = random * 1103515245u + 12345u;
    item *i = &items[(random >> 8) % KEYS];
    if (!i->is_in)
      keytree_insert(&t, &i->node, name_of(i));
    else
      assert_ptr_equal(keytree_remove(&t, name_of(i)), &i->node);
    i->is_in = !i->is_in;
    count = i->is_in ? count + 1 : count - 1;
    assert_int_equal(t.count, count);
    assert_ptr_equal(keytree_find(&t, name_of(i)), i->is_in ? &i->node : NULL);
    for (keytree_edge edge = KEYTREE_BEFORE; edge <= KEYTREE_PAST; edge++)
      assert_ptr_equal(keytree_first(&t, name_of(i), edge), model_first(name_of(i), edge));
  }
}

static void keytree_first_respects_edges(void **state)
{
  (void)state;
  keytree t = keytree_init(1);
  keytree_node n[3];
  keytree_insert(&t, &n[0], copal_span_str("/a"));
  keytree_insert(&t, &n[1], copal_span_str("/a/b"));
  keytree_insert(&t, &n[2], copal_span_str("/b"));
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_BEFORE), &n[0]);
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_BEHIND), &n[1]);
  assert_ptr_equal(keytree_first(&t, copal_span_str("/a"), KEYTREE_PAST), &n[2]);
  assert_null(keytree_first(&t, copal_span_str("/b"), KEYTREE_BEHIND));
  assert_null(keytree_remove(&t, copal_span_str("/c")));
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
    keytree_insert(&t, &n[i], copal_span_str(names[i]));
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
      cmocka_unit_test(keytree_clear_drops_each_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
