/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a group: sent on each interface, answered by whoever listens. RFC 7252 section 8,
 * RFC 7959 section 2.8. */
#include "cmd/copal/group.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/body.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "transport/udp.h"

enum {
  ANSWERS_MAX = 4096, /* waiting while a member's body is fetched */
  INTERFACES_MAX = 64,
};

/* DEFAULT_LEISURE of RFC 7252 section 8.2 and a second for the way. */
#define COLLECT_DEFAULT (6 * COPAL_SECOND)

/* One datagram to the group, and what comes back. */
typedef struct question {
  const job *job;
  feed *feed;
} question;

struct group {
  session *session;
  const args *args;
  group_listener *listener;
  copal_time start;
  question *questions;
  size_t question_count;
  group_answer *answers;
  size_t answer_count;
  int errnum; /* of the last question that could not be sent; 0: one was */
};

group *group_open(session *s, const args *a, group_listener *listener)
{
  group *g = mem_resize(NULL, sizeof *g);
  *g = (group){.session = s, .args = a, .listener = listener, .start = session_now()};
  return g;
}

void group_close(group *g)
{
  for (size_t i = 0; i < g->question_count; i++)
    feed_close(g->questions[i].feed);
  for (size_t i = 0; i < g->answer_count; i++)
    transfer_result_wipe(&g->answers[i].result);
  free(g->questions);
  free(g->answers);
  free(g);
}

const group_answer *group_answers(const group *g, size_t *count)
{
  *count = g->answer_count;
  return g->answers;
}

/* ------------------------------------------------------------------------------------------------
 * asking */

static bool is_usable(const struct ifaddrs *i, bool is_ipv4, bool is_loopback)
{
  if (!i->ifa_addr || i->ifa_addr->sa_family != (is_ipv4 ? AF_INET : AF_INET6) ||
      (i->ifa_flags & IFF_UP) == 0)
    return false;
  if ((i->ifa_flags & IFF_LOOPBACK) != 0)
    return is_loopback;
  return !is_loopback && (i->ifa_flags & IFF_MULTICAST) != 0;
}

static size_t add_interface(uint32_t *list, size_t count, uint32_t ifindex)
{
  for (size_t i = 0; i < count; i++)
    if (list[i] == ifindex)
      return count;
  if (count < INTERFACES_MAX && ifindex != 0)
    list[count++] = ifindex;
  return count;
}

/* Interfaces that have an address of the family; the loopback one only when there is no other. */
static size_t find_interfaces(bool is_ipv4, uint32_t list[INTERFACES_MAX])
{
  struct ifaddrs *all = NULL;
  size_t count = 0;
  if (getifaddrs(&all) != 0)
    return 0;
  for (int is_loopback = 0; is_loopback < 2 && count == 0; is_loopback++)
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
      if (is_usable(i, is_ipv4, is_loopback == 1))
        count = add_interface(list, count, if_nametoindex(i->ifa_name));
  freeifaddrs(all);
  return count;
}

static status choose_interfaces(const group *g, const copal_addr *to, uint32_t *list, size_t *count)
{
  buf message = {0};
  *count = 1;
  if (!g->args->interface) {
    list[0] = to->zone; /* 0, the system's choice, when no interface is found either */
    const size_t found = to->zone == 0 ? find_interfaces(udp_addr_is_ipv4(to), list) : 0;
    *count = found > 0 ? found : 1;
    return STATUS_OK;
  }
  list[0] = if_nametoindex(g->args->interface);
  if (list[0] != 0)
    return STATUS_OK;
  buf_print(&message, "--interface: there is no '%s'", g->args->interface);
  run_complain(g->args, &message);
  buf_wipe(&message);
  return STATUS_USAGE;
}

/* Link-local scope, and narrower. RFC 4291 section 2.7. */
static bool needs_zone(const copal_addr *to)
{
  return !udp_addr_is_ipv4(to) && (to->ip[1] & 15) <= 2;
}

static copal_dur patience(const args *a)
{
  return a->timeout > 0 ? a->timeout : COLLECT_DEFAULT;
}

