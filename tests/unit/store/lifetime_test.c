/* SPDX-License-Identifier: Apache-2.0 */
/* What ends: lifetimes of resources, names of operations; what their limits are. Every engine. */
#include <stdatomic.h>

#include "store/memory/memory.h"
#include "unit/store/bed.h"

#define LIFETIME_S 10u

typedef struct moved_clock {
  store_clock hook; /* first */
  _Atomic copal_time now;
} moved_clock;

static copal_time read_clock(store_clock *c)
{
  return ((moved_clock *)c)->now;
}

static moved_clock the_clock = {.hook.now = read_clock};

/* Counts what followers hear of "/a". Another thread may tell. */
typedef struct witness {
  store_follower f; /* first */
  atomic_uint deleted, changed;
} witness;

static void note_change(store_follower *f, const store_change *c)
{
  witness *w = (witness *)f;
  assert_true(copal_span_is_equal(c->key, copal_span_str("/a")));
  assert_true(c->item != NULL || (c->was_present && c->links_changed && c->rev == 0));
  if (c->item == NULL)
    w->deleted++;
  else
    w->changed++;
}

typedef struct engine {
  store *(*open)(const bed *b, uint64_t name_max);
  bool is_durable;
} engine;

static store *open_memory(const bed *b, uint64_t name_max)
{
  return memory_store_open(&(memory_store_cfg){
      .now = b->now, .clock = &the_clock.hook, .name_max = name_max, .stripe_count = 4});
}

static store *open_lmdb(const bed *b, uint64_t name_max)
{
  return bed_lmdb(b, &(lmdb_store_cfg){.byte_max = 64u << 20,
                                       .now = b->now,
                                       .wall = b->now + UINT64_C(1700000000) * COPAL_SECOND,
                                       .clock = &the_clock.hook,
                                       .name_max = name_max});
}

static store *open_journal(const bed *b, uint64_t name_max)
{
  return bed_journal(
      b, &(journal_store_cfg){.common = {.byte_max = 64u << 20,
                                         .now = b->now,
                                         .wall = b->now + UINT64_C(1700000000) * COPAL_SECOND,
                                         .clock = &the_clock.hook,
                                         .name_max = name_max},
                              .checkpoint_us = 2000});
}

static const engine memory = {.open = open_memory};
static const engine lmdb = {.open = open_lmdb, .is_durable = true};
static const engine journal = {.open = open_journal, .is_durable = true};

static void begin(bed *b, const engine *e, uint64_t name_max)
{
  bed_init(b);
  the_clock.now = b->now;
  if (e->is_durable)
    bed_make_dir(b);
  bed_use(b, e->open(b, name_max));
}

static store *reopen(const bed *b, const engine *e)
{
  return e->open(b, 0);
}

static void end(bed *b, const engine *e)
{
  bed_leave(b);
  if (e->is_durable)
    bed_remove_dir(b);
}

static void pass(bed *b, unsigned seconds)
{
  b->now += seconds * (copal_time)COPAL_SECOND;
  store_view_renew(b->p);
}

static store_status put_mortal(bed *b, const char *body, uint32_t lifetime_s, bool keeps)
{
  bed_op op = op_of(b, STORE_PUT, "/a", body);
  op.op.lifetime_s = lifetime_s;
  op.op.keeps_lifetime = keeps;
  return run(b, &op);
}

static bool is_there(bed *b)
{
  store_item item;
  return store_get(b->p, copal_span_str("/a"), &item, b->now) == STORE_OK;
}

static void resource_is_absent_from_the_end_of_its_lifetime(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_mortal(&b, "1", LIFETIME_S, false);
  b.now += LIFETIME_S * (copal_time)COPAL_SECOND - 1;
  store_view_renew(b.p);
  assert_true(is_there(&b));
  b.now++;
  assert_false(is_there(&b)); /* nobody has swept: the store's clock stands still */
  assert_int_equal(store_usage_now(b.s).resources, 1);
  end(&b, *state);
}

static void conditions_do_not_see_what_has_expired(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_mortal(&b, "1", LIFETIME_S, false);
  pass(&b, LIFETIME_S);
  bed_op op = op_of(&b, STORE_PUT, "/a", "2");
  op.op.must_be_present = true;
  assert_int_equal(run(&b, &op), STORE_PRECONDITION);
  op = op_of(&b, STORE_SET_ATTRS, "/a", "");
  assert_int_equal(run(&b, &op), STORE_ABSENT);
  op = op_of(&b, STORE_PUT, "/a", "2");
  op.op.must_be_absent = true;
  assert_int_equal(run(&b, &op), STORE_OK);
  assert_true(op.result.created);
  pass(&b, 1000);
  assert_true(is_there(&b)); /* the new one has no lifetime */
  end(&b, *state);
}

