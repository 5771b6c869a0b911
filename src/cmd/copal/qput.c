/* SPDX-License-Identifier: Apache-2.0 */
/* A body in sets of blocks, up. RFC 9177 sections 4.3, 5 and 7.2. */
#include <stdlib.h>
#include <sys/random.h>

#include "cmd/copal/qtransfer.h"
#include "copal/error.h"
#include "copal/registry.h"

enum {
  TAG_SIZE = 8,    /* RFC 9177 section 4.3 */
  KEPT_FIRST = 16, /* exchanges kept for all of the transfer */
  KEPT_LAST = 64,  /* and the newest of the others */
};

typedef enum qput_news {
  NEWS_NONE,
  NEWS_CONTINUE,
  NEWS_MISSING,
  NEWS_FINAL,
  NEWS_REJECTED, /* Reset */
  NEWS_UNREACHABLE,
} qput_news;

typedef struct qput {
  copal_client client; /* of all blocks; first */
  qrun *q;
  uint8_t tag[TAG_SIZE];
  uint32_t count; /* blocks of the body */
  copal_xref first[KEPT_FIRST], last[KEPT_LAST];
  size_t first_count, last_count;
  qput_news news;
  reply reply; /* what the news is */
} qput;

static bool is_missing_list(const copal_msg *m)
{
  return m->code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE &&
         copal_opt_uint_or(m->options, COPAL_OPT_CONTENT_FORMAT, UINT32_MAX) ==
             COPAL_CF_MISSING_BLOCKS;
}

static qput_news news_of(const copal_msg *m)
{
  if (m->code == COPAL_CODE_CONTINUE)
    return NEWS_CONTINUE;
  return is_missing_list(m) ? NEWS_MISSING : NEWS_FINAL;
}

static void on_event(copal_client *client, copal_ep *ep, const copal_event *event, copal_time now)
{
  qput *p = (qput *)client;
  (void)ep;
  if (p->news >= NEWS_FINAL)
    return;
  if (event->kind == COPAL_EVENT_RESET)
    p->news = NEWS_REJECTED;
  if (event->kind == COPAL_EVENT_UNREACHABLE)
    p->news = NEWS_UNREACHABLE;
  if (event->kind != COPAL_EVENT_RESPONSE)
    return;
  p->news = news_of(event->msg);
  p->reply.kind = event->kind;
  p->reply.from = *event->from;
  p->reply.at = now;
  reply_keep(&p->reply, event->msg);
}

/* Which of the tokens the server uses for its answer is its choice: many are kept. */
static void note_exchange(qput *p, copal_xref x)
{
  if (p->first_count < KEPT_FIRST) {
    p->first[p->first_count++] = x;
    return;
  }
  copal_xref *slot = &p->last[p->last_count++ % KEPT_LAST];
  if (*slot != 0)
    copal_ep_cancel(session_ep(p->q->session), *slot, session_now());
  *slot = x;
}

static void cancel_all(qput *p)
{
  p->news = NEWS_FINAL; /* deaf */
  for (size_t i = 0; i < p->first_count; i++)
    copal_ep_cancel(session_ep(p->q->session), p->first[i], session_now());
  for (size_t i = 0; i < KEPT_LAST; i++)
    if (p->last[i] != 0)
      copal_ep_cancel(session_ep(p->q->session), p->last[i], session_now());
}

static bool send_block(qput *p, uint32_t num)
{
  qrun *q = p->q;
  const size_t size = copal_block_size(q->szx);
  const size_t at = (size_t)num * size;
  const size_t left = q->t->body.len - at;
  const copal_block b = {.num = num, .more = num + 1 < p->count, .szx = q->szx};
  copal_xref x;
  optset options;
  optset_copy(&options, q->t->options);
  optset_set_uint(&options, COPAL_OPT_Q_BLOCK1, copal_block_value(b));
  optset_set_uint(&options, COPAL_OPT_SIZE1, (uint32_t)q->t->body.len);
  optset_set(&options, COPAL_OPT_REQUEST_TAG, copal_span_of(p->tag, sizeof p->tag));
  if (q->echo.len > 0)
    optset_set(&options, COPAL_OPT_ECHO, buf_span(&q->echo));
  copal_request request = qrun_request(q, COPAL_NON, &options);
  request.payload = copal_span_of(q->t->body.ptr + at, b.more ? size : left);
  request.client = &p->client;
  request.timeout = q->params.non_partial_timeout;
  const int e = copal_ep_request(session_ep(q->session), &request, &x, session_now());
  optset_wipe(&options);
  q->r->exchanges++;
  if (e == COPAL_OK)
    note_exchange(p, x);
  session_flush(q->session);
  return e == COPAL_OK;
}

/* Waits for news until `due`. */
static qput_news wait_for(qput *p, copal_time due)
{
  qrun *q = p->q;
  const copal_time limit = qrun_limit(q) < due ? qrun_limit(q) : due;
  while (p->news == NEWS_NONE && session_now() < limit && !session_is_interrupted())
    session_turn(q->session, limit);
  return p->news;
}

