/* SPDX-License-Identifier: Apache-2.0 */
/* The command that watches a resource: RFC 7641 section 3, with the rest of large notifications
 * after RFC 7959 section 3.4; polling where a server does not notify. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cmd/copal/body.h"
#include "cmd/copal/feed.h"
#include "cmd/copal/hook.h"
#include "cmd/copal/notice.h"
#include "cmd/copal/run.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "transport/udp.h"

enum {
  REGISTER = 0, /* values of the Observe option: RFC 7641 section 2 */
  DEREGISTER = 1,
  TOKEN_SIZE = 8,
  QUEUE_MAX = 64, /* notifications that wait, while a command runs for instance */
  PAYLOAD_MAX = 1024,
  BACK_OFF_DOUBLINGS = 6, /* 1 s to 60 s */
  SEQUENCE_MASK = (1 << 24) - 1,
};

#define BACK_OFF_MAX    (60 * COPAL_SECOND)
#define DEREGISTER_WAIT (3 * COPAL_SECOND)

/* What was seen last, to tell a change when polling. */
typedef struct seen {
  bool is_valid;
  buf etag, body;
} seen;

/* An observation, which may take several registrations. */
typedef struct watch {
  const args *a;
  job *j;
  session *s;
  feed *feed;     /* NULL: not registered */
  optset options; /* of the registration */
  buf token;
  size_t at;         /* address in use */
  bool is_answering; /* an Echo challenge */
  copal_time start, end;
  copal_time last;     /* when the last representation came; 0: none has */
  copal_time asked;    /* when the last registration left */
  copal_time retry_at; /* when to register again */
  unsigned failures;   /* in a row */
  bool was_lost;
  notice_gap gap;
  bool has_sequence;
  uint32_t sequence;
  size_t reordered; /* of the endpoint, up to the last representation */
  seen seen;
  uint32_t count;
  status result;
  bool is_over;
} watch;

static void note(const watch *w, const buf *message)
{
  run_complain(w->a, message);
}

static void finish(watch *w, status result)
{
  w->result = result;
  w->is_over = true;
}

static const copal_path *path_of(const watch *w)
{
  return &w->j->target.paths[w->at];
}

/* ------------------------------------------------------------------------------------------------
 * telling */

static status store(const watch *w, const transfer_result *r)
{
  download d;
  buf message = {0};
  if (strcmp(w->a->output, "-") == 0)
    return run_print(w->a, &r->body);
  download_init(&d, w->a->output);
  int e = d.sink.begin(&d.sink, &r->reply, 0);
  if (e == 0)
    e = d.sink.put(&d.sink, buf_span(&r->body));
  if (e == 0)
    e = download_finish(&d);
  if (e != 0) {
    buf_print(&message, "cannot write %s: %s", w->a->output, strerror(errno));
    note(w, &message);
    buf_wipe(&message);
  }
  download_wipe(&d);
  return e == 0 ? STATUS_OK : STATUS_INTERNAL;
}

/* Text that does not end its line would run into the next representation. */
static void put_plain(const watch *w, copal_span body, buf *out)
{
  buf_put_span(out, body);
  if (!w->a->no_pretty && body.len > 0 && body.ptr[body.len - 1] != '\n' && safe_is_text(body))
    buf_char(out, '\n');
}

static void put_notice(const watch *w, const notice *n, buf *out)
{
  const style s = style_for(STDOUT_FILENO, w->a->color);
  const transfer_result *r = n->report->result;
  const bool is_shown = !w->a->output && !w->a->exec;
  if (w->a->json) {
    notice_json(n, out);
    return;
  }
  if (is_shown && run_is_pretty(w->a))
    notice_title(n, &s, out);
  if (w->a->include) {
    report_headers(&r->reply, &s, out);
    buf_char(out, '\n');
  }
  if (is_shown && run_is_pretty(w->a))
    body_print(report_content_format(&r->reply), buf_span(&r->body), &s, out);
  else if (is_shown)
    put_plain(w, buf_span(&r->body), out);
}

static void run_hook(const watch *w, const notice *n)
{
  buf outcome = {0};
  buf message = {0};
  const int e = hook_run(w->s, w->a->exec, n, &outcome);
  buf_print(&message, "exec: %s", buf_str(&outcome));
  if (e != 0 || w->a->verbose)
    note(w, &message);
  buf_wipe(&outcome);
  buf_wipe(&message);
}

