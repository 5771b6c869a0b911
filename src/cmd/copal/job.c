/* SPDX-License-Identifier: Apache-2.0 */
/* A whole request: from the command line to its result. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/run.h"
#include "cmd/copal/secrets.h"
#include "copal/error.h"
#include "copal/params.h"
#include "copal/registry.h"
#include "transport/udp.h"

enum {
  BODY_MAX = 1 << 30, /* 2^20 blocks of 1024 bytes, RFC 7959 section 2.2 */
  CHUNK = 16384,
  PROBING_RATE = 1200,  /* bytes per second: a full datagram each second, RFC 7252 section 4.7 */
  NO_RESPONSE_ALL = 26, /* RFC 7967 section 2.1 */
};

/* How long an error is waited for that a server would send although other responses are not
 * wanted. RFC 7967 section 2.1 leaves it to the application. */
#define NO_RESPONSE_WAIT COPAL_SECOND

/* Between attempts that nothing slows down, so that PROBING_RATE lets the next one leave. */
#define RETRY_PAUSE COPAL_SECOND

void run_complain(const args *a, const buf *message)
{
  buf line = {0};
  if (a && a->silent)
    return;
  buf_print(&line, "copal: %s\n", buf_str(message));
  run_write(STDERR_FILENO, buf_span(&line));
  buf_wipe(&line);
}

int run_write(int fd, copal_span bytes)
{
  while (bytes.len > 0) {
    const ssize_t n = write(fd, bytes.ptr, bytes.len);
    if (n < 0 && errno != EINTR)
      return -1;
    if (n > 0)
      bytes = copal_span_of(bytes.ptr + n, bytes.len - (size_t)n);
  }
  return 0;
}

status run_print(const args *a, const buf *out)
{
  buf message = {0};
  if (run_write(STDOUT_FILENO, buf_span(out)) == 0)
    return STATUS_OK;
  if (errno == EPIPE) /* who reads it has had enough, as SIGPIPE would say */
    return STATUS_INTERNAL;
  buf_print(&message, "cannot write standard output: %s", strerror(errno));
  run_complain(a, &message);
  buf_wipe(&message);
  return STATUS_INTERNAL;
}

static int read_all(int fd, buf *out)
{
  char chunk[CHUNK];
  for (;;) {
    const ssize_t n = read(fd, chunk, sizeof chunk);
    if (n == 0)
      return 0;
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -1;
    buf_put(out, chunk, (size_t)n);
    if (out->len > BODY_MAX) {
      errno = EFBIG;
      return -1;
    }
  }
}

status run_read_data(const char *data, buf *out, buf *err)
{
  const bool is_stdin = strcmp(data, "-") == 0 || strcmp(data, "@-") == 0;
  if (!is_stdin && data[0] != '@') {
    buf_text(out, data);
    return STATUS_OK;
  }
  const int fd = is_stdin ? STDIN_FILENO : open(data + 1, O_RDONLY | O_CLOEXEC);
  const int result = fd < 0 ? -1 : read_all(fd, out);
  if (result != 0)
    buf_print(err, "cannot read %s: %s", is_stdin ? "standard input" : data + 1, strerror(errno));
  if (fd >= 0 && !is_stdin)
    close(fd);
  return result == 0 ? STATUS_OK : STATUS_INTERNAL;
}

copal_params run_params(const args *a)
{
  copal_params p = copal_params_default();
  p.probing_rate = PROBING_RATE;
  if (a->is_qblock) { /* sets are paced by RFC 9177 section 7.2 instead */
    p.nstart = UINT8_MAX;
    p.probing_rate = 0;
  }
  if (a->block_window > p.nstart)
    p.nstart = a->block_window; /* the user answers for the path: RFC 7252 section 4.7 */
  if (a->ack_timeout > 0) {
    p.ack_timeout = a->ack_timeout;
    p.processing_delay = a->ack_timeout;
    if (p.ack_delay >= p.ack_timeout)
      p.ack_delay = p.ack_timeout / 2;
  }
  if (a->has_max_retransmit)
    p.max_retransmit = (uint8_t)a->max_retransmit;
  return p;
}

status run_open_session(const args *a, trace *t, session **s)
{
  buf message = {0};
  dtls_credentials *credentials = NULL;
  const bool is_secure = secrets_server() != NULL;
  if (is_secure && secrets_open(a, &credentials, &message) != STATUS_OK) {
    run_complain(a, &message);
    buf_wipe(&message);
    return STATUS_USAGE;
  }
  *t = (trace){.style = style_for(STDERR_FILENO, a->color), .start = session_now()};
  const session_cfg cfg = {.params = run_params(a),
                           .token_cap = (uint16_t)a->token.len,
                           .has_qblock = a->is_qblock,
                           .credentials = credentials,
                           .server_name = secrets_server(),
                           .trace = a->verbose ? t : NULL,
                           .hops = a->hops};
  if (copal_params_check(&cfg.params) != COPAL_OK) {
    buf_text(&message, "--ack-timeout and --max-retransmit together take longer than an hour");
    run_complain(a, &message);
    buf_wipe(&message);
    return STATUS_USAGE;
  }
  const int e = session_open(&cfg, s);
  if (e == 0)
    return STATUS_OK;
  buf_print(&message, "cannot open a socket: %s", strerror(-e));
  run_complain(a, &message);
  buf_wipe(&message);
  return STATUS_INTERNAL;
}

