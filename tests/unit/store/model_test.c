/* SPDX-License-Identifier: Apache-2.0 */
/* One random stream of operations against a naive map and every engine, through the interface:
 * conditions, attributes, names, lifetimes under a clock that is moved, the server's own records,
 * history, several operations under way at once, long keys, paged listings, and for durable engines
 * restarts in between. An engine is a row of a table at the end. */
#include <inttypes.h>
#include <stdatomic.h>

#include "store/memory/memory.h"
#include "unit/store/bed.h"

enum {
  KEYS = 48,
  STATES = 12,
  NAMES = 24,
  HISTORY = 3,
  STEPS = 5000,
  WINDOW = 8,        /* operations under way at once */
  KEY_ROOM = 1200,   /* of a key: every third is longer than the database takes */
  LONG_COMMON = 500, /* bytes that long keys begin with */
  TEXT_ROOM = 16,
  REOPEN_EVERY = 1250,
  LIST_EVERY = 250,
  PAGE = 7,
};

#define WALL_AHEAD                                                                                 \
  (UINT64_C(1700000000) * COPAL_SECOND) /* of the wall clock, as the test has it                   \
                                         */

typedef struct version {
  char body[TEXT_ROOM];
  store_etag etag;
  copal_time written;
} version;

typedef struct entry {
  store_space space;
  uint8_t key[KEY_ROOM];
  size_t key_len;
  bool is_there;
  char attrs[TEXT_ROOM];
  uint16_t format;
  uint32_t max_age_s;
  uint32_t lifetime_s;
  store_rev rev;
  version now;
  version former[HISTORY]; /* the newest first */
  size_t former_count;
} entry;

/* A named operation that was carried out. */
typedef struct promise {
  bool is_kept;
  copal_time until;
  store_result result;
  const entry *e;
} promise;

typedef struct model {
  entry entries[KEYS + STATES]; /* in key order, the resources first */
  promise promises[NAMES];
  store_rev last; /* highest revision seen */
  uint64_t repeats;
  uint64_t random;
} model;

/* An operation under way and what the model needs to follow it. */
typedef struct step {
  bed_op op; /* first */
  entry *e;
  promise *name; /* NULL: it has none */
  char body[TEXT_ROOM];
  char attrs[TEXT_ROOM];
  copal_time now;
  uint8_t repeat_key[KEY_ROOM]; /* of the result */
  size_t repeat_len;
} step;

/* The clock of the store: never ahead of the operations. */
typedef struct test_clock {
  store_clock hook; /* first */
  _Atomic copal_time now;
} test_clock;

static test_clock the_clock;

static copal_time read_clock(store_clock *c)
{
  return ((test_clock *)c)->now;
}

static unsigned draw(model *m, unsigned below)
{
  m->random = m->random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(m->random >> 33) % below;
}

static copal_span key_of(const entry *e)
{
  return copal_span_of(e->key, e->key_len);
}

