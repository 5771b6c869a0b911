/* SPDX-License-Identifier: Apache-2.0 */
/* copal load: makes a server work, verifies what it answers and measures. Threads: the main thread
 * plans, watches and tells; runners do the rest. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/load/gauge.h"
#include "cmd/copal/load/observers.h"
#include "cmd/copal/load/show.h"
#include "cmd/copal/load/wire.h"
#include "cmd/copal/load/worker.h"
#include "cmd/copal/run.h"
#include "cmd/copal/secrets.h"
#include "copal/block.h"
#include "copal/error.h"

#define DURATION_DEFAULT (10 * COPAL_SECOND)
#define WARMUP_DEFAULT   COPAL_SECOND
#define PATIENCE_DEFAULT (2 * COPAL_SECOND)
#define GRACE_DEFAULT    (5 * COPAL_SECOND)
#define START_AFTER      (20 * COPAL_MILLISECOND)
#define LOOK_EVERY       (COPAL_SECOND / 4)

/* A runner and its thread. */
typedef struct seat {
  runner *runner;
  load_window window;
  pthread_t thread;
  atomic_bool is_over;
} seat;

/* A run with all that belongs to it. Zeroed it is valid; wipe it always. */
typedef struct run {
  const args *args;
  job job;
  load_plan plan;
  buf expected;
  seat *seats;
  uint32_t count; /* of those that have a runner */
  account account;
  copal_time began, ended; /* of the measured part */
  uint64_t cpu_ns;
  status result;
  buf error;       /* the last complaint */
  bool is_planned; /* `plan` is filled in */
  bool is_measured;
  bool is_line_shown;
} run;

/* ------------------------------------------------------------------------------------------------
 * planning */

/* Complains of what is in r->error. */
static status complain(run *r, status result)
{
  run_complain(r->args, &r->error);
  return result;
}

static status fail(run *r, status result, const char *what, const char *why)
{
  buf_text(&r->error, what);
  if (why)
    buf_print(&r->error, ": %s", why);
  return complain(r, result);
}

static void make_body(run *r)
{
  static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  const size_t period = sizeof text - 1;
  for (size_t left = r->args->load.size; left > 0; left -= left < period ? left : period)
    buf_put(&r->job.body, text, left < period ? left : period);
}

static status read_expected(run *r)
{
  const char *text = r->args->load.expect_body;
  const status s = text ? run_read_data(text, &r->expected, &r->error) : STATUS_OK;
  return s == STATUS_OK ? s : complain(r, s);
}

static void fill_plan(run *r)
{
  const args *a = r->args;
  const load_args *l = &a->load;
  load_plan *p = &r->plan;
  p->shape = (shape){.type = a->is_non ? COPAL_NON : COPAL_CON,
                     .code = args_code(a),
                     .options = &r->job.options,
                     .body = buf_span(&r->job.body),
                     .szx = a->has_szx ? a->szx : COPAL_SZX_MAX,
                     .has_szx = a->has_szx};
  p->server_size = udp_sockaddr_of(&r->job.target.paths[0].remote, &p->server);
  p->server_name = secrets_server();
  p->params = run_params(a);
  p->patience = a->timeout > 0 ? a->timeout : (copal_dur)PATIENCE_DEFAULT;
  p->timeout = a->timeout;
  p->grace = a->timeout > 0 ? a->timeout : (copal_dur)GRACE_DEFAULT;
  p->clients = l->clients > 0 ? l->clients : LOAD_CLIENTS;
  p->window = l->window > 0 ? l->window : 1;
  p->threads = l->threads > 0 ? l->threads : 1;
  p->rate = l->rate;
  p->requests = l->requests;
  p->warmup = l->has_warmup ? l->warmup : WARMUP_DEFAULT;
  p->duration = a->duration > 0 ? a->duration : DURATION_DEFAULT;
  p->numbers = l->paths > 0 ? l->paths : 1;
  p->is_random = l->is_random;
  p->expect = l->expect;
  p->checks_body = l->expect_body != NULL;
  p->expected = buf_span(&r->expected);
  p->pid = l->pid;
  r->is_planned = true;
}

