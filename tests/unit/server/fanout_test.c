/* SPDX-License-Identifier: Apache-2.0 */
/* The fan-out: watches, their messages, and threads that change while others watch. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/fanout.h"
#include "server/shard.h"
#include "store/memory/memory.h"

enum { WRITERS = 3, SHARDS = 3, KEYS = 8, ROUNDS = 400, MAILBOX_CAP = 4096 };

copal_time __wrap_shard_now(const shard *s);
copal_time __wrap_shard_now(const shard *s)
{
  (void)s;
  return 1;
}

/* A place to watch from: what a shard has. */
typedef struct place {
  mailbox *mailbox;
  store_port *port;
  fanout_seat seat;
  handler_env env;
} place;

typedef struct listener {
  watcher watcher; /* first */
  place *at;
  const char *key;
  watch *watch;
  store_rev rev;
  unsigned calls;
  bool closes; /* the watch, when it is called */
} listener;

static store *the_store;
static fanout *the_fanout;

static void open_place(place *p)
{
  assert_int_equal(mailbox_open(MAILBOX_CAP, &p->mailbox), 0);
  assert_int_equal(store_port_open(the_store, NULL, &p->port), COPAL_OK);
  p->seat = (fanout_seat){the_fanout, p->mailbox};
  p->env = (handler_env){.store = p->port, .seat = &p->seat};
}

static unsigned run_messages(place *p)
{
  unsigned count = 0;
  for (shard_msg *m; (m = mailbox_take(p->mailbox)) != NULL; count++)
    m->run(m, NULL);
  return count;
}

static void close_place(place *p)
{
  run_messages(p);
  store_port_close(p->port);
  mailbox_close(p->mailbox);
}

static void on_change(watcher *w, copal_time now)
{
  listener *l = (listener *)w;
  store_item item;
  (void)now;
  l->calls++;
  l->rev = store_get(l->at->port, copal_span_str(l->key), &item, 1) == STORE_OK ? item.rev : 0;
  if (l->closes) {
    watch_close(l->watch);
    l->watch = NULL;
  }
}

static void listen_at(listener *l, place *p, const char *key)
{
  *l = (listener){.watcher = {on_change}, .at = p, .key = key};
  l->watch = watch_open(&p->env, copal_span_str(key), &l->watcher);
  assert_non_null(l->watch);
}

static void on_done(store_op *op, const store_result *result)
{
  (void)op;
  (void)result;
}

static void put(store_port *port, const char *key)
{
  store_op op = {.done = on_done,
                 .verb = STORE_PUT,
                 .key = copal_span_str(key),
                 .content_format = 0,
                 .max_age_s = STORE_NO_MAX_AGE,
                 .body = copal_span_str("x")};
  while (store_commit(port, &op, 1) != COPAL_OK)
    store_drain(port, 100);
  while (store_drain(port, 100) > 0) {
  }
}

static int setup(void **state)
{
  (void)state;
  the_store = memory_store_open(NULL);
  assert_non_null(the_store);
  assert_int_equal(fanout_open(the_store, &the_fanout), COPAL_OK);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  assert_int_equal(fanout_stats_now(the_fanout).watches, 0);
  store_close(the_store);
  fanout_close(the_fanout);
  return 0;
}

static void only_watches_of_the_changed_resource_are_told(void **state)
{
  place p;
  listener a, b;
  (void)state;
  open_place(&p);
  listen_at(&a, &p, "/a");
  listen_at(&b, &p, "/b");
  put(p.port, "/a");
  put(p.port, "/ab");
  assert_int_equal(run_messages(&p), 1);
  assert_int_equal(a.calls, 1);
  assert_true(a.rev != 0);
  assert_int_equal(b.calls, 0);
  watch_close(a.watch);
  watch_close(b.watch);
  close_place(&p);
}

static void a_burst_is_one_message(void **state)
{
  place p;
  listener a;
  (void)state;
  open_place(&p);
  listen_at(&a, &p, "/a");
  for (int i = 0; i < 10; i++)
    put(p.port, "/a");
  assert_int_equal(run_messages(&p), 1);
  assert_int_equal(a.calls, 1);
  const fanout_stats s = fanout_stats_now(the_fanout);
  assert_int_equal(s.posted, 1);
  assert_int_equal(s.merged, 9);
  assert_int_equal(s.watches, 1);
  put(p.port, "/a");
  assert_int_equal(run_messages(&p), 1);
  watch_close(a.watch);
  close_place(&p);
}

