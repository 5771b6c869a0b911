/* SPDX-License-Identifier: Apache-2.0 */
/* A body in sets of blocks, down. RFC 9177 sections 4.4 and 7.2. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/feed.h"
#include "cmd/copal/qtransfer.h"
#include "copal/error.h"
#include "copal/registry.h"

enum {
  FEEDS = 4,            /* requests whose late blocks are still taken */
  QUEUE = 256,          /* blocks that wait to be looked at */
  BODY_MAX = 256 << 20, /* bytes kept in memory until the body is whole */
  RESTARTS_MAX = 3,     /* of a body that changes */
};

/* A body being put together. */
typedef struct qget {
  qrun *q;
  reply first; /* any block of it: its options are those of the body */
  buf etag;
  uint8_t *bytes;
  uint8_t *has; /* a byte for each block */
  uint32_t size, count, left, base;
  uint32_t asked_set; /* blocks before this set have been asked for at once */
  unsigned asked;     /* requests for missing blocks since one has come */
  unsigned restarts;
  feed *feeds[FEEDS]; /* newest first */
  bool is_changed;
} qget;

static void forget(qget *g)
{
  reply_wipe(&g->first);
  buf_wipe(&g->etag);
  free(g->bytes);
  free(g->has);
  g->bytes = NULL;
  g->has = NULL;
}

/* Takes what the body will be from one of its blocks, which is given. */
static bool adopt(qget *g, reply *r)
{
  copal_span etag;
  const uint32_t block = (uint32_t)copal_block_size(g->q->szx);
  forget(g);
  g->first = *r;
  *r = (reply){0};
  g->size = copal_opt_uint_or(g->first.msg.options, COPAL_OPT_SIZE2, 0);
  if (g->size == 0 || g->size > BODY_MAX)
    return false;
  if (copal_opt_find(g->first.msg.options, COPAL_OPT_ETAG, &etag))
    buf_put_span(&g->etag, etag);
  g->count = (g->size + block - 1) / block;
  g->left = g->count;
  g->base = 0;
  g->asked = 0;
  g->asked_set = 0;
  g->bytes = mem_resize(NULL, g->size);
  g->has = mem_resize(NULL, g->count);
  memset(g->has, 0, g->count);
  return true;
}

static bool is_same_body(const qget *g, const copal_msg *m)
{
  copal_span etag = copal_span_none();
  copal_opt_find(m->options, COPAL_OPT_ETAG, &etag);
  return m->code == g->first.msg.code && copal_span_is_equal(etag, buf_span(&g->etag)) &&
         copal_opt_uint_or(m->options, COPAL_OPT_SIZE2, 0) == g->size;
}

/* Puts a block at its place; one that is there already is ignored. Returns its number, or -1 for
 * what is no block of this body. */
static int64_t take(qget *g, const copal_msg *m)
{
  copal_span value;
  copal_block b;
  if (!copal_opt_find(m->options, COPAL_OPT_Q_BLOCK2, &value) ||
      copal_block_parse(value, &b) != COPAL_OK || b.szx != g->q->szx || b.num >= g->count)
    return -1;
  const size_t at = copal_block_offset(b);
  const size_t size = copal_block_size(b.szx);
  const size_t want = g->size - at < size ? g->size - at : size;
  if (m->payload.len != want)
    return -1;
  if (!g->has[b.num]) {
    memcpy(g->bytes + at, m->payload.ptr, want);
    g->has[b.num] = 1;
    g->left--;
    g->asked = 0;
    while (g->base < g->count && g->has[g->base])
      g->base++;
    if (g->q->t->monitor)
      g->q->t->monitor->on_progress(g->q->t->monitor,
                                    (size_t)(g->count - g->left) * size < g->size
                                        ? (size_t)(g->count - g->left) * size
                                        : g->size,
                                    g->size);
  }
  return b.num;
}

/* Sends a non-confirmable request with these Q-Block2 options. */
static bool ask(qget *g, const copal_block *blocks, size_t count)
{
  qrun *q = g->q;
  optset options;
  optset_copy(&options, q->t->options);
  for (size_t i = 0; i < count; i++)
    optset_add_uint(&options, COPAL_OPT_Q_BLOCK2, copal_block_value(blocks[i]));
  if (q->echo.len > 0)
    optset_set(&options, COPAL_OPT_ECHO, buf_span(&q->echo));
  copal_request request = qrun_request(q, COPAL_NON, &options);
  request.payload = q->t->body; /* of a FETCH */
  request.wants_many = true;
  request.timeout = q->params.non_partial_timeout;
  feed_close(g->feeds[FEEDS - 1]);
  memmove(g->feeds + 1, g->feeds, (FEEDS - 1) * sizeof g->feeds[0]);
  g->feeds[0] = NULL;
  const int e = feed_open(q->session, &request, QUEUE, &g->feeds[0]);
  optset_wipe(&options);
  q->r->exchanges++;
  return e == COPAL_OK;
}

/* From `num`, the beginning of a set, on. */
static bool ask_set(qget *g, uint32_t num)
{
  return ask(g, &(copal_block){.num = num, .more = true, .szx = g->q->szx}, 1);
}