/* Reads one unsigned integer of a CBOR sequence. */
static bool read_number(copal_rd *r, uint32_t *num)
{
  const uint8_t head = copal_rd_u8(r);
  if (head > 0x1a)
    return false;
  *num = head < 24 ? head : copal_rd_be(r, (size_t)1 << (head - 24));
  return r->err == COPAL_OK;
}

/* True when the list is what RFC 9177 section 5 allows: ascending, nothing twice. */
static bool is_valid_list(const qput *p, copal_span list)
{
  copal_rd r = copal_rd_init(list);
  uint32_t num, next = 0;
  while (copal_rd_rest(&r).len > 0) {
    if (!read_number(&r, &num) || num < next || num >= p->count)
      return false;
    next = num + 1;
  }
  return list.len > 0;
}

/* Sends the missing blocks again, a set of them at most. Returns how many; -1 when that failed. */
static int send_missing(qput *p, uint32_t sent)
{
  const copal_span list = p->reply.msg.payload;
  copal_rd r = copal_rd_init(list);
  uint32_t num;
  int count = 0;
  p->news = NEWS_NONE;
  if (!is_valid_list(p, list))
    return 0;
  while (count < p->q->params.max_payloads && copal_rd_rest(&r).len > 0 && read_number(&r, &num)) {
    if (num >= sent)
      break; /* its turn comes anyway */
    if (!send_block(p, num))
      return -1;
    count++;
  }
  p->q->r->retransmits += (unsigned)count;
  return count;
}

static uint32_t send_set(qput *p, uint32_t from)
{
  const uint32_t per_set = p->q->params.max_payloads;
  uint32_t num = from;
  while (num < p->count && num < from + per_set && send_block(p, num))
    num++;
  if (p->q->t->monitor)
    p->q->t->monitor->on_progress(p->q->t->monitor,
                                  num == p->count ? p->q->t->body.len
                                                  : (size_t)num * copal_block_size(p->q->szx),
                                  p->q->t->body.len);
  return num;
}

/* The end of what can be waited for. */
static qstep finish(qput *p)
{
  qrun *q = p->q;
  if (session_is_interrupted() || p->news < NEWS_FINAL)
    return qrun_end(q, TRANSFER_TIMEOUT, NULL);
  if (p->news == NEWS_REJECTED)
    return QSTEP_FALLBACK;
  if (p->news == NEWS_UNREACHABLE) {
    q->r->reply.errnum = session_errnum(q->session);
    return qrun_end(q, TRANSFER_UNREACHABLE, NULL);
  }
  const unsigned exchanges = q->r->exchanges;
  const unsigned retransmits = q->r->retransmits;
  transfer_rest(q->session, q->t, &p->reply, q->r);
  q->r->exchanges += exchanges;
  q->r->retransmits += retransmits;
  return QSTEP_DONE;
}

/* One set after the other; a pause between two unless the server asks for the next. */
static qstep send_body(qput *p)
{
  qrun *q = p->q;
  const copal_dur pause = qrun_pause(q);
  uint32_t sent = send_set(p, 0);
  unsigned silent = 0;
  copal_time due = session_now() + pause;
  for (;;) {
    const bool is_all = sent == p->count;
    const qput_news news = wait_for(p, due);
    if (news >= NEWS_FINAL || session_is_interrupted() || session_now() >= qrun_limit(q))
      return finish(p);
    if (news != NEWS_NONE)
      silent = 0;
    if (news == NEWS_MISSING) {
      if (send_missing(p, sent) < 0)
        return qrun_end(q, TRANSFER_FAILED, "a block could not be sent");
      due = session_now() + (is_all ? copal_qblock_patience(&q->params, 1) : pause);
      continue;
    }
    p->news = NEWS_NONE;
    if (is_all && news == NEWS_CONTINUE)
      continue;
    if (is_all) { /* a block that is there already is answered like the first time */
      if (silent++ >= q->params.non_max_retransmit)
        return finish(p);
      send_block(p, p->count - 1);
      due = session_now() + copal_qblock_patience(&q->params, silent);
      continue;
    }
    const uint32_t before = sent;
    sent = send_set(p, sent);
    if (sent == before)
      return qrun_end(q, TRANSFER_FAILED, "a block could not be sent");
    due = session_now() + (sent == p->count ? copal_qblock_patience(&q->params, 0) : pause);
  }
}

qstep qput_run(qrun *q)
{
  const size_t size = copal_block_size(q->szx);
  const size_t count = (q->t->body.len + size - 1) / size;
  if (count > (size_t)COPAL_BLOCK_NUM_MAX + 1)
    return QSTEP_FALLBACK;
  qput p = {.client = {on_event}, .q = q, .count = (uint32_t)count};
  if (getrandom(p.tag, sizeof p.tag, 0) != (ssize_t)sizeof p.tag)
    return QSTEP_FALLBACK;
  const qstep step = send_body(&p);
  cancel_all(&p);
  reply_wipe(&p.reply);
  return step;
}