static int compare_entries(const void *a, const void *b)
{
  const entry *x = a, *y = b;
  const size_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
  const int order = memcmp(x->key, y->key, len);
  return order != 0 ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void make_path(entry *e, unsigned i)
{
  char text[KEY_ROOM];
  int len = 0;
  if (i % 3 == 0)
    len = snprintf(text, sizeof text, "/long/%0*d/", LONG_COMMON, 0);
  snprintf(text + len, sizeof text - (size_t)len, "/k%02u%s", (i * 7) % KEYS,
           i % 2 != 0 ? "/x" : "");
  if (i % 6 == 0)
    memset(text + strlen(text), 'y', 300);
  e->key_len =
      i % 6 == 0 ? strlen(text) < KEY_ROOM - 1 ? strlen(text) : KEY_ROOM - 1 : strlen(text);
  memcpy(e->key, text, e->key_len);
}

/* Keys of the state are any bytes. */
static void make_state_key(model *m, entry *e, unsigned i)
{
  e->space = STORE_STATE;
  e->key_len = i == 0 ? STORE_STATE_KEY_MAX : 1 + draw(m, 60);
  for (size_t k = 0; k < e->key_len; k++)
    e->key[k] = (uint8_t)draw(m, 256);
  e->key[0] = (uint8_t)(i * 17); /* all are different */
}

static void model_init(model *m, uint64_t seed)
{
  *m = (model){.random = seed};
  for (unsigned i = 0; i < KEYS; i++)
    make_path(&m->entries[i], i);
  for (unsigned i = 0; i < STATES; i++)
    make_state_key(m, &m->entries[KEYS + i], i);
  qsort(m->entries, KEYS, sizeof m->entries[0], compare_entries);
  qsort(m->entries + KEYS, STATES, sizeof m->entries[0], compare_entries);
}

/* ------------------------------------------------------------------------------------------------
 * what must hold */

static bool is_alive(const entry *e, copal_time now)
{
  return e->is_there &&
         (e->lifetime_s == 0 || now < e->now.written + e->lifetime_s * (copal_time)COPAL_SECOND);
}

static bool holds(const store_op *op, const entry *e)
{
  if (!e->is_there)
    return !op->must_be_present && op->must_be_rev == 0 && op->etag_count == 0;
  return !op->must_be_absent && (op->must_be_rev == 0 || op->must_be_rev == e->rev) &&
         (op->etag_count == 0 ||
          memcmp(op->etags[0].bytes, e->now.etag.bytes, STORE_ETAG_SIZE) == 0);
}

static store_status expected(const step *s)
{
  if (!holds(&s->op.op, s->e))
    return STORE_PRECONDITION;
  return s->op.op.verb == STORE_SET_ATTRS && !s->e->is_there ? STORE_ABSENT : STORE_OK;
}

static void bury(entry *e)
{
  e->is_there = false;
  e->former_count = 0;
}

static void follow_set_attrs(entry *e, const step *s)
{
  assert_memory_equal(s->op.result.etag.bytes, e->now.etag.bytes, STORE_ETAG_SIZE);
  strcpy(e->attrs, s->attrs);
  e->rev = s->op.result.rev;
}

static void follow_put(entry *e, const step *s)
{
  const store_op *op = &s->op.op;
  if (e->is_there && e->space == STORE_RESOURCES) {
    memmove(e->former + 1, e->former, (HISTORY - 1) * sizeof e->former[0]);
    e->former[0] = e->now;
    e->former_count += e->former_count < HISTORY;
  }
  if (!(op->keeps_attrs && e->is_there))
    strcpy(e->attrs, s->attrs);
  if (!(op->keeps_lifetime && e->is_there))
    e->lifetime_s = op->lifetime_s;
  strcpy(e->now.body, s->body);
  e->now.etag = s->op.result.etag;
  e->now.written = s->now;
  e->format = op->content_format;
  e->max_age_s = op->max_age_s;
  e->rev = s->op.result.rev;
  e->is_there = true;
}

static void follow_effect(model *m, step *s)
{
  entry *e = s->e;
  const store_result *r = &s->op.result;
  if (s->op.op.verb == STORE_DELETE) {
    assert_true(r->created == e->is_there && r->rev == 0);
    bury(e);
    return;
  }
  assert_true(r->rev > m->last);
  m->last = r->rev;
  assert_int_equal(r->created, !e->is_there);
  if (s->op.op.verb == STORE_SET_ATTRS)
    follow_set_attrs(e, s);
  else
    follow_put(e, s);
}

static void check_repeat(const step *s)
{
  const store_result *r = &s->op.result;
  const store_result *first = &s->name->result;
  assert_true(r->status == STORE_OK && r->is_repeat);
  assert_true(r->rev == first->rev && r->created == first->created);
  assert_memory_equal(r->etag.bytes, first->etag.bytes, STORE_ETAG_SIZE);
  assert_true(copal_span_is_equal(copal_span_of(s->repeat_key, s->repeat_len), key_of(s->name->e)));
}

/* Follows an operation that is done. */
static void follow(model *m, step *s)
{
  entry *e = s->e;
  const store_result *r = &s->op.result;
  if (s->name != NULL && s->name->is_kept && s->now < s->name->until) {
    check_repeat(s);
    m->repeats++;
    return;
  }
  if (!is_alive(e, s->now))
    bury(e);
  assert_false(r->is_repeat);
  assert_int_equal(r->status, expected(s));
  if (r->status == STORE_PRECONDITION && e->is_there)
    assert_true(r->rev == e->rev);
  if (r->status != STORE_OK)
    return;
  follow_effect(m, s);
  if (s->name != NULL)
    *s->name = (promise){.is_kept = true,
                         .until = s->now + STORE_OPID_LIFETIME_S * (copal_time)COPAL_SECOND,
                         .result = *r,
                         .e = e};
}

static void check_version(const version *v, const store_item *item)
{
  assert_memory_equal(item->etag.bytes, v->etag.bytes, STORE_ETAG_SIZE);
  assert_true(copal_span_is_equal(item->body, copal_span_str(v->body)));
  assert_true(item->written == v->written);
}

static void check_item(const entry *e, const store_item *item)
{
  assert_true(e->is_there && item->rev == e->rev);
  check_version(&e->now, item);
  assert_true(copal_span_is_equal(item->attrs, copal_span_str(e->attrs)));
  assert_int_equal(item->content_format, e->format);
  assert_int_equal(item->max_age_s, e->max_age_s);
  assert_int_equal(item->lifetime_s, e->lifetime_s);
}

static void check_get(bed *b, const entry *e)
{
  store_item item;
  const store_status found = e->space == STORE_STATE
                                 ? store_get_state(b->p, key_of(e), &item, b->now)
                                 : store_get(b->p, key_of(e), &item, b->now);
  assert_int_equal(found, is_alive(e, b->now) ? STORE_OK : STORE_ABSENT);
  if (found == STORE_OK)
    check_item(e, &item);
}

/* ------------------------------------------------------------------------------------------------
 * history and listings */

typedef struct reading {
  const entry *e;
  size_t count;
} reading;

static int check_past(void *ctx, copal_span key, const store_item *item)
{
  reading *r = ctx;
  assert_true(copal_span_is_equal(key, key_of(r->e)));
  if (r->count == 0)
    check_item(r->e, item);
  else
    check_version(&r->e->former[r->count - 1], item);
  r->count++;
  return 0;
}

static void check_history(bed *b, model *m)
{
  reading r = {.e = &m->entries[draw(m, KEYS)]};
  const size_t max = draw(m, HISTORY + 3);
  const size_t all = is_alive(r.e, b->now) ? 1 + r.e->former_count : 0;
  const int n = store_history(b->p, key_of(r.e), max, check_past, &r, b->now);
  assert_int_equal(n, max < all ? max : all);
  assert_int_equal(n, r.count);
}

typedef struct listing {
  const entry *next;
  copal_time now;
  uint8_t last[KEY_ROOM];
  size_t last_len;
} listing;

static int check_listed(void *ctx, copal_span key, const store_item *item)
{
  listing *l = ctx;
  while (!is_alive(l->next, l->now))
    l->next++;
  assert_true(copal_span_is_equal(key, key_of(l->next)));
  check_item(l->next, item);
  memcpy(l->last, key.ptr, key.len);
  l->last_len = key.len;
  l->next++;
  return 0;
}

static size_t count_alive(const bed *b, const entry *from, size_t count, copal_span prefix)
{
  size_t alive = 0;
  for (size_t i = 0; i < count; i++)
    alive += is_alive(&from[i], b->now) && copal_span_has_prefix(key_of(&from[i]), prefix);
  return alive;
}

static void check_space(bed *b, store_space space, const entry *from, size_t count)
{
  listing l = {.next = from, .now = b->now};
  size_t listed = 0;
  for (int n = PAGE; n == PAGE; listed += (size_t)n) {
    uint8_t after[KEY_ROOM];
    memcpy(after, l.last, l.last_len);
    const store_range page = {
        .space = space, .after = copal_span_of(after, l.last_len), .max = PAGE};
    n = store_list(b->p, &page, check_listed, &l, b->now);
    store_view_renew(b->p);
  }
  assert_int_equal(listed, count_alive(b, from, count, copal_span_none()));
}

static void check_list(bed *b, const model *m)
{
  check_space(b, STORE_RESOURCES, m->entries, KEYS);
  check_space(b, STORE_STATE, m->entries + KEYS, STATES);
}

static void check_prefix(bed *b, model *m)
{
  const entry *e = &m->entries[draw(m, KEYS)];
  const copal_span prefix = copal_span_of(e->key, 1 + draw(m, (unsigned)e->key_len));
  const store_range range = {.prefix = prefix, .max = 1000};
  listing l = {.next = m->entries, .now = b->now};
  while (!copal_span_has_prefix(key_of(l.next), prefix))
    l.next++;
  assert_int_equal(store_list(b->p, &range, check_listed, &l, b->now),
                   count_alive(b, m->entries, KEYS, prefix));
}

/* ------------------------------------------------------------------------------------------------
 * the stream */

static void add_condition(model *m, store_op *op, const entry *e)
{
  switch (draw(m, 6)) {
  case 0: op->must_be_absent = true; break;
  case 1: op->must_be_present = true; break;
  case 2: op->must_be_rev = e->rev + draw(m, 2); break;
  case 3:
    op->etag_count = 1;
    op->etags[0] = e->now.etag;
    op->etags[0].bytes[0] ^= (uint8_t)draw(m, 2);
    break;
  default: break;
  }
}

static void draw_resource_op(model *m, step *s)
{
  static const store_verb verbs[] = {STORE_PUT, STORE_PUT, STORE_PUT, STORE_DELETE,
                                     STORE_SET_ATTRS};
  store_op *op = &s->op.op;
  op->verb = verbs[draw(m, 5)];
  snprintf(s->attrs, sizeof s->attrs, draw(m, 2) != 0 ? ";rt=\"%u\"" : "", draw(m, 100));
  op->attrs = copal_span_str(s->attrs);
  op->keeps_attrs = draw(m, 2) != 0;
  op->content_format = (uint16_t)draw(m, 4);
  op->max_age_s = draw(m, 100);
  add_condition(m, op, s->e);
}

static void draw_state_op(model *m, step *s)
{
  s->op.op.space = STORE_STATE;
  s->op.op.verb = draw(m, 3) == 0 ? STORE_DELETE : STORE_PUT;
  s->op.op.must_be_absent = draw(m, 4) == 0;
}

static void draw_name(model *m, step *s)
{
  const unsigned at = draw(m, NAMES);
  if (draw(m, 4) != 0)
    return;
  s->name = &m->promises[at];
  s->op.op.id.bytes[0] = 0xa5;
  s->op.op.id.bytes[STORE_OPID_SIZE - 1] = (uint8_t)at;
}

static void on_step_done(store_op *op, const store_result *result)
{
  step *s = (step *)op;
  if (result->is_repeat) {
    s->repeat_len = result->key.len;
    memcpy(s->repeat_key, result->key.ptr, result->key.len);
  }
  bed_on_done(op, result);
}

/* What the engine does not copy is lost. */
static void commit_copies(bed *b, step *s)
{
  store_op *op = &s->op.op;
  uint8_t *key = malloc(s->e->key_len);
  char *body = strdup(s->body);
  assert_true(key != NULL && body != NULL);
  memcpy(key, s->e->key, s->e->key_len);
  op->key = copal_span_of(key, s->e->key_len);
  op->body = copal_span_str(body);
  assert_int_equal(store_commit(b->p, op, b->now), COPAL_OK);
  memset(key, '!', op->key.len);
  memset(body, '!', op->body.len);
  free(key);
  free(body);
  op->key = op->body = copal_span_none();
}

static void submit(bed *b, model *m, step *s)
{
  *s = (step){.e = &m->entries[draw(m, KEYS + STATES)], .now = ++b->now};
  s->op = op_of(b, STORE_PUT, "", "");
  s->op.op.done = on_step_done;
  snprintf(s->body, sizeof s->body, "%u", draw(m, 1000000));
  if (s->e->space == STORE_STATE)
    draw_state_op(m, s);
  else
    draw_resource_op(m, s);
  s->op.op.lifetime_s = draw(m, 2) != 0 ? 1 + draw(m, 60) : 0;
  s->op.op.keeps_lifetime = draw(m, 3) == 0;
  draw_name(m, s);
  commit_copies(b, s);
}

static void move_clock(bed *b, model *m)
{
  if (draw(m, 3) == 0)
    b->now += draw(m, 3000) * (copal_time)1000;
  if (draw(m, 200) == 0)
    b->now += 300 * (copal_time)COPAL_SECOND;
  the_clock.now = b->now;
}

/* What was found behind a stamp, some time ago. */
typedef struct stamped {
  const entry *e; /* NULL: nothing */
  store_stamp stamp;
  store_rev rev; /* 0: absent */
  unsigned held;
} stamped;

static store_rev rev_of(bed *b, const entry *e)
{
  store_item item;
  return store_get(b->p, key_of(e), &item, b->now) == STORE_OK ? item.rev : 0;
}

/* As long as the stamp holds, the same is found. Only lifetimes end without notice. */
static void check_stamp(bed *b, model *m, stamped *s)
{
  if (s->e != NULL && store_is_unchanged(b->p, &s->stamp)) {
    const store_rev rev = rev_of(b, s->e);
    assert_true(rev == s->rev || (rev == 0 && s->e->is_there && !is_alive(s->e, b->now)));
    s->held++;
  }
  s->e = &m->entries[draw(m, KEYS)];
  if (!store_stamp_of(b->p, key_of(s->e), &s->stamp)) /* the sweeper is at it */
    s->e = NULL;
  else
    s->rev = rev_of(b, s->e);
}

static void run_window(bed *b, model *m)
{
  step steps[WINDOW];
  const unsigned count = 1 + draw(m, WINDOW);
  move_clock(b, m);
  for (unsigned i = 0; i < count; i++)
    submit(b, m, &steps[i]);
  wait_for(b, &steps[count - 1].op);
  for (unsigned i = 0; i < count; i++) {
    assert_true(steps[i].op.is_done); /* those of a port in the order of submission */
    follow(m, &steps[i]);
  }
  for (unsigned i = 0; i < count; i++)
    check_get(b, steps[i].e);
  check_history(b, m);
  store_view_renew(b->p);
}

/* In the end what has expired is deleted, not only hidden. */
static void check_sweep(bed *b, const model *m)
{
  const size_t alive = count_alive(b, m->entries, KEYS, copal_span_none());
  for (int i = 0; i < 12000 && store_usage_now(b->s).resources != alive; i++) {
    usleep(5000);
    bed_op poke = op_of(b, STORE_DELETE, "none", "");
    poke.op.space = STORE_STATE;
    run(b, &poke);
  }
  assert_int_equal(store_usage_now(b->s).resources, alive);
}

/* ------------------------------------------------------------------------------------------------
 * engines */

typedef struct engine {
  store *(*open)(const bed *b);
  bool is_durable; /* the store of the same directory opens with what it had */
} engine;

static store *open_memory(const bed *b)
{
  return memory_store_open(&(memory_store_cfg){
      .stripe_count = 4, .history = HISTORY, .now = b->now, .clock = &the_clock.hook});
}

static store *open_lmdb(const bed *b)
{
  return bed_lmdb(b, &(lmdb_store_cfg){.byte_max = 256u << 20,
                                       .history = HISTORY,
                                       .now = b->now,
                                       .wall = b->now + WALL_AHEAD,
                                       .clock = &the_clock.hook});
}

static const engine memory = {.open = open_memory};
static store *open_journal(const bed *b)
{
  return bed_journal(b, &(journal_store_cfg){.common = {.byte_max = 256u << 20,
                                                        .history = HISTORY,
                                                        .now = b->now,
                                                        .wall = b->now + WALL_AHEAD,
                                                        .clock = &the_clock.hook},
                                             .checkpoint_us = 3000});
}

static const engine lmdb = {.open = open_lmdb, .is_durable = true};
static const engine journal = {.open = open_journal, .is_durable = true};

static uint64_t choose_seed(void)
{
  const char *given = getenv("COPAL_SEED");
  uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 0;
  if (given == NULL)
    assert_true(store_random((copal_mspan){(uint8_t *)&seed, sizeof seed}));
  print_message("COPAL_SEED=%" PRIu64 "\n", seed);
  return seed;
}

static void engine_matches_a_naive_map(void **state)
{
  const engine *e = *state;
  static model m;
  bed b;
  model_init(&m, choose_seed());
  the_clock = (test_clock){.hook.now = read_clock};
  bed_init(&b);
  if (e->is_durable)
    bed_make_dir(&b);
  the_clock.now = b.now;
  bed_use(&b, e->open(&b));
  stamped s = {.e = NULL};
  for (int i = 0; i < STEPS; i++) {
    run_window(&b, &m);
    check_stamp(&b, &m, &s);
    if (i % LIST_EVERY == 0)
      check_list(&b, &m);
    if (i % LIST_EVERY == 1)
      check_prefix(&b, &m);
    if (e->is_durable && i % REOPEN_EVERY == REOPEN_EVERY - 1) {
      bed_leave(&b);
      bed_use(&b, e->open(&b));
      s.e = NULL;
    }
  }
  check_list(&b, &m);
  check_sweep(&b, &m);
  assert_true(m.repeats > 0);
  assert_true(s.held > 0);
  bed_leave(&b);
  if (e->is_durable)
    bed_remove_dir(&b);
}

#define ROW(engine)                                                                                \
  {                                                                                                \
#engine "_matches_a_naive_map", engine_matches_a_naive_map, NULL, NULL,                        \
        (void *)(uintptr_t) & (engine)                                                             \
  }

int main(void)
{
  const struct CMUnitTest tests[] = {ROW(memory), ROW(lmdb), ROW(journal)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
