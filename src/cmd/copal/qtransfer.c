/* SPDX-License-Identifier: Apache-2.0 */
/* Finding out whether the server knows Q-Block. RFC 9177 section 4.1. */
#include "cmd/copal/qtransfer.h"

#include <sys/random.h>

#include "copal/error.h"
#include "copal/registry.h"

qstep qrun_end(qrun *q, transfer_outcome outcome, const char *why)
{
  q->r->outcome = session_is_interrupted() ? TRANSFER_INTERRUPTED : outcome;
  q->r->why = why;
  return QSTEP_DONE;
}

copal_time qrun_limit(const qrun *q)
{
  return q->t->timeout > 0 ? q->start + q->t->timeout : COPAL_NEVER;
}

copal_request qrun_request(const qrun *q, copal_type type, const optset *options)
{
  copal_request request = COPAL_REQUEST_INIT;
  request.path = q->t->path;
  request.type = type;
  request.code = q->t->code;
  request.opts = options->opts;
  request.opt_count = options->count;
  return request;
}

copal_dur qrun_pause(const qrun *q)
{
  uint32_t rnd = 0;
  if (getrandom(&rnd, sizeof rnd, 0) != (ssize_t)sizeof rnd)
    rnd = UINT32_MAX / 2;
  return copal_qblock_pause(&q->params, rnd);
}

static void keep_echo(qrun *q, const reply *got)
{
  copal_span echo;
  if (!copal_opt_find(got->msg.options, COPAL_OPT_ECHO, &echo))
    return;
  q->echo.len = 0;
  buf_put_span(&q->echo, echo);
}

/* Asks for one block, confirmable: its answer tells whether Q-Block2 is known. */
static bool probe(qrun *q, copal_code code, uint8_t szx, reply *got)
{
  optset options;
  bool is_sent = true;
  for (int tries = 0; tries < 2; tries++) {
    optset_copy(&options, q->t->options);
    if (code != q->t->code) { /* an upload: what is there now does not matter */
      optset_remove(&options, COPAL_OPT_CONTENT_FORMAT);
      optset_remove(&options, COPAL_OPT_IF_MATCH);
      optset_remove(&options, COPAL_OPT_IF_NONE_MATCH);
    }
    optset_set_uint(&options, COPAL_OPT_Q_BLOCK2, copal_block_value((copal_block){.szx = szx}));
    if (q->echo.len > 0)
      optset_set(&options, COPAL_OPT_ECHO, buf_span(&q->echo));
    copal_request request = qrun_request(q, COPAL_CON, &options);
    request.code = code;
    request.timeout = q->t->timeout;
    if (code == q->t->code)
      request.payload = q->t->body;
    is_sent = session_request(q->session, &request, SESSION_WAIT_RESPONSE, got) == COPAL_OK;
    optset_wipe(&options);
    q->r->exchanges++;
    if (!is_sent || got->kind != COPAL_EVENT_RESPONSE || got->msg.code != COPAL_CODE_UNAUTHORIZED)
      break;
    keep_echo(q, got);
    if (q->echo.len == 0 || tries > 0)
      break;
    reply_wipe(got);
  }
  return is_sent && got->kind == COPAL_EVENT_RESPONSE && got->msg.code != COPAL_CODE_BAD_OPTION;
}

static qstep download(qrun *q)
{
  reply got = {0};
  copal_span value;
  copal_block b;
  if (!probe(q, q->t->code, q->szx, &got)) {
    reply_wipe(&got);
    return QSTEP_FALLBACK;
  }
  if (copal_opt_find(got.msg.options, COPAL_OPT_Q_BLOCK2, &value) &&
      copal_block_parse(value, &b) == COPAL_OK && b.num == 0)
    return qget_run(q, &got, b);
  transfer_rest(q->session, q->t, &got, q->r); /* small enough, or with Block2 */
  return QSTEP_DONE;
}

static qstep upload(qrun *q)
{
  reply got = {0};
  const bool is_known = probe(q, COPAL_CODE_GET, 0, &got);
  reply_wipe(&got);
  return is_known ? qput_run(q) : QSTEP_FALLBACK;
}

/* Options take room from the payload, as in transfer.c. */
static uint8_t fitting_szx(const transfer *t)
{
  enum { DATAGRAM_MAX = 1152, FIXED = 48 };
  const size_t used = FIXED + optset_wire_size(t->options);
  const uint8_t fits = used + 16 < DATAGRAM_MAX ? copal_block_szx_for(DATAGRAM_MAX - used) : 0;
  return fits < t->szx ? fits : t->szx;
}

static bool is_suitable(const transfer *t)
{
  return t->wait == SESSION_WAIT_RESPONSE && t->resume_at == 0 && !t->has_token &&
         (t->path->flags & COPAL_PATH_GROUP) == 0 && !optset_has(t->options, COPAL_OPT_BLOCK1) &&
         !optset_has(t->options, COPAL_OPT_BLOCK2) && !optset_has(t->options, COPAL_OPT_Q_BLOCK1) &&
         !optset_has(t->options, COPAL_OPT_Q_BLOCK2);
}

/* NON_TIMEOUT is ACK_TIMEOUT unless told otherwise; the others follow. RFC 9177 section 7.2. */
static copal_qblock parameters(copal_dur non_timeout)
{
  copal_qblock params = copal_qblock_default();
  if (non_timeout == 0)
    return params;
  params.non_timeout = non_timeout;
  const copal_dur longest = copal_qblock_pause(&params, UINT32_MAX);
  params.non_receive_timeout = longest + COPAL_SECOND + COPAL_MILLISECOND;
  if (params.non_receive_timeout < 2 * non_timeout)
    params.non_receive_timeout = 2 * non_timeout;
  return params;
}

bool qtransfer_run(session *s, const transfer *t, transfer_result *r)
{
  qrun q = {.session = s,
            .t = t,
            .r = r,
            .params = parameters(t->non_timeout),
            .start = session_now(),
            .szx = fitting_szx(t)};
  qstep step = QSTEP_FALLBACK;
  if (!is_suitable(t))
    return false;
  *r = (transfer_result){0};
  if (t->body.len > copal_block_size(q.szx))
    step = upload(&q);
  else if (copal_code_is_safe(t->code))
    step = download(&q);
  r->total = (copal_dur)(session_now() - q.start);
  buf_wipe(&q.echo);
  if (step == QSTEP_FALLBACK)
    transfer_result_wipe(r);
  return step == QSTEP_DONE;
}
