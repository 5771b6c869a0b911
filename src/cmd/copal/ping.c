/* SPDX-License-Identifier: Apache-2.0 */
/* The command that pings an endpoint. RFC 7252 section 4.3: an Empty Confirmable message is
 * answered with a Reset. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/print_json.h"
#include "cmd/copal/run.h"
#include "copal/error.h"
#include "transport/udp.h"

typedef struct tally {
  unsigned sent;
  unsigned answered;
  double min, max, sum, sum_of_squares; /* milliseconds */
  status last;                          /* why the last unanswered ping was not answered */
  char peer[UDP_ADDR_TEXT_SIZE];
} tally;

static void count_answer(tally *t, double ms)
{
  t->min = t->answered == 0 || ms < t->min ? ms : t->min;
  t->max = t->answered == 0 || ms > t->max ? ms : t->max;
  t->sum += ms;
  t->sum_of_squares += ms * ms;
  t->answered++;
}

static double mean(const tally *t)
{
  return t->sum / t->answered;
}

static double deviation(const tally *t)
{
  const double variance = t->sum_of_squares / t->answered - mean(t) * mean(t);
  return variance > 0 ? sqrt(variance) : 0;
}

static unsigned loss_percent(const tally *t)
{
  return t->sent > 0 ? (t->sent - t->answered) * 100 / t->sent : 0;
}

static void put_answer(const tally *t, const reply *r, buf *out)
{
  buf_print(out, "answer from %s: seq=%u time=%.3f ms", t->peer, t->sent, (double)r->rtt / 1000);
  if (r->retransmits > 0)
    buf_print(out, " retransmissions=%u", r->retransmits);
  buf_char(out, '\n');
}

/* Judges one ping, and says what came of it. */
static void judge(tally *t, const reply *r, buf *out)
{
  switch (r->kind) {
  case COPAL_EVENT_RESET:
  case COPAL_EVENT_ACK: /* not what RFC 7252 section 4.3 asks for, but a sign of life */
  case COPAL_EVENT_RESPONSE:
    put_answer(t, r, out);
    count_answer(t, (double)r->rtt / 1000);
    return;
  case COPAL_EVENT_UNREACHABLE:
    t->last = STATUS_UNREACHABLE;
    buf_print(out, "%s: seq=%u %s\n", t->peer, t->sent, strerror(r->errnum));
    return;
  case COPAL_EVENT_TIMEOUT:
    t->last = STATUS_TIMEOUT;
    buf_print(out, "%s: seq=%u no answer\n", t->peer, t->sent);
    return;
  default:
    t->sent--; /* interrupted before it could be answered */
    return;
  }
}

static void put_summary(const tally *t, const char *uri, buf *out)
{
  buf_print(out, "\n--- %s ping statistics ---\n", uri);
  buf_print(out, "%u sent, %u answered, %u%% loss\n", t->sent, t->answered, loss_percent(t));
  if (t->answered > 0)
    buf_print(out, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", t->min, mean(t), t->max,
              deviation(t));
}

static void put_json(const tally *t, const char *uri, buf *out)
{
  buf object = {0};
  buf_char(&object, '{');
  json_member_text(&object, "url", uri);
  json_member_text(&object, "peer", t->peer);
  json_member_uint(&object, "sent", t->sent);
  json_member_uint(&object, "answered", t->answered);
  json_member_uint(&object, "loss_percent", loss_percent(t));
  if (t->answered > 0) {
    json_member_real(&object, "rtt_min_ms", t->min);
    json_member_real(&object, "rtt_avg_ms", mean(t));
    json_member_real(&object, "rtt_max_ms", t->max);
    json_member_real(&object, "rtt_mdev_ms", deviation(t));
  }
  buf_text(&object, "}\n");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}

/* Lines appear one by one, not at the end. */
static status print(const args *a, buf *out)
{
  const status result = a->json || a->silent ? STATUS_OK : run_print(a, out);
  out->len = 0;
  return result;
}

/* The address that answers is found by the first ping; one that is unreachable gives way to the
 * next. */
static int ping_once(session *s, const target *t, size_t *at, reply *r)
{
  for (;; (*at)++) {
    const int e = session_ping(s, &t->paths[*at], r);
    if (e != COPAL_OK || r->kind != COPAL_EVENT_UNREACHABLE || *at + 1 >= t->path_count)
      return e;
    reply_wipe(r);
  }
}

/* Returns STATUS_OK, or what kept the answers from being printed. */
static status ping_all(const args *a, const target *t, session *s, tally *n)
{
  buf out = {0};
  size_t at = 0;
  status printed;
  do {
    const copal_time start = session_now();
    reply r;
    n->sent++;
    const int e = ping_once(s, t, &at, &r);
    udp_addr_format(&t->paths[at].remote, n->peer);
    if (e == COPAL_OK)
      judge(n, &r, &out);
    else
      n->last = STATUS_INTERNAL;
    reply_wipe(&r);
    printed = print(a, &out);
    const copal_time used = session_now() - start;
    if (n->sent != a->count && used < a->interval && printed == STATUS_OK)
      session_pause(s, (copal_dur)(a->interval - used));
  } while (n->sent != a->count && printed == STATUS_OK && !session_is_interrupted());
  if (a->json)
    put_json(n, t->text, &out);
  else
    put_summary(n, t->text, &out);
  if (printed == STATUS_OK)
    printed = run_print(a, &out);
  buf_wipe(&out);
  return printed;
}

/* A ping is not repeated and waits for --timeout, unless asked otherwise: loss shall show. */
static args ping_args(const args *a)
{
  args p = *a;
  if (!p.has_max_retransmit) {
    p.has_max_retransmit = true;
    p.max_retransmit = 0;
  }
  if (p.ack_timeout == 0)
    p.ack_timeout = p.timeout > 0 ? p.timeout : 2 * COPAL_SECOND;
  return p;
}

status run_ping(const args *a)
{
  const args p = ping_args(a);
  target t = {0};
  trace shown;
  session *s = NULL;
  tally n = {.last = STATUS_TIMEOUT};
  buf err = {0};
  status result = target_parse(&t, a->operands[0], &err);
  if (result == STATUS_OK)
    result = target_resolve(&t, a, &err);
  if (result == STATUS_OK && target_is_group(&t)) {
    buf_text(&err, "a group cannot be pinged, for a ping is confirmable; use discover");
    result = STATUS_USAGE;
  }
  if (result != STATUS_OK)
    run_complain(a, &err);
  else
    result = run_open_session(&p, &shown, &s);
  if (result == STATUS_OK) {
    session_catch_interrupt();
    result = ping_all(a, &t, s, &n);
    if (result == STATUS_OK && n.answered == 0)
      result = n.last;
  }
  session_close(s);
  target_wipe(&t);
  buf_wipe(&err);
  return result;
}
