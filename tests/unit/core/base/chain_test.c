/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes kept in chains of chunks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "core/base/chain.h"

enum { COUNT = 4, ROOM = 16, ALL = COUNT * ROOM };

static int setup(void **state)
{
  const size_t size = sizeof(copal_chunk) + ROOM;
  copal_pool *p = malloc(sizeof *p + COUNT * copal_pool_item_size(size));
  assert_non_null(p);
  copal_pool_init(p, (uint8_t *)(p + 1), size, COUNT);
  *state = p;
  return 0;
}

static int teardown(void **state)
{
  free(*state);
  return 0;
}

static void fill(uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    bytes[i] = (uint8_t)(i * 7 + 1);
}

static void every_length_comes_back_as_it_was_kept(void **state)
{
  copal_pool *p = *state;
  uint8_t in[ALL], out[ALL];

  fill(in, sizeof in);
  for (size_t len = 0; len <= ALL; len++) {
    copal_chain c;
    const copal_mspan room = {out, sizeof out};
    copal_wr w = copal_wr_init(room);
    assert_int_equal(copal_chain_keep(&c, p, copal_span_of(in, len)), COPAL_OK);
    assert_int_equal(c.len, len);
    assert_int_equal(p->used, (len + ROOM - 1) / ROOM);
    copal_chain_put(&c, p, &w);
    assert_int_equal(w.err, COPAL_OK);
    assert_int_equal(w.len, len);
    assert_memory_equal(out, in, len);
    copal_chain_give(&c, p);
    assert_int_equal(p->used, 0);
    assert_null(c.head);
    assert_int_equal(c.len, 0);
  }
}

static void keep_takes_nothing_when_chunks_are_short(void **state)
{
  copal_pool *p = *state;
  uint8_t in[ALL + 1];
  copal_chain first, second;

  fill(in, sizeof in);
  assert_int_equal(copal_chain_keep(&first, p, copal_span_of(in, ALL + 1)), COPAL_ENOSLOT);
  assert_int_equal(p->used, 0);
  assert_null(first.head);
  assert_int_equal(first.len, 0);

  assert_int_equal(copal_chain_keep(&first, p, copal_span_of(in, ROOM + 1)), COPAL_OK);
  assert_int_equal(copal_chain_keep(&second, p, copal_span_of(in, 2 * ROOM + 1)), COPAL_ENOSLOT);
  assert_int_equal(p->used, 2);
  assert_int_equal(copal_chain_keep(&second, p, copal_span_of(in, 2 * ROOM)), COPAL_OK);
  copal_chain_give(&first, p);
  copal_chain_give(&second, p);
  assert_int_equal(p->used, 0);
}

static void put_into_too_little_room_fails(void **state)
{
  copal_pool *p = *state;
  uint8_t in[ROOM + 4], out[ROOM + 3];
  const copal_mspan room = {out, sizeof out};
  copal_wr w = copal_wr_init(room);
  copal_chain c;

  fill(in, sizeof in);
  assert_int_equal(copal_chain_keep(&c, p, copal_span_of(in, sizeof in)), COPAL_OK);
  copal_chain_put(&c, p, &w);
  assert_int_equal(w.err, COPAL_ENOSPC);
  copal_chain_give(&c, p);
}

static void an_empty_chain_may_be_put_and_given(void **state)
{
  copal_pool *p = *state;
  copal_chain c = {0};
  uint8_t out[1];
  const copal_mspan room = {out, sizeof out};
  copal_wr w = copal_wr_init(room);

  copal_chain_put(&c, p, &w);
  assert_int_equal(w.len, 0);
  copal_chain_give(&c, p);
  copal_chain_give(&c, p);
  assert_int_equal(p->used, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_length_comes_back_as_it_was_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(keep_takes_nothing_when_chunks_are_short, setup, teardown),
      cmocka_unit_test_setup_teardown(put_into_too_little_room_fails, setup, teardown),
      cmocka_unit_test_setup_teardown(an_empty_chain_may_be_put_and_given, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
