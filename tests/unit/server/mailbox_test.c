/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of pointers from many threads to one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "copal/error.h"
#include "server/mailbox.h"

static bool is_readable(mailbox *m, int wait_ms)
{
  struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};
  return poll(&p, 1, wait_ms) == 1;
}

static void mailbox_keeps_the_order_of_one_sender(void **state)
{
  (void)state;
  mailbox *m = NULL;
  int values[5];
  assert_int_equal(mailbox_open(8, &m), 0);
  assert_null(mailbox_take(m));
  for (int i = 0; i < 5; i++)
    assert_int_equal(mailbox_post(m, &values[i]), COPAL_OK);
  for (int i = 0; i < 5; i++)
    assert_ptr_equal(mailbox_take(m), &values[i]);
  assert_null(mailbox_take(m));
  mailbox_close(m);
}

static void mailbox_full_refuses_counts_and_recovers(void **state)
{
  (void)state;
  mailbox *m = NULL;
  int value;
  assert_int_equal(mailbox_open(4, &m), 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++)
      assert_int_equal(mailbox_post(m, &value), COPAL_OK);
    assert_int_equal(mailbox_post(m, &value), COPAL_ENOSLOT);
    for (int i = 0; i < 4; i++)
      assert_ptr_equal(mailbox_take(m), &value);
    assert_null(mailbox_take(m));
  }
  assert_int_equal(mailbox_refused(m), 3);
  mailbox_close(m);
}

static void mailbox_signals_a_dozing_owner_only(void **state)
{
  (void)state;
  mailbox *m = NULL;
  int value;
  assert_int_equal(mailbox_open(4, &m), 0);
  assert_int_equal(mailbox_post(m, &value), COPAL_OK);
  assert_false(is_readable(m, 0));
  mailbox_doze(m);
  assert_int_equal(mailbox_post(m, &value), COPAL_OK);
  assert_true(is_readable(m, 0));
  mailbox_clear(m);
  assert_false(is_readable(m, 0));
  /* One signal per doze is enough. */
  assert_int_equal(mailbox_post(m, &value), COPAL_OK);
  assert_false(is_readable(m, 0));
  mailbox_doze(m);
  mailbox_rouse(m);
  mailbox_wake(m);
  assert_false(is_readable(m, 0));
  mailbox_doze(m);
  mailbox_wake(m);
  assert_true(is_readable(m, 0));
  mailbox_close(m);
}

enum { SENDERS = 4, PER_SENDER = 20000 };

typedef struct parcel {
  int sender;
  int number;
} parcel;

typedef struct sender {
  pthread_t thread;
  mailbox *to;
  parcel *parcels;
} sender;

static void *send_all(void *arg)
{
  sender *s = arg;
  for (int i = 0; i < PER_SENDER; i++)
    while (mailbox_post(s->to, &s->parcels[i]) != COPAL_OK)
      sched_yield();
  return NULL;
}

/* Takes what is there; each sender's parcels must come in order. */
static int take_all(mailbox *m, int next[SENDERS])
{
  int count = 0;
  const parcel *p;
  while ((p = mailbox_take(m)) != NULL) {
    assert_int_equal(p->number, next[p->sender]);
    next[p->sender]++;
    count++;
  }
  return count;
}

static void mailbox_loses_nothing_from_many_threads_and_never_oversleeps(void **state)
{
  (void)state;
  mailbox *m = NULL;
  sender senders[SENDERS];
  int next[SENDERS] = {0};
  assert_int_equal(mailbox_open(64, &m), 0);
  for (int i = 0; i < SENDERS; i++) {
    senders[i].to = m;
    senders[i].parcels = calloc(PER_SENDER, sizeof(parcel));
    assert_non_null(senders[i].parcels);
    for (int k = 0; k < PER_SENDER; k++)
      senders[i].parcels[k] = (parcel){i, k};
    assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
  }
  int got = 0;
  while (got < SENDERS * PER_SENDER) {
    mailbox_doze(m);
    const int n = take_all(m, next);
    if (n == 0) {
      /* Nothing was there after dozing, so whatever comes must signal. */
      assert_true(is_readable(m, 60000));
      mailbox_clear(m);
    }
    mailbox_rouse(m);
    got += n;
  }
  for (int i = 0; i < SENDERS; i++) {
    pthread_join(senders[i].thread, NULL);
    free(senders[i].parcels);
  }
  assert_null(mailbox_take(m));
  mailbox_close(m);
}

/* Pages of memory that this process has touched. */
static long resident_pages(void)
{
  long size = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
  fclose(f);
  return resident;
}

static void mailbox_takes_memory_when_it_is_used_only(void **state)
{
  (void)state;
  mailbox *m = NULL;
  int value;
  const long before = resident_pages();
  assert_int_equal(mailbox_open(1 << 20, &m), 0); /* 16 MiB */
  assert_int_equal(mailbox_post(m, &value), COPAL_OK);
  assert_ptr_equal(mailbox_take(m), &value);
  assert_true(resident_pages() - before < 256);
  mailbox_close(m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mailbox_keeps_the_order_of_one_sender),
      cmocka_unit_test(mailbox_full_refuses_counts_and_recovers),
      cmocka_unit_test(mailbox_signals_a_dozing_owner_only),
      cmocka_unit_test(mailbox_takes_memory_when_it_is_used_only),
      cmocka_unit_test(mailbox_loses_nothing_from_many_threads_and_never_oversleeps),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