static int ask_on(group *g, const job *j, uint32_t ifindex)
{
  copal_path path = j->target.paths[0];
  path.local = session_via(g->session, udp_addr_is_ipv4(&path.remote), ifindex);
  if (needs_zone(&path.remote) && ifindex <= UINT16_MAX)
    path.remote.zone = (uint16_t)ifindex;
  const transfer t = job_transfer(j, g->args, &path);
  copal_request q = COPAL_REQUEST_INIT;
  q.path = &path;
  q.type = COPAL_NON;
  q.code = t.code;
  q.token = t.token;
  q.has_token = t.has_token;
  q.wants_many = true;
  q.opts = j->options.opts;
  q.opt_count = j->options.count;
  q.payload = t.body;
  q.timeout = patience(g->args);
  feed *f = NULL;
  const int e = feed_open(g->session, &q, ANSWERS_MAX, &f);
  if (e != COPAL_OK)
    return e;
  g->questions = mem_resize(g->questions, (g->question_count + 1) * sizeof *g->questions);
  g->questions[g->question_count++] = (question){j, f};
  return COPAL_OK;
}

static status complain_unsent(const group *g, const job *j, int e)
{
  buf message = {0};
  buf_print(&message, "%s: cannot send: %s", j->target.text,
            e == COPAL_ENOSPC ? "the request does not fit a datagram, as a group needs it"
                              : copal_err_name(e));
  run_complain(g->args, &message);
  buf_wipe(&message);
  return STATUS_INTERNAL;
}

/* A GET to a group carries no ETag: members may have the same for different representations.
 * RFC 7252 section 8.2.1. */
static status check_options(const group *g, const job *j)
{
  buf message = {0};
  bool has_etag = false;
  for (size_t i = 0; i < j->options.count; i++)
    has_etag = has_etag || j->options.opts[i].number == COPAL_OPT_ETAG;
  if (!has_etag || args_code(g->args) != COPAL_CODE_GET)
    return STATUS_OK;
  buf_text(&message, "a group cannot be asked whether an ETag is still valid; ask its members");
  run_complain(g->args, &message);
  buf_wipe(&message);
  return STATUS_USAGE;
}

status group_ask(group *g, const job *j)
{
  uint32_t list[INTERFACES_MAX];
  size_t count = 0;
  status s = check_options(g, j);
  if (s == STATUS_OK)
    s = choose_interfaces(g, &j->target.paths[0].remote, list, &count);
  /* With a token of the user's there can be one question only. */
  for (size_t i = 0; s == STATUS_OK && i < (g->args->has_token ? 1 : count); i++) {
    const int e = ask_on(g, j, list[i]);
    if (e != COPAL_OK)
      s = complain_unsent(g, j, e);
  }
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * collecting */

static bool has_answered(const group *g, const copal_path *from)
{
  for (size_t i = 0; i < g->answer_count; i++)
    if (copal_path_is_same_peer(&g->answers[i].result.reply.from, from))
      return true;
  return false;
}

static bool is_challenge(const reply *r)
{
  copal_span echo;
  return r->msg.code == COPAL_CODE_UNAUTHORIZED &&
         copal_opt_find(r->msg.options, COPAL_OPT_ECHO, &echo);
}

/* Completes the answer by asking the member alone. */
static void complete(group *g, const job *j, reply *first, transfer_result *result)
{
  const copal_path from = first->from;
  transfer t = job_transfer(j, g->args, &from);
  t.type = g->args->is_non ? COPAL_NON : COPAL_CON;
  t.timeout = patience(g->args);
  t.has_token = false;
  t.token = copal_span_none();
  if (is_challenge(first) && copal_code_is_safe(t.code))
    transfer_run(g->session, &t, result); /* it answers the challenge: RFC 9175 section 2.3 */
  else
    transfer_rest(g->session, &t, first, result);
  result->reply.from = from;
}

static void take_answer(group *g, const job *j, reply *r)
{
  group_answer answer = {.job = j};
  if (r->kind == COPAL_EVENT_UNREACHABLE)
    g->errnum = r->errnum;
  if (r->kind != COPAL_EVENT_RESPONSE || has_answered(g, &r->from))
    return;
  complete(g, j, r, &answer.result);
  g->answers = mem_resize(g->answers, (g->answer_count + 1) * sizeof *g->answers);
  g->answers[g->answer_count++] = answer;
  if (g->listener)
    g->listener->on_answer(g->listener, &answer);
}

/* Takes what has come. Returns whether more may come. */
static bool take_answers(group *g)
{
  bool is_open = false;
  for (size_t i = 0; i < g->question_count; i++) {
    reply r;
    while (feed_take(g->questions[i].feed, &r)) {
      take_answer(g, g->questions[i].job, &r);
      reply_wipe(&r);
    }
    is_open = is_open || !feed_is_over(g->questions[i].feed);
  }
  return is_open;
}

static status nobody(const group *g)
{
  const job *j = g->questions[0].job;
  const transfer_result r = {
      .outcome = g->errnum != 0 ? TRANSFER_UNREACHABLE : TRANSFER_TIMEOUT,
      .reply.errnum = g->errnum,
      .total = (copal_dur)(session_now() - g->start),
  };
  buf message = {0};
  report_error(&r, &j->target, &j->target.paths[0], &message);
  run_complain(g->args, &message);
  buf_wipe(&message);
  return report_status(&r);
}

status group_collect(group *g)
{
  const copal_time limit = session_now() + patience(g->args);
  while (take_answers(g) && session_now() < limit && !session_is_interrupted())
    session_turn(g->session, limit);
  take_answers(g);
  if (g->answer_count == 0)
    return nobody(g);
  for (size_t i = 0; i < g->answer_count; i++)
    if (report_status(&g->answers[i].result) == STATUS_OK)
      return STATUS_OK;
  return report_status(&g->answers[0].result);
}

/* ------------------------------------------------------------------------------------------------
 * printing */

typedef struct printer {
  group_listener listener;
  const args *args;
  style style;
  status status;
} printer;

static void put_title(const report *r, const style *s, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE];
  buf code = {0};
  udp_addr_format(&r->result->reply.from.remote, peer);
  style_text(s, out, INK_KEY, peer);
  buf_text(out, "  ");
  if (r->status == STATUS_OK)
    report_code(r->result->reply.msg.code, true, &code);
  else
    buf_put_span(&code, buf_span(&r->error));
  style_put(s, out, r->status == STATUS_OK ? INK_GOOD : INK_BAD, buf_span(&code));
  buf_char(out, '\n');
  buf_wipe(&code);
}

