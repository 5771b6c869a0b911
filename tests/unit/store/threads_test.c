/* SPDX-License-Identifier: Apache-2.0 */
/* The memory engine under several threads: no update is lost, lent bytes stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "copal/error.h"
#include "store/memory/memory.h"

enum { THREADS = 4, INCREMENTS = 2000, CHURN = 3000, GROWTH = 6000 };

typedef struct worker {
  store_op op; /* first: found by its completion */
  store *s;
  store_port *p;
  unsigned number;
  store_result result;
  bool failed;
} worker;

static void on_done(store_op *op, const store_result *result)
{
  ((worker *)op)->result = *result;
}

/* Compare and swap until it succeeds. */
static void increment(worker *w)
{
  do {
    store_item item;
    char body[16] = "1";
    store_view_renew(w->p);
    const bool is_there = store_get(w->p, copal_span_str("/counter"), &item, 0) == STORE_OK;
    if (is_there) {
      char before[16] = "";
      memcpy(before, item.body.ptr, item.body.len);
      snprintf(body, sizeof body, "%d", atoi(before) + 1);
    }
    w->op = (store_op){.done = on_done,
                       .verb = STORE_PUT,
                       .key = copal_span_str("/counter"),
                       .body = copal_span_str(body),
                       .must_be_absent = !is_there,
                       .must_be_rev = is_there ? item.rev : 0};
    if (store_commit(w->p, &w->op, 0) != COPAL_OK || store_drain(w->p, 1) != 1)
      w->failed = true;
  } while (w->result.status == STORE_PRECONDITION && !w->failed);
}

static void *count_up(void *arg)
{
  worker *w = arg;
  for (int i = 0; i < INCREMENTS; i++)
    increment(w);
  return NULL;
}

static int count_listed(void *ctx, copal_span key, const store_item *item)
{
  (void)key;
  *(size_t *)ctx += item->body.len;
  return 0;
}

/* Creates, reads, lists and deletes keys that all threads share. */
static void *churn(void *arg)
{
  worker *w = arg;
  unsigned random = w->number + 1;
  size_t listed = 0;
  for (int i = 0; i < CHURN && !w->failed; i++) {
    random = random * 1664525u + 1013904223u;
    char key[16];
    store_item item;
    snprintf(key, sizeof key, "/k/%u", (random >> 8) % 50);
    if (store_get(w->p, copal_span_str(key), &item, 0) == STORE_OK && item.body.len > 0)
      w->failed = item.body.ptr[0] != item.body.ptr[item.body.len - 1];
    uint8_t body[100];
    memset(body, (int)(random >> 24), sizeof body);
    w->op = (store_op){.done = on_done,
                       .verb = (random >> 16) % 3 == 0 ? STORE_DELETE : STORE_PUT,
                       .key = copal_span_str(key),
                       .body = copal_span_of(body, (random >> 18) % sizeof body)};
    if (store_commit(w->p, &w->op, 0) != COPAL_OK || store_drain(w->p, 1) != 1)
      w->failed = true;
    if (i % 100 == 0)
      store_list(w->p, &(store_range){.prefix = copal_span_str("/k"), .max = 20}, count_listed,
                 &listed, 0);
    if (i % 10 == 0)
      store_view_renew(w->p);
  }
  return NULL;
}

/* Follows all changes: each key's revisions must ascend. */
typedef struct witness {
  store_follower f;
  pthread_mutex_t lock;
  store_rev last[50];
  bool failed;
} witness;

static void note(store_follower *f, const store_change *c)
{
  witness *w = (witness *)f;
  if (c->item == NULL || c->key.len < 4)
    return;
  char text[16] = "";
  memcpy(text, c->key.ptr + 3, c->key.len - 3);
  const int at = atoi(text);
  pthread_mutex_lock(&w->lock);
  w->failed |= c->rev <= w->last[at];
  w->last[at] = c->rev;
  pthread_mutex_unlock(&w->lock);
}

