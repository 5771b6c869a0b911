/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of stateless cookies and of reading a ClientHello. RFC 6347 sections 4.1, 4.2.1, 4.2.2. */
#include "transport/dtls/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { HELLO_MAX = 256 };

static const copal_addr home = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, 40000, 0};
static const copal_time start = 1000 * COPAL_SECOND;

/* Reads the record `bytes` holds as a ClientHello. */
static bool read_hello(copal_span bytes, hello_client *h)
{
  if (bytes.len < DTLS_HEADER_SIZE)
    return false;
  const dtls_record rec = {
      .type = (dtls_type)bytes.ptr[0],
      .seq = bytes.ptr[10],
      .fragment = copal_span_of(bytes.ptr + DTLS_HEADER_SIZE, bytes.len - DTLS_HEADER_SIZE)};
  return hello_client_read(&rec, h);
}

/* A ClientHello of one suite, with that cookie. */
static copal_span client_hello(copal_span cookie, uint8_t out[HELLO_MAX])
{
  static const uint8_t head[] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 7};
  static const uint8_t tail[] = {0, 2, 0xc0, 0xa8, 1, 0};
  const size_t body = 2 + 32 + 1 + 1 + cookie.len + sizeof tail;
  memset(out, 0, HELLO_MAX);
  memcpy(out, head, sizeof head);
  out[12] = (uint8_t)(12 + body);
  out[13] = 1;
  out[16] = (uint8_t)body;
  out[18] = 1; /* message_seq */
  out[24] = (uint8_t)body;
  out[25] = 0xfe;
  out[26] = 0xfd;
  memset(out + 27, 0x5a, 32);
  out[60] = (uint8_t)cookie.len;
  if (cookie.len > 0)
    memcpy(out + 61, cookie.ptr, cookie.len);
  memcpy(out + 61 + cookie.len, tail, sizeof tail);
  return copal_span_of(out, 25 + body);
}

static void rfc6347_4_2_1_hello_is_read_without_state(void **state)
{
  uint8_t bytes[HELLO_MAX];
  hello_client h;
  (void)state;
  assert_true(read_hello(client_hello(copal_span_none(), bytes), &h));
  assert_int_equal(h.record_seq, 7);
  assert_int_equal(h.message_seq, 1);
  assert_int_equal(h.cookie.len, 0);
  assert_int_equal(h.random.ptr[0], 0x5a);
  assert_int_equal(h.parameters.len, 2 + 32 + 1);
  assert_int_equal(h.choices.len, 2 + 2 + 1 + 1);
}

static void rfc6347_4_1_every_prefix_of_a_hello_is_refused(void **state)
{
  uint8_t bytes[HELLO_MAX];
  hello_client h;
  (void)state;
  const copal_span whole = client_hello(copal_span_none(), bytes);
  for (size_t len = 0; len < whole.len; len++)
    assert_false(read_hello(copal_span_of(whole.ptr, len), &h));
}

static void rfc6347_4_2_2_fragment_of_a_hello_is_refused(void **state)
{
  uint8_t bytes[HELLO_MAX];
  hello_client h;
  (void)state;
  const copal_span whole = client_hello(copal_span_none(), bytes);
  bytes[16]++; /* the message is longer than its fragment */
  assert_false(read_hello(whole, &h));
  bytes[16]--;
  bytes[21] = 1; /* offset */
  assert_false(read_hello(whole, &h));
}

static void rfc6347_4_2_1_verify_request_has_the_numbers_of_the_hello(void **state)
{
  uint8_t bytes[HELLO_MAX], out[HELLO_VERIFY_SIZE_MAX];
  static const uint8_t cookie[COOKIE_SIZE] = {1, 2, 3};
  static const uint8_t wanted[] = {22, 0xfe,    0xff, 0,    0,    0,  0, 0, 0, 0, 7,
                                   0,  12 + 19, 3,    0,    0,    19, 0, 1, 0, 0, 0,
                                   0,  0,       19,   0xfe, 0xff, 16, 1, 2, 3};
  hello_client h;
  (void)state;
  assert_true(read_hello(client_hello(copal_span_none(), bytes), &h));
  const size_t size = hello_verify_write(&h, copal_span_of(cookie, sizeof cookie), out);
  assert_int_equal(size, 13 + 12 + 3 + 16);
  assert_memory_equal(out, wanted, sizeof wanted);
  assert_true(size <=
              13 + 12 + 2 + 32 + 1 + 1 + 2 + 2 + 1 + 1); /* not more than the shortest hello */
}

static void rfc6347_4_2_1_cookie_is_bound_to_address_and_parameters(void **state)
{
  uint8_t bytes[HELLO_MAX], cookie[COOKIE_SIZE];
  hello_client h;
  cookies c;
  (void)state;
  assert_int_equal(cookies_init(&c), 0);
  assert_true(read_hello(client_hello(copal_span_none(), bytes), &h));
  assert_false(cookie_is_good(&c, &home, &h, start));
  cookie_make(&c, &home, &h, start, cookie);
  assert_true(read_hello(client_hello(copal_span_of(cookie, sizeof cookie), bytes), &h));
  assert_true(cookie_is_good(&c, &home, &h, start));

  copal_addr other = home;
  other.port++;
  assert_false(cookie_is_good(&c, &other, &h, start));
  other = home;
  other.ip[15]++;
  assert_false(cookie_is_good(&c, &other, &h, start));
  static const size_t places[] = {25, 27, 61, 61 + COOKIE_SIZE - 1, 61 + COOKIE_SIZE + 3};
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    bytes[places[i]] ^= 1;
    assert_true(read_hello(copal_span_of(bytes, sizeof bytes), &h));
    assert_false(cookie_is_good(&c, &home, &h, start));
    bytes[places[i]] ^= 1;
  }
  cookies_wipe(&c);
}

static void rfc6347_4_2_1_cookie_outlives_one_change_of_keys(void **state)
{
  uint8_t bytes[HELLO_MAX], cookie[COOKIE_SIZE];
  const copal_time period = (copal_time)COOKIE_PERIOD_S * COPAL_SECOND;
  hello_client h;
  cookies c, d;
  (void)state;
  assert_int_equal(cookies_init(&c), 0);
  assert_int_equal(cookies_init(&d), 0);
  assert_true(read_hello(client_hello(copal_span_none(), bytes), &h));
  cookie_make(&c, &home, &h, start, cookie);
  assert_true(read_hello(client_hello(copal_span_of(cookie, sizeof cookie), bytes), &h));
  assert_true(cookie_is_good(&c, &home, &h, start + period));
  assert_false(cookie_is_good(&c, &home, &h, start + 2 * period));
  assert_false(cookie_is_good(&d, &home, &h, start));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6347_4_2_1_hello_is_read_without_state),
      cmocka_unit_test(rfc6347_4_1_every_prefix_of_a_hello_is_refused),
      cmocka_unit_test(rfc6347_4_2_2_fragment_of_a_hello_is_refused),
      cmocka_unit_test(rfc6347_4_2_1_verify_request_has_the_numbers_of_the_hello),
      cmocka_unit_test(rfc6347_4_2_1_cookie_is_bound_to_address_and_parameters),
      cmocka_unit_test(rfc6347_4_2_1_cookie_outlives_one_change_of_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
