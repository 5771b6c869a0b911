/* SPDX-License-Identifier: Apache-2.0 */
/* Records and keys of the database, byte by byte as docs/store-format.md has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/lmdb/dbkey.h"
#include "store/lmdb/record.h"

static const record sample = {
    .item = {.rev = 0x0102030405060708,
             .etag = {{1, 2, 3, 4, 5, 6, 7, 8}},
             .content_format = 60,
             .max_age_s = 90,
             .body = {(const uint8_t *)"body", 4},
             .attrs = {(const uint8_t *)";rt=x", 5}},
    .wall = 0x1112131415161718,
};

static const uint8_t bytes_behind_checksum[] = {
    8,    7,    6,    5,    4,    3,    2,    1,                 /* revision */
    1,    2,    3,    4,    5,    6,    7,    8,                 /* entity-tag */
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,              /* written */
    90,   0,    0,    0,    4,    0,    0,    0,    5,  0, 0, 0, /* Max-Age, body, attributes */
    0,    0,    60,   0,                                         /* path, Content-Format */
    ';',  'r',  't',  '=',  'x',  'b',  'o',  'd',  'y'};

static void record_has_the_documented_bytes(void **state)
{
  (void)state;
  uint8_t bytes[RECORD_HEADER_SIZE + 9];
  assert_int_equal(record_size(&sample), sizeof bytes);
  record_put(&sample, bytes);
  assert_memory_equal(bytes + 8, bytes_behind_checksum, sizeof bytes_behind_checksum);
  assert_true(record_is_intact(copal_span_of(bytes, sizeof bytes)));
}

static void lifetime_stands_behind_the_header(void **state)
{
  (void)state;
  uint8_t bytes[RECORD_HEADER_SIZE + RECORD_LIFETIME_SIZE + 9];
  record r = sample;
  record back;
  r.item.lifetime_s = 0x01020304;
  assert_int_equal(record_size(&r), sizeof bytes);
  record_put(&r, bytes);
  assert_int_equal(bytes[43], 1);
  assert_memory_equal(bytes + 48, ((const uint8_t[]){4, 3, 2, 1, ';', 'r', 't'}), 7);
  assert_true(record_get(copal_span_of(bytes, sizeof bytes), &back));
  assert_int_equal(back.item.lifetime_s, 0x01020304);
  assert_true(copal_span_is_equal(back.item.body, copal_span_str("body")));
  assert_true(record_expiry(&back) == r.wall + 0x01020304 * UINT64_C(1000000));
  assert_true(record_expiry(&sample) == 0);
}

static void unknown_flags_are_refused(void **state)
{
  (void)state;
  uint8_t bytes[RECORD_HEADER_SIZE + 9];
  record back;
  record_put(&sample, bytes);
  bytes[43] = 2;
  assert_false(record_get(copal_span_of(bytes, sizeof bytes), &back));
}

static void result_of_an_operation_reads_back(void **state)
{
  (void)state;
  uint8_t bytes[OP_RECORD_HEADER_SIZE + 2];
  const op_record r = {.rev = 5,
                       .etag = {{1, 2, 3, 4, 5, 6, 7, 8}},
                       .expiry = 0x0102030405,
                       .space = STORE_STATE,
                       .created = true,
                       .key = copal_span_str("/a")};
  op_record back;
  assert_int_equal(op_record_size(&r), sizeof bytes);
  op_record_put(&r, bytes);
  assert_memory_equal(bytes + 8, ((const uint8_t[]){5, 0, 0, 0, 0, 0, 0, 0, 1, 2}), 10);
  assert_memory_equal(bytes + 24, ((const uint8_t[]){5, 4, 3, 2, 1, 0, 0, 0, 2, 0, 0, 0, 1, 1}),
                      14);
  assert_true(record_is_intact(copal_span_of(bytes, sizeof bytes)));
  assert_true(op_record_get(copal_span_of(bytes, sizeof bytes), &back));
  assert_true(back.rev == 5 && back.expiry == r.expiry && back.created);
  assert_int_equal(back.space, STORE_STATE);
  assert_memory_equal(back.etag.bytes, r.etag.bytes, STORE_ETAG_SIZE);
  assert_true(copal_span_is_equal(back.key, r.key));
  for (size_t len = 0; len < sizeof bytes; len++)
    assert_false(op_record_get(copal_span_of(bytes, len), &back));
}

