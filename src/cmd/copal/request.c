/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that send one request: get, put, post, delete, fetch, patch, ipatch. */
#include <string.h>
#include <unistd.h>

#include "cmd/copal/body.h"
#include "cmd/copal/group.h"
#include "cmd/copal/media.h"
#include "cmd/copal/run.h"
#include "copal/registry.h"

bool run_is_pretty(const args *a)
{
  return a->pretty || (!a->no_pretty && !a->output && isatty(STDOUT_FILENO));
}

static status print_success(const job *j, const args *a, const style *s)
{
  const transfer_result *r = &j->result; /* without body when that went into a file */
  const bool pretty = run_is_pretty(a);
  buf out = {0};
  if (a->include) {
    report_headers(&r->reply, s, &out);
    buf_char(&out, '\n');
  } else if (pretty && r->body.len == 0 && !a->silent) {
    /* Nothing goes into a pipe, but a person wants to see that it worked. */
    report_headers(&r->reply, s, &out);
  }
  if (pretty)
    body_print(report_content_format(&r->reply), buf_span(&r->body), s, &out);
  else
    buf_put_span(&out, buf_span(&r->body));
  const status written = run_print(a, &out);
  buf_wipe(&out);
  return written;
}

void run_complain_body(const transfer_result *r, const args *a)
{
  const int32_t cf = report_content_format(&r->reply);
  const copal_span body = buf_span(&r->body);
  const style s = style_for(STDERR_FILENO, a->color);
  buf out = {0};
  const bool is_in_message =
      cf == COPAL_CF_PROBLEM_DETAILS ||
      ((cf == MEDIA_NONE || cf == COPAL_CF_TEXT_PLAIN) && safe_is_text(body));
  if (!is_in_message && !a->silent)
    body_print(cf, body, &s, &out);
  run_write(STDERR_FILENO, buf_span(&out));
  buf_wipe(&out);
}

static void complain_part(const job *j, const args *a)
{
  buf message = {0};
  if (!j->is_kept)
    return;
  buf_print(&message, "what came is in %s.part; --continue goes on from there", a->output);
  run_complain(a, &message);
  buf_wipe(&message);
}

static status print_failure(const job *j, const args *a, const style *s, const report *r)
{
  status result = STATUS_OK;
  const bool has_response = j->result.outcome == TRANSFER_RESPONSE;
  if (a->include && has_response) {
    buf out = {0};
    report_headers(&j->result.reply, s, &out);
    result = run_print(a, &out);
    buf_wipe(&out);
  }
  run_complain(a, &r->error);
  if (has_response)
    run_complain_body(&j->result, a);
  complain_part(j, a);
  return result;
}

static status print_write_out(const args *a, const report *r)
{
  buf out = {0};
  report_write_out(r, a->write_out, &out);
  const status result = run_print(a, &out);
  buf_wipe(&out);
  return result;
}

static status print_json(const args *a, const report *r)
{
  buf out = {0};
  report_json(r, &out);
  const status result = run_print(a, &out);
  buf_wipe(&out);
  return result;
}

status job_finish(const job *j, const args *a)
{
  const style s = style_for(STDOUT_FILENO, a->color);
  report r;
  status result = STATUS_OK;
  job_report(j, a, &r);
  if (a->json) {
    result = print_json(a, &r);
    if (r.error.len > 0)
      run_complain(a, &r.error);
  } else if (r.status != STATUS_OK) {
    result = print_failure(j, a, &s, &r);
  } else if (j->result.outcome == TRANSFER_RESPONSE) {
    result = print_success(j, a, &s);
  }
  if (a->write_out && result == STATUS_OK)
    result = print_write_out(a, &r);
  buf_wipe(&r.error);
  return result != STATUS_OK ? result : r.status;
}

status run_request(const args *a)
{
  job j = {0};
  status s = job_prepare(&j, a, a->operands[0]);
  if (s == STATUS_OK && job_is_group(&j)) {
    s = group_run(&j, a);
  } else if (s == STATUS_OK) {
    s = job_run(&j, a);
    if (j.path)
      s = job_finish(&j, a);
  }
  job_wipe(&j);
  return s;
}