status job_prepare(job *j, const args *a, const char *uri)
{
  buf err = {0};
  status s = target_parse(&j->target, uri, &err);
  if (s == STATUS_OK)
    s = target_options(&j->target, a, &j->options, &err);
  if (s == STATUS_OK && a->data)
    s = run_read_data(a->data, &j->body, &err);
  if (s == STATUS_OK)
    s = target_resolve(&j->target, a, &err);
  if (s == STATUS_OK)
    target_authority(&j->target, a, &j->options);
  if (s != STATUS_OK)
    run_complain(a, &err);
  buf_wipe(&err);
  return s;
}

/* With all responses unwanted a Non-confirmable request is over once it is sent, a Confirmable one
 * once it is acknowledged. RFC 7967 section 2. */
static session_wait what_to_wait_for(const args *a, copal_type type)
{
  if ((a->no_response & NO_RESPONSE_ALL) != NO_RESPONSE_ALL)
    return SESSION_WAIT_RESPONSE;
  return type == COPAL_CON ? SESSION_WAIT_ACK : SESSION_WAIT_NOTHING;
}

transfer job_transfer(const job *j, const args *a, const copal_path *path)
{
  const bool is_group = (path->flags & COPAL_PATH_GROUP) != 0; /* RFC 7252 section 8.1 */
  const bool is_non = a->is_non || is_group || (a->no_response != 0 && !a->is_con);
  transfer t = {
      .path = path,
      .type = is_non ? COPAL_NON : COPAL_CON,
      .code = args_code(a),
      .options = &j->options,
      .token = buf_span(&a->token),
      .has_token = a->has_token,
      .body = buf_span(&j->body),
      .szx = a->has_szx ? a->szx : COPAL_SZX_MAX,
      .has_szx = a->has_szx,
      .window = a->block_window,
      .is_qblock = a->is_qblock,
      .non_timeout = a->ack_timeout,
      .timeout = a->timeout,
  };
  t.wait = what_to_wait_for(a, t.type);
  if (a->no_response != 0 && t.wait == SESSION_WAIT_RESPONSE && t.timeout == 0)
    t.timeout = NO_RESPONSE_WAIT;
  return t;
}

/* Silence is what --no-response asked for. */
static void accept_silence(const args *a, transfer_result *r)
{
  if (a->no_response != 0 && r->outcome == TRANSFER_TIMEOUT)
    r->outcome = TRANSFER_SILENT;
}

static void say_next_address(const job *j, const args *a)
{
  buf message = {0};
  if (a->verbose) {
    report_error(&j->result, &j->target, j->path, &message);
    buf_text(&message, "; trying the next address");
    run_complain(a, &message);
  }
  buf_wipe(&message);
}

bool job_is_group(const job *j)
{
  return target_is_group(&j->target);
}

static bool wants_file(const args *a)
{
  return a->output && strcmp(a->output, "-") != 0;
}

/* One transfer with all that watches it. */
static void run_transfer(job *j, const args *a, session *s)
{
  transfer t = job_transfer(j, a, j->path);
  buf etag = {0};
  t.monitor = &j->progress.monitor;
  if (wants_file(a))
    t.sink = &j->download.sink;
  if (a->is_continue && download_find(&j->download, &t.resume_at, &etag))
    t.resume_etag = buf_span(&etag);
  else
    t.resume_at = 0;
  transfer_result_wipe(&j->result);
  transfer_run(s, &t, &j->result);
  progress_clear(&j->progress);
  buf_wipe(&etag);
}

static void attempt(job *j, const args *a, session *s)
{
  for (size_t i = 0; i < j->target.path_count; i++) {
    j->path = &j->target.paths[i];
    run_transfer(j, a, s);
    accept_silence(a, &j->result);
    if (j->result.outcome != TRANSFER_UNREACHABLE)
      return;
    if (i + 1 < j->target.path_count)
      say_next_address(j, a);
  }
}

/* The file gets its name, or what came is left for another attempt. */
static void settle_download(job *j)
{
  if (report_status(&j->result) != STATUS_OK) {
    j->is_kept = download_abandon(&j->download);
  } else if (download_finish(&j->download) != 0) {
    j->result.reply.errnum = errno;
    j->result.why = j->download.name;
    j->result.outcome = TRANSFER_STORE;
  }
}

status job_run(job *j, const args *a)
{
  session *s = NULL;
  progress_init(&j->progress, a);
  if (wants_file(a))
    download_init(&j->download, a->output);
  const status opened = run_open_session(a, &j->trace, &s);
  if (opened != STATUS_OK)
    return opened;
  attempt(j, a, s);
  for (uint32_t tries = 0; tries < a->retry && j->result.outcome == TRANSFER_TIMEOUT; tries++) {
    if (a->is_non)
      session_pause(s, RETRY_PAUSE);
    attempt(j, a, s);
  }
  session_close(s);
  if (wants_file(a))
    settle_download(j);
  return report_status(&j->result);
}

void job_report(const job *j, const args *a, report *r)
{
  *r = (report){.args = a,
                .target = &j->target,
                .result = &j->result,
                .path = j->path,
                .upload_size = j->body.len,
                .status = report_status(&j->result)};
  report_error(&j->result, &j->target, j->path, &r->error);
}

void job_wipe(job *j)
{
  target_wipe(&j->target);
  optset_wipe(&j->options);
  buf_wipe(&j->body);
  transfer_result_wipe(&j->result);
  if (j->download.name)
    download_wipe(&j->download);
}
