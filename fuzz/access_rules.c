/* SPDX-License-Identifier: Apache-2.0 */
/* Access rules: any text is refused with a complaint that names a line, or makes rules that judge
 * alike one by one and stretch by stretch. Input: length of a path, the path, the text. */
#include <stdbool.h>
#include <string.h>

#include "copal/error.h"
#include "policy/access.h"
#include "require.h"

static const identity people[] = {
    {.kind = IDENTITY_ANONYMOUS},
    {.kind = IDENTITY_PSK, .name = {(const uint8_t *)"device-1", 8}, .serial = 1},
    {.kind = IDENTITY_X509, .name = {(const uint8_t *)"*", 1}, .serial = 2},
};

static void judge(const access_rules *rules, copal_span path)
{
  uint8_t until[ACCESS_UNTIL_MAX];
  char text[64];
  for (size_t i = 0; i < sizeof people / sizeof people[0]; i++) {
    const access_profile who = access_profile_of(rules, &people[i], ACCESS_SESSION);
    access_profile_text(rules, &who, text, sizeof text);
    REQUIRE(memchr(text, '\0', sizeof text) != NULL);
    for (unsigned right = ACCESS_GET; right <= ACCESS_OBSERVE; right <<= 1) {
      copal_wr w = copal_wr_init((copal_mspan){until, sizeof until});
      const access_verdict one = access_judge(rules, &who, right, path);
      const access_verdict many = access_stretch(rules, &who, right, path, &w);
      REQUIRE(one.is_allowed == many.is_allowed && one.line == many.line);
      REQUIRE(w.err == COPAL_OK);
      REQUIRE(w.len == 0 || memcmp(until, path.ptr, w.len < path.len ? w.len : path.len) >= 0);
      if (one.line > 0)
        REQUIRE(access_line(rules, one.line).len > 0);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static mistakes m;
  uint8_t path[1 + UINT8_MAX] = "/";
  access_rules *rules;
  if (size == 0)
    return 0;
  const size_t len = data[0] < size - 1 ? data[0] : size - 1;
  memcpy(path + 1, data + 1, len);
  m = (mistakes){.count = 0};
  if (access_parse(copal_span_of(data + 1 + len, size - 1 - len), "rules", &rules, &m) == 0) {
    REQUIRE(m.count == 0);
    judge(rules, copal_span_of(path, 1 + len));
    access_release(rules);
  } else {
    REQUIRE(m.count > 0 && strncmp(m.text, "rules:", 6) == 0);
  }
  return 0;
}
