/* SPDX-License-Identifier: Apache-2.0 */
/* A payload as a person wants to see it. */
#include "cmd/copal/body.h"

#include "cmd/copal/cbor_diag.h"
#include "cmd/copal/links.h"
#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/problem.h"
#include "cmd/copal/senml.h"

enum { DUMP_ROW = 16 };

void body_hexdump(copal_span bytes, const style *s, buf *b)
{
  for (size_t at = 0; at < bytes.len; at += DUMP_ROW) {
    buf offset = {0};
    buf_print(&offset, "%08zx", at);
    style_put(s, b, INK_DIM, buf_span(&offset));
    buf_wipe(&offset);
    for (size_t i = 0; i < DUMP_ROW; i++) {
      buf_text(b, i % 8 == 0 ? "  " : " ");
      if (at + i < bytes.len)
        buf_print(b, "%02x", bytes.ptr[at + i]);
      else
        buf_text(b, "  ");
    }
    buf_text(b, "  |");
    for (size_t i = at; i < bytes.len && i < at + DUMP_ROW; i++)
      buf_char(b, bytes.ptr[i] >= 0x20 && bytes.ptr[i] < 0x7f ? (char)bytes.ptr[i] : '.');
    buf_text(b, "|\n");
  }
}

static bool print_json(copal_span payload, const style *s, buf *b)
{
  if (!json_is_valid(payload))
    return false;
  json_pretty(b, payload, s);
  return true;
}

static bool print_problem(copal_span payload, const style *s, buf *b)
{
  return problem_print(payload, b) || cbor_diag(payload, false, s, b);
}

/* False when the payload is not what its Content-Format says. */
static bool print_kind(media_kind kind, copal_span payload, const style *s, buf *b)
{
  switch (kind) {
  case MEDIA_BINARY: return false;
  case MEDIA_TEXT: return false;
  case MEDIA_JSON: return print_json(payload, s, b);
  case MEDIA_CBOR: return cbor_diag(payload, false, s, b);
  case MEDIA_CBOR_SEQ: return cbor_diag(payload, true, s, b);
  case MEDIA_LINKS: return links_print(payload, s, b);
  case MEDIA_SENML_JSON: return senml_print_json(payload, s, b) || print_json(payload, s, b);
  case MEDIA_SENML_CBOR: return senml_print_cbor(payload, s, b) || cbor_diag(payload, false, s, b);
  case MEDIA_PROBLEM: return print_problem(payload, s, b);
  }
  return false;
}

void body_print(int32_t cf, copal_span payload, const style *s, buf *b)
{
  const media_kind kind = media_kind_of(cf, payload);
  if (payload.len == 0)
    return;
  if (!print_kind(kind, payload, s, b)) {
    if (kind == MEDIA_TEXT || safe_is_text(payload))
      safe_text(b, payload);
    else
      body_hexdump(payload, s, b);
  }
  if (b->len > 0 && b->ptr[b->len - 1] != '\n')
    buf_char(b, '\n');
}

static void json_diag(media_kind kind, copal_span payload, buf *b)
{
  const style plain = {.width = SIZE_MAX};
  buf text = {0};
  if (cbor_diag(payload, kind == MEDIA_CBOR_SEQ, &plain, &text)) {
    json_key(b, "payload_diag");
    json_quote(b, buf_span(&text));
  }
  buf_wipe(&text);
}

void body_json(int32_t cf, copal_span payload, buf *b)
{
  const media_kind kind = media_kind_of(cf, payload);
  json_key(b, "payload");
  if ((kind == MEDIA_JSON || kind == MEDIA_SENML_JSON) && json_is_valid(payload)) {
    json_compact(b, payload);
    json_member_text(b, "payload_encoding", "json");
  } else if (safe_is_text(payload) && kind != MEDIA_CBOR && kind != MEDIA_SENML_CBOR) {
    json_quote(b, payload);
    json_member_text(b, "payload_encoding", "text");
  } else {
    buf_char(b, '"');
    base64_put(b, payload);
    buf_char(b, '"');
    json_member_text(b, "payload_encoding", "base64");
  }
  if (kind == MEDIA_CBOR || kind == MEDIA_CBOR_SEQ || kind == MEDIA_SENML_CBOR ||
      kind == MEDIA_PROBLEM)
    json_diag(kind, payload, b);
}
