/* SPDX-License-Identifier: Apache-2.0 */
/* A store with one port, for tests of engines: operations that wait for their result. */
#ifndef TESTS_STORE_BED_H
#define TESTS_STORE_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "store/journal/journal.h"
#include "store/lmdb/lmdb.h"
#include "store/store.h"

typedef struct bed {
  store *s;
  store_port *p;
  unsigned done;
  store_result result;
  store_waker waker;
  pthread_mutex_t lock;
  pthread_cond_t woken;
  bool is_woken;
  copal_time now;
  char dir[64];
} bed;

typedef struct bed_op {
  store_op op;
  bed *b;
  store_result result;
  bool is_done;
} bed_op;

static inline void bed_on_done(store_op *op, const store_result *result)
{
  bed_op *o = (bed_op *)op;
  o->b->result = o->result = *result;
  o->b->done++;
  o->is_done = true;
}

static inline void bed_on_wake(store_waker *w)
{
  bed *b = (bed *)((char *)w - offsetof(bed, waker));
  pthread_mutex_lock(&b->lock);
  b->is_woken = true;
  pthread_cond_signal(&b->woken);
  pthread_mutex_unlock(&b->lock);
}

/* Waits until the port has been woken. A test that is not fails by its time limit. */
static inline void bed_sleep(bed *b)
{
  pthread_mutex_lock(&b->lock);
  while (!b->is_woken)
    pthread_cond_wait(&b->woken, &b->lock);
  b->is_woken = false;
  pthread_mutex_unlock(&b->lock);
}

/* Takes over an open store. */
static inline void bed_use(bed *b, store *s)
{
  b->s = s;
  assert_non_null(s);
  assert_int_equal(store_port_open(s, &b->waker, &b->p), COPAL_OK);
}

static inline void bed_init(bed *b)
{
  *b = (bed){.waker = {.wake = bed_on_wake}, .now = 5};
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->woken, NULL);
}

static inline void bed_leave(bed *b)
{
  store_port_close(b->p);
  store_close(b->s);
}

/* A directory of the test's own; in memory if it can be: how long a disk takes proves nothing. */
static inline void bed_make_dir(bed *b)
{
  strcpy(b->dir, "/dev/shm/copal-store-XXXXXX");
  if (mkdtemp(b->dir) != NULL)
    return;
  strcpy(b->dir, "/tmp/copal-store-XXXXXX");
  assert_non_null(mkdtemp(b->dir));
}

static inline void bed_remove_dir(const bed *b)
{
  static const char *const names[] = {"copald.lock", "data.mdb", "lock.mdb"};
  char path[512];
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", b->dir, names[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/journal", b->dir);
  DIR *journal = opendir(path);
  for (struct dirent *e; journal != NULL && (e = readdir(journal)) != NULL;) {
    snprintf(path, sizeof path, "%s/journal/%s", b->dir, e->d_name);
    unlink(path);
  }
  if (journal != NULL) {
    closedir(journal);
    snprintf(path, sizeof path, "%s/journal", b->dir);
    rmdir(path);
  }
  assert_int_equal(rmdir(b->dir), 0);
}

static inline store *bed_lmdb(const bed *b, const lmdb_store_cfg *cfg)
{
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  lmdb_store_cfg with = cfg != NULL ? *cfg : (lmdb_store_cfg){.byte_max = 256u << 20};
  with.now = with.now != 0 ? with.now : b->now;
  if (lmdb_store_open(b->dir, &with, &s, why) != COPAL_OK)
    fail_msg("%s", why);
  return s;
}

static inline store *bed_journal(const bed *b, const journal_store_cfg *cfg)
{
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  journal_store_cfg with = cfg != NULL ? *cfg : (journal_store_cfg){.common.byte_max = 256u << 20};
  with.common.now = with.common.now != 0 ? with.common.now : b->now;
  if (journal_store_open(b->dir, &with, &s, why) != COPAL_OK)
    fail_msg("%s", why);
  return s;
}

static inline void bed_open_lmdb(bed *b, const lmdb_store_cfg *cfg)
{
  bed_init(b);
  bed_make_dir(b);
  bed_use(b, bed_lmdb(b, cfg));
}

static inline void bed_reopen_lmdb(bed *b, const lmdb_store_cfg *cfg)
{
  bed_leave(b);
  bed_use(b, bed_lmdb(b, cfg));
}

static inline void bed_close_lmdb(bed *b)
{
  bed_leave(b);
  bed_remove_dir(b);
}

static inline bed_op op_of(bed *b, store_verb verb, const char *key, const char *body)
{
  return (bed_op){.op = {.done = bed_on_done,
                         .verb = verb,
                         .key = copal_span_str(key),
                         .body = copal_span_str(body),
                         .content_format = STORE_NO_FORMAT,
                         .max_age_s = STORE_NO_MAX_AGE},
                  .b = b};
}

static inline void wait_for(bed *b, const bed_op *op)
{
  while (store_drain(b->p, 1000) == 0 || !op->is_done)
    if (!op->is_done)
      bed_sleep(b);
}

static inline store_status run(bed *b, bed_op *op)
{
  const unsigned before = b->done;
  op->is_done = false;
  assert_int_equal(store_commit(b->p, &op->op, b->now), COPAL_OK);
  assert_int_equal(b->done, before); /* never inside the commit */
  wait_for(b, op);
  return op->result.status;
}

static inline store_status put(bed *b, const char *key, const char *body)
{
  bed_op op = op_of(b, STORE_PUT, key, body);
  return run(b, &op);
}

static inline store_status del(bed *b, const char *key)
{
  bed_op op = op_of(b, STORE_DELETE, key, "");
  return run(b, &op);
}

static inline bool body_is(bed *b, const char *key, const char *body)
{
  store_item item;
  return store_get(b->p, copal_span_str(key), &item, b->now) == STORE_OK &&
         copal_span_is_equal(item.body, copal_span_str(body));
}

#endif
