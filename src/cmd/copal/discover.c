/* SPDX-License-Identifier: Apache-2.0 */
/* The command that lists the resources of a server. RFC 6690 section 4, RFC 7252 section 7.2. */
#include <string.h>
#include <unistd.h>

#include "cmd/copal/links.h"
#include "cmd/copal/media.h"
#include "cmd/copal/run.h"
#include "copal/registry.h"

/* A URI without path stands for its server. */
static void add_well_known(const target *t, optset *options)
{
  if (t->uri.path.len > 0 || optset_has(options, COPAL_OPT_URI_PATH))
    return;
  optset_add(options, COPAL_OPT_URI_PATH, copal_span_str(".well-known"));
  optset_add(options, COPAL_OPT_URI_PATH, copal_span_str("core"));
}

static bool wants_table(const args *a)
{
  return a->pretty || (!a->no_pretty && !a->output && !a->include && isatty(STDOUT_FILENO));
}

static status complain_malformed(const args *a)
{
  buf message = {0};
  buf_text(&message, "the server's answer is not a link-format document");
  run_complain(a, &message);
  buf_wipe(&message);
  return STATUS_RESPONSE;
}

static status print_links(const job *j, const args *a)
{
  const style s = style_for(STDOUT_FILENO, a->color);
  const copal_span document = buf_span(&j->result.body);
  buf out = {0};
  status result = STATUS_OK;
  if (!(a->json ? links_json(document, &out) : links_table(document, &s, &out)))
    result = complain_malformed(a);
  else if (a->json)
    buf_char(&out, '\n');
  if (result == STATUS_OK && run_write(STDOUT_FILENO, buf_span(&out)) != 0)
    result = STATUS_INTERNAL;
  buf_wipe(&out);
  return result;
}

status run_discover(const args *a)
{
  job j = {0};
  status s = job_prepare(&j, a, a->operands[0]);
  for (size_t i = 1; s == STATUS_OK && i < a->operand_count; i++)
    optset_add(&j.options, COPAL_OPT_URI_QUERY, copal_span_str(a->operands[i]));
  if (s == STATUS_OK) {
    add_well_known(&j.target, &j.options);
    s = job_run(&j, a);
    if (s == STATUS_OK && (a->json || wants_table(a)))
      s = print_links(&j, a);
    else if (j.path)
      s = job_finish(&j, a);
  }
  job_wipe(&j);
  return s;
}
