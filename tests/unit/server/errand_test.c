/* SPDX-License-Identifier: Apache-2.0 */
/* What each shard is to be told, through mailboxes that may be full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "server/errand.h"
#include "server/mailbox.h"

enum { SHARDS = 3, ROOM = 2, START = 1000000 };

/* Says which edition is the newest. */
typedef struct teller {
  errand errand; /* first */
  mailbox *boxes[SHARDS];
  int *edition;
  unsigned told;
} teller;

static int tell(errand *e, uint32_t index)
{
  teller *t = (teller *)e;
  const int rc = mailbox_post(t->boxes[index], t->edition);
  t->told += rc == COPAL_OK;
  return rc;
}

static void open_all(teller *t, int *edition)
{
  *t = (teller){.errand = {.tell = tell}, .edition = edition};
  for (int i = 0; i < SHARDS; i++)
    assert_int_equal(mailbox_open(ROOM, &t->boxes[i]), 0);
  assert_int_equal(errand_init(&t->errand, SHARDS), COPAL_OK);
  assert_int_equal(t->errand.next, COPAL_NEVER);
}

static void close_all(teller *t)
{
  for (int i = 0; i < SHARDS; i++)
    mailbox_close(t->boxes[i]);
  errand_wipe(&t->errand);
}

static void fill(mailbox *m, int *with)
{
  while (mailbox_post(m, with) == COPAL_OK)
    continue;
}

static void everybody_is_told_at_once_when_there_is_room(void **state)
{
  int edition = 1;
  teller t;
  (void)state;
  open_all(&t, &edition);
  assert_int_equal(errand_begin(&t.errand, START), 0);
  assert_int_equal(t.errand.next, COPAL_NEVER);
  assert_int_equal(errand_run(&t.errand, START + COPAL_SECOND), 0);
  assert_int_equal(t.told, SHARDS);
  close_all(&t);
}

static void shard_with_a_full_mailbox_is_told_when_there_is_room(void **state)
{
  int edition = 1, other = 0;
  copal_time now = START;
  teller t;
  (void)state;
  open_all(&t, &edition);
  fill(t.boxes[1], &other);
  assert_int_equal(errand_begin(&t.errand, now), 1);
  assert_int_equal(t.told, 2);
  assert_int_equal(t.errand.next, now + ERRAND_PAUSE);
  assert_int_equal(errand_run(&t.errand, now + 1), 1); /* not yet */
  assert_int_equal(t.errand.attempts, 1);
  for (int i = 0; i < 5; i++) {
    now = t.errand.next;
    assert_int_equal(errand_run(&t.errand, now), 1);
  }
  assert_ptr_equal(mailbox_take(t.boxes[1]), &other);
  now = t.errand.next;
  assert_int_equal(errand_run(&t.errand, now), 0);
  assert_int_equal(t.told, SHARDS);
  assert_int_equal(t.errand.next, COPAL_NEVER);
  assert_ptr_equal(mailbox_take(t.boxes[1]), &other);
  assert_ptr_equal(mailbox_take(t.boxes[1]), &edition);
  assert_null(mailbox_take(t.boxes[1]));
  close_all(&t);
}

static void errand_that_begins_anew_tells_everybody_the_newest(void **state)
{
  int editions[2] = {1, 2}, other = 0;
  teller t;
  (void)state;
  open_all(&t, &editions[0]);
  fill(t.boxes[2], &other);
  assert_int_equal(errand_begin(&t.errand, START), 1);
  t.edition = &editions[1];
  assert_int_equal(errand_begin(&t.errand, START + 1), 1);
  while (mailbox_take(t.boxes[2]) != NULL)
    continue;
  assert_int_equal(errand_run(&t.errand, t.errand.next), 0);
  assert_ptr_equal(mailbox_take(t.boxes[2]), &editions[1]); /* the first one has been overtaken */
  assert_null(mailbox_take(t.boxes[2]));
  assert_ptr_equal(mailbox_take(t.boxes[0]), &editions[0]);
  assert_ptr_equal(mailbox_take(t.boxes[0]), &editions[1]);
  close_all(&t);
}

static void errand_can_be_dropped(void **state)
{
  int edition = 1;
  teller t;
  (void)state;
  open_all(&t, &edition);
  fill(t.boxes[0], &edition);
  assert_int_equal(errand_begin(&t.errand, START), 1);
  errand_drop(&t.errand);
  assert_int_equal(t.errand.next, COPAL_NEVER);
  assert_int_equal(errand_run(&t.errand, START + COPAL_SECOND), 0);
  close_all(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everybody_is_told_at_once_when_there_is_room),
      cmocka_unit_test(shard_with_a_full_mailbox_is_told_when_there_is_room),
      cmocka_unit_test(errand_that_begins_anew_tells_everybody_the_newest),
      cmocka_unit_test(errand_can_be_dropped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
