/* SPDX-License-Identifier: Apache-2.0 */
/* A follower that begins late and is shown the rest, while the store changes. */
#include <sched.h>

#include "service/backfill.h"
#include "unit/store/bed.h"

enum { MANY = BACKFILL_AT_ONCE + 5000, CHANGES = 20000, WINDOW = 50 };

/* What the follower believes: the number in the body of each resource, 0 when there is none. */
typedef struct believer {
  backfill backfill; /* first */
  store_follower follower;
  unsigned shown;
  unsigned number[MANY];
} believer;

static believer follower;

static unsigned number_of(copal_span text)
{
  char copy[16] = "";
  memcpy(copy, text.ptr, text.len < sizeof copy ? text.len : sizeof copy - 1);
  return (unsigned)strtoul(copy[0] == '/' ? copy + 1 : copy, NULL, 10);
}

static void show(backfill *b, copal_span key, const store_item *item)
{
  believer *w = (believer *)b;
  w->shown++;
  w->number[number_of(key)] = number_of(item->body);
}

static void on_change(store_follower *f, const store_change *c)
{
  believer *w = (believer *)((char *)f - offsetof(believer, follower));
  if (backfill_enter(&w->backfill, c->key))
    w->number[number_of(c->key)] = c->item != NULL ? number_of(c->item->body) : 0;
  backfill_leave(&w->backfill);
}

/* One change of many under way. */
typedef struct step {
  bed_op op; /* first */
  char key[16];
  char body[16];
} step;

/* Puts a resource, or deletes it when `number` is 0. */
static void begin_change(bed *b, step *s, unsigned at, unsigned number)
{
  snprintf(s->key, sizeof s->key, "/%05u", at);
  snprintf(s->body, sizeof s->body, "%u", number);
  s->op = op_of(b, number != 0 ? STORE_PUT : STORE_DELETE, s->key, s->body);
  assert_int_equal(store_commit(b->p, &s->op.op, 0), COPAL_OK);
}

static step steps[WINDOW];

static void open_with(bed *b, unsigned count)
{
  bed_open_lmdb(b, NULL);
  for (unsigned i = 0; i < count; i++) {
    begin_change(b, &steps[i % WINDOW], i, i + 1);
    if (i % WINDOW == WINDOW - 1 || i == count - 1)
      wait_for(b, &steps[i % WINDOW].op);
  }
  bed_reopen_lmdb(b, NULL); /* followers come before the first commit */
  memset(&follower, 0, sizeof follower);
  follower.backfill.show = show;
  follower.follower.on_change = on_change;
  store_follow(b->s, &follower.follower);
  assert_int_equal(backfill_open(&follower.backfill, b->s), COPAL_OK);
}

static void close_all(bed *b)
{
  backfill_stop(&follower.backfill);
  bed_close_lmdb(b);
  backfill_wipe(&follower.backfill);
}

static void assert_belief_is_true(bed *b)
{
  store_view_renew(b->p);
  for (unsigned i = 0; i < MANY; i++) {
    char key[16];
    store_item item;
    snprintf(key, sizeof key, "/%05u", i);
    const bool is_there = store_get(b->p, copal_span_str(key), &item, b->now) == STORE_OK;
    assert_int_equal(follower.number[i], is_there ? number_of(item.body) : 0);
  }
}

static void few_are_shown_before_it_returns(void **state)
{
  (void)state;
  bed b;
  open_with(&b, 1234);
  assert_true(backfill_is_over(&follower.backfill));
  assert_int_equal(follower.shown, 1234);
  put(&b, "/02000", "7");
  assert_belief_is_true(&b);
  close_all(&b);
}

static void nothing_is_over_at_once(void **state)
{
  (void)state;
  bed b;
  open_with(&b, 0);
  assert_true(backfill_is_over(&follower.backfill));
  close_all(&b);
}

static void changes_meanwhile_are_not_lost(void **state)
{
  (void)state;
  bed b;
  uint64_t random = 5;
  open_with(&b, MANY);
  for (unsigned i = 0; i < CHANGES; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const unsigned at = (unsigned)(random >> 33) % MANY;
    begin_change(&b, &steps[i % WINDOW], at, i % 3 == 0 ? 0 : MANY + i);
    if (i % WINDOW == WINDOW - 1)
      wait_for(&b, &steps[i % WINDOW].op);
  }
  while (!backfill_is_over(&follower.backfill))
    sched_yield();
  assert_belief_is_true(&b);
  close_all(&b);
}

static void stop_ends_it_before_its_time(void **state)
{
  (void)state;
  bed b;
  open_with(&b, MANY);
  close_all(&b);
  assert_true(follower.shown <= MANY);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(few_are_shown_before_it_returns),
      cmocka_unit_test(nothing_is_over_at_once),
      cmocka_unit_test(changes_meanwhile_are_not_lost),
      cmocka_unit_test(stop_ends_it_before_its_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
