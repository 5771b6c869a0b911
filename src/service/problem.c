/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostic payloads and concise problem details. RFC 7252 section 5.5.2, RFC 9290 section 2. */
#include "service/problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "copal/registry.h"

enum {
  CBOR_NEGATIVE = 0x20, /* major types, RFC 8949 section 3.1 */
  CBOR_TEXT = 0x60,
  CBOR_MAP = 0xa0,
  CBOR_IN_HEAD = 24, /* arguments from here on need bytes of their own */
  KEY_TITLE = -1,    /* RFC 9290 section 2 */
  KEY_DETAIL = -2,
  KEY_RESPONSE_CODE = -4,
  DETAILS_SIZE = PROBLEM_DETAIL_SIZE + 96, /* of the whole map: title, keys and heads */
};

static void set_detail(problem *p, const char *format, va_list args)
{
  const int len = vsnprintf(p->detail, sizeof p->detail, format, args);
  if (len < (int)sizeof p->detail)
    return;
  /* Cut at the beginning of a character. */
  size_t end = sizeof p->detail - 1;
  while (end > 0 && ((uint8_t)p->detail[end - 1] & 0xc0) == 0x80)
    end--;
  if (end > 0 && ((uint8_t)p->detail[end - 1] & 0x80) != 0)
    p->detail[end - 1] = '\0';
}

void problem_set(problem *p, copal_code code, const char *format, ...)
{
  *p = (problem){.code = code};
  va_list args;
  va_start(args, format);
  set_detail(p, format, args);
  va_end(args);
}

void problem_set_too_large(problem *p, uint32_t limit)
{
  problem_set(p, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "Body too large: at most %u bytes",
              (unsigned)limit);
  p->has_size1 = true;
  p->size1 = limit;
}

void problem_set_unavailable(problem *p, uint32_t retry_s, const char *format, ...)
{
  *p = (problem){.code = COPAL_CODE_SERVICE_UNAVAILABLE, .has_retry = true, .retry_s = retry_s};
  va_list args;
  va_start(args, format);
  set_detail(p, format, args);
  va_end(args);
}

/* The head of a data item whose argument is below 65536. */
static void put_head(copal_wr *w, uint8_t major, uint32_t argument)
{
  if (argument < CBOR_IN_HEAD) {
    copal_wr_u8(w, (uint8_t)(major | argument));
    return;
  }
  const size_t width = argument <= 0xff ? 1 : 2;
  copal_wr_u8(w, (uint8_t)(major | (CBOR_IN_HEAD + width - 1)));
  copal_wr_be(w, argument, width);
}

static void put_key(copal_wr *w, int key)
{
  put_head(w, CBOR_NEGATIVE, (uint32_t)(-1 - key));
}

static void put_text(copal_wr *w, int key, const char *text)
{
  const copal_span s = copal_span_str(text);
  put_key(w, key);
  put_head(w, CBOR_TEXT, (uint32_t)s.len);
  copal_wr_span(w, s);
}

static void put_details(copal_wr *w, const problem *p)
{
  const char *title = copal_code_name(p->code);
  put_head(w, CBOR_MAP, title != NULL ? 3 : 2);
  if (title != NULL)
    put_text(w, KEY_TITLE, title);
  put_text(w, KEY_DETAIL, p->detail);
  put_key(w, KEY_RESPONSE_CODE);
  put_head(w, 0, p->code);
}

int problem_send(const problem *p, const reply *r)
{
  enum { OPT_COUNT = 3 };
  copal_opt opts[OPT_COUNT];
  uint8_t uints[OPT_COUNT][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, OPT_COUNT);
  uint8_t room[DETAILS_SIZE];
  copal_response response = {.code = p->code, .payload = copal_span_str(p->detail)};
  if (r->accept == COPAL_CF_PROBLEM_DETAILS) {
    copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
    put_details(&w, p);
    copal_opt_list_add_uint(&list, COPAL_OPT_CONTENT_FORMAT, r->accept);
    response.payload = copal_wr_done(&w);
  }
  if (p->has_retry)
    copal_opt_list_add_uint(&list, COPAL_OPT_MAX_AGE, p->retry_s);
  if (p->has_size1)
    copal_opt_list_add_uint(&list, COPAL_OPT_SIZE1, p->size1);
  response.opts = list.opts;
  response.opt_count = list.count;
  return reply_send(r, &response);
}

int problem_reply(const handler_req *req, copal_code code, const char *format, ...)
{
  problem p = {.code = code};
  va_list args;
  va_start(args, format);
  set_detail(&p, format, args);
  va_end(args);
  const reply r = reply_to(req);
  return problem_send(&p, &r);
}