static void put_begins_the_lifetime_anew_or_ends_it(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_mortal(&b, "1", LIFETIME_S, false);
  pass(&b, LIFETIME_S - 1);
  put_mortal(&b, "2", 0, true);
  pass(&b, LIFETIME_S - 1);
  assert_true(is_there(&b));
  bed_op op = op_of(&b, STORE_SET_ATTRS, "/a", ""); /* is no new representation */
  op.op.attrs = copal_span_str(";rt=x");
  assert_int_equal(run(&b, &op), STORE_OK);
  pass(&b, 1);
  assert_false(is_there(&b));
  put_mortal(&b, "3", LIFETIME_S, false);
  put_mortal(&b, "4", 0, false);
  pass(&b, 100 * LIFETIME_S);
  assert_true(is_there(&b));
  end(&b, *state);
}

static void wait_until(bed *b, uint64_t resources)
{
  for (int i = 0; i < 12000 && store_usage_now(b->s).resources != resources; i++)
    usleep(5000);
  assert_int_equal(store_usage_now(b->s).resources, resources);
}

static void sweeper_deletes_and_tells(void **state)
{
  bed b;
  witness w = {.f = {.on_change = note_change}};
  begin(&b, *state, 0);
  store_follow(b.s, &w.f);
  put_mortal(&b, "1", LIFETIME_S, false);
  pass(&b, LIFETIME_S);
  the_clock.now = b.now;
  wait_until(&b, 0);
  end(&b, *state); /* ends the thread that tells */
  assert_int_equal(w.deleted, 1);
  assert_int_equal(w.changed, 1);
}

static void change_in_front_of_the_sweeper_tells_of_the_end_first(void **state)
{
  bed b;
  witness w = {.f = {.on_change = note_change}};
  begin(&b, *state, 0);
  store_follow(b.s, &w.f);
  put_mortal(&b, "1", LIFETIME_S, false);
  pass(&b, LIFETIME_S);
  put_mortal(&b, "2", 0, false);
  assert_true(b.result.created);
  assert_int_equal(w.deleted, 1);
  assert_int_equal(w.changed, 2);
  end(&b, *state);
}

static void thousands_that_end_at_once_are_swept(void **state)
{
  enum { COUNT = 3000 };
  bed b;
  begin(&b, *state, 0);
  for (int i = 0; i < COUNT; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%d", i);
    bed_op op = op_of(&b, STORE_PUT, key, "x");
    op.op.lifetime_s = i % 3 == 0 ? 0 : LIFETIME_S;
    run(&b, &op);
  }
  pass(&b, LIFETIME_S);
  the_clock.now = b.now;
  wait_until(&b, COUNT / 3);
  end(&b, *state);
}

static void clock_of_the_system_sweeps_too(void **state)
{
  (void)state;
  bed b;
  bed_init(&b);
  bed_use(&b, memory_store_open(&(memory_store_cfg){.now = b.now}));
  put_mortal(&b, "1", 1, false);
  wait_until(&b, 0);
  bed_leave(&b);
  bed_open_lmdb(&b, NULL);
  put_mortal(&b, "1", 1, false);
  wait_until(&b, 0);
  assert_int_equal(lmdb_store_counts_now(b.s).expired, 1);
  bed_close_lmdb(&b);
}

static void lifetime_goes_on_while_nobody_serves(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_mortal(&b, "1", LIFETIME_S, false);
  bed_leave(&b);
  b.now += LIFETIME_S * (copal_time)COPAL_SECOND;
  bed_use(&b, reopen(&b, *state));
  assert_false(is_there(&b));
  the_clock.now = b.now;
  wait_until(&b, 0);
  end(&b, *state);
}

/* ------------------------------------------------------------------------------------------------
 * names */

static store_status put_named(bed *b, const char *key, uint8_t id)
{
  bed_op op = op_of(b, STORE_PUT, key, "x");
  op.op.id.bytes[7] = id;
  op.op.must_be_absent = true;
  return run(b, &op);
}

static void named_operation_is_carried_out_once(void **state)
{
  bed b;
  begin(&b, *state, 0);
  assert_int_equal(put_named(&b, "/a", 1), STORE_OK);
  const store_result first = b.result;
  assert_int_equal(put_named(&b, "/b", 1), STORE_OK);
  assert_true(b.result.is_repeat && b.result.created && b.result.rev == first.rev);
  assert_int_equal(store_usage_now(b.s).resources, 1);
  assert_int_equal(put_named(&b, "/b", 2), STORE_OK);
  assert_false(b.result.is_repeat);
  end(&b, *state);
}

static void operation_without_effect_keeps_no_name(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_named(&b, "/a", 1);
  assert_int_equal(put_named(&b, "/a", 2), STORE_PRECONDITION);
  assert_int_equal(put_named(&b, "/b", 2), STORE_OK); /* as POST does with another name */
  assert_false(b.result.is_repeat);
  end(&b, *state);
}

