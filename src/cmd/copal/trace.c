/* SPDX-License-Identifier: Apache-2.0 */
/* Shows messages as they go over the wire, for --verbose. */
#include "cmd/copal/trace.h"

#include "cmd/copal/optset.h"
#include "copal/error.h"
#include "copal/msg.h"
#include "transport/udp.h"

enum { PAYLOAD_SHOWN_MAX = 64 };

static const char *type_name(copal_type type)
{
  static const char *const names[] = {"CON", "NON", "ACK", "RST"};
  return names[type & 3];
}

static void put_code(const trace *t, copal_code code, buf *out)
{
  char dotted[5];
  const char *name = copal_code_name(code);
  buf text = {0};
  copal_code_format(code, dotted);
  if (!copal_code_is_request(code) || !name)
    buf_print(&text, "%s%s", dotted, name ? " " : "");
  if (name)
    buf_text(&text, name);
  style_put(&t->style, out, copal_code_class(code) >= COPAL_CLASS_CLIENT_ERROR ? INK_BAD : INK_GOOD,
            buf_span(&text));
  buf_wipe(&text);
}

static void put_options(const trace *t, copal_span options, buf *out)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  copal_opt opt;
  while (copal_opt_next(&it, &opt)) {
    buf name = {0};
    buf value = {0};
    option_name(opt.number, &name);
    option_value(&opt, &value);
    buf_text(out, "          ");
    style_put(&t->style, out, INK_KEY, buf_span(&name));
    if (value.len > 0)
      buf_print(out, ": %s", buf_str(&value));
    buf_char(out, '\n');
    buf_wipe(&name);
    buf_wipe(&value);
  }
}

static void put_payload(const trace *t, copal_span payload, buf *out)
{
  buf text = {0};
  const copal_span shown =
      copal_span_of(payload.ptr, payload.len < PAYLOAD_SHOWN_MAX ? payload.len : PAYLOAD_SHOWN_MAX);
  if (payload.len == 0)
    return;
  buf_print(&text, "          payload, %zu bytes: ", payload.len);
  if (safe_is_text(shown)) {
    safe_line(&text, shown);
  } else {
    for (size_t i = 0; i < shown.len / 2; i++)
      buf_print(&text, "%02x", shown.ptr[i]);
  }
  if (payload.len > shown.len || (shown.len < payload.len * 2 && !safe_is_text(shown)))
    buf_text(&text, " ...");
  style_put(&t->style, out, INK_DIM, buf_span(&text));
  buf_char(out, '\n');
  buf_wipe(&text);
}

/* Times this Confirmable message was sent before. */
static unsigned count_sent(trace *t, const copal_msg *m)
{
  for (size_t i = 0; i < TRACE_SENT_MAX; i++)
    if (t->sent[i].count > 0 && t->sent[i].mid == m->mid)
      return t->sent[i].count++;
  t->sent[t->sent_at].mid = m->mid;
  t->sent[t->sent_at].count = 1;
  t->sent_at = (t->sent_at + 1) % TRACE_SENT_MAX;
  return 0;
}

static void put_message(trace *t, bool is_sent, const copal_msg *m, buf *out)
{
  buf_print(out, "%s ", type_name(m->type));
  put_code(t, m->code, out);
  buf_print(out, "  mid %u", m->mid);
  if (m->token.len > 0)
    buf_text(out, "  token ");
  for (size_t i = 0; i < m->token.len; i++)
    buf_print(out, "%02x", m->token.ptr[i]);
  if (is_sent && m->type == COPAL_CON) {
    const unsigned before = count_sent(t, m);
    if (before > 0)
      buf_print(out, "  (retransmission %u)", before);
  }
  buf_char(out, '\n');
  put_options(t, m->options, out);
  put_payload(t, m->payload, out);
}

void trace_datagram(trace *t, bool is_sent, const copal_path *path, copal_span bytes,
                    copal_time now, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE];
  buf head = {0};
  copal_msg m;
  const unsigned long ms = (unsigned long)((now - t->start) / 1000);
  udp_addr_format(&path->remote, peer);
  buf_print(&head, "%4lu.%03lu %c %s  ", ms / 1000, ms % 1000, is_sent ? '>' : '<', peer);
  style_put(&t->style, out, INK_DIM, buf_span(&head));
  buf_wipe(&head);
  const int e = copal_msg_parse(bytes, &m);
  if (e == COPAL_OK) {
    put_message(t, is_sent, &m, out);
    return;
  }
  buf_print(out, "not a CoAP message (%s)\n", copal_err_name(e));
  put_payload(t, bytes, out);
}