/* What cannot be sent is found out before the first socket is opened. */
static status check_plan(run *r, bool is_numbered)
{
  const load_plan *p = &r->plan;
  uint8_t bytes[SHAPE_DATAGRAM_MAX];
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  const shape_call longest = {.number = p->numbers - 1, .szx = p->shape.szx};
  uint64_t ns;
  if (copal_params_check(&p->params) != COPAL_OK)
    return fail(r, STATUS_USAGE,
                "--ack-timeout and --max-retransmit together take longer than an hour", NULL);
  if (p->numbers > 1 && !is_numbered)
    return fail(r, STATUS_USAGE, "--paths needs a %d in the URI to stand for the number", NULL);
  if (job_is_group(&r->job))
    return fail(r, STATUS_URI, "a group cannot be measured, for all its members answer", NULL);
  if (!shape_fits(&p->shape, p->shape.szx))
    return fail(r, STATUS_USAGE,
                "the payload has more blocks of that --block-size than can be numbered", "1048576");
  if (shape_put(&p->shape, &longest, &w) != COPAL_OK)
    return fail(r, STATUS_USAGE, "URI and options are too long for a datagram", NULL);
  if (r->args->load.observes && shape_is_blockwise(&p->shape, p->shape.szx))
    return fail(r, STATUS_USAGE, "what is observed must fit into one block", NULL);
  if (p->pid > 0 && gauge_cpu(p->pid, &ns) < 0)
    return fail(r, STATUS_USAGE, "there is no process with that --pid", NULL);
  return STATUS_OK;
}

/* The server's port takes DTLS or not. */
static status plan_security(run *r)
{
  status s = STATUS_OK;
  if (r->job.target.uri.scheme == COPAL_SCHEME_COAPS)
    s = secrets_open(r->args, &r->plan.credentials, &r->error);
  return s == STATUS_OK ? s : complain(r, s);
}

static status plan(run *r)
{
  buf uri = {0};
  const bool is_numbered = shape_mark(r->args->operands[0], &uri);
  status s = job_prepare(&r->job, r->args, buf_str(&uri));
  buf_wipe(&uri);
  if (s == STATUS_OK)
    s = read_expected(r);
  if (s != STATUS_OK)
    return s;
  if (r->args->load.has_size)
    make_body(r);
  s = plan_security(r);
  if (s != STATUS_OK)
    return s;
  fill_plan(r);
  return check_plan(r, is_numbered);
}

static status fail_sockets(run *r, int e)
{
  if (e == EINTR)
    return fail(r, STATUS_TIMEOUT, "interrupted before all sessions were open", NULL);
  if (e == ENETUNREACH || e == EHOSTUNREACH)
    return fail(r, STATUS_UNREACHABLE, "no way to the server", strerror(e));
  if (e == EAGAIN || e == EADDRNOTAVAIL)
    return fail(r, STATUS_INTERNAL,
                "no free port for each client; use fewer --clients, or a wider "
                "net.ipv4.ip_local_port_range",
                NULL);
  return fail(r, STATUS_INTERNAL, "cannot open the sockets", strerror(e));
}

/* Each client has a socket, and each thread an epoll set of them. */
static status allow_sockets(run *r)
{
  const uint32_t writers = r->args->load.observes ? 1 : 0;
  const uint32_t count = r->plan.clients + writers + r->plan.threads;
  uint64_t limit;
  if (wires_allow(count, &limit) == 0)
    return STATUS_OK;
  buf_print(&r->error,
            "%u clients need %llu open files, and the limit is %llu; use fewer --clients, or raise "
            "it with 'ulimit -n'",
            (unsigned)r->plan.clients, (unsigned long long)wires_files(count),
            (unsigned long long)limit);
  return complain(r, STATUS_INTERNAL);
}

static status seat_runner(run *r, int rc, runner *made)
{
  if (made) {
    r->seats[r->count].runner = made;
    r->count++;
  }
  if (rc == COPAL_ENOTFOUND && made->failure != NULL)
    return fail(r, STATUS_UNREACHABLE, "no secure session", made->failure);
  if (rc == COPAL_ENOTFOUND)
    return STATUS_NOT_OBSERVED;
  return rc < 0 ? fail_sockets(r, -rc) : STATUS_OK;
}