static notice make_notice(watch *w, const report *r, bool has_sequence)
{
  const copal_time now = r->result->reply.at;
  const size_t reordered = r->result->reply.reordered;
  notice n = {
      .report = r,
      .count = ++w->count,
      .has_sequence = has_sequence,
      .reordered = has_sequence ? reordered - w->reordered : 0,
      .overrun = w->feed ? feed_take_dropped(w->feed) : 0,
      .gap = w->gap,
      .elapsed = now - w->start,
      .since = w->last != 0 ? now - w->last : 0,
  };
  if (has_sequence) {
    n.sequence = copal_opt_uint_or(r->result->reply.msg.options, COPAL_OPT_OBSERVE, 0);
    if (w->has_sequence && w->gap == NOTICE_GAP_NONE)
      n.step = (n.sequence - w->sequence) & SEQUENCE_MASK;
  }
  if (has_sequence)
    w->reordered = reordered;
  w->has_sequence = has_sequence;
  w->sequence = n.sequence;
  w->gap = NOTICE_GAP_NONE;
  w->last = now;
  return n;
}

/* Hands one representation to the user. */
static void deliver(watch *w, const transfer_result *r, bool has_sequence)
{
  const report told = {.args = w->a, .target = &w->j->target, .result = r, .path = &r->reply.from};
  const notice n = make_notice(w, &told, has_sequence);
  buf out = {0};
  put_notice(w, &n, &out);
  if (run_print(w->a, &out) != STATUS_OK)
    finish(w, STATUS_INTERNAL);
  buf_wipe(&out);
  if (w->a->output && store(w, r) != STATUS_OK)
    finish(w, STATUS_INTERNAL);
  if (w->a->exec && !w->is_over)
    run_hook(w, &n);
  if (w->count == w->a->count && !w->is_over)
    finish(w, STATUS_OK);
}

/* ------------------------------------------------------------------------------------------------
 * losing and finding the server */

/* A second, doubled with each failure up to a minute, less up to a quarter so that many clients do
 * not come back at once. */
static copal_dur back_off(const watch *w)
{
  uint32_t rnd = 0;
  const unsigned doublings = w->failures < BACK_OFF_DOUBLINGS ? w->failures : BACK_OFF_DOUBLINGS;
  copal_dur d = COPAL_SECOND << doublings;
  if (d > BACK_OFF_MAX)
    d = BACK_OFF_MAX;
  if (getrandom(&rnd, sizeof rnd, 0) != (ssize_t)sizeof rnd)
    rnd = 0;
  return d - rnd % (d / 4);
}

static void put_failure(const watch *w, const transfer_result *r, buf *out)
{
  if (r->outcome == TRANSFER_RESPONSE && report_status(r) == STATUS_OK)
    buf_text(out, "the server has ended the observation");
  else
    report_error(r, &w->j->target, path_of(w), out);
}

/* The registration is gone; it is renewed later, by the next address. */
static void retry(watch *w, const transfer_result *r)
{
  buf message = {0};
  const copal_dur delay = back_off(w);
  w->failures++;
  w->was_lost = true;
  w->retry_at = session_now() + delay;
  put_failure(w, r, &message);
  buf_print(&message, "; asking again in %.1f s", (double)delay / 1e6);
  note(w, &message);
  buf_wipe(&message);
  if (r->outcome != TRANSFER_RESPONSE)
    w->at = (w->at + 1) % w->j->target.path_count;
}

/* Ends with the failure as any other command would. */
static void fail(watch *w, const transfer_result *r)
{
  report told = {.args = w->a,
                 .target = &w->j->target,
                 .result = r,
                 .path = path_of(w),
                 .upload_size = w->j->body.len,
                 .status = report_status(r)};
  buf out = {0};
  report_error(r, &w->j->target, path_of(w), &told.error);
  if (w->a->json)
    report_json(&told, &out);
  const status printed = run_print(w->a, &out);
  note(w, &told.error);
  if (r->outcome == TRANSFER_RESPONSE)
    run_complain_body(r, w->a);
  finish(w, printed != STATUS_OK ? printed : told.status);
  buf_wipe(&told.error);
  buf_wipe(&out);
}

/* No way to the server. Before it has ever answered, another of its addresses may be better; then
 * there is nothing to wait for. */
static void on_lost(watch *w, const transfer_result *r)
{
  const bool has_other = w->at + 1 < w->j->target.path_count;
  if (w->last == 0 && r->outcome == TRANSFER_UNREACHABLE && has_other)
    w->at++; /* at once: `retry_at` has passed */
  else if (w->last == 0 || w->a->no_reconnect)
    fail(w, r);
  else
    retry(w, r);
}