static void names_are_forgotten_and_limited(void **state)
{
  bed b;
  begin(&b, *state, 3);
  for (uint8_t i = 1; i <= 3; i++) {
    const char key[] = {'/', (char)('a' + i), '\0'};
    assert_int_equal(put_named(&b, key, i), STORE_OK);
  }
  assert_false(b.result.is_unnamed);
  assert_int_equal(put_named(&b, "/x", 9), STORE_OK);
  assert_true(b.result.is_unnamed);
  assert_int_equal(put_named(&b, "/x", 9), STORE_PRECONDITION); /* it is not known again */
  assert_int_equal(put_named(&b, "/b", 1), STORE_OK);           /* a repeat needs no room */
  pass(&b, STORE_OPID_LIFETIME_S);
  the_clock.now = b.now;
  bool is_unnamed = true;
  char key[16] = "";
  for (int i = 0; i < 12000 && is_unnamed; i++) {
    usleep(i > 0 ? 5000 : 0);
    snprintf(key, sizeof key, "/y%d", i);
    assert_int_equal(put_named(&b, key, 1), STORE_OK); /* another operation by now */
    is_unnamed = b.result.is_unnamed;
  }
  assert_false(b.result.is_unnamed);
  assert_false(b.result.is_repeat);
  assert_int_equal(put_named(&b, key, 1), STORE_OK);
  assert_true(b.result.is_repeat);
  end(&b, *state);
}

static void name_is_known_after_a_restart(void **state)
{
  bed b;
  begin(&b, *state, 0);
  put_named(&b, "/a", 1);
  const store_rev rev = b.result.rev;
  bed_leave(&b);
  bed_use(&b, reopen(&b, *state));
  assert_int_equal(put_named(&b, "/b", 1), STORE_OK);
  assert_true(b.result.is_repeat && b.result.rev == rev);
  end(&b, *state);
}

/* ------------------------------------------------------------------------------------------------
 * the server's own records */

static void state_is_apart_from_resources(void **state)
{
  bed b;
  store_item item;
  witness w = {.f = {.on_change = note_change}};
  begin(&b, *state, 0);
  store_follow(b.s, &w.f);
  bed_op op = op_of(&b, STORE_PUT, "/a", "own");
  op.op.space = STORE_STATE;
  assert_int_equal(run(&b, &op), STORE_OK);
  assert_false(is_there(&b));
  assert_int_equal(store_get_state(b.p, copal_span_str("/a"), &item, b.now), STORE_OK);
  assert_true(copal_span_is_equal(item.body, copal_span_str("own")));
  assert_int_equal(store_usage_now(b.s).resources, 0);
  assert_int_equal(w.changed, 0);
  end(&b, *state);
}

static void state_refuses_what_it_does_not_know(void **state)
{
  bed b;
  char long_key[STORE_STATE_KEY_MAX + 2] = "";
  memset(long_key, 'k', sizeof long_key - 1);
  begin(&b, *state, 0);
  for (int i = 0; i < 5; i++) {
    bed_op op = op_of(&b, STORE_PUT, i == 0 ? "" : i == 1 ? long_key : "k", "1");
    op.op.space = STORE_STATE;
    op.op.must_be_present = i == 2;
    op.op.verb = i == 3 ? STORE_SET_ATTRS : STORE_PUT;
    op.op.attrs = copal_span_str(i == 4 ? ";rt=x" : "");
    assert_int_equal(store_commit(b.p, &op.op, b.now), COPAL_EINVAL);
  }
  end(&b, *state);
}

#define ROW(test, engine)                                                                          \
  {                                                                                                \
#test "_" #engine, test, NULL, NULL, (void *)(uintptr_t) & (engine)                            \
  }
#define ROWS(test) ROW(test, memory), ROW(test, lmdb), ROW(test, journal)

int main(void)
{
  const struct CMUnitTest tests[] = {
      ROWS(resource_is_absent_from_the_end_of_its_lifetime),
      ROWS(conditions_do_not_see_what_has_expired),
      ROWS(put_begins_the_lifetime_anew_or_ends_it),
      ROWS(sweeper_deletes_and_tells),
      ROWS(change_in_front_of_the_sweeper_tells_of_the_end_first),
      ROWS(thousands_that_end_at_once_are_swept),
      cmocka_unit_test(clock_of_the_system_sweeps_too),
      ROW(lifetime_goes_on_while_nobody_serves, lmdb),
      ROW(lifetime_goes_on_while_nobody_serves, journal),
      ROWS(named_operation_is_carried_out_once),
      ROWS(operation_without_effect_keeps_no_name),
      ROWS(names_are_forgotten_and_limited),
      ROW(name_is_known_after_a_restart, lmdb),
      ROW(name_is_known_after_a_restart, journal),
      ROWS(state_is_apart_from_resources),
      ROWS(state_refuses_what_it_does_not_know),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
