/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies on their way in: memory, file, view. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/staging.h"

static staging_place files = {.dir = "/tmp"};
static staging_place nowhere = {.dir = "/nonexistent"};
static uint8_t bytes[STAGING_MEMORY_MAX + 5000];

static void fill(uint8_t seed)
{
  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)(i * 31 + i / 251 + seed);
}

static void assert_body(staging *s, size_t len)
{
  copal_span body;
  assert_int_equal(staging_view(s, &body), 0);
  assert_int_equal(body.len, len);
  if (len > 0)
    assert_memory_equal(body.ptr, bytes, len);
}

static void an_empty_body_is_empty(void **state)
{
  staging s = {0};
  (void)state;
  assert_int_equal(staging_put(&s, &files, 0, copal_span_none()), 0);
  assert_body(&s, 0);
  staging_wipe(&s);
  staging_wipe(&s);
}

static void pieces_make_the_body_on_both_sides_of_the_file(void **state)
{
  const size_t sizes[] = {1,           4095, 4096, 4097, STAGING_MEMORY_MAX, STAGING_MEMORY_MAX + 1,
                          sizeof bytes};
  (void)state;
  fill(1);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    staging s = {0};
    for (size_t at = 0; at < sizes[i]; at += 1000) {
      const size_t len = sizes[i] - at < 1000 ? sizes[i] - at : 1000;
      assert_int_equal(staging_put(&s, &files, at, copal_span_of(bytes + at, len)), 0);
    }
    assert_int_equal(s.fd_plus_1 > 0, sizes[i] > STAGING_MEMORY_MAX);
    assert_body(&s, sizes[i]);
    assert_body(&s, sizes[i]);
    staging_wipe(&s);
    assert_int_equal(s.fd_plus_1, 0);
  }
}

static void writing_goes_on_after_a_view(void **state)
{
  staging s = {0};
  const size_t half = STAGING_MEMORY_MAX + 100;
  (void)state;
  fill(2);
  assert_int_equal(staging_put(&s, &files, 0, copal_span_of(bytes, half)), 0);
  assert_body(&s, half);
  assert_int_equal(staging_put(&s, &files, half, copal_span_of(bytes + half, sizeof bytes - half)),
                   0);
  assert_body(&s, sizeof bytes);
  staging_wipe(&s);
}

static void writing_earlier_makes_that_the_end(void **state)
{
  (void)state;
  for (int is_large = 0; is_large < 2; is_large++) {
    staging s = {0};
    fill(3);
    const size_t len = is_large ? sizeof bytes : 1000;
    assert_int_equal(staging_put(&s, &files, 0, copal_span_of(bytes, len)), 0);
    assert_int_equal(staging_put(&s, &files, 100, copal_span_of(bytes + 100, 50)), 0);
    assert_body(&s, 150);
    staging_wipe(&s);
  }
}

static void a_gap_is_refused(void **state)
{
  staging s = {0};
  (void)state;
  assert_int_equal(staging_put(&s, &files, 1, copal_span_of(bytes, 1)), -EINVAL);
  assert_int_equal(staging_put(&s, &files, 0, copal_span_of(bytes, 10)), 0);
  assert_int_equal(staging_put(&s, &files, 11, copal_span_of(bytes, 1)), -EINVAL);
  staging_wipe(&s);
}

static void without_a_directory_memory_is_the_limit(void **state)
{
  staging s = {0};
  (void)state;
  fill(4);
  assert_int_equal(staging_put(&s, &nowhere, 0, copal_span_of(bytes, STAGING_MEMORY_MAX)), 0);
  assert_int_equal(staging_put(&s, &nowhere, STAGING_MEMORY_MAX, copal_span_of(bytes, 1)), -ENOENT);
  assert_body(&s, STAGING_MEMORY_MAX); /* what was there stays */
  staging_wipe(&s);
}

static void pieces_in_any_order_make_the_body(void **state)
{
  const size_t piece = 1000, count = sizeof bytes / piece;
  staging s = {0};
  (void)state;
  fill(5);
  for (size_t i = 0; i < count; i++) { /* 1 0 3 2 5 4 ... */
    const size_t at = (i ^ 1) < count ? (i ^ 1) * piece : i * piece;
    assert_int_equal(staging_write(&s, &files, at, copal_span_of(bytes + at, piece)), 0);
  }
  assert_body(&s, count * piece);
  assert_int_equal(staging_write(&s, &files, 10, copal_span_of(bytes, 10)), 0);
  memcpy(bytes + 10, bytes, 10);
  assert_body(&s, count * piece);
  staging_wipe(&s);
}

