/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of a load run look like. RFC 7252 section 3, RFC 7959. */
#include "cmd/copal/load/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "copal/block.h"
#include "copal/error.h"
#include "copal/registry.h"

enum { OPTIONS_MAX = 64, ROOM = 1024 };

/* Options of one request, and room for the values that are made for it. */
typedef struct draft {
  copal_opt opts[OPTIONS_MAX];
  uint8_t uints[OPTIONS_MAX][4];
  copal_opt_list list;
  char room[ROOM];
  size_t used;
} draft;

bool shape_mark(const char *uri, buf *out)
{
  bool has_mark = false;
  for (const char *p; (p = strstr(uri, "%d")) != NULL; uri = p + 2) {
    buf_put(out, uri, (size_t)(p - uri));
    buf_print(out, "%%%02d", SHAPE_MARK);
    has_mark = true;
  }
  buf_text(out, uri);
  return has_mark;
}

bool shape_is_blockwise(const shape *s, uint8_t szx)
{
  return s->body.len > copal_block_size(szx);
}

bool shape_fits(const shape *s, uint8_t szx)
{
  return s->body.len <= ((size_t)COPAL_BLOCK_NUM_MAX + 1) * copal_block_size(szx);
}

bool shape_is_last(const shape *s, const shape_call *c)
{
  return ((uint64_t)c->upload + 1) * copal_block_size(c->szx) >= s->body.len;
}

/* The value with the number in place of each mark. */
static int fill_in(draft *d, copal_span value, uint64_t number, copal_span *out)
{
  char *begin = d->room + d->used;
  size_t left = sizeof d->room - d->used, len = 0;
  for (size_t i = 0; i < value.len; i++) {
    const bool is_mark = value.ptr[i] == SHAPE_MARK;
    const int n = is_mark ? snprintf(begin + len, left - len, "%" PRIu64, number) : 1;
    if (n < 0 || (size_t)n >= left - len)
      return COPAL_ENOSPC;
    if (!is_mark)
      begin[len] = (char)value.ptr[i];
    len += (size_t)n;
  }
  *out = copal_span_of(begin, len);
  d->used += len;
  return COPAL_OK;
}

static int add_options(draft *d, const shape *s, uint64_t number)
{
  for (size_t i = 0; i < s->options->count; i++) {
    const copal_opt *opt = &s->options->opts[i];
    copal_span value = opt->value;
    const bool has_mark = value.len > 0 && memchr(value.ptr, SHAPE_MARK, value.len) != NULL;
    const int rc = has_mark ? fill_in(d, value, number, &value) : COPAL_OK;
    if (rc != COPAL_OK)
      return rc;
    copal_opt_list_add(&d->list, opt->number, value);
  }
  return d->list.err;
}

static void add_block(draft *d, uint16_t number, uint32_t num, bool more, uint8_t szx)
{
  const copal_block b = {.num = num, .more = more, .szx = szx};
  copal_opt_list_add_uint(&d->list, number, copal_block_value(b));
}

/* The part of the body that this request carries, and its Block1 option. */
static copal_span add_body(draft *d, const shape *s, const shape_call *c)
{
  if (!shape_is_blockwise(s, c->szx))
    return s->body;
  const size_t size = copal_block_size(c->szx), at = (size_t)c->upload * size;
  const bool is_last = shape_is_last(s, c);
  add_block(d, COPAL_OPT_BLOCK1, c->upload, !is_last, c->szx);
  copal_opt_list_add_uint(&d->list, COPAL_OPT_REQUEST_TAG, c->tag);
  if (c->upload == 0)
    copal_opt_list_add_uint(&d->list, COPAL_OPT_SIZE1, (uint32_t)s->body.len);
  return copal_span_of(s->body.ptr + at, is_last ? s->body.len - at : size);
}

int shape_put(const shape *s, const shape_call *c, copal_wr *w)
{
  draft d;
  uint8_t token[SHAPE_TOKEN_SIZE];
  d.list = copal_opt_list_init(d.opts, d.uints, OPTIONS_MAX);
  d.used = 0;
  const int rc = add_options(&d, s, c->number);
  if (rc != COPAL_OK)
    return rc;
  const bool asks_further = c->download > 0;
  if (asks_further || s->has_szx)
    add_block(&d, COPAL_OPT_BLOCK2, c->download, false, c->szx);
  /* The request for a further block of a response repeats no body (RFC 7959 section 3.3), but the
   * one that says what is fetched. */
  const bool has_body = !asks_further || s->code == COPAL_CODE_FETCH;
  const copal_span part = has_body ? add_body(&d, s, c) : copal_span_none();
  if (d.list.err != COPAL_OK)
    return d.list.err;
  memcpy(token, &c->token, sizeof token);
  const copal_msg m = {.type = s->type,
                       .code = s->code,
                       .mid = c->mid,
                       .token = copal_span_of(token, sizeof token),
                       .payload = part};
  return copal_msg_write(w, &m, d.list.opts, d.list.count);
}
