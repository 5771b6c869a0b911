/* SPDX-License-Identifier: Apache-2.0 */
/* Our connection IDs. RFC 9146 sections 3 and 8. */
#include "transport/dtls/cid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t secret[DTLS_CID_KEY_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
                                                  9, 10, 11, 12, 13, 14, 15, 16};

static uint64_t make(const dtls_cid_key *key, uint8_t lane, uint32_t slot, uint32_t generation)
{
  uint64_t v;
  const dtls_cid cid = {lane, slot, generation};
  dtls_cid_make(key, &cid, (uint8_t *)&v);
  return v;
}

static void every_cid_is_read_back(void **state)
{
  (void)state;
  static const dtls_cid cids[] = {{0, 0, 0},
                                  {255, (1 << DTLS_CID_SLOT_BITS) - 1, UINT32_MAX},
                                  {3, 12345, 0x89abcdef},
                                  {3, 0xf00000, 1},
                                  {7, 1, 0x80000000}};
  dtls_cid_key key;
  dtls_cid_key_init(&key, secret);
  for (size_t i = 0; i < sizeof cids / sizeof cids[0]; i++) {
    uint8_t bytes[DTLS_CID_SIZE];
    dtls_cid back;
    dtls_cid_make(&key, &cids[i], bytes);
    assert_int_equal(bytes[0], cids[i].lane);
    assert_true(dtls_cid_read(&key, copal_span_of(bytes, sizeof bytes), &back));
    assert_int_equal(back.lane, cids[i].lane);
    assert_int_equal(back.slot, cids[i].slot);
    assert_int_equal(back.generation, cids[i].generation);
  }
}

/* The form is kept on disk and in clients: it must not change by accident. */
static void form_does_not_change(void **state)
{
  (void)state;
  static const uint8_t expected[DTLS_CID_SIZE] = {0x03, 0x40, 0xa7, 0x62, 0x4f, 0x6b, 0x80, 0xbe};
  dtls_cid_key key;
  uint8_t bytes[DTLS_CID_SIZE];
  dtls_cid_key_init(&key, secret);
  dtls_cid_make(&key, &(dtls_cid){3, 12345, 0x89abcdef}, bytes);
  assert_memory_equal(bytes, expected, sizeof bytes);
}

static void other_lengths_are_not_ours(void **state)
{
  (void)state;
  uint8_t bytes[DTLS_CID_SIZE + 1] = {0};
  dtls_cid_key key;
  dtls_cid cid;
  dtls_cid_key_init(&key, secret);
  for (size_t len = 0; len <= sizeof bytes; len++)
    assert_int_equal(dtls_cid_read(&key, copal_span_of(bytes, len), &cid), len == DTLS_CID_SIZE);
}

static int compare(const void *a, const void *b)
{
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void no_two_sessions_share_a_cid(void **state)
{
  (void)state;
  enum { COUNT = 40000 };
  uint64_t *all = calloc(COUNT, sizeof *all);
  dtls_cid_key key;
  assert_non_null(all);
  dtls_cid_key_init(&key, secret);
  for (uint32_t i = 0; i < COUNT; i++)
    all[i] = make(&key, (uint8_t)(i % 4), i / 16, i / 4 % 4);
  qsort(all, COUNT, sizeof *all, compare);
  for (uint32_t i = 1; i < COUNT; i++)
    assert_true(all[i] != all[i - 1]);
  free(all);
}

static unsigned difference(uint64_t a, uint64_t b)
{
  return (unsigned)__builtin_popcountll(a ^ b);
}

/* Neighbouring slots, generations and lanes differ in half of the 56 bits, on average. */
static void rfc9146_8_cids_of_neighbours_look_unrelated(void **state)
{
  (void)state;
  enum { COUNT = 4000 };
  dtls_cid_key key, other;
  uint8_t other_secret[DTLS_CID_KEY_SIZE];
  unsigned by_slot = 0, by_generation = 0, by_lane = 0, by_key = 0;
  memcpy(other_secret, secret, sizeof secret);
  other_secret[15] ^= 1;
  dtls_cid_key_init(&key, secret);
  dtls_cid_key_init(&other, other_secret);
  for (uint32_t i = 0; i < COUNT; i++) {
    const uint64_t cid = make(&key, 0, i, i);
    by_slot += difference(cid, make(&key, 0, i ^ 1, i));
    by_generation += difference(cid, make(&key, 0, i, i ^ 1));
    by_lane += difference(cid, make(&key, 1, i, i)) - 1;
    by_key += difference(cid, make(&other, 0, i, i));
  }
  const unsigned sums[] = {by_slot, by_generation, by_lane, by_key};
  for (size_t i = 0; i < 4; i++) {
    assert_true(sums[i] > COUNT * 27);
    assert_true(sums[i] < COUNT * 29);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_cid_is_read_back),
      cmocka_unit_test(form_does_not_change),
      cmocka_unit_test(other_lengths_are_not_ours),
      cmocka_unit_test(no_two_sessions_share_a_cid),
      cmocka_unit_test(rfc9146_8_cids_of_neighbours_look_unrelated),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