static void a_directory_is_tried_before_it_is_needed(void **state)
{
  (void)state;
  assert_int_equal(staging_try(files.dir), 0);
  assert_int_equal(staging_try("/nonexistent"), -ENOENT);
}

static void what_is_held_is_compared_in_memory_and_in_the_file(void **state)
{
  staging s = {0};
  (void)state;
  fill(7);
  for (size_t at = 0; at + 1000 <= sizeof bytes; at += 1000) {
    assert_int_equal(staging_put(&s, &files, at, copal_span_of(bytes + at, 1000)), 0);
    for (size_t k = 0; k <= at; k += 9000) { /* the end of a piece and the beginning of the next */
      const size_t from = k + 500 > at ? at : k + 500;
      const copal_span same = copal_span_of(bytes + from, at + 1000 - from);
      assert_int_equal(staging_holds(&s, from, same), 1);
      bytes[at + 999] ^= 1;
      assert_int_equal(staging_holds(&s, from, same), 0);
      bytes[at + 999] ^= 1;
    }
  }
  assert_true(s.filed > 0 && s.filed < s.len);
  assert_int_equal(staging_holds(&s, 0, copal_span_of(bytes, s.len)), 1);
  assert_int_equal(staging_holds(&s, 1, copal_span_of(bytes, s.len)), 0); /* beyond the end */
  assert_int_equal(staging_holds(&s, s.len, copal_span_none()), 1);
  assert_int_equal(staging_holds(&s, s.len + 1, copal_span_none()), 0);
  bytes[s.filed - 1] ^= 1;
  assert_int_equal(staging_holds(&s, 0, copal_span_of(bytes, s.len)), 0);
  staging_wipe(&s);
}

static void a_body_is_cut_in_the_file_and_before_it(void **state)
{
  staging s = {0};
  (void)state;
  fill(6);
  for (size_t at = 0; at + 1000 <= sizeof bytes; at += 1000)
    assert_int_equal(staging_put(&s, &files, at, copal_span_of(bytes + at, 1000)), 0);
  assert_true(s.filed < s.len);
  const size_t waiting = s.filed + 10;
  assert_int_equal(staging_put(&s, &files, waiting, copal_span_of(bytes + waiting, 10)), 0);
  assert_body(&s, waiting + 10);
  assert_int_equal(staging_put(&s, &files, 500, copal_span_of(bytes + 500, sizeof bytes - 500)), 0);
  assert_body(&s, sizeof bytes);
  staging_wipe(&s);
}

static uint8_t *large_body(size_t len)
{
  uint8_t *body = malloc(len);
  assert_non_null(body);
  for (size_t i = 0; i < len; i++)
    body[i] = (uint8_t)(i * 31 + i / 251);
  return body;
}

static void put_in_pieces(staging *s, staging_place *place, const uint8_t *body, size_t len)
{
  for (size_t at = s->len; at < len; at = s->len) {
    const size_t piece = len - at < 1024 ? len - at : 1024;
    assert_int_equal(staging_put(s, place, at, copal_span_of(body + at, piece)), 0);
  }
}

static void assert_view(staging *s, const uint8_t *body, size_t len)
{
  copal_span all;
  assert_int_equal(staging_view(s, &all), 0);
  assert_int_equal(all.len, len);
  assert_memory_equal(all.ptr, body, len);
}

static void large_bodies_stay_in_memory_while_there_is_room(void **state)
{
  enum { BODIES = 4 };
  staging_place place = {.dir = "/tmp", .room = (BODIES - 1) * (uint64_t)STAGING_CHUNK + 1};
  uint8_t *body = large_body(STAGING_CHUNK);
  staging s[BODIES] = {{0}};
  (void)state;
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < BODIES; i++) {
      put_in_pieces(&s[i], &place, body, STAGING_CHUNK);
      assert_int_equal(s[i].fd_plus_1 > 0, i == BODIES - 1); /* for which there is none */
      assert_view(&s[i], body, STAGING_CHUNK);
    }
    assert_int_equal(place.used, place.room - 1);
    for (int i = 0; i < BODIES; i++)
      staging_wipe(&s[i]);
    assert_int_equal(place.used, STAGING_CHUNK); /* for the next one */
  }
  staging_place_wipe(&place);
  free(body);
}

