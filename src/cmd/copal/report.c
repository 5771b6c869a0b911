/* SPDX-License-Identifier: Apache-2.0 */
/* What is told about a finished request: exit status, message, headers. */
#include "cmd/copal/report.h"

#include <errno.h>
#include <string.h>

#include "cmd/copal/media.h"
#include "cmd/copal/problem.h"
#include "copal/registry.h"
#include "transport/udp.h"

status report_status(const transfer_result *r)
{
  switch (r->outcome) {
  case TRANSFER_SILENT: return STATUS_OK;
  case TRANSFER_TIMEOUT: return STATUS_TIMEOUT;
  case TRANSFER_RESET: return STATUS_RESET;
  case TRANSFER_UNREACHABLE: return STATUS_UNREACHABLE;
  case TRANSFER_INVALID:
  case TRANSFER_CHANGED: return STATUS_RESPONSE;
  case TRANSFER_STORE:
  case TRANSFER_FAILED:
  case TRANSFER_INTERRUPTED: return STATUS_INTERNAL;
  case TRANSFER_RESPONSE: break;
  }
  switch (copal_code_class(r->reply.msg.code)) {
  case COPAL_CLASS_SUCCESS: return STATUS_OK;
  case COPAL_CLASS_CLIENT_ERROR: return STATUS_CLIENT_ERROR;
  case COPAL_CLASS_SERVER_ERROR: return STATUS_SERVER_ERROR;
  default: return STATUS_RESPONSE;
  }
}

void report_code(copal_code code, bool with_name, buf *out)
{
  char dotted[5];
  const char *name = copal_code_name(code);
  copal_code_format(code, dotted);
  buf_text(out, dotted);
  if (with_name && name)
    buf_print(out, " %s", name);
}

int32_t report_content_format(const reply *r)
{
  copal_span value;
  uint32_t cf;
  if (!copal_opt_find(r->msg.options, COPAL_OPT_CONTENT_FORMAT, &value) ||
      copal_opt_uint(value, &cf) != 0 || cf > UINT16_MAX)
    return MEDIA_NONE;
  return (int32_t)cf;
}

/* A diagnostic often begins with the name of the code, which need not be said twice. */
static const char *skip_name(const char *text, copal_code code)
{
  const char *name = copal_code_name(code);
  const size_t len = name ? strlen(name) : 0;
  if (len == 0 || strncmp(text, name, len) != 0)
    return text;
  if (strncmp(text + len, ": ", 2) == 0)
    return text + len + 2;
  return text[len] == '\0' ? text + len : text;
}

/* The diagnostic payload of an error response. RFC 7252 section 5.5.2, RFC 9290. */
static void put_diagnostic(const transfer_result *r, buf *out)
{
  const copal_span body = buf_span(&r->body);
  const int32_t cf = report_content_format(&r->reply);
  buf text = {0};
  if (cf == COPAL_CF_PROBLEM_DETAILS)
    problem_print(body, &text);
  else if ((cf == MEDIA_NONE || cf == COPAL_CF_TEXT_PLAIN) && safe_is_text(body))
    safe_line(&text, body);
  const char *rest = skip_name(buf_str(&text), r->reply.msg.code);
  if (*rest != '\0')
    buf_print(out, ": %s", rest);
  buf_wipe(&text);
}

/* Seconds the server asks to wait: RFC 7252 section 5.9.3.4, RFC 8516 section 3. */
static void put_patience(const reply *r, buf *out)
{
  copal_span value;
  uint32_t seconds;
  if (r->msg.code != COPAL_CODE_SERVICE_UNAVAILABLE && r->msg.code != COPAL_CODE_TOO_MANY_REQUESTS)
    return;
  if (copal_opt_find(r->msg.options, COPAL_OPT_MAX_AGE, &value) &&
      copal_opt_uint(value, &seconds) == 0)
    buf_print(out, " (try again in %u s)", (unsigned)seconds);
}

/* The largest body the server takes, unless it says so itself: RFC 7252 section 5.9.2.9. */
static void put_size_limit(const reply *r, buf *out)
{
  copal_span value;
  uint32_t size;
  if (r->msg.payload.len == 0 && r->msg.code == COPAL_CODE_REQUEST_ENTITY_TOO_LARGE &&
      copal_opt_find(r->msg.options, COPAL_OPT_SIZE1, &value) && copal_opt_uint(value, &size) == 0)
    buf_print(out, " (at most %u bytes)", (unsigned)size);
}

static void put_timeout(const transfer_result *r, const char *peer, buf *out)
{
  buf_print(out, "%s: no %s within %.1f s", peer, r->exchanges > 1 ? "further answer" : "answer",
            (double)r->total / 1e6);
  if (r->retransmits > 0)
    buf_print(out, ", %u retransmission%s", r->retransmits, r->retransmits > 1 ? "s" : "");
}

static const char *network_error(int errnum)
{
  if (errnum == EPROTO)
    return session_why();
  return errnum == ECONNREFUSED ? "refused, no CoAP server listens there" : strerror(errnum);
}

void report_error(const transfer_result *r, const target *t, const copal_path *path, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE];
  udp_addr_format(&path->remote, peer);
  switch (r->outcome) {
  case TRANSFER_SILENT: return;
  case TRANSFER_TIMEOUT: put_timeout(r, peer, out); return;
  case TRANSFER_RESET: buf_print(out, "%s: the server reset the request", peer); return;
  case TRANSFER_UNREACHABLE:
    buf_print(out, "%s: %s%s", peer, r->reply.errnum == EPROTO ? "DTLS handshake failed: " : "",
              network_error(r->reply.errnum));
    return;
  case TRANSFER_INVALID: buf_print(out, "%s: invalid response: %s", peer, r->why); return;
  case TRANSFER_CHANGED: buf_print(out, "%s: changed while it was read", t->text); return;
  case TRANSFER_STORE:
    buf_print(out, "cannot write %s: %s", r->why, strerror(r->reply.errnum));
    return;
  case TRANSFER_FAILED: buf_print(out, "%s: cannot send: %s", t->text, r->why); return;
  case TRANSFER_INTERRUPTED: buf_text(out, "interrupted"); return;
  case TRANSFER_RESPONSE: break;
  }
  if (copal_code_class(r->reply.msg.code) == COPAL_CLASS_SUCCESS)
    return;
  report_code(r->reply.msg.code, true, out);
  put_diagnostic(r, out);
  put_patience(&r->reply, out);
  put_size_limit(&r->reply, out);
}

void report_headers(const reply *r, const style *s, buf *out)
{
  buf code = {0};
  report_code(r->msg.code, true, &code);
  const bool is_error = copal_code_class(r->msg.code) != COPAL_CLASS_SUCCESS;
  style_put(s, out, is_error ? INK_BAD : INK_GOOD, buf_span(&code));
  buf_char(out, '\n');
  buf_wipe(&code);
  copal_opt_iter it = copal_opt_iter_init(r->msg.options);
  copal_opt opt;
  while (copal_opt_next(&it, &opt)) {
    buf name = {0};
    option_name(opt.number, &name);
    style_put(s, out, INK_KEY, buf_span(&name));
    buf_text(out, ": ");
    option_value(&opt, out);
    buf_char(out, '\n');
    buf_wipe(&name);
  }
}
