/* SPDX-License-Identifier: Apache-2.0 */
/* The command that lists the resources of a server, or finds servers. RFC 6690 section 4, RFC 7252
 * sections 7.2 and 8, RFC 7252 section 12.8 for the groups. */
#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/group.h"
#include "cmd/copal/links.h"
#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/run.h"
#include "cmd/copal/table.h"
#include "copal/registry.h"
#include "transport/udp.h"

/* All CoAP Nodes: RFC 7252 section 12.8. */
static const struct {
  int family;
  const char *uri;
} everyone[] = {{AF_INET, "coap://224.0.1.187"}, {AF_INET6, "coap://[ff02::fd]"}};
enum { EVERYONE_COUNT = sizeof everyone / sizeof everyone[0] };

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

static status complain(const args *a, const char *text)
{
  buf message = {0};
  buf_text(&message, text);
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
    result = complain(a, "the server's answer is not a link-format document");
  else if (a->json)
    buf_char(&out, '\n');
  if (result == STATUS_OK)
    result = run_print(a, &out);
  buf_wipe(&out);
  return result;
}

static status prepare(job *j, const args *a, const char *uri, size_t filters_from)
{
  const status s = job_prepare(j, a, uri);
  for (size_t i = filters_from; s == STATUS_OK && i < a->operand_count; i++)
    optset_add(&j->options, COPAL_OPT_URI_QUERY, copal_span_str(a->operands[i]));
  if (s == STATUS_OK)
    add_well_known(&j->target, &j->options);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * groups */

/* {"server": ..., "links": [...]}, or with "error" instead of links. */
static void put_server_json(const group_answer *answer, const char *server, buf *out)
{
  const transfer_result *r = &answer->result;
  buf object = {0};
  buf error = {0};
  buf_char(&object, '{');
  json_member_text(&object, "server", server);
  json_member_uint(&object, "status", report_status(r));
  json_member_real(&object, "rtt_ms", (double)r->reply.rtt / 1000);
  report_error(r, &answer->job->target, &r->reply.from, &error);
  if (error.len > 0) {
    json_member_text(&object, "error", buf_str(&error));
  } else {
    json_key(&object, "links");
    if (!links_json(buf_span(&r->body), &object))
      buf_text(&object, "null");
  }
  buf_text(&object, "}\n");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
  buf_wipe(&error);
}

static void put_server_rows(const args *a, const group_answer *answer, const char *server, table *t)
{
  const transfer_result *r = &answer->result;
  buf message = {0};
  report_error(r, &answer->job->target, &r->reply.from, &message);
  if (message.len == 0 && !links_merge(buf_span(&r->body), server, t))
    buf_text(&message, "the answer is not a link-format document");
  if (message.len > 0) {
    buf line = {0};
    buf_print(&line, "%s: %s", server, buf_str(&message));
    run_complain(a, &line);
    buf_wipe(&line);
  }
  buf_wipe(&message);
}

/* All answers as one table, or one JSON object for each server. */
static status print_servers(const args *a, const group *g)
{
  const style s = style_for(STDOUT_FILENO, a->color);
  buf out = {0};
  table t = table_init(LINKS_MERGED_COLUMNS);
  size_t count;
  const group_answer *answers = group_answers(g, &count);
  links_merge_head(&t);
  for (size_t i = 0; i < count; i++) {
    char server[UDP_ADDR_TEXT_SIZE];
    udp_addr_format(&answers[i].result.reply.from.remote, server);
    if (a->json)
      put_server_json(&answers[i], server, &out);
    else
      put_server_rows(a, &answers[i], server, &t);
  }
  if (!a->json && t.count > LINKS_MERGED_COLUMNS)
    table_print(&t, true, &s, &out);
  const status result = run_print(a, &out);
  table_wipe(&t);
  buf_wipe(&out);
  return result;
}

static status ask_groups(const args *a, const job *jobs, size_t count, session *s)
{
  group *g = group_open(s, a, NULL);
  status result = STATUS_OK;
  for (size_t i = 0; result == STATUS_OK && i < count; i++)
    result = group_ask(g, &jobs[i]);
  if (result == STATUS_OK)
    result = group_collect(g);
  const status printed = print_servers(a, g);
  group_close(g);
  return printed != STATUS_OK ? printed : result;
}

static status discover_groups(const args *a, job *jobs, size_t count)
{
  session *s = NULL;
  if (a->output || a->include) {
    complain(a, "--output and --include are for one server; use --json");
    return STATUS_USAGE;
  }
  status result = run_open_session(a, &jobs[0].trace, &s);
  if (result != STATUS_OK)
    return result;
  session_catch_interrupt();
  result = ask_groups(a, jobs, count, s);
  session_close(s);
  return result;
}

static status discover_everyone(const args *a)
{
  job jobs[EVERYONE_COUNT] = {0};
  size_t count = 0;
  status s = STATUS_OK;
  for (size_t i = 0; s == STATUS_OK && i < EVERYONE_COUNT; i++)
    if (a->family == AF_UNSPEC || a->family == everyone[i].family)
      s = prepare(&jobs[count++], a, everyone[i].uri, 0);
  if (s == STATUS_OK)
    s = discover_groups(a, jobs, count);
  for (size_t i = 0; i < count; i++)
    job_wipe(&jobs[i]);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 */

static status discover_server(const args *a)
{
  job j = {0};
  status s = prepare(&j, a, a->operands[0], 1);
  if (s == STATUS_OK && job_is_group(&j)) {
    s = discover_groups(a, &j, 1);
  } else if (s == STATUS_OK) {
    s = job_run(&j, a);
    if (s == STATUS_OK && (a->json || wants_table(a)))
      s = print_links(&j, a);
    else if (j.path)
      s = job_finish(&j, a);
  }
  job_wipe(&j);
  return s;
}

status run_discover(const args *a)
{
  const bool has_host = a->operand_count > 0 && !args_is_filter(a->operands[0]);
  return has_host ? discover_server(a) : discover_everyone(a);
}
