/* SPDX-License-Identifier: Apache-2.0 */
/* One random stream of operations against a naive map and every engine, through the interface:
 * conditions, attributes, several operations under way at once, long keys, paged listings, and for
 * the durable engine restarts in between. */
#include "unit/store/bed.h"

#include "store/memory/memory.h"

enum {
  KEYS = 48,
  STEPS = 6000,
  WINDOW = 8,        /* operations under way at once */
  KEY_ROOM = 1200,   /* of a key: every third is longer than the database takes */
  LONG_COMMON = 500, /* bytes that long keys begin with */
  REOPEN_EVERY = 1500,
  LIST_EVERY = 250,
  PAGE = 7,
};

typedef struct entry {
  char key[KEY_ROOM];
  bool is_there;
  char body[16];
  char attrs[16];
  uint16_t format;
  store_rev rev;
  store_etag etag;
  copal_time written;
} entry;

typedef struct model {
  entry entries[KEYS]; /* in key order */
  store_rev last;      /* highest revision seen */
  uint64_t random;
} model;

/* An operation under way and what the model needs to follow it. */
typedef struct step {
  bed_op op; /* first */
  entry *e;
  char body[16];
  char attrs[16];
  copal_time now;
} step;

static unsigned draw(model *m, unsigned below)
{
  m->random = m->random * 6364136223846793005u + 1442695040888963407u;
  return (unsigned)(m->random >> 33) % below;
}

static int compare_entries(const void *a, const void *b)
{
  return strcmp(((const entry *)a)->key, ((const entry *)b)->key);
}

static void model_init(model *m)
{
  *m = (model){.random = 2024};
  for (unsigned i = 0; i < KEYS; i++) {
    char *key = m->entries[i].key;
    int len = 0;
    if (i % 3 == 0)
      len = snprintf(key, KEY_ROOM, "/long/%0*d/", LONG_COMMON, 0);
    snprintf(key + len, KEY_ROOM - (size_t)len, "/k%02u%s", (i * 7) % KEYS, i % 2 != 0 ? "/x" : "");
    if (i % 6 == 0)
      memset(key + strlen(key), 'y', 300);
  }
  qsort(m->entries, KEYS, sizeof m->entries[0], compare_entries);
}

/* ------------------------------------------------------------------------------------------------
 * what must hold */

static bool holds(const store_op *op, const entry *e)
{
  if (!e->is_there)
    return !op->must_be_present && op->must_be_rev == 0 && op->etag_count == 0;
  return !op->must_be_absent && (op->must_be_rev == 0 || op->must_be_rev == e->rev) &&
         (op->etag_count == 0 || memcmp(op->etags[0].bytes, e->etag.bytes, STORE_ETAG_SIZE) == 0);
}

static store_status expected(const step *s)
{
  if (!holds(&s->op.op, s->e))
    return STORE_PRECONDITION;
  return s->op.op.verb == STORE_SET_ATTRS && !s->e->is_there ? STORE_ABSENT : STORE_OK;
}

/* Follows an operation that is done. */
static void follow(model *m, step *s)
{
  entry *e = s->e;
  const store_op *op = &s->op.op;
  const store_result *r = &s->op.result;
  assert_int_equal(r->status, expected(s));
  if (r->status == STORE_PRECONDITION && e->is_there)
    assert_true(r->rev == e->rev);
  if (r->status != STORE_OK)
    return;
  if (op->verb == STORE_DELETE) {
    assert_true(r->created == e->is_there && r->rev == 0);
    e->is_there = false;
    return;
  }
  assert_true(r->rev > m->last);
  m->last = r->rev;
  assert_int_equal(r->created, !e->is_there);
  if (op->verb == STORE_SET_ATTRS) {
    assert_memory_equal(r->etag.bytes, e->etag.bytes, STORE_ETAG_SIZE);
    strcpy(e->attrs, s->attrs);
    e->rev = r->rev;
    return;
  }
  if (!(op->keeps_attrs && e->is_there))
    strcpy(e->attrs, s->attrs);
  strcpy(e->body, s->body);
  e->format = op->content_format;
  e->rev = r->rev;
  e->etag = r->etag;
  e->written = s->now;
  e->is_there = true;
}

static void check_item(const entry *e, const store_item *item)
{
  assert_true(e->is_there && item->rev == e->rev);
  assert_memory_equal(item->etag.bytes, e->etag.bytes, STORE_ETAG_SIZE);
  assert_true(copal_span_is_equal(item->body, copal_span_str(e->body)));
  assert_true(copal_span_is_equal(item->attrs, copal_span_str(e->attrs)));
  assert_int_equal(item->content_format, e->format);
}

static void check_get(bed *b, const entry *e)
{
  store_item item;
  const bool is_there = store_get(b->p, copal_span_str(e->key), &item, b->now) == STORE_OK;
  assert_int_equal(is_there, e->is_there);
  if (is_there) {
    check_item(e, &item);
    assert_true(e->written == COPAL_NEVER || item.written == e->written);
  }
}

