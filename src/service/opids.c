/* SPDX-License-Identifier: Apache-2.0 */
/* Names of operations. */
#include "service/opids.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "crypto/mac.h"

enum {
  HEAD_SIZE = 16, /* bytes of the fixed fields and lengths, at most */
  WAIT_MS = 5000, /* for the store to take a new key */
};

static const char key_name[] = "operations/key";

struct opids {
  pthread_rwlock_t lock;
  bool has_key;
  uint8_t key[MAC_KEY_SIZE];
};

opids *opids_open(void)
{
  opids *o = calloc(1, sizeof *o);
  if (o != NULL)
    pthread_rwlock_init(&o->lock, NULL);
  return o;
}

void opids_close(opids *o)
{
  if (o == NULL)
    return;
  pthread_rwlock_destroy(&o->lock);
  memset(o->key, 0, sizeof o->key);
  free(o);
}

/* ------------------------------------------------------------------------------------------------
 * the key */

static bool has_key(opids *o)
{
  pthread_rwlock_rdlock(&o->lock);
  const bool has = o->has_key;
  pthread_rwlock_unlock(&o->lock);
  return has;
}

static bool read_key(opids *o, const handler_env *env, copal_time now)
{
  store_item item;
  store_view_renew(env->store);
  if (store_get_state(env->store, copal_span_str(key_name), &item, now) != STORE_OK ||
      item.body.len != MAC_KEY_SIZE)
    return false;
  pthread_rwlock_wrlock(&o->lock);
  memcpy(o->key, item.body.ptr, MAC_KEY_SIZE);
  o->has_key = true;
  pthread_rwlock_unlock(&o->lock);
  return true;
}

typedef struct key_op {
  store_op op; /* first */
  bool is_done;
} key_op;

static void on_done(store_op *op, const store_result *result)
{
  (void)result; /* whoever was first: the key is read again */
  ((key_op *)op)->is_done = true;
}

/* A store that is new has no key yet. All shards offer one, and one of them is taken. Nobody is
 * served meanwhile: the first request may be the one that is repeated. The operation is lent to the
 * store for as long as it takes, so it is not on the stack. */
static void make_key(const handler_env *env, copal_time now)
{
  uint8_t key[MAC_KEY_SIZE];
  key_op *k = calloc(1, sizeof *k);
  const struct timespec pause = {.tv_nsec = 1000000};
  if (k == NULL || !store_random((copal_mspan){key, sizeof key})) {
    free(k);
    return;
  }
  k->op = (store_op){.done = on_done,
                     .verb = STORE_PUT,
                     .space = STORE_STATE,
                     .key = copal_span_str(key_name),
                     .body = copal_span_of(key, sizeof key),
                     .content_format = STORE_NO_FORMAT,
                     .max_age_s = STORE_NO_MAX_AGE,
                     .must_be_absent = true};
  k->is_done = store_commit(env->store, &k->op, now) != COPAL_OK;
  for (int i = 0; i < WAIT_MS && !k->is_done; i++)
    if (store_drain(env->store, 1) == 0)
      nanosleep(&pause, NULL);
  memset(key, 0, sizeof key);
  if (k->is_done)
    free(k); /* else it stays lent */
}

void opids_start(opids *o, const handler_env *env, copal_time now)
{
  if (env->ways == NULL || has_key(o) || read_key(o, env, now))
    return;
  make_key(env, now);
  (void)read_key(o, env, now);
}

/* ------------------------------------------------------------------------------------------------
 * names */

static void put_message(copal_wr *w, const handler_way *way, const copal_msg *m)
{
  copal_wr_u8(w, way->who_len);
  copal_wr_span(w, copal_span_of(way->who, way->who_len));
  copal_wr_u8(w, (uint8_t)m->type);
  copal_wr_u8(w, m->code);
  copal_wr_u16(w, m->mid);
  copal_wr_u16(w, (uint16_t)m->token.len);
  copal_wr_span(w, m->token);
  copal_wr_be(w, (uint32_t)m->options.len, 4);
  copal_wr_span(w, m->options);
  copal_wr_span(w, m->payload);
}

store_opid opids_name(opids *o, const handler_req *req)
{
  const copal_msg *m = req->coap->msg;
  store_opid id = {.bytes = {0}};
  handler_way way;
  if (req->env->ways == NULL || !has_key(o) ||
      req->env->ways->describe(req->env->ways, req->coap->path, &way) != COPAL_OK)
    return id;
  const size_t room = HEAD_SIZE + way.who_len + m->token.len + m->options.len + m->payload.len;
  uint8_t *bytes = arena_take(req->arena, room);
  if (bytes == NULL)
    return id;
  copal_wr w = copal_wr_init((copal_mspan){bytes, room});
  put_message(&w, &way, m);
  if (w.err == COPAL_OK)
    mac_make(o->key, copal_wr_done(&w), (copal_mspan){id.bytes, sizeof id.bytes});
  return id;
}
