/* SPDX-License-Identifier: Apache-2.0 */
/* The name of the server in a ClientHello. RFC 6066 section 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "transport/dtls/hello.h"

/* Another extension, and that of the name. */
static const uint8_t extensions[] = {0x00, 0x17, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00,
                                     0x07, 0x00, 0x00, 0x04, 'L',  'a',  'm',  'p'};

static void rfc6066_3_name_is_the_host_of_the_list(void **state)
{
  static const uint8_t others[] = {0x00, 0x00, 0x00, 0x0b, 0x00, 0x09, 0x07, 0x00,
                                   0x01, 'x',  0x00, 0x00, 0x02, 'a',  'b'};
  (void)state;
  copal_span name = hello_server_name(copal_span_of(extensions, sizeof extensions));
  assert_true(copal_span_is_equal(name, copal_span_str("Lamp")));
  name = hello_server_name(copal_span_of(others, sizeof others));
  assert_true(copal_span_is_equal(name, copal_span_str("ab")));
  assert_int_equal(hello_server_name(copal_span_none()).len, 0);
  assert_int_equal(hello_server_name(copal_span_of(extensions, 4)).len, 0);
}

static void list_that_does_not_fit_names_nobody(void **state)
{
  (void)state;
  for (size_t len = 0; len < sizeof extensions; len++)
    assert_int_equal(hello_server_name(copal_span_of(extensions, len)).len, 0);
  for (size_t at = 0; at < sizeof extensions; at++) {
    uint8_t bytes[sizeof extensions];
    memcpy(bytes, extensions, sizeof bytes);
    for (unsigned flip = 1; flip < 256; flip++) {
      bytes[at] = (uint8_t)(extensions[at] ^ flip);
      const copal_span name = hello_server_name(copal_span_of(bytes, sizeof bytes));
      assert_true(name.len == 0 || (name.ptr >= bytes && name.len <= sizeof bytes));
      assert_true(name.len == 0 || name.ptr + name.len <= bytes + sizeof bytes);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6066_3_name_is_the_host_of_the_list),
      cmocka_unit_test(list_that_does_not_fit_names_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
