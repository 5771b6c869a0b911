/* SPDX-License-Identifier: Apache-2.0 */
/* Results of named operations, for as long as a client may repeat them: EXCHANGE_LIFETIME, RFC 7252
 * section 4.8.2. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "store/memory/engine.h"

static int compare(const void *a, const void *b)
{
  return memcmp(((const name *)a)->id.bytes, ((const name *)b)->id.bytes, STORE_OPID_SIZE);
}

static uint64_t name_size(copal_span key)
{
  enum { TREE_NODE = 32 };
  return sizeof(name) + TREE_NODE + key.len;
}

const name *names_find(const memory_store *s, const store_opid *id, copal_time now)
{
  const void *found = tfind(id, &s->names, compare);
  const name *n = found != NULL ? *(const name *const *)found : NULL;
  return n != NULL && n->expiry > now ? n : NULL;
}

static void forget(memory_store *s, name *n)
{
  tdelete(n, &s->names, compare);
  budget_give(&s->bytes, name_size(n->result.key));
  s->name_count--;
  free(n);
}

name *names_make(memory_store *s, const store_op *op, copal_time now)
{
  const uint64_t size = name_size(op->key);
  names_sweep(s, now);
  if (s->name_count >= s->cfg.name_max || !budget_take(&s->bytes, size, s->cfg.byte_max))
    return NULL;
  name *n = malloc(sizeof *n + op->key.len);
  if (n != NULL) {
    *n = (name){.id = op->id,
                .expiry = now + STORE_OPID_LIFETIME_S * (copal_time)COPAL_SECOND,
                .result.key = copal_span_of(n->key, op->key.len)};
    memcpy(n->key, op->key.ptr, op->key.len);
    if (tsearch(n, &s->names, compare) != NULL) {
      s->name_count++;
      return n;
    }
  }
  free(n);
  budget_give(&s->bytes, size);
  return NULL;
}

void names_keep(memory_store *s, name *n, const store_result *result)
{
  if (result->status != STORE_OK) {
    forget(s, n);
    return;
  }
  const copal_span key = n->result.key;
  n->result = *result;
  n->result.key = key;
  n->result.is_repeat = true;
  n->next = NULL;
  *s->names_tail = n;
  s->names_tail = &n->next;
  if (s->names_head == n)
    sweep_note_names(s, n->expiry);
}

copal_time names_sweep(memory_store *s, copal_time now)
{
  while (s->names_head != NULL && s->names_head->expiry <= now) {
    name *n = s->names_head;
    s->names_head = n->next;
    if (s->names_head == NULL)
      s->names_tail = &s->names_head;
    forget(s, n);
  }
  return s->names_head != NULL ? s->names_head->expiry : COPAL_NEVER;
}

void names_wipe(memory_store *s)
{
  names_sweep(s, COPAL_NEVER);
}