static transfer_outcome outcome_of(copal_event_kind kind)
{
  switch (kind) {
  case COPAL_EVENT_TIMEOUT: return TRANSFER_TIMEOUT;
  case COPAL_EVENT_RESET: return TRANSFER_RESET;
  case COPAL_EVENT_UNREACHABLE: return TRANSFER_UNREACHABLE;
  default: return TRANSFER_INTERRUPTED;
  }
}

/* ------------------------------------------------------------------------------------------------
 * registration */

static void set_observe(optset *options, uint32_t value)
{
  optset_set_uint(options, COPAL_OPT_OBSERVE, value);
}

static copal_request make_request(const watch *w, const optset *options)
{
  copal_request q = COPAL_REQUEST_INIT;
  q.path = path_of(w);
  q.type = w->a->is_non ? COPAL_NON : COPAL_CON;
  q.code = args_code(w->a);
  q.token = buf_span(&w->token);
  q.has_token = true;
  q.opts = options->opts;
  q.opt_count = options->count;
  q.payload = buf_span(&w->j->body);
  q.timeout = w->a->timeout;
  return q;
}

static void register_once(watch *w)
{
  copal_request q = make_request(w, &w->options);
  w->asked = session_now();
  const int e = feed_open(w->s, &q, QUEUE_MAX, &w->feed);
  if (e == COPAL_OK)
    return;
  const transfer_result r = {.outcome = TRANSFER_FAILED,
                             .why = e == COPAL_ENOSPC ? "the options do not fit a datagram"
                                                      : copal_err_name(e)};
  fail(w, &r);
}

/* Ends the observation at once, for a server must not be left to find out. RFC 7641 section 3.6. */
static void deregister(watch *w)
{
  optset options;
  reply r;
  feed_close(w->feed);
  w->feed = NULL;
  session_forget_interrupt();
  optset_copy(&options, &w->options);
  set_observe(&options, DEREGISTER);
  copal_request q = make_request(w, &options);
  if (q.timeout == 0 || q.timeout > DEREGISTER_WAIT)
    q.timeout = DEREGISTER_WAIT;
  session_request(w->s, &q, SESSION_WAIT_RESPONSE, &r);
  reply_wipe(&r);
  optset_wipe(&options);
}

/* ------------------------------------------------------------------------------------------------
 * notifications */

static void note_text(const watch *w, const char *text)
{
  buf message = {0};
  buf_text(&message, text);
  note(w, &message);
  buf_wipe(&message);
}

/* The rest of a large representation could not be had; the observation goes on. A representation
 * that has changed meanwhile is followed by a notification of the newer one. */
static void note_incomplete(const watch *w, const transfer_result *r)
{
  buf message = {0};
  if (r->outcome == TRANSFER_INTERRUPTED || session_now() >= w->end)
    return;
  report_error(r, &w->j->target, path_of(w), &message);
  buf_text(&message, "; waiting for the next notification");
  if (r->outcome != TRANSFER_CHANGED || w->a->verbose)
    note(w, &message);
  buf_wipe(&message);
}

/* A request beside the observation: with a token of its own, and not beyond --duration. */
static transfer side_transfer(const watch *w)
{
  transfer t = job_transfer(w->j, w->a, path_of(w));
  const copal_time now = session_now();
  const copal_time left = w->end > now ? w->end - now : 1;
  t.has_token = false;
  t.token = copal_span_none();
  if (left < UINT32_MAX && (t.timeout == 0 || left < t.timeout))
    t.timeout = (copal_dur)left;
  return t;
}

static void on_notification(watch *w, reply *got)
{
  const transfer t = side_transfer(w);
  transfer_result r = {0};
  if (w->was_lost) {
    note_text(w, "reconnected");
    w->gap = NOTICE_GAP_RECONNECTED;
  }
  w->was_lost = false;
  w->failures = 0;
  w->is_answering = false;
  const copal_path from = got->from;
  transfer_rest(w->s, &t, got, &r);
  r.reply.from = from;
  if (r.outcome == TRANSFER_RESPONSE && report_status(&r) == STATUS_OK)
    deliver(w, &r, true);
  else
    note_incomplete(w, &r);
  transfer_result_wipe(&r);
}

static void on_stale(watch *w, const reply *r)
{
  buf message = {0};
  const copal_time since = w->last != 0 ? r->at - w->last : 0;
  buf_print(&message, "no notification for %.0f s, asking again", (double)since / 1e6);
  note(w, &message);
  buf_wipe(&message);
  w->gap = NOTICE_GAP_STALE;
  w->asked = r->at;
}