/* The blocks that are missing of the first set that is not complete. */
static bool ask_missing(qget *g)
{
  copal_block blocks[COPAL_QBLOCK_PAYLOADS_MAX];
  const uint32_t per_set = g->q->params.max_payloads;
  const uint32_t begin = g->base - g->base % per_set;
  size_t count = 0;
  for (uint32_t num = g->base; num < begin + per_set && num < g->count; num++)
    if (!g->has[num])
      blocks[count++] = (copal_block){.num = num, .szx = g->q->szx};
  g->q->r->retransmits += (unsigned)count;
  if (count == per_set) /* none has come: ask as at first */
    return ask_set(g, begin);
  return ask(g, blocks, count);
}

/* What a block that has come calls for. RFC 9177 section 7.2. */
static bool go_on(qget *g, uint32_t num, uint32_t base_before)
{
  const uint32_t per_set = g->q->params.max_payloads;
  const uint32_t set = num / per_set;
  if (g->left == 0)
    return true;
  if (g->base / per_set > base_before / per_set) {
    const uint32_t next = g->base - g->base % per_set;
    for (uint32_t i = next; i < next + per_set && i < g->count; i++)
      if (g->has[i])
        return true; /* the server is in that set already */
    return ask_set(g, next);
  }
  if (set > g->base / per_set && set > g->asked_set) {
    g->asked_set = set;
    return ask_missing(g);
  }
  return true;
}

/* Looks at one reply. Returns false when the transfer is over. */
static bool look_at(qget *g, reply *r)
{
  qrun *q = g->q;
  copal_span echo;
  const uint32_t before = g->base;
  if (r->kind != COPAL_EVENT_RESPONSE)
    return true; /* of one request among several: patience decides */
  if (r->msg.code == COPAL_CODE_UNAUTHORIZED &&
      copal_opt_find(r->msg.options, COPAL_OPT_ECHO, &echo) && g->restarts++ < RESTARTS_MAX) {
    q->echo.len = 0;
    buf_put_span(&q->echo, echo);
    return ask_missing(g);
  }
  if (!is_same_body(g, &r->msg)) {
    const bool is_body = copal_opt_find(r->msg.options, COPAL_OPT_Q_BLOCK2, &echo);
    g->is_changed = true;
    if (!is_body || g->restarts++ >= RESTARTS_MAX)
      return false;
    /* The old representation is gone. RFC 9177 section 4.4. */
    g->is_changed = false;
    return adopt(g, r) && ask_set(g, 0);
  }
  const int64_t num = take(g, &r->msg);
  return num < 0 || go_on(g, (uint32_t)num, before);
}

/* Takes all that has come. Returns false when the transfer is over. */
static bool drain(qget *g, bool *has_come)
{
  reply r;
  *has_come = false;
  for (size_t i = 0; i < FEEDS && g->left > 0; i++) {
    feed *f = g->feeds[i];
    while (f && f == g->feeds[i] && g->left > 0 && feed_take(f, &r)) {
      *has_come = true;
      const bool goes_on = look_at(g, &r);
      reply_wipe(&r);
      if (!goes_on)
        return false;
    }
  }
  return true;
}

static qstep store(qget *g)
{
  qrun *q = g->q;
  transfer_sink *k = q->t->sink;
  const copal_span body = copal_span_of(g->bytes, g->size);
  reply_wipe(&q->r->reply);
  if (k && (k->begin(k, &g->first, 0) != 0 || k->put(k, body) != 0)) {
    q->r->reply.errnum = errno;
    return qrun_end(q, TRANSFER_STORE, k->name);
  }
  if (!k)
    buf_put_span(&q->r->body, body);
  q->r->size = g->size;
  q->r->reply = g->first;
  g->first = (reply){0};
  return qrun_end(q, TRANSFER_RESPONSE, NULL);
}

/* Until the body is whole, or nothing more can be hoped for. */
static qstep collect(qget *g)
{
  qrun *q = g->q;
  copal_time due = session_now() + copal_qblock_patience(&q->params, 0);
  while (g->left > 0) {
    bool has_come;
    const copal_time limit = qrun_limit(q) < due ? qrun_limit(q) : due;
    session_turn(q->session, limit);
    if (session_is_interrupted() || session_now() >= qrun_limit(q))
      return qrun_end(q, TRANSFER_TIMEOUT, NULL);
    if (!drain(g, &has_come))
      return g->is_changed ? QSTEP_FALLBACK
                           : qrun_end(q, TRANSFER_INVALID, "a set of blocks makes no body");
    if (has_come)
      due = session_now() + copal_qblock_patience(&q->params, g->asked);
    if (session_now() < due)
      continue;
    if (g->asked++ >= q->params.non_max_retransmit)
      return qrun_end(q, TRANSFER_TIMEOUT, NULL);
    if (!ask_missing(g))
      return qrun_end(q, TRANSFER_FAILED, "a request for missing blocks could not be sent");
    due = session_now() + copal_qblock_patience(&q->params, g->asked);
  }
  return store(g);
}

qstep qget_run(qrun *q, reply *probe, copal_block first)
{
  qget g = {.q = q};
  qstep step = QSTEP_FALLBACK;
  if (first.szx <= q->szx) {
    q->szx = first.szx;
    if (adopt(&g, probe)) {
      take(&g, &g.first.msg);
      step = g.left == 0 || ask_set(&g, 0) ? collect(&g) : QSTEP_FALLBACK;
    }
  }
  for (size_t i = 0; i < FEEDS; i++)
    feed_close(g.feeds[i]);
  forget(&g);
  reply_wipe(probe);
  return step;
}
