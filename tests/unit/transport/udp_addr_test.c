/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and their kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "transport/udp.h"

static void expect_text(const char *in, uint16_t port, const char *ip, const char *whole)
{
  copal_addr a;
  char text[UDP_ADDR_TEXT_SIZE];
  assert_int_equal(udp_addr_parse(in, port, &a), COPAL_OK);
  assert_int_equal(a.port, port);
  udp_addr_format_ip(&a, text);
  assert_string_equal(text, ip);
  udp_addr_format(&a, text);
  assert_string_equal(text, whole);
}

static void addr_text_survives_parsing_and_formatting(void **state)
{
  (void)state;
  expect_text("192.0.2.1", 5683, "192.0.2.1", "192.0.2.1:5683");
  expect_text("::1", 1, "::1", "[::1]:1");
  expect_text("2001:DB8:0::1", 65535, "2001:db8::1", "[2001:db8::1]:65535");
  expect_text("::ffff:192.0.2.1", 0, "192.0.2.1", "192.0.2.1:0");
  expect_text("fe80::1%lo", 5683, "fe80::1%lo", "[fe80::1%lo]:5683");
  expect_text("fe80::1%65000", 5683, "fe80::1%65000", "[fe80::1%65000]:5683");
}

static void addr_parse_refuses_what_is_no_literal(void **state)
{
  (void)state;
  static const char *const bad[] = {"",
                                    "localhost",
                                    "1.2.3",
                                    "1.2.3.4.5",
                                    "256.0.0.1",
                                    "1.2.3.4%lo",
                                    "::1::",
                                    "[::1]",
                                    "fe80::1%",
                                    "fe80::1%no-such-interface",
                                    "fe80::1%65536",
                                    "fe80::1%-1",
                                    "fe80::1%1x",
                                    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    copal_addr a;
    assert_int_equal(udp_addr_parse(bad[i], 1, &a), COPAL_EINVAL);
  }
}

static void addr_kinds(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    bool v4, loopback, multicast;
  } rows[] = {
      {"127.0.0.1", true, true, false},  {"127.255.0.9", true, true, false},
      {"128.0.0.1", true, false, false}, {"224.0.1.187", true, false, true},
      {"239.9.9.9", true, false, true},  {"240.0.0.1", true, false, false},
      {"::1", false, true, false},       {"::2", false, false, false},
      {"ff02::fd", false, false, true},  {"fe80::1", false, false, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    copal_addr a;
    assert_int_equal(udp_addr_parse(rows[i].text, 1, &a), COPAL_OK);
    assert_int_equal(udp_addr_is_ipv4(&a), rows[i].v4);
    assert_int_equal(udp_addr_is_loopback(&a), rows[i].loopback);
    assert_int_equal(udp_addr_is_multicast(&a), rows[i].multicast);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addr_text_survives_parsing_and_formatting),
      cmocka_unit_test(addr_parse_refuses_what_is_no_literal),
      cmocka_unit_test(addr_kinds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
