/* SPDX-License-Identifier: Apache-2.0 */
/* A finished request as a JSON object, and as a --write-out line. */
#include <string.h>

#include "cmd/copal/body.h"
#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/report.h"
#include "copal/cursor.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "transport/udp.h"

enum { LOCATION_MAX = 8192 };

static double ms(copal_dur d)
{
  return (double)d / 1000;
}

static bool has_response(const report *r)
{
  return r->result->outcome == TRANSFER_RESPONSE;
}

static void put_hex(copal_span bytes, buf *out)
{
  for (size_t i = 0; i < bytes.len; i++)
    buf_print(out, "%02x", bytes.ptr[i]);
}

/* Path and query of the resource created: RFC 7252 section 5.10.7. */
static void put_location(const reply *r, buf *out)
{
  uint8_t room[LOCATION_MAX];
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  copal_span value;
  if (!copal_opt_find(r->msg.options, COPAL_OPT_LOCATION_PATH, &value) &&
      !copal_opt_find(r->msg.options, COPAL_OPT_LOCATION_QUERY, &value))
    return;
  if (copal_uri_path_from_options(r->msg.options, COPAL_OPT_LOCATION_PATH, COPAL_OPT_LOCATION_QUERY,
                                  &w) == 0)
    buf_put_span(out, copal_wr_done(&w));
}

static void put_option_value(const copal_opt *opt, buf *out)
{
  copal_opt_def def;
  uint32_t v;
  buf text = {0};
  const bool is_known = copal_opt_def_find(opt->number, &def);
  json_element(out);
  if (is_known && def.format == COPAL_OPT_EMPTY && opt->value.len == 0) {
    buf_text(out, "true");
  } else if (is_known && def.format == COPAL_OPT_UINT && copal_opt_uint(opt->value, &v) == 0) {
    buf_print(out, "%u", (unsigned)v);
  } else if (is_known && def.format == COPAL_OPT_STRING) {
    json_quote(out, opt->value);
  } else {
    buf_text(&text, "0x");
    put_hex(opt->value, &text);
    json_quote(out, buf_span(&text));
  }
  buf_wipe(&text);
}

/* {"ETag": ["0x8f"], "Max-Age": 60}: options that may be repeated, and unknown ones, are arrays. */
static void put_options(copal_span options, buf *out)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  copal_opt opt;
  uint32_t open = UINT32_MAX; /* number of the option whose array is open */
  buf_char(out, '{');
  while (copal_opt_next(&it, &opt)) {
    copal_opt_def def;
    const bool is_list = !copal_opt_def_find(opt.number, &def) || def.repeatable;
    if (opt.number != open) {
      buf name = {0};
      if (open != UINT32_MAX)
        buf_char(out, ']');
      open = is_list ? opt.number : UINT32_MAX;
      option_name(opt.number, &name);
      json_key(out, buf_str(&name));
      buf_text(out, is_list ? "[" : "");
      buf_wipe(&name);
    }
    put_option_value(&opt, out);
  }
  buf_text(out, open != UINT32_MAX ? "]}" : "}");
}

void report_response_json(const report *r, buf *out)
{
  const reply *got = &r->result->reply;
  const char *name = copal_code_name(got->msg.code);
  buf text = {0};
  report_code(got->msg.code, false, &text);
  json_member_text(out, "code", buf_str(&text));
  if (name)
    json_member_text(out, "code_name", name);
  text.len = 0;
  put_hex(got->msg.token, &text);
  json_member_text(out, "token", text.len > 0 ? buf_str(&text) : "");
  json_key(out, "options");
  put_options(got->msg.options, out);
  const int32_t cf = report_content_format(got);
  if (cf != MEDIA_NONE) {
    text.len = 0;
    media_name((uint32_t)cf, &text);
    json_member_text(out, "content_format", buf_str(&text));
  }
  if (r->result->body.len > 0)
    body_json(cf, buf_span(&r->result->body), out);
  buf_wipe(&text);
}

void report_json(const report *r, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE] = "";
  buf object = {0};
  buf_char(&object, '{');
  json_member_text(&object, "url", r->target->text);
  json_member_text(&object, "method", copal_code_name(args_code(r->args)));
  if (r->path) {
    udp_addr_format(has_response(r) ? &r->result->reply.from.remote : &r->path->remote, peer);
    json_member_text(&object, "peer", peer);
  }
  json_member_uint(&object, "status", r->status);
  if (r->error.len > 0)
    json_member_text(&object, "error", buf_str(&r->error));
  json_member_real(&object, "time_ms", ms(r->result->total));
  json_member_uint(&object, "exchanges", r->result->exchanges);
  json_member_uint(&object, "retransmits", r->result->retransmits);
  if (has_response(r)) {
    json_member_real(&object, "rtt_ms", ms(r->result->reply.rtt));
    report_response_json(r, &object);
  }
  buf_text(&object, "}\n");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}