static void a_body_that_outgrows_its_chunk_goes_to_a_file(void **state)
{
  staging_place place = {.dir = "/tmp", .room = STAGING_CHUNK};
  uint8_t *body = large_body(STAGING_CHUNK + 1);
  staging s = {0}, other = {0};
  (void)state;
  put_in_pieces(&s, &place, body, STAGING_CHUNK);
  assert_int_equal(staging_write(&s, &place, 0, copal_span_of(body, 1000)), 0); /* again */
  assert_int_equal(s.fd_plus_1, 0);
  assert_int_equal(staging_put(&s, &place, STAGING_CHUNK, copal_span_of(body + STAGING_CHUNK, 1)),
                   0);
  assert_true(s.fd_plus_1 > 0);
  assert_int_equal(s.cap, STAGING_MEMORY_MAX);
  put_in_pieces(&other, &place, body, STAGING_CHUNK); /* has its chunk now */
  assert_int_equal(other.fd_plus_1, 0);
  assert_view(&s, body, STAGING_CHUNK + 1);
  staging_wipe(&s);
  staging_wipe(&other);
  staging_place_wipe(&place);
  free(body);
}

static void a_gap_in_a_chunk_of_another_body_is_zero(void **state)
{
  staging_place place = {.dir = "/tmp", .room = STAGING_CHUNK};
  const size_t at = 3 * (size_t)STAGING_MEMORY_MAX;
  uint8_t *body = large_body(at + 10);
  staging s = {0};
  (void)state;
  put_in_pieces(&s, &place, body, at);
  staging_wipe(&s);
  assert_int_equal(staging_write(&s, &place, at, copal_span_of(body + at, 10)), 0);
  assert_int_equal(s.fd_plus_1, 0);
  memset(body, 0, at);
  assert_view(&s, body, at + 10);
  staging_wipe(&s);
  staging_place_wipe(&place);
  free(body);
}

static void without_room_and_directory_what_is_there_stays(void **state)
{
  staging_place place = {.dir = "/nonexistent", .room = STAGING_CHUNK};
  staging first = {0}, second = {0};
  (void)state;
  fill(9);
  put_in_pieces(&first, &place, bytes, sizeof bytes);
  put_in_pieces(&second, &place, bytes, STAGING_MEMORY_MAX);
  const copal_span next = copal_span_of(bytes + STAGING_MEMORY_MAX, 1);
  assert_int_equal(staging_put(&second, &place, STAGING_MEMORY_MAX, next), -ENOENT);
  assert_body(&second, STAGING_MEMORY_MAX);
  staging_wipe(&first);
  assert_int_equal(staging_put(&second, &place, STAGING_MEMORY_MAX, next), 0);
  assert_body(&second, STAGING_MEMORY_MAX + 1);
  staging_wipe(&second);
  staging_place_wipe(&place);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_body_is_empty),
      cmocka_unit_test(pieces_make_the_body_on_both_sides_of_the_file),
      cmocka_unit_test(writing_goes_on_after_a_view),
      cmocka_unit_test(writing_earlier_makes_that_the_end),
      cmocka_unit_test(a_gap_is_refused),
      cmocka_unit_test(pieces_in_any_order_make_the_body),
      cmocka_unit_test(a_directory_is_tried_before_it_is_needed),
      cmocka_unit_test(what_is_held_is_compared_in_memory_and_in_the_file),
      cmocka_unit_test(a_body_is_cut_in_the_file_and_before_it),
      cmocka_unit_test(without_a_directory_memory_is_the_limit),
      cmocka_unit_test(large_bodies_stay_in_memory_while_there_is_room),
      cmocka_unit_test(a_body_that_outgrows_its_chunk_goes_to_a_file),
      cmocka_unit_test(a_gap_in_a_chunk_of_another_body_is_zero),
      cmocka_unit_test(without_room_and_directory_what_is_there_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
