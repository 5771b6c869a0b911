/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of a daemon puts nothing off. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "server/heap.h"

enum { PIECES = 1000, SIZE = 48 };

#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__

/* Bytes that were freed and wait to be joined with their neighbours, once many small pieces are. */
static size_t put_off(void)
{
  void *pieces[PIECES];
  for (int i = 0; i < PIECES; i++)
    pieces[i] = malloc(SIZE);
  for (int i = 0; i < PIECES; i++)
    free(pieces[i]);
  return mallinfo2().fsmblks;
}

static void small_pieces_are_joined_as_they_are_freed(void **state)
{
  (void)state;
  assert_true(put_off() > 0);
  heap_settle();
  assert_int_equal(put_off(), 0);
}

#else

static void small_pieces_are_joined_as_they_are_freed(void **state)
{
  (void)state;
  skip(); /* another heap */
}

#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_pieces_are_joined_as_they_are_freed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