static status open_runners(run *r)
{
  status s = allow_sockets(r);
  if (s != STATUS_OK)
    return s;
  r->seats = calloc(r->plan.threads, sizeof *r->seats);
  if (!r->seats)
    return fail(r, STATUS_INTERNAL, "out of memory", NULL);
  for (uint32_t i = 0; s == STATUS_OK && i < r->plan.threads; i++) {
    runner *made = NULL;
    const int opened =
        r->args->load.observes ? observers_open(&r->plan, &made) : worker_open(&r->plan, i, &made);
    s = seat_runner(r, opened, made);
  }
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * watching */

static void *seat_main(void *arg)
{
  seat *s = arg;
  s->runner->run(s->runner, s->window);
  atomic_store(&s->is_over, true);
  return NULL;
}

static uint64_t answered(const run *r)
{
  uint64_t sum = 0;
  for (uint32_t i = 0; i < r->count; i++)
    sum += runner_answered(r->seats[i].runner);
  return sum;
}

static bool is_over(const run *r)
{
  for (uint32_t i = 0; i < r->count; i++)
    if (!atomic_load(&r->seats[i].is_over))
      return false;
  return true;
}

static void show_line(run *r, copal_time began, uint64_t before, uint64_t now_answered)
{
  buf line = {0};
  load_progress p = {.seconds = (double)(session_now() - began) / 1e6,
                     .per_second =
                         (double)(now_answered - before) / ((double)LOOK_EVERY / COPAL_SECOND),
                     .answered = now_answered};
  for (uint32_t i = 0; i < r->count; i++)
    p.faults += runner_faults(r->seats[i].runner);
  buf_text(&line, "\r\033[K");
  /* The last column would make some terminals begin another line. */
  show_progress(&p, style_for(STDERR_FILENO, r->args->color).width - 1, &line);
  run_write(STDERR_FILENO, buf_span(&line));
  buf_wipe(&line);
  r->is_line_shown = true;
}

static void clear_line(run *r)
{
  if (r->is_line_shown)
    run_write(STDERR_FILENO, copal_span_str("\r\033[K"));
  r->is_line_shown = false;
}

/* Waits until `limit`, or until all is over or interrupted. */
static void watch(run *r, copal_time began, copal_time limit)
{
  const char *term = getenv("TERM");
  const bool is_shown =
      isatty(STDERR_FILENO) && !r->args->silent && term != NULL && strcmp(term, "dumb") != 0;
  while (!is_over(r) && !session_is_interrupted()) {
    const uint64_t before = answered(r);
    const copal_time now = session_now();
    if (now >= limit)
      return;
    const copal_time left = limit - now;
    const copal_time pause = left < LOOK_EVERY ? left : LOOK_EVERY;
    session_sleep((copal_dur)pause);
    if (is_shown && pause == LOOK_EVERY)
      show_line(r, began, before, answered(r));
  }
}

static uint64_t cpu_now(const run *r)
{
  uint64_t ns = 0;
  if (r->plan.pid > 0 && gauge_cpu(r->plan.pid, &ns) < 0)
    return 0;
  return ns;
}

static load_window window_from(const load_plan *p, copal_time now)
{
  if (p->requests > 0)
    return (load_window){now, COPAL_NEVER};
  return (load_window){now + p->warmup, now + p->warmup + p->duration};
}

static status start(run *r, load_window window)
{
  for (uint32_t i = 0; i < r->count; i++) {
    seat *s = &r->seats[i];
    s->window = window;
    const int rc = pthread_create(&s->thread, NULL, seat_main, s);
    if (rc != 0) {
      for (uint32_t k = 0; k < i; k++) {
        runner_stop(r->seats[k].runner);
        pthread_join(r->seats[k].thread, NULL);
      }
      return fail(r, STATUS_INTERNAL, "cannot start a thread", strerror(rc));
    }
  }
  return STATUS_OK;
}

/* The measured part ends with its window, with the last answer, or when interrupted. */
static void note_end(run *r, load_window window)
{
  copal_time last = 0;
  for (uint32_t i = 0; i < r->count; i++)
    if (r->seats[i].runner->last_answer > last)
      last = r->seats[i].runner->last_answer;
  if (window.end != COPAL_NEVER && r->ended > window.end)
    r->ended = window.end;
  if (window.end == COPAL_NEVER && last > window.begin)
    r->ended = last;
  if (r->ended < window.begin)
    r->ended = window.begin;
}

static status measure(run *r)
{
  /* A schedule begins when the threads are there. */
  const copal_time now = session_now() + (r->plan.rate > 0 ? START_AFTER : 0);
  const load_window window = window_from(&r->plan, now);
  const status s = start(r, window);
  if (s != STATUS_OK)
    return s;
  watch(r, now, window.begin);
  const uint64_t cpu = cpu_now(r);
  r->began = window.begin;
  watch(r, now, window.end);
  const uint64_t cpu_after = cpu_now(r);
  r->cpu_ns = cpu_after > cpu ? cpu_after - cpu : 0; /* it may have ended meanwhile */
  r->ended = session_now();
  for (uint32_t i = 0; i < r->count; i++)
    if (window.end == COPAL_NEVER || session_is_interrupted())
      runner_stop(r->seats[i].runner);
  for (uint32_t i = 0; i < r->count; i++)
    pthread_join(r->seats[i].thread, NULL);
  clear_line(r);
  note_end(r, window);
  return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------
 * telling */

static load_outcome outcome_of(const run *r)
{
  return (load_outcome){.args = r->args,
                        .plan = &r->plan,
                        .account = &r->account,
                        .elapsed = r->ended - r->began,
                        .cpu_ns = r->cpu_ns,
                        .has_cpu = r->plan.pid > 0 && r->cpu_ns > 0,
                        .result = r->result,
                        .error = r->error.len > 0 ? buf_str(&r->error) : NULL,
                        .is_planned = r->is_planned};
}

static status print(const run *r, void (*show)(const load_outcome *o, buf *out))
{
  const load_outcome o = outcome_of(r);
  buf out = {0};
  show(&o, &out);
  const status result = run_print(r->args, &out);
  buf_wipe(&out);
  return result;
}

static void print_figures(const load_outcome *o, buf *out)
{
  const style s = style_for(STDOUT_FILENO, o->args->color);
  show_outcome(o, &s, out);
}

/* The worst of what happened. */
static status judge(const run *r)
{
  const account *a = &r->account;
  if (wrongs_sum(&a->wrong) > 0 || a->incomplete > 0)
    return STATUS_RESPONSE;
  if (a->refusals > 0)
    return STATUS_NOT_OBSERVED;
  if (a->resets > 0)
    return STATUS_RESET;
  if (a->refused > 0)
    return STATUS_UNREACHABLE;
  return a->timeouts > 0 || a->unanswered > 0 || a->answered == 0 ? STATUS_TIMEOUT : STATUS_OK;
}

/* JSON is told whatever happened, figures only if there are some. */
static status tell(run *r)
{
  if (r->args->json)
    return print(r, show_json);
  return r->is_measured ? print(r, print_figures) : STATUS_OK;
}

static status conclude(run *r, status s)
{
  for (uint32_t i = 0; i < r->count; i++)
    account_merge(&r->account, &r->seats[i].runner->account);
  r->is_measured = r->count > 0 && (s == STATUS_OK || s == STATUS_NOT_OBSERVED);
  r->result = r->is_measured ? judge(r) : s;
  if (r->result == STATUS_OK)
    r->result = s;
  const status told = tell(r);
  return told == STATUS_OK ? r->result : told;
}

status run_load(const args *a)
{
  run r = {.args = a};
  session_catch_interrupt();
  status s = plan(&r);
  if (s == STATUS_OK && !a->json && !a->silent)
    s = print(&r, show_plan);
  if (s == STATUS_OK)
    s = open_runners(&r);
  if (s == STATUS_OK)
    s = measure(&r);
  s = conclude(&r, s);
  for (uint32_t i = 0; i < r.count; i++)
    r.seats[i].runner->close(r.seats[i].runner);
  free(r.seats);
  buf_wipe(&r.expected);
  buf_wipe(&r.error);
  job_wipe(&r.job);
  return s;
}