/* A challenge is answered by the same registration with the value. RFC 9175 section 2.3. */
static bool answer_challenge(watch *w, const reply *r)
{
  copal_span echo;
  if (r->msg.code != COPAL_CODE_UNAUTHORIZED || w->is_answering ||
      !copal_opt_find(r->msg.options, COPAL_OPT_ECHO, &echo))
    return false;
  optset_set(&w->options, COPAL_OPT_ECHO, echo);
  w->is_answering = true;
  return true;
}

static void see(seen *last, const transfer_result *r)
{
  copal_span etag;
  last->is_valid = true;
  last->etag.len = last->body.len = 0;
  buf_put_span(&last->body, buf_span(&r->body));
  if (copal_opt_find(r->reply.msg.options, COPAL_OPT_ETAG, &etag))
    buf_put_span(&last->etag, etag);
}

/* The server answers, but does not notify. */
static void on_unobserved(watch *w, const transfer_result *r)
{
  const bool was_observed = w->has_sequence;
  see(&w->seen, r);
  deliver(w, r, false);
  if (w->is_over && w->result != STATUS_OK)
    return;
  w->is_over = false;
  if (was_observed && !w->a->no_reconnect && w->count != w->a->count) {
    retry(w, r);
    return;
  }
  note_text(w, was_observed ? "the server has ended the observation"
                            : "the server does not notify of changes of this resource");
  finish(w, w->count == w->a->count && w->a->poll > 0 ? STATUS_OK : STATUS_NOT_OBSERVED);
}

/* A server that has come back may need a while until it has its resources again; but the final
 * notification of a deleted one is meant. */
static bool is_passing(const watch *w, const transfer_result *r)
{
  const bool is_answer = w->asked > w->last; /* to a registration renewed since */
  const status s = report_status(r);
  return w->last != 0 && !w->a->no_reconnect &&
         (s == STATUS_SERVER_ERROR || (is_answer && r->reply.msg.code == COPAL_CODE_NOT_FOUND));
}

/* The last answer to a registration. */
static void on_final(watch *w, reply *got)
{
  const transfer t = side_transfer(w);
  transfer_result r = {0};
  const copal_path from = got->from;
  if (answer_challenge(w, got))
    return;
  transfer_rest(w->s, &t, got, &r);
  r.reply.from = from;
  if (r.outcome != TRANSFER_RESPONSE)
    on_lost(w, &r);
  else if (report_status(&r) == STATUS_OK)
    on_unobserved(w, &r);
  else if (is_passing(w, &r))
    retry(w, &r);
  else
    fail(w, &r);
  transfer_result_wipe(&r);
}

static void on_reply(watch *w, reply *r)
{
  const transfer_result lost = {.outcome = outcome_of(r->kind),
                                .reply.errnum = r->errnum,
                                .retransmits = r->retransmits,
                                .exchanges = 1,
                                .total = (copal_dur)(r->at - w->asked)};
  switch (r->kind) {
  case COPAL_EVENT_RESPONSE:
    if (r->is_notification)
      on_notification(w, r);
    else
      on_final(w, r);
    return;
  case COPAL_EVENT_STALE: on_stale(w, r); return;
  case COPAL_EVENT_TIMEOUT:
  case COPAL_EVENT_RESET:
  case COPAL_EVENT_UNREACHABLE: on_lost(w, &lost); return;
  case COPAL_EVENT_ACK:
  case COPAL_EVENT_RESEND:
  case COPAL_EVENT_CANCELED: return;
  }
}

/* One step: an answer, or the end of a pause. */
static void step(watch *w)
{
  reply r = {0};
  if (!w->feed) {
    if (session_now() >= w->retry_at)
      register_once(w);
    else
      session_turn(w->s, w->retry_at < w->end ? w->retry_at : w->end);
    return;
  }
  if (feed_next(w->feed, w->end, &r))
    on_reply(w, &r);
  reply_wipe(&r);
  if (w->feed && feed_is_over(w->feed)) {
    feed_close(w->feed);
    w->feed = NULL;
  }
}

static bool goes_on(const watch *w)
{
  return !w->is_over && !session_is_interrupted() && session_now() < w->end;
}

/* ------------------------------------------------------------------------------------------------
 * polling */