typedef struct listing {
  const entry *next;
  char last[KEY_ROOM];
} listing;

static int check_listed(void *ctx, copal_span key, const store_item *item)
{
  listing *l = ctx;
  while (!l->next->is_there)
    l->next++;
  assert_true(copal_span_is_equal(key, copal_span_str(l->next->key)));
  check_item(l->next, item);
  strcpy(l->last, l->next->key);
  l->next++;
  return 0;
}

static void check_list(bed *b, const model *m)
{
  listing l = {.next = m->entries};
  size_t there = 0;
  for (int i = 0; i < KEYS; i++)
    there += m->entries[i].is_there;
  size_t listed = 0;
  for (int n = PAGE; n == PAGE; listed += (size_t)n) {
    n = store_list(b->p, &(store_range){.after = copal_span_str(l.last), .max = PAGE}, check_listed,
                   &l, 0);
    store_view_renew(b->p);
  }
  assert_int_equal(listed, there);
  assert_int_equal(store_usage_now(b->s).resources, there);
}

static void check_prefix(bed *b, model *m)
{
  const entry *e = &m->entries[draw(m, KEYS)];
  const size_t len = 1 + draw(m, (unsigned)strlen(e->key));
  const copal_span prefix = copal_span_of(e->key, len);
  size_t there = 0;
  const entry *first = NULL;
  for (int i = 0; i < KEYS; i++)
    if (copal_span_has_prefix(copal_span_str(m->entries[i].key), prefix)) {
      first = first == NULL ? &m->entries[i] : first;
      there += m->entries[i].is_there;
    }
  listing l = {.next = first};
  assert_int_equal(
      store_list(b->p, &(store_range){.prefix = prefix, .max = 1000}, check_listed, &l, 0), there);
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
    op->etags[0] = e->etag;
    op->etags[0].bytes[0] ^= (uint8_t)draw(m, 2);
    break;
  default: break;
  }
}

static store_verb draw_verb(model *m)
{
  static const store_verb verbs[] = {STORE_PUT, STORE_PUT, STORE_PUT, STORE_DELETE,
                                     STORE_SET_ATTRS};
  return verbs[draw(m, 5)];
}

static void submit(bed *b, model *m, step *s)
{
  s->e = &m->entries[draw(m, KEYS)];
  snprintf(s->body, sizeof s->body, "%u", draw(m, 1000000));
  snprintf(s->attrs, sizeof s->attrs, draw(m, 2) != 0 ? ";rt=\"%u\"" : "", draw(m, 100));
  s->now = ++b->now;
  s->op = op_of(b, draw_verb(m), s->e->key, s->body);
  s->op.op.attrs = copal_span_str(s->attrs);
  s->op.op.keeps_attrs = draw(m, 2) != 0;
  s->op.op.content_format = (uint16_t)draw(m, 4);
  add_condition(m, &s->op.op, s->e);
  /* What the engine does not copy would be lost. */
  char *key = strdup(s->e->key);
  s->op.op.key = copal_span_str(key);
  assert_int_equal(store_commit(b->p, &s->op.op, b->now), COPAL_OK);
  memset(key, '!', s->op.op.key.len);
  free(key);
  s->op.op.key = copal_span_none();
}

static void run_window(bed *b, model *m)
{
  step steps[WINDOW];
  const unsigned count = 1 + draw(m, WINDOW);
  for (unsigned i = 0; i < count; i++)
    submit(b, m, &steps[i]);
  wait_for(b, &steps[count - 1].op);
  for (unsigned i = 0; i < count; i++) {
    assert_true(steps[i].op.is_done); /* those of a port in the order of submission */
    follow(m, &steps[i]);
  }
  for (unsigned i = 0; i < count; i++)
    check_get(b, steps[i].e);
  store_view_renew(b->p);
}

static void stream(bool is_durable)
{
  static model m;
  bed b;
  model_init(&m);
  if (is_durable) {
    bed_open_lmdb(&b, NULL);
  } else {
    bed_init(&b);
    bed_use(&b, memory_store_open(&(memory_store_cfg){.stripe_count = 4}));
  }
  for (int i = 0; i < STEPS; i++) {
    run_window(&b, &m);
    if (i % LIST_EVERY == 0)
      check_list(&b, &m);
    if (i % LIST_EVERY == 1)
      check_prefix(&b, &m);
    if (is_durable && i % REOPEN_EVERY == REOPEN_EVERY - 1) {
      bed_reopen_lmdb(&b, NULL);
      for (int k = 0; k < KEYS; k++)
        m.entries[k].written = COPAL_NEVER; /* moves with the wall clock, see lmdb_test */
    }
  }
  check_list(&b, &m);
  if (is_durable)
    bed_close_lmdb(&b);
  else
    bed_leave(&b);
}

static void memory_matches_a_naive_map(void **state)
{
  (void)state;
  stream(false);
}

static void lmdb_matches_a_naive_map(void **state)
{
  (void)state;
  stream(true);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_matches_a_naive_map),
      cmocka_unit_test(lmdb_matches_a_naive_map),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