static void run_all(store *s, void *(*body)(void *arg))
{
  worker workers[THREADS];
  pthread_t threads[THREADS];
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (worker){.s = s, .number = i};
    assert_int_equal(store_port_open(s, NULL, &workers[i].p), COPAL_OK);
    assert_int_equal(pthread_create(&threads[i], NULL, body, &workers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_false(workers[i].failed);
    store_port_close(workers[i].p);
  }
}

static void compare_and_swap_loses_no_update(void **state)
{
  (void)state;
  store *s = memory_store_open(NULL);
  assert_non_null(s);
  run_all(s, count_up);
  store_port *p;
  store_item item;
  assert_int_equal(store_port_open(s, NULL, &p), COPAL_OK);
  assert_true(store_get(p, copal_span_str("/counter"), &item, 0) == STORE_OK);
  char expected[16];
  snprintf(expected, sizeof expected, "%d", THREADS * INCREMENTS);
  assert_true(copal_span_is_equal(item.body, copal_span_str(expected)));
  store_port_close(p);
  store_close(s);
}

static void churn_keeps_bytes_order_and_accounts(void **state)
{
  (void)state;
  store *s = memory_store_open(&(memory_store_cfg){.stripe_count = 8});
  assert_non_null(s);
  witness w = {.f = {.on_change = note}};
  pthread_mutex_init(&w.lock, NULL);
  store_follow(s, &w.f);
  run_all(s, churn);
  assert_false(w.failed);
  store_port *p;
  size_t listed = 0;
  assert_int_equal(store_port_open(s, NULL, &p), COPAL_OK);
  const int count = store_list(p, &(store_range){.max = 1000}, count_listed, &listed, 0);
  assert_int_equal(count, store_usage_now(s).resources);
  store_port_close(p);
  store_close(s);
  pthread_mutex_destroy(&w.lock);
}

/* One thread makes tables grow and entries come and go; the others read without a lock. */
static void *grow_or_read(void *arg)
{
  worker *w = arg;
  for (unsigned i = 0; i < GROWTH && !w->failed; i++) {
    char key[16];
    store_item item;
    snprintf(key, sizeof key, "/g/%u", w->number == 0 ? i : i / 2);
    if (i % 8 == 0)
      store_view_renew(w->p);
    if (w->number == 0) {
      w->op = (store_op){.done = on_done,
                         .verb = STORE_PUT,
                         .key = copal_span_str(key),
                         .body = copal_span_str(key)};
      w->failed = store_commit(w->p, &w->op, 0) != COPAL_OK;
      if (i % 3 == 0) { /* again, and away */
        w->failed |= store_commit(w->p, &w->op, 0) != COPAL_OK;
        w->op.verb = STORE_DELETE;
        w->failed |= store_commit(w->p, &w->op, 0) != COPAL_OK;
      }
      store_drain(w->p, 3);
    } else {
      w->failed = store_get(w->p, copal_span_str("/always"), &item, 0) != STORE_OK;
      const copal_span wanted = copal_span_str(key);
      store_foresee(w->p, &wanted, 1);
      if (store_get(w->p, wanted, &item, 0) == STORE_OK)
        w->failed |= !copal_span_is_equal(item.body, wanted);
    }
  }
  return NULL;
}

static void readers_see_whole_entries_while_tables_grow(void **state)
{
  (void)state;
  store *s = memory_store_open(&(memory_store_cfg){.stripe_count = 2});
  worker w = {.s = s};
  assert_int_equal(store_port_open(s, NULL, &w.p), COPAL_OK);
  w.op = (store_op){.done = on_done, .verb = STORE_PUT, .key = copal_span_str("/always")};
  assert_int_equal(store_commit(w.p, &w.op, 0), COPAL_OK);
  assert_int_equal(store_drain(w.p, 1), 1);
  run_all(s, grow_or_read);
  for (unsigned i = 0; i < GROWTH; i++) {
    char key[16];
    store_item item;
    snprintf(key, sizeof key, "/g/%u", i);
    assert_int_equal(store_get(w.p, copal_span_str(key), &item, 0),
                     i % 3 == 0 ? STORE_ABSENT : STORE_OK);
  }
  store_port_close(w.p);
  store_close(s);
}

/* What the writer says is done. */
static atomic_uint acknowledged;

static void count(worker *w, copal_span key)
{
  for (unsigned i = 1; i <= GROWTH && !w->failed; i++) {
    w->op = (store_op){.done = on_done,
                       .verb = STORE_PUT,
                       .key = key,
                       .body = copal_span_of((const uint8_t *)&i, sizeof i)};
    w->failed = store_commit(w->p, &w->op, 0) != COPAL_OK || store_drain(w->p, 1) != 1;
    atomic_store(&acknowledged, w->failed ? GROWTH : i);
    if (i % 16 == 0)
      sched_yield();
  }
}

/* What was found behind a stamp is, as long as it holds, not older than what the writer had been
 * told to be done before the look. The last stamp holds for good. */
static void look(worker *w, copal_span key)
{
  store_stamp stamp;
  unsigned found = 0, held = 0, done = 0;
  for (bool has_stamp = false; !w->failed && (done < GROWTH || held == 0);) {
    store_item item;
    done = atomic_load(&acknowledged);
    store_view_renew(w->p);
    if (has_stamp && store_is_unchanged(w->p, &stamp)) {
      held++;
    } else {
      has_stamp = store_stamp_of(w->p, key, &stamp);
      w->failed = store_get(w->p, key, &item, 0) != STORE_OK;
      if (!w->failed)
        memcpy(&found, item.body.ptr, sizeof found);
    }
    w->failed |= found < done;
  }
}

/* One thread counts up, the others look. */
static void *count_or_look(void *arg)
{
  worker *w = arg;
  if (w->number == 0)
    count(w, copal_span_str("/counter"));
  else
    look(w, copal_span_str("/counter"));
  return NULL;
}

static void a_stamp_does_not_outlive_a_change(void **state)
{
  (void)state;
  store *s = memory_store_open(&(memory_store_cfg){.stripe_count = 2});
  const unsigned zero = 0;
  worker w = {.s = s};
  assert_int_equal(store_port_open(s, NULL, &w.p), COPAL_OK);
  w.op = (store_op){.done = on_done,
                    .verb = STORE_PUT,
                    .key = copal_span_str("/counter"),
                    .body = copal_span_of((const uint8_t *)&zero, sizeof zero)};
  assert_int_equal(store_commit(w.p, &w.op, 0), COPAL_OK);
  assert_int_equal(store_drain(w.p, 1), 1);
  run_all(s, count_or_look);
  store_port_close(w.p);
  store_close(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compare_and_swap_loses_no_update),
      cmocka_unit_test(churn_keeps_bytes_order_and_accounts),
      cmocka_unit_test(readers_see_whole_entries_while_tables_grow),
      cmocka_unit_test(a_stamp_does_not_outlive_a_change),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