static bool is_news(const seen *last, const transfer_result *r)
{
  if (r->reply.msg.code == COPAL_CODE_VALID)
    return false;
  return !last->is_valid || !copal_span_is_equal(buf_span(&last->body), buf_span(&r->body));
}

static void poll_once(watch *w)
{
  seen *last = &w->seen;
  transfer t = side_transfer(w);
  transfer_result r;
  optset options;
  optset_copy(&options, &w->j->options);
  if (last->etag.len > 0)
    optset_add(&options, COPAL_OPT_ETAG, buf_span(&last->etag));
  t.options = &options;
  transfer_run(w->s, &t, &r);
  const status s = report_status(&r);
  if (r.outcome == TRANSFER_RESPONSE && s == STATUS_OK) {
    if (is_news(last, &r)) {
      see(last, &r);
      deliver(w, &r, false);
    }
  } else if (r.outcome != TRANSFER_INTERRUPTED && session_now() < w->end) {
    if (w->a->no_reconnect || s == STATUS_CLIENT_ERROR || w->last == 0)
      fail(w, &r);
    else
      note_incomplete(w, &r);
  }
  transfer_result_wipe(&r);
  optset_wipe(&options);
}

static void poll_on(watch *w)
{
  copal_time next = session_now() + w->a->poll;
  w->is_over = false;
  w->result = STATUS_OK;
  while (goes_on(w)) {
    while (goes_on(w) && session_now() < next)
      session_turn(w->s, next < w->end ? next : w->end);
    next += w->a->poll;
    if (next < session_now())
      next = session_now();
    if (goes_on(w))
      poll_once(w);
  }
}

/* ------------------------------------------------------------------------------------------------
 */

static void choose_token(watch *w)
{
  uint8_t drawn[TOKEN_SIZE];
  if (w->a->has_token)
    buf_put_span(&w->token, buf_span(&w->a->token));
  else if (getrandom(drawn, sizeof drawn, 0) == (ssize_t)sizeof drawn)
    buf_put(&w->token, drawn, sizeof drawn);
}

static void add_early_size(const watch *w, optset *options)
{
  const copal_block b = {.szx = w->a->szx};
  if (w->a->has_szx && !optset_has(options, COPAL_OPT_BLOCK2))
    optset_set_uint(options, COPAL_OPT_BLOCK2, copal_block_value(b));
}

/* The server may still notify. */
static bool is_registered(const watch *w)
{
  return w->feed && !feed_is_over(w->feed);
}

static status run_watch(watch *w)
{
  while (goes_on(w))
    step(w);
  if (w->is_over && w->result == STATUS_NOT_OBSERVED && w->a->poll > 0)
    poll_on(w);
  const bool was_ended = session_is_interrupted();
  if (is_registered(w))
    deregister(w);
  feed_close(w->feed);
  w->feed = NULL;
  if (w->is_over)
    return w->result;
  return w->last == 0 && !was_ended ? STATUS_TIMEOUT : STATUS_OK;
}

static status check_request(const job *j, const args *a)
{
  buf message = {0};
  if (job_is_group(j))
    buf_text(&message, "a group cannot be observed; discover its members and observe them");
  else if (j->body.len > PAYLOAD_MAX)
    buf_print(&message, "the payload of an observation has at most %d bytes", PAYLOAD_MAX);
  else
    return STATUS_OK;
  run_complain(a, &message);
  buf_wipe(&message);
  return STATUS_USAGE;
}

static status watch_resource(job *j, const args *a, session *s)
{
  watch w = {.a = a, .j = j, .s = s, .start = session_now(), .end = COPAL_NEVER};
  if (a->duration > 0)
    w.end = w.start + a->duration;
  choose_token(&w);
  optset_copy(&w.options, &j->options);
  add_early_size(&w, &w.options);
  set_observe(&w.options, REGISTER);
  const status result = run_watch(&w);
  optset_wipe(&w.options);
  buf_wipe(&w.token);
  buf_wipe(&w.seen.etag);
  buf_wipe(&w.seen.body);
  return result;
}

status run_observe(const args *a)
{
  job j = {0};
  session *s = NULL;
  status result = job_prepare(&j, a, a->operands[0]);
  if (result == STATUS_OK)
    result = check_request(&j, a);
  if (result == STATUS_OK)
    result = run_open_session(a, &j.trace, &s);
  if (result == STATUS_OK) {
    session_catch_interrupt();
    signal(SIGPIPE, SIG_IGN); /* the server is told when nobody reads any more */
    result = watch_resource(&j, a, s);
  }
  session_close(s);
  job_wipe(&j);
  return result;
}