static void put_body(const report *r, const style *s, buf *out)
{
  const copal_span body = buf_span(&r->result->body);
  if (run_is_pretty(r->args)) {
    body_print(report_content_format(&r->result->reply), body, s, out);
    return;
  }
  buf_put_span(out, body);
  if (body.len > 0 && body.ptr[body.len - 1] != '\n' && !r->args->no_pretty)
    buf_char(out, '\n'); /* the next title begins a line */
}

static void put_answer(const report *r, const style *s, buf *out)
{
  if (r->args->json) {
    report_json(r, out);
    return;
  }
  put_title(r, s, out);
  if (r->args->include && r->result->outcome == TRANSFER_RESPONSE) {
    report_headers(&r->result->reply, s, out);
    buf_char(out, '\n');
  }
  if (r->status == STATUS_OK)
    put_body(r, s, out);
}

static void on_answer(group_listener *l, const group_answer *answer)
{
  printer *p = (printer *)l;
  buf out = {0};
  report r = {.args = p->args,
              .target = &answer->job->target,
              .result = &answer->result,
              .path = &answer->result.reply.from,
              .upload_size = answer->job->body.len,
              .status = report_status(&answer->result)};
  report_error(&answer->result, &answer->job->target, r.path, &r.error);
  put_answer(&r, &p->style, &out);
  if (p->args->write_out)
    report_write_out(&r, p->args->write_out, &out);
  if (run_print(p->args, &out) != STATUS_OK)
    p->status = STATUS_INTERNAL;
  buf_wipe(&r.error);
  buf_wipe(&out);
}

static status refuse_output(const args *a)
{
  buf message = {0};
  buf_text(&message, "--output: a group has many answers; use --json");
  run_complain(a, &message);
  buf_wipe(&message);
  return STATUS_USAGE;
}

status group_run(job *j, const args *a)
{
  printer p = {.listener = {on_answer}, .args = a, .style = style_for(STDOUT_FILENO, a->color)};
  session *s = NULL;
  if (a->output)
    return refuse_output(a);
  status result = run_open_session(a, &j->trace, &s);
  if (result != STATUS_OK)
    return result;
  session_catch_interrupt();
  group *g = group_open(s, a, &p.listener);
  result = group_ask(g, j);
  if (result == STATUS_OK)
    result = group_collect(g);
  group_close(g);
  session_close(s);
  return p.status != STATUS_OK ? p.status : result;
}
