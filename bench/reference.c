/* SPDX-License-Identifier: Apache-2.0 */
/* The two messages by which codecs are compared. Parsing sees every option; what was parsed and
 * written is checked. RFC 7252 section 3. */
#include <string.h>

#include "copal/error.h"
#include "copal/msg.h"
#include "copal/option.h"
#include "copal/registry.h"
#include "reference.h"

/* GET /sensors/room1/temp?unit=C with a token of 4 bytes. */
static const uint8_t request[] = "\x44\x01\x12\x34tokn\xb7sensors\x05room1\x04temp\x46unit=C";

/* 2.05 in an ACK with ETag, Observe, Content-Format and 32 bytes. */
static const uint8_t response[] = "\x64\x45\x12\x34tokn\x44"
                                  "etag\x22\x01\x02\x61\x32\xff"
                                  "0123456789abcdef0123456789abcdef";

enum {
  REQUEST_SIZE = sizeof request - 1,
  RESPONSE_SIZE = sizeof response - 1,
  SEEN = 3 * COPAL_OPT_URI_PATH + COPAL_OPT_URI_QUERY + 7 + 5 + 4 + 6, /* numbers and lengths */
  TOKEN_AT = 4,
  PAYLOAD_AT = 19,
  OPTIONS = 3,
};

_Static_assert(REQUEST_SIZE == 34 && sizeof response == REFERENCE_RESPONSE_SIZE + 1,
               "the messages of the comparison");

bool reference_parse(void)
{
  copal_msg m;
  unsigned seen = 0;
  if (copal_msg_parse(copal_span_of(request, REQUEST_SIZE), &m) != COPAL_OK)
    return false;
  copal_opt_iter it = copal_opt_iter_init(m.options);
  for (copal_opt opt; copal_opt_next(&it, &opt);)
    seen += opt.number + (unsigned)opt.value.len;
  return seen == SEEN;
}

bool reference_serialise(uint8_t *out)
{
  const copal_opt opts[OPTIONS] = {
      {COPAL_OPT_ETAG, copal_span_of(response + 9, 4)},
      {COPAL_OPT_OBSERVE, copal_span_of(response + 14, 2)},
      {COPAL_OPT_CONTENT_FORMAT, copal_span_of(response + 17, 1)},
  };
  copal_msg m;
  m.type = COPAL_ACK;
  m.code = COPAL_CODE_CONTENT;
  m.mid = 0x1234;
  m.token = copal_span_of(response + TOKEN_AT, 4);
  m.payload = copal_span_of(response + PAYLOAD_AT, RESPONSE_SIZE - PAYLOAD_AT);
  copal_wr w = {out, 0, RESPONSE_SIZE, COPAL_OK};
  return copal_msg_write(&w, &m, opts, OPTIONS) == COPAL_OK && w.len == RESPONSE_SIZE;
}

bool reference_is_response(const uint8_t *out)
{
  return memcmp(out, response, RESPONSE_SIZE) == 0;
}