static void a_poke_runs_the_watch_once(void **state)
{
  place p;
  listener a;
  (void)state;
  open_place(&p);
  listen_at(&a, &p, "/a");
  watch_poke(a.watch);
  watch_poke(a.watch);
  run_messages(&p);
  assert_int_equal(a.calls, 1);
  assert_int_equal(a.rev, 0);
  watch_close(a.watch);
  close_place(&p);
}

static void a_watch_closed_while_posted_is_not_run(void **state)
{
  place p;
  listener a;
  (void)state;
  open_place(&p);
  listen_at(&a, &p, "/a");
  put(p.port, "/a");
  watch_close(a.watch);
  assert_int_equal(fanout_stats_now(the_fanout).watches, 0);
  assert_int_equal(run_messages(&p), 1); /* frees it */
  assert_int_equal(a.calls, 0);
  watch_close(NULL);
  close_place(&p);
}

static void a_watch_may_close_itself(void **state)
{
  place p;
  listener a, b;
  (void)state;
  open_place(&p);
  listen_at(&a, &p, "/a");
  listen_at(&b, &p, "/a");
  a.closes = true;
  put(p.port, "/a");
  put(p.port, "/a");
  run_messages(&p);
  put(p.port, "/a");
  run_messages(&p);
  assert_int_equal(a.calls, 1);
  assert_int_equal(b.calls, 2);
  watch_close(b.watch);
  close_place(&p);
}

static void a_full_mailbox_is_counted(void **state)
{
  place p;
  listener l[3];
  (void)state;
  open_place(&p);
  mailbox_close(p.mailbox);
  assert_int_equal(mailbox_open(2, &p.mailbox), 0);
  p.seat.mailbox = p.mailbox;
  for (int i = 0; i < 3; i++)
    listen_at(&l[i], &p, "/a");
  put(p.port, "/a");
  assert_int_equal(fanout_stats_now(the_fanout).refused, 1);
  run_messages(&p);
  put(p.port, "/a"); /* the one refused is not taken for posted */
  run_messages(&p);
  assert_int_equal(l[0].calls + l[1].calls + l[2].calls, 4);
  for (int i = 0; i < 3; i++)
    watch_close(l[i].watch);
  close_place(&p);
}

/* --------------------------------------------------------------------------------------- threads
 */

static const char *const keys[KEYS] = {"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"};
static _Atomic unsigned writers_done;
static _Atomic unsigned watchers_ready; /* what was written before a watch began is not told */

static void *write_all(void *arg)
{
  store_port *port = arg;
  while (atomic_load(&watchers_ready) < SHARDS)
    sched_yield();
  for (int i = 0; i < ROUNDS; i++)
    put(port, keys[i % KEYS]);
  atomic_fetch_add(&writers_done, 1);
  return NULL;
}

/* Watches all keys; now and then one is closed, posted or not, and opened again.
 * Returns how many have seen the last state. */
static void *watch_all(void *arg)
{
  place *p = arg;
  listener l[KEYS];
  for (int k = 0; k < KEYS; k++)
    listen_at(&l[k], p, keys[k]);
  atomic_fetch_add(&watchers_ready, 1);
  for (unsigned turn = 0;; turn++) {
    const bool is_last = atomic_load(&writers_done) == WRITERS;
    run_messages(p);
    if (is_last)
      break;
    listener *one = &l[turn % KEYS];
    if (turn % 3 == 0) {
      watch_close(one->watch);
      listen_at(one, p, one->key);
      watch_poke(one->watch);
    }
  }
  run_messages(p);
  store_view_renew(p->port);
  unsigned good = 0;
  for (int k = 0; k < KEYS; k++) {
    store_item item;
    good +=
        store_get(p->port, copal_span_str(keys[k]), &item, 1) == STORE_OK && item.rev == l[k].rev;
    watch_close(l[k].watch);
  }
  return (void *)(uintptr_t)good;
}

