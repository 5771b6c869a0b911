/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what FETCH asked, newest first. */
#include "service/questions.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copal/block.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "service/uploads.h"

enum {
  COUNT_MAX_DEFAULT = 256,
  PER_CLIENT_DEFAULT = 4,
  BYTE_MAX_DEFAULT = 4 << 20,
  BLOCK_DEFAULT = 1024,
};

typedef struct question {
  struct question *next; /* asked, or come back to, before this one */
  uint32_t shard;        /* as uploads_shard() */
  copal_path path;
  uint16_t format;
  size_t name_len;
  size_t document_len;
  uint8_t bytes[]; /* the name, the document */
} question;

struct questions {
  questions_cfg cfg;
  pthread_mutex_t lock; /* guards all that follows */
  question *newest;
  size_t bytes;
  questions_counts counts;
};

/* ------------------------------------------------------------------------------------------ list
 */

static size_t size_of(const question *e)
{
  return sizeof *e + e->name_len + e->document_len;
}

static bool is_of_client(const question *e, const handler_req *req)
{
  return e->shard == uploads_shard(req) && copal_path_is_same_peer(&e->path, req->coap->path);
}

static bool is_named(const question *e, const handler_req *req, copal_span name)
{
  return is_of_client(e, req) && copal_span_is_equal(copal_span_of(e->bytes, e->name_len), name);
}

static void link_newest(questions *q, question *e)
{
  e->next = q->newest;
  q->newest = e;
  q->bytes += size_of(e);
  q->counts.open++;
}

static question *take_out(questions *q, question **at)
{
  question *e = *at;
  *at = e->next;
  q->bytes -= size_of(e);
  q->counts.open--;
  return e;
}

static question **find(questions *q, const handler_req *req, copal_span name)
{
  question **at = &q->newest;
  while (*at != NULL && !is_named(*at, req, name))
    at = &(*at)->next;
  return at;
}

static void evict(questions *q, question **at)
{
  free(take_out(q, at));
  q->counts.evicted++;
}

static void evict_oldest(questions *q)
{
  question **at = &q->newest;
  while ((*at)->next != NULL)
    at = &(*at)->next;
  evict(q, at);
}

/* The client has its share: the oldest of its own gives way. */
static void make_place_of_client(questions *q, const handler_req *req)
{
  question **oldest = NULL;
  uint32_t count = 0;
  for (question **at = &q->newest; *at != NULL; at = &(*at)->next) {
    if (!is_of_client(*at, req))
      continue;
    count++;
    oldest = at;
  }
  if (count >= q->cfg.per_client)
    evict(q, oldest);
}

static void insert(questions *q, const handler_req *req, copal_span name, question *e)
{
  question **at = find(q, req, name);
  if (*at != NULL)
    free(take_out(q, at));
  make_place_of_client(q, req);
  while (q->newest != NULL &&
         (q->counts.open >= q->cfg.count_max || q->bytes + size_of(e) > q->cfg.byte_max))
    evict_oldest(q);
  link_newest(q, e);
}

/* ---------------------------------------------------------------------------------------- asking
 */

/* True when the answer needs another request: this one is for the first block, which is not all. */
static bool is_worth_keeping(const questions *q, const handler_req *req, size_t size)
{
  const copal_req *coap = req->coap;
  const size_t block = coap->has_block2 ? copal_block_size(coap->block2.szx) : q->cfg.block;
  return size > block && !(coap->has_block2 && coap->block2.num != 0);
}

static bool has_room(const questions *q, copal_span name, copal_span document)
{
  return sizeof(question) + name.len + document.len <= q->cfg.byte_max;
}

static question *make(const handler_req *req, copal_span name, uint16_t format)
{
  const copal_span document = req->coap->msg->payload;
  question *e = malloc(sizeof *e + name.len + document.len);
  if (e == NULL)
    return NULL;
  *e = (question){.shard = uploads_shard(req),
                  .path = *req->coap->path,
                  .format = format,
                  .name_len = name.len,
                  .document_len = document.len};
  memcpy(e->bytes, name.ptr, name.len);
  memcpy(e->bytes + name.len, document.ptr, document.len);
  return e;
}

void questions_keep(questions *q, const handler_req *req, uint16_t format, size_t size)
{
  copal_span name;
  if (!is_worth_keeping(q, req, size))
    return;
  question *e = uploads_name(req, &name) && has_room(q, name, req->coap->msg->payload)
                    ? make(req, name, format)
                    : NULL;
  pthread_mutex_lock(&q->lock);
  if (e != NULL)
    insert(q, req, name, e);
  else
    q->counts.failed++;
  pthread_mutex_unlock(&q->lock);
}

bool questions_is_further(const handler_req *req)
{
  const copal_req *coap = req->coap;
  return coap->msg->code == COPAL_CODE_FETCH && coap->msg->payload.len == 0 && !coap->has_block1 &&
         coap->has_block2 && coap->block2.num != 0;
}

static int copy_out(const question *e, const handler_req *req, copal_span *document,
                    uint16_t *format)
{
  uint8_t *bytes = arena_take(req->arena, e->document_len);
  if (bytes == NULL)
    return COPAL_ENOSPC;
  memcpy(bytes, e->bytes + e->name_len, e->document_len);
  *document = copal_span_of(bytes, e->document_len);
  *format = e->format;
  return COPAL_OK;
}

int questions_recall(questions *q, const handler_req *req, copal_span *document, uint16_t *format)
{
  copal_span name;
  int err = COPAL_EINCOMPLETE;
  if (!uploads_name(req, &name))
    return COPAL_ENOSPC;
  pthread_mutex_lock(&q->lock);
  question **at = find(q, req, name);
  if (*at != NULL) {
    question *e = take_out(q, at);
    link_newest(q, e);
    err = copy_out(e, req, document, format);
    q->counts.recalled++;
  } else {
    q->counts.missing++;
  }
  pthread_mutex_unlock(&q->lock);
  return err;
}

/* ---------------------------------------------------------------------------- opening and closing
 */

questions *questions_open(const questions_cfg *cfg)
{
  questions *q = calloc(1, sizeof *q);
  if (q == NULL)
    return NULL;
  q->cfg = *cfg;
  if (q->cfg.count_max == 0)
    q->cfg.count_max = COUNT_MAX_DEFAULT;
  if (q->cfg.per_client == 0)
    q->cfg.per_client = PER_CLIENT_DEFAULT;
  if (q->cfg.byte_max == 0)
    q->cfg.byte_max = BYTE_MAX_DEFAULT;
  if (q->cfg.block == 0)
    q->cfg.block = BLOCK_DEFAULT;
  pthread_mutex_init(&q->lock, NULL);
  return q;
}

void questions_close(questions *q)
{
  if (q == NULL)
    return;
  while (q->newest != NULL)
    free(take_out(q, &q->newest));
  pthread_mutex_destroy(&q->lock);
  free(q);
}

questions_counts questions_counts_now(questions *q)
{
  pthread_mutex_lock(&q->lock);
  const questions_counts counts = q->counts;
  pthread_mutex_unlock(&q->lock);
  return counts;
}
