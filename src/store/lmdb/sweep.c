/* SPDX-License-Identifier: Apache-2.0 */
/* What has expired is deleted: resources and records of the state at the end of their lifetime,
 * results of named operations when nobody can repeat those any more. Reads and changes do not wait
 * for it: to them what has expired is absent. Thread: the writer's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/lmdb/dbkey.h"
#include "store/lmdb/engine.h"

enum { SWEEP_MAX = 128 /* deleted in one transaction: changes wait for it */ };

static uint64_t monotonic_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

copal_time sweep_clock(const lmdb_store *s)
{
  if (s->cfg.clock != NULL)
    return s->cfg.clock->now(s->cfg.clock);
  return s->cfg.now + (monotonic_now() - s->opened);
}

static request *request_of_path(copal_span path)
{
  request *r = malloc(sizeof *r + path.len);
  if (r == NULL)
    return NULL;
  *r = (request){.has_lapsed = true};
  memcpy(r->bytes, path.ptr, path.len);
  r->key = copal_span_of(r->bytes, path.len);
  return r;
}

static int sweep_resource(transaction *t, const record *found, copal_span at, request_list *told)
{
  request *r = request_of_path(dbkey_is_long(at) ? found->path : at);
  if (r == NULL)
    return ENOMEM;
  request_list_push(told, r);
  return apply_delete(&t->a, STORE_RESOURCES, r->key, found);
}

/* The key of the index may lie in the tree that is written to. */
static int sweep_state(transaction *t, const record *found, copal_span at)
{
  uint8_t room[APPLY_KEY_MAX];
  memcpy(room, at.ptr, at.len);
  return apply_delete(&t->a, STORE_STATE, copal_span_of(room, at.len), found);
}

static int sweep_record(transaction *t, const expiring *x, request_list *told)
{
  record found;
  const int rc = apply_find_at(t->a.env, t->a.txn, x->space, x->at, &found);
  if (rc == MDB_NOTFOUND || rc == RECORD_DAMAGED || (rc == 0 && record_expiry(&found) != x->expiry))
    return apply_drop_expiring(&t->a, x);
  if (rc != 0)
    return rc;
  return x->space == STORE_STATE ? sweep_state(t, &found, x->at)
                                 : sweep_resource(t, &found, x->at, told);
}

static int sweep_op(transaction *t, const expiring *x)
{
  op_record found;
  const int rc = apply_find_op(t->a.env, t->a.txn, &x->id, &found);
  if (rc == 0 && found.expiry == x->expiry)
    return apply_delete_op(&t->a, &x->id);
  return rc == 0 || rc == MDB_NOTFOUND || rc == RECORD_DAMAGED ? apply_drop_expiring(&t->a, x) : rc;
}

int sweep_some(transaction *t, request_list *told)
{
  const uint64_t now = wall_of(t->s, sweep_clock(t->s));
  for (int i = 0; i < SWEEP_MAX; i++) {
    expiring x;
    const int rc = apply_first_expiring(t->a.env, t->a.txn, &x);
    if (rc == MDB_NOTFOUND || (rc == 0 && x.expiry > now))
      return 0;
    const int err = rc != 0 ? rc : x.is_op ? sweep_op(t, &x) : sweep_record(t, &x, told);
    if (err != 0)
      return err;
  }
  return 0;
}
