/* SPDX-License-Identifier: Apache-2.0 */
/* Error responses of the endpoint itself. */
#include "core/proto/refusal.h"

enum {
  DECIMAL_MAX = 5, /* digits of an option number */

  /* RFC 8949 section 3: initial bytes of data items */
  CBOR_MAP_1 = 0xa1,
  CBOR_NEGATIVE_8 = 0x27, /* -8: unprocessed-coap-option, RFC 9290 section 3.1.1 */
  CBOR_NEGATIVE_1 = 0x20, /* -1: title, RFC 9290 section 2 */
  CBOR_TEXT_8 = 0x78,     /* text, length in one byte */
  CBOR_UINT_16 = 0x19,    /* unsigned, two bytes */
};

static const char *title(int err)
{
  switch (err) {
  case COPAL_EOPTION: return "unsupported critical option ";
  case COPAL_EBLOCK: return "no such block";
  case COPAL_EPROXY: return "this is not a proxy";
  case COPAL_ETOKEN: return "token too long";
  case COPAL_ETOOBIG: return "body too large";
  case COPAL_ENOSLOT: return "busy, try again";
  case COPAL_ENOTFOUND: return "no such resource";
  default: return "the server failed";
  }
}

/* Digits are found by counting down: small processors have no division. */
static void put_decimal(copal_wr *w, uint16_t v)
{
  static const uint16_t powers[DECIMAL_MAX] = {10000, 1000, 100, 10, 1};
  bool is_leading = true;

  for (size_t i = 0; i < DECIMAL_MAX; i++) {
    uint8_t digit = '0';
    for (; v >= powers[i]; v = (uint16_t)(v - powers[i]))
      digit++;
    if (is_leading && digit == '0' && powers[i] != 1)
      continue;
    is_leading = false;
    copal_wr_u8(w, digit);
  }
}

static void put_problem(copal_wr *w, int err, uint16_t offender)
{
  const copal_span text = copal_span_str(title(err));

  copal_wr_u8(w, CBOR_MAP_1);
  if (err == COPAL_EOPTION) {
    copal_wr_u8(w, CBOR_NEGATIVE_8);
    copal_wr_u8(w, CBOR_UINT_16);
    copal_wr_u16(w, offender);
    return;
  }
  copal_wr_u8(w, CBOR_NEGATIVE_1);
  copal_wr_u8(w, CBOR_TEXT_8);
  copal_wr_u8(w, (uint8_t)text.len);
  copal_wr_span(w, text);
}

static void put_diagnostic(copal_wr *w, int err, uint16_t offender)
{
  copal_wr_span(w, copal_span_str(title(err)));
  if (err == COPAL_EOPTION)
    put_decimal(w, offender);
}

/* Content-Format 257 and Max-Age 1, in that order: an answer takes both, one or none. */
static const uint8_t format_value[] = {COPAL_CF_PROBLEM_DETAILS >> 8,
                                       COPAL_CF_PROBLEM_DETAILS & 0xff};
static const uint8_t retry_value[] = {1}; /* seconds, RFC 7252 section 5.9.3.4 */
static const copal_opt options[] = {
    {COPAL_OPT_CONTENT_FORMAT, {format_value, sizeof format_value}},
    {COPAL_OPT_MAX_AGE, {retry_value, sizeof retry_value}},
};

void refusal_make(refusal *f, int err, uint16_t offender, bool wants_problem)
{
  copal_wr w = copal_wr_init((copal_mspan){f->text, sizeof f->text});
  const copal_code code = refusal_code(err);
  const bool is_busy = code == COPAL_CODE_SERVICE_UNAVAILABLE;

  if (wants_problem)
    put_problem(&w, err, offender);
  else
    put_diagnostic(&w, err, offender);
  f->response = (copal_response){.code = code,
                                 .opts = &options[wants_problem ? 0 : 1],
                                 .opt_count = (size_t)wants_problem + (size_t)is_busy,
                                 .payload = copal_wr_done(&w)};
}