static void record_reads_back_what_was_put(void **state)
{
  (void)state;
  uint8_t bytes[128];
  record r = sample;
  r.path = copal_span_str("/path");
  record_put(&r, bytes);
  record back;
  assert_true(record_get(copal_span_of(bytes, record_size(&r)), &back));
  assert_true(back.item.rev == r.item.rev && back.wall == r.wall);
  assert_int_equal(back.item.max_age_s, 90);
  assert_int_equal(back.item.content_format, 60);
  assert_memory_equal(back.item.etag.bytes, r.item.etag.bytes, STORE_ETAG_SIZE);
  assert_true(copal_span_is_equal(back.path, r.path));
  assert_true(copal_span_is_equal(back.item.attrs, r.item.attrs));
  assert_true(copal_span_is_equal(back.item.body, r.item.body));
}

static void every_prefix_of_a_record_is_refused(void **state)
{
  (void)state;
  uint8_t bytes[RECORD_HEADER_SIZE + 9];
  record back;
  record_put(&sample, bytes);
  for (size_t len = 0; len < sizeof bytes; len++)
    assert_false(record_get(copal_span_of(bytes, len), &back));
}

static void every_flipped_bit_is_found(void **state)
{
  (void)state;
  uint8_t bytes[RECORD_HEADER_SIZE + 9];
  record_put(&sample, bytes);
  for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    assert_false(record_is_intact(copal_span_of(bytes, sizeof bytes)));
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

static void store_record_keeps_format_epoch_and_revision(void **state)
{
  (void)state;
  const store_record r = {.format = STORE_FORMAT, .epoch = UINT64_MAX - 1, .rev = 77};
  uint8_t bytes[STORE_RECORD_SIZE];
  store_record back;
  store_record_put(&r, bytes);
  assert_true(store_record_get(copal_span_of(bytes, sizeof bytes), &back));
  assert_true(back.format == r.format && back.epoch == r.epoch && back.rev == r.rev);
  bytes[32] ^= 1;
  assert_false(store_record_get(copal_span_of(bytes, sizeof bytes), &back));
  bytes[8] ^= 1;
  assert_false(store_record_get(copal_span_of(bytes, sizeof bytes), &back));
  assert_false(store_record_get(copal_span_of(bytes, 10), &back));
}

static void newer_store_record_shows_its_format(void **state)
{
  (void)state;
  const store_record r = {.format = STORE_FORMAT + 1};
  uint8_t bytes[STORE_RECORD_SIZE];
  store_record back;
  store_record_put(&r, bytes);
  bytes[0] ^= 1; /* how a newer one is checked is not known */
  assert_true(store_record_get(copal_span_of(bytes, sizeof bytes), &back));
  assert_int_equal(back.format, STORE_FORMAT + 1);
}

static void long_paths_get_keys_of_their_own(void **state)
{
  (void)state;
  uint8_t path[600];
  dbkey one, two;
  memset(path, 'a', sizeof path);
  copal_span key = dbkey_of(copal_span_of(path, DBKEY_LITERAL_MAX), &one);
  assert_ptr_equal(key.ptr, path);
  assert_false(dbkey_is_long(key));
  key = dbkey_of(copal_span_of(path, DBKEY_LITERAL_MAX + 1), &one);
  assert_true(dbkey_is_long(key));
  assert_memory_equal(key.ptr, path, DBKEY_LITERAL_MAX);
  const copal_span other = dbkey_of(copal_span_of(path, sizeof path), &two);
  assert_int_equal(other.len, key.len);
  assert_false(copal_span_is_equal(key, other));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(record_has_the_documented_bytes),
      cmocka_unit_test(lifetime_stands_behind_the_header),
      cmocka_unit_test(unknown_flags_are_refused),
      cmocka_unit_test(result_of_an_operation_reads_back),
      cmocka_unit_test(record_reads_back_what_was_put),
      cmocka_unit_test(every_prefix_of_a_record_is_refused),
      cmocka_unit_test(every_flipped_bit_is_found),
      cmocka_unit_test(store_record_keeps_format_epoch_and_revision),
      cmocka_unit_test(newer_store_record_shows_its_format),
      cmocka_unit_test(long_paths_get_keys_of_their_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
