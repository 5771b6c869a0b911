/* SPDX-License-Identifier: Apache-2.0 */
/* Link-format: every attribute of a good link is found and matched, and a link stands alone. */
#include "copal/link.h"
#include "copal/error.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  copal_link link, again;
  copal_link_attr attr, found;
  copal_link_iter it = copal_link_iter_init(copal_span_of(data, size));
  while (copal_link_next(&it, &link)) {
    size_t pos = 0;
    while (copal_link_attr_next(&link, &pos, &attr)) {
      REQUIRE(copal_link_attr_find(&link, attr.name, &found));
      REQUIRE(copal_link_is_match(&link, attr.name) ||
              copal_span_is_equal(attr.name, copal_span_str("href")));
      (void)copal_link_is_match(&link, copal_span_of(data, size / 2));
    }
    REQUIRE(pos == link.attrs.len);
    const uint8_t *start = link.target.ptr - 1;
    copal_link_iter one = copal_link_iter_init(
        copal_span_of(start, (size_t)(link.attrs.ptr + link.attrs.len - start)));
    REQUIRE(copal_link_next(&one, &again) && !copal_link_next(&one, &again));
  }
  REQUIRE(it.rd.err == COPAL_ELINK || it.rd.left == 0);
  return 0;
}