static void every_watch_sees_the_last_state(void **state)
{
  place places[SHARDS];
  store_port *ports[WRITERS];
  pthread_t writers[WRITERS], watchers[SHARDS];
  (void)state;
  atomic_store(&writers_done, 0);
  atomic_store(&watchers_ready, 0);
  for (int i = 0; i < SHARDS; i++)
    open_place(&places[i]);
  for (int i = 0; i < WRITERS; i++)
    assert_int_equal(store_port_open(the_store, NULL, &ports[i]), COPAL_OK);
  for (int i = 0; i < SHARDS; i++)
    assert_int_equal(pthread_create(&watchers[i], NULL, watch_all, &places[i]), 0);
  for (int i = 0; i < WRITERS; i++)
    assert_int_equal(pthread_create(&writers[i], NULL, write_all, ports[i]), 0);
  for (int i = 0; i < WRITERS; i++)
    pthread_join(writers[i], NULL);
  for (int i = 0; i < SHARDS; i++) {
    void *good;
    pthread_join(watchers[i], &good);
    assert_int_equal((uintptr_t)good, KEYS);
    close_place(&places[i]);
  }
  for (int i = 0; i < WRITERS; i++)
    store_port_close(ports[i]);
  assert_int_equal(fanout_stats_now(the_fanout).refused, 0);
}

/* The table of each stripe is made anew several times while what it holds is looked for. */
static void tables_grow_while_resources_change(void **state)
{
  enum { OTHERS = 1 << 14 };
  watch **others = malloc(OTHERS * sizeof(watch *));
  watcher nobody = {on_change};
  listener l[KEYS];
  pthread_t writer;
  store_port *port;
  char key[32];
  place p;
  (void)state;
  assert_non_null(others);
  atomic_store(&writers_done, 0);
  open_place(&p);
  for (int k = 0; k < KEYS; k++)
    listen_at(&l[k], &p, keys[k]);
  assert_int_equal(store_port_open(the_store, NULL, &port), COPAL_OK);
  atomic_store(&watchers_ready, SHARDS);
  assert_int_equal(pthread_create(&writer, NULL, write_all, port), 0);
  for (int i = 0; i < OTHERS; i++) {
    snprintf(key, sizeof key, "/other/%d", i);
    others[i] = watch_open(&p.env, copal_span_str(key), &nobody);
    assert_non_null(others[i]);
    run_messages(&p);
  }
  pthread_join(writer, NULL);
  run_messages(&p);
  store_view_renew(p.port);
  for (int k = 0; k < KEYS; k++) {
    store_item item;
    assert_int_equal(store_get(p.port, copal_span_str(keys[k]), &item, 1), STORE_OK);
    assert_true(item.rev == l[k].rev);
    watch_close(l[k].watch);
  }
  for (int i = 0; i < OTHERS; i++)
    watch_close(others[i]);
  assert_int_equal(fanout_stats_now(the_fanout).watches, 0);
  close_place(&p);
  store_port_close(port);
  free(others);
}

/* What a change costs does not grow with what else is watched. */
static void a_change_goes_by_few_watches_of_others(void **state)
{
  enum { WATCHES = 1 << 18, CHANGES = 1000 };
  watch **watches = malloc(WATCHES * sizeof(watch *));
  char key[32];
  watcher nobody = {on_change};
  place p;
  (void)state;
  assert_non_null(watches);
  open_place(&p);
  for (int i = 0; i < WATCHES; i++) {
    snprintf(key, sizeof key, "/watched/%d", i);
    watches[i] = watch_open(&p.env, copal_span_str(key), &nobody);
    assert_non_null(watches[i]);
  }
  for (int i = 0; i < CHANGES; i++) {
    snprintf(key, sizeof key, "/changed/%d", i);
    put(p.port, key);
  }
  assert_true(fanout_stats_now(the_fanout).passed < 2 * CHANGES);
  assert_int_equal(fanout_stats_now(the_fanout).posted, 0);
  put(p.port, "/watched/7");
  assert_int_equal(fanout_stats_now(the_fanout).posted, 1);
  for (int i = 0; i < WATCHES; i++)
    if (i != 7)
      watch_close(watches[i]);
  watch_close(watches[7]); /* its message is under way and frees it */
  close_place(&p);
  free(watches);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(only_watches_of_the_changed_resource_are_told),
      TEST(a_burst_is_one_message),
      TEST(a_poke_runs_the_watch_once),
      TEST(a_watch_closed_while_posted_is_not_run),
      TEST(a_watch_may_close_itself),
      TEST(a_full_mailbox_is_counted),
      TEST(every_watch_sees_the_last_state),
      TEST(tables_grow_while_resources_change),
      TEST(a_change_goes_by_few_watches_of_others),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
