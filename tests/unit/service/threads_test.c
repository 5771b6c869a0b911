/* SPDX-License-Identifier: Apache-2.0 */
/* What the shards share, under several threads: the index of links and the pools of changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "copal/error.h"
#include "service/linkindex.h"
#include "service/pending.h"
#include "store/memory/memory.h"

enum { THREADS = 8, STEPS = 3000, KEYS = 60, POOL = 8 };

static linkindex *shared_index;
static store *shared_store;

static void file_change(store_follower *f, const store_change *change)
{
  (void)f;
  if (change->item == NULL) {
    linkindex_remove(shared_index, change->key);
    return;
  }
  char link[64];
  const int len =
      snprintf(link, sizeof link, "<%.*s>%.*s", (int)change->key.len, (const char *)change->key.ptr,
               (int)change->item->attrs.len, (const char *)change->item->attrs.ptr);
  linkindex_put(shared_index, change->key, copal_span_of(link, (size_t)len));
}

static void on_done(store_op *op, const store_result *result)
{
  (void)op;
  (void)result;
}

static bool listing_is_sound(const linkindex_filter *f)
{
  static _Thread_local uint8_t room[8192];
  linkindex_slice slice;
  const int err = linkindex_read(shared_index, f, f != NULL, NULL, 1 << 20, 0,
                                 (copal_mspan){room, sizeof room}, &slice);
  return err == COPAL_OK && slice.len == slice.total &&
         (slice.len == 0 || (room[0] == '<' && room[slice.len - 1] == '"'));
}

/* A block is of the listing that the index has then, not of one that somebody kept before. */
static bool block_is_sound(const linkindex_filter *f)
{
  static _Thread_local uint8_t whole[8192];
  uint8_t block[64];
  linkindex_slice all;
  linkindex_slice part;
  if (linkindex_read(shared_index, f, 1, NULL, 1 << 20, 0, (copal_mspan){whole, sizeof whole},
                     &all) != COPAL_OK ||
      linkindex_read(shared_index, f, 1, NULL, 1 << 20, all.total / 2,
                     (copal_mspan){block, sizeof block}, &part) != COPAL_OK)
    return false;
  return part.generation != all.generation ||
         (part.total == all.total && memcmp(block, whole + all.total / 2, part.len) == 0);
}

static void *change_and_read(void *arg)
{
  unsigned random = *(unsigned *)arg + 17;
  store_port *p;
  if (store_port_open(shared_store, NULL, &p) != COPAL_OK)
    return arg;
  const linkindex_filter words = linkindex_filter_of(copal_span_str("rt=w*"));
  void *failed = NULL;
  for (int i = 0; i < STEPS && failed == NULL; i++) {
    random = random * 1664525u + 1013904223u;
    char key[16];
    char attrs[32];
    snprintf(key, sizeof key, "/%u", (random >> 8) % KEYS);
    snprintf(attrs, sizeof attrs, ";rt=\"w%u w%u\"", (random >> 14) % 5, (random >> 17) % 5);
    store_op op = {.done = on_done,
                   .verb = (random >> 20) % 3 == 0 ? STORE_DELETE : STORE_PUT,
                   .key = copal_span_str(key),
                   .attrs = copal_span_str(attrs)};
    store_commit(p, &op, 0);
    store_drain(p, 1);
    if (!listing_is_sound(NULL) || !listing_is_sound(&words) || !block_is_sound(&words))
      failed = arg;
  }
  store_port_close(p);
  return failed;
}

static void run_all(void *(*body)(void *arg))
{
  pthread_t threads[THREADS];
  unsigned numbers[THREADS];
  for (unsigned i = 0; i < THREADS; i++) {
    numbers[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, body, &numbers[i]), 0);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
}

static void rfc6690_4_index_and_store_agree_after_concurrent_changes(void **state)
{
  (void)state;
  store_follower follower = {.on_change = file_change};
  shared_index = linkindex_open();
  shared_store = memory_store_open(&(memory_store_cfg){.stripe_count = 8});
  store_follow(shared_store, &follower);
  run_all(change_and_read);
  const linkindex_filter words = linkindex_filter_of(copal_span_str("rt=w*"));
  assert_true(block_is_sound(&words));
  assert_int_equal(linkindex_count(shared_index), store_usage_now(shared_store).resources);
  store_close(shared_store);
  linkindex_close(shared_index);
}

static atomic_bool is_read;

static void *write_without_pause(void *arg)
{
  char key[16];
  char link[32];
  for (unsigned i = 0; !atomic_load(&is_read); i++) {
    snprintf(key, sizeof key, "/%u-%u", *(unsigned *)arg, i % KEYS);
    snprintf(link, sizeof link, "<%s>;n=\"%u\"", key, i);
    linkindex_put(shared_index, copal_span_str(key), copal_span_str(link));
  }
  return NULL;
}

static void *read_often(void *arg)
{
  for (int i = 0; i < STEPS; i++)
    if (!listing_is_sound(NULL))
      return arg;
  atomic_store(&is_read, true);
  return NULL;
}

static void *write_and_one_reads(void *arg)
{
  return *(unsigned *)arg == 0 ? read_often(arg) : write_without_pause(arg);
}

/* Ends at all only when the reader is let in. */
static void readers_get_through_a_stream_of_changes(void **state)
{
  (void)state;
  shared_index = linkindex_open();
  assert_non_null(shared_index);
  run_all(write_and_one_reads);
  linkindex_close(shared_index);
}

static pendings *shared_pools;
static atomic_uint shards;

static void *take_and_give(void *arg)
{
  handler_env env = {.shard = atomic_fetch_add(&shards, 1)};
  pending *taken[POOL];
  void *failed = NULL;
  for (int round = 0; round < 200 && failed == NULL; round++) {
    for (int i = 0; i < POOL; i++) {
      taken[i] = pendings_take(shared_pools, &env);
      if (taken[i] == NULL || !pending_keep(&taken[i]->body, copal_span_str("kept")))
        return arg;
    }
    if (pendings_take(shared_pools, &env) != NULL)
      failed = arg;
    for (int i = 0; i < POOL; i++)
      pending_give(taken[i]);
  }
  return failed;
}

static void pools_are_bounded_and_of_one_shard_each(void **state)
{
  (void)state;
  shared_pools = pendings_open(THREADS, POOL);
  assert_non_null(shared_pools);
  run_all(take_and_give);
  pendings_close(shared_pools);
}

static void shards_beyond_the_limit_get_nothing(void **state)
{
  (void)state;
  const handler_env envs[2] = {{0}};
  pendings *all = pendings_open(1, POOL);
  assert_non_null(all);
  assert_non_null(pendings_take(all, &envs[0]));
  assert_null(pendings_take(all, &envs[1])); /* the place is taken */
  const handler_env beyond = {.shard = 1};
  assert_null(pendings_take(all, &beyond));
  pendings_close(all);
  pendings_close(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6690_4_index_and_store_agree_after_concurrent_changes),
      cmocka_unit_test(readers_get_through_a_stream_of_changes),
      cmocka_unit_test(pools_are_bounded_and_of_one_shard_each),
      cmocka_unit_test(shards_beyond_the_limit_get_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
