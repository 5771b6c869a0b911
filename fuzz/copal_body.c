/* SPDX-License-Identifier: Apache-2.0 */
/* What the client prints of a server's bytes: nothing reaches a terminal that could drive it, and
 * what is printed as JSON is JSON. The first byte chooses the Content-Format. */
#include "cmd/copal/body.h"
#include "cmd/copal/links.h"
#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "copal/registry.h"
#include "require.h"

static const int32_t formats[] = {MEDIA_NONE,
                                  COPAL_CF_TEXT_PLAIN,
                                  COPAL_CF_LINK_FORMAT,
                                  COPAL_CF_OCTET_STREAM,
                                  COPAL_CF_JSON,
                                  COPAL_CF_CBOR,
                                  COPAL_CF_CBOR_SEQ,
                                  COPAL_CF_SENML_JSON,
                                  COPAL_CF_SENML_CBOR,
                                  COPAL_CF_PROBLEM_DETAILS,
                                  65000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const style plain = {.color = false, .width = 80};
  if (size == 0)
    return 0;
  const int32_t cf = formats[data[0] % (sizeof formats / sizeof formats[0])];
  const copal_span payload = copal_span_of(data + 1, size - 1);
  buf out = {0};
  body_print(cf, payload, &plain, &out);
  REQUIRE(safe_is_text(buf_span(&out)));
  out.len = 0;
  links_table(payload, &plain, &out);
  REQUIRE(safe_is_text(buf_span(&out)));
  out.len = 0;
  buf_char(&out, '{');
  body_json(cf, payload, &out);
  buf_char(&out, '}');
  REQUIRE(json_is_valid(buf_span(&out)));
  out.len = 0;
  REQUIRE(!links_json(payload, &out) || json_is_valid(buf_span(&out)));
  buf_wipe(&out);
  return 0;
}
