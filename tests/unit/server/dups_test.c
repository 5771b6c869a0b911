/* SPDX-License-Identifier: Apache-2.0 */
/* The memory for duplicates in the state file. RFC 7252 section 4.5. */
#include "server/dups.h"

#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "unit/core/proto/fixture.h"

/* Ways whose bytes are the path itself. */
typedef struct roads {
  handler_ways hook; /* first */
  bool leads_nowhere;
  bool is_foreign;
} roads;

static int on_describe(handler_ways *w, const copal_path *path, handler_way *way)
{
  if (((roads *)w)->leads_nowhere)
    return COPAL_ENOTFOUND;
  *way = (handler_way){.who_len = sizeof path->remote, .side_len = 2};
  memcpy(way->who, &path->remote, sizeof path->remote);
  memcpy(way->side, &path->local, 2);
  return COPAL_OK;
}

static bool on_is_mine(handler_ways *w, const handler_way *way)
{
  (void)way;
  return !((roads *)w)->is_foreign;
}

static int on_recall(handler_ways *w, const handler_way *way, copal_path *path)
{
  if (((roads *)w)->leads_nowhere || way->who_len != sizeof path->remote)
    return COPAL_ENOTFOUND;
  *path = (copal_path){.local = 0};
  memcpy(&path->remote, way->who, sizeof path->remote);
  return COPAL_OK;
}

static roads the_roads;
static dups the_dups;
static state_writer written;

static int setup(void **state)
{
  the_roads = (roads){.hook = {on_describe, on_is_mine, on_recall}};
  dups_init(&the_dups);
  written = (state_writer){.len = 0};
  return fx_setup(state);
}

static int teardown(void **state)
{
  state_writer_wipe(&written);
  return fx_teardown(state);
}

/* Has the present endpoint do its part. */
static void lend(fixture *f, dups_shard *shard)
{
  *shard = (dups_shard){f->ep, &the_roads.hook};
  dups_lend(&the_dups, shard, 1, f->now);
}

/* A PUT is answered, and the memory of it saved. */
static void put_and_save(fixture *f)
{
  dups_shard shard;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "41 03 70 01 aa b1 61 ff 31"), COPAL_OK);
  fx_expect(f, "61 44 70 01 aa");
  lend(f, &shard);
  the_dups.section.save(&the_dups.section, &written);
}

static void load(fixture *f, size_t len, uint64_t age)
{
  dups_shard shard;
  fx_restart(f);
  f->calls = 0;
  lend(f, &shard);
  the_dups.section.load(&the_dups.section, the_dups.section.version,
                        copal_span_of(written.bytes, len), age);
}

/* The PUT comes again: it is carried out, or it is not. The answer is the same. */
static void expect_calls(fixture *f, int calls)
{
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "41 03 70 01 aa b1 61 ff 31"), COPAL_OK);
  fx_expect(f, "61 44 70 01 aa");
  assert_int_equal(f->calls, calls);
}

static void rfc7252_4_5_a_duplicate_is_answered_after_a_restart(void **state)
{
  fixture *f = *state;
  put_and_save(f);
  assert_int_equal(the_dups.saved, 1);
  load(f, written.len, 0);
  assert_int_equal(the_dups.restored, 1);
  expect_calls(f, 0);
}

static void rfc7252_4_8_2_time_goes_on_while_nobody_serves(void **state)
{
  fixture *f = *state;
  put_and_save(f);
  load(f, written.len, 100 * (uint64_t)COPAL_SECOND);
  assert_int_equal(the_dups.restored, 1);
  expect_calls(f, 0);
  load(f, written.len, 248 * (uint64_t)COPAL_SECOND); /* EXCHANGE_LIFETIME is over */
  assert_int_equal(the_dups.refused, 1);
  expect_calls(f, 1);
}

static void a_client_without_a_way_is_left_out(void **state)
{
  fixture *f = *state;
  the_roads.leads_nowhere = true;
  put_and_save(f);
  assert_int_equal(the_dups.saved, 0);
  assert_int_equal(written.len, 0);
  the_roads.leads_nowhere = false;
  put_and_save(f);
  the_roads.leads_nowhere = true;
  load(f, written.len, 0);
  assert_int_equal(the_dups.refused, 1);
}

static void a_client_of_no_shard_is_refused(void **state)
{
  fixture *f = *state;
  put_and_save(f);
  the_roads.is_foreign = true;
  load(f, written.len, 0);
  assert_int_equal(the_dups.refused, 1);
  expect_calls(f, 1);
}

static void every_prefix_and_every_flipped_bit_is_harmless(void **state)
{
  fixture *f = *state;
  put_and_save(f);
  for (size_t len = 0; len < written.len; len++)
    load(f, len, 0);
  assert_int_equal(the_dups.restored, 0);
  for (size_t bit = 0; bit < 8 * written.len; bit++) {
    written.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    load(f, written.len, 0);
    written.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  load(f, written.len, 0);
  expect_calls(f, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_5_a_duplicate_is_answered_after_a_restart),
      TEST(rfc7252_4_8_2_time_goes_on_while_nobody_serves),
      TEST(a_client_without_a_way_is_left_out),
      TEST(a_client_of_no_shard_is_refused),
      TEST(every_prefix_and_every_flipped_bit_is_harmless),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