static void put_etag(const reply *r, buf *out)
{
  copal_span value;
  if (copal_opt_find(r->msg.options, COPAL_OPT_ETAG, &value))
    put_hex(value, out);
}

static void put_media(const reply *r, buf *out)
{
  const int32_t cf = report_content_format(r);
  if (cf != MEDIA_NONE)
    media_name((uint32_t)cf, out);
}

/* Variables that only a response has. */
static bool put_response_variable(const report *r, const char *name, buf *out)
{
  const reply *got = &r->result->reply;
  if (strcmp(name, "code") == 0)
    report_code(got->msg.code, false, out);
  else if (strcmp(name, "code_name") == 0)
    buf_text(out, copal_code_name(got->msg.code) ? copal_code_name(got->msg.code) : "");
  else if (strcmp(name, "content_format") == 0)
    put_media(got, out);
  else if (strcmp(name, "etag") == 0)
    put_etag(got, out);
  else if (strcmp(name, "location") == 0)
    put_location(got, out);
  else if (strcmp(name, "token") == 0)
    put_hex(got->msg.token, out);
  else if (strcmp(name, "time_rtt") == 0)
    buf_print(out, "%.6f", (double)got->rtt / 1e6);
  else
    return false;
  return true;
}

static bool put_variable(const report *r, const char *name, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE] = "";
  if (strcmp(name, "exit_status") == 0)
    buf_print(out, "%d", (int)r->status);
  else if (strcmp(name, "error") == 0)
    buf_put_span(out, buf_span(&r->error));
  else if (strcmp(name, "exchanges") == 0)
    buf_print(out, "%u", r->result->exchanges);
  else if (strcmp(name, "method") == 0)
    buf_text(out, copal_code_name(args_code(r->args)));
  else if (strcmp(name, "retransmits") == 0)
    buf_print(out, "%u", r->result->retransmits);
  else if (strcmp(name, "size_download") == 0)
    buf_print(out, "%zu", r->result->size);
  else if (strcmp(name, "size_upload") == 0)
    buf_print(out, "%zu", r->upload_size);
  else if (strcmp(name, "time_total") == 0)
    buf_print(out, "%.6f", (double)r->result->total / 1e6);
  else if (strcmp(name, "url") == 0)
    buf_text(out, r->target->text);
  else if (strcmp(name, "peer") == 0 && r->path) {
    udp_addr_format(&r->path->remote, peer);
    buf_text(out, peer);
  } else {
    return false;
  }
  return true;
}

static bool is_response_variable(const char *name)
{
  static const char *const names[] = {"code",     "code_name", "content_format", "etag",
                                      "location", "token",     "time_rtt"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

/* Fills one "%{name}" in; returns the bytes it takes in the format. */
static size_t expand(const report *r, const char *format, buf *out)
{
  const size_t len = strcspn(format + 2, "}");
  char name[32] = "";
  if (format[2 + len] == '}' && len < sizeof name)
    memcpy(name, format + 2, len);
  if (is_response_variable(name)) {
    /* Without a response a variable is empty, "0.00" stands for the code as curl's 000 does. */
    if (has_response(r))
      put_response_variable(r, name, out);
    else if (strcmp(name, "code") == 0)
      buf_text(out, "0.00");
  } else if (!put_variable(r, name, out)) {
    buf_text(out, "%{");
    return 2;
  }
  return len + 3;
}

static char escaped(char c)
{
  switch (c) {
  case 'n': return '\n';
  case 't': return '\t';
  case 'r': return '\r';
  default: return c;
  }
}

void report_write_out(const report *r, const char *format, buf *out)
{
  while (*format) {
    if (format[0] == '%' && format[1] == '{') {
      format += expand(r, format, out);
    } else if (format[0] == '%' && format[1] == '%') {
      buf_char(out, '%');
      format += 2;
    } else if (format[0] == '\\' && format[1] != '\0') {
      buf_char(out, escaped(format[1]));
      format += 2;
    } else {
      buf_char(out, *format++);
    }
  }
}
