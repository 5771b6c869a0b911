/* SPDX-License-Identifier: Apache-2.0 */
/* The durable engine: what survives, what is refused, in which order things are told. */
#include "unit/store/bed.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>

#include "store/lmdb/record.h"

enum { SMALL = 4 << 20 }; /* bytes of a store that is soon full */

static void representation_survives_a_restart(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_open_lmdb(&b, NULL);
  bed_op op = op_of(&b, STORE_PUT, "/a", "body");
  op.op.attrs = copal_span_str(";rt=\"x\"");
  op.op.content_format = 50;
  op.op.max_age_s = 7;
  assert_int_equal(run(&b, &op), STORE_OK);
  bed_reopen_lmdb(&b, NULL);
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  assert_true(item.rev == op.result.rev);
  assert_memory_equal(item.etag.bytes, op.result.etag.bytes, STORE_ETAG_SIZE);
  assert_int_equal(item.content_format, 50);
  assert_int_equal(item.max_age_s, 7);
  assert_true(copal_span_is_equal(item.attrs, copal_span_str(";rt=\"x\"")));
  assert_true(body_is(&b, "/a", "body"));
  assert_int_equal(store_usage_now(b.s).resources, 1);
  bed_close_lmdb(&b);
}

static void age_survives_a_restart_with_another_clock(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_init(&b);
  b.now = 50 * COPAL_SECOND;
  bed_make_dir(&b);
  bed_use(&b, bed_lmdb(&b, NULL));
  put(&b, "/a", "1");
  bed_leave(&b);
  b.now = 1000 * (copal_time)COPAL_SECOND; /* the clock of another boot */
  bed_use(&b, bed_lmdb(&b, NULL));
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  /* As long before the new `now` as the test took. */
  assert_true(item.written <= b.now && b.now - item.written < 60 * COPAL_SECOND);
  assert_true(item.written > 900 * (copal_time)COPAL_SECOND);
  bed_close_lmdb(&b);
}

static void instants_before_the_clock_are_its_zero(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_init(&b);
  b.now = 1;
  bed_make_dir(&b);
  bed_use(&b, bed_lmdb(&b, NULL));
  put(&b, "/a", "1");
  usleep(1000);
  bed_reopen_lmdb(&b, NULL);
  assert_true(store_get(b.p, copal_span_str("/a"), &item, b.now) == STORE_OK);
  assert_true(item.written == 0);
  bed_close_lmdb(&b);
}

static void revisions_and_etags_are_never_reused(void **state)
{
  (void)state;
  enum { LIVES = 4, PUTS = 5 };
  store_result seen[LIVES * PUTS];
  size_t count = 0;
  bed b;
  bed_open_lmdb(&b, NULL);
  for (int life = 0; life < LIVES; life++) {
    for (int i = 0; i < PUTS; i++) {
      put(&b, "/a", "same");
      seen[count++] = b.result;
      del(&b, "/a");
    }
    bed_reopen_lmdb(&b, NULL);
  }
  for (size_t i = 1; i < count; i++) {
    assert_true(seen[i].rev > seen[i - 1].rev);
    for (size_t k = 0; k < i; k++)
      assert_memory_not_equal(seen[i].etag.bytes, seen[k].etag.bytes, STORE_ETAG_SIZE);
  }
  bed_close_lmdb(&b);
}

static void conditions_see_earlier_changes_of_the_batch(void **state)
{
  (void)state;
  enum { COUNT = 100 };
  bed b;
  bed_op ops[COUNT];
  unsigned created = 0;
  bed_open_lmdb(&b, NULL);
  for (int i = 0; i < COUNT; i++) {
    ops[i] = op_of(&b, i % 3 == 2 ? STORE_DELETE : STORE_PUT, "/lock", "x");
    ops[i].op.must_be_absent = i % 3 != 2;
    assert_int_equal(store_commit(b.p, &ops[i].op, 0), COPAL_OK);
  }
  wait_for(&b, &ops[COUNT - 1]);
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(ops[i].result.status, i % 3 == 1 ? STORE_PRECONDITION : STORE_OK);
    created += ops[i].result.created && i % 3 == 0;
  }
  assert_int_equal(created, (COUNT + 2) / 3);
  const lmdb_store_counts counts = lmdb_store_counts_now(b.s);
  assert_true(counts.changes == COUNT && counts.commits < COUNT); /* they did share commits */
  bed_close_lmdb(&b);
}

/* ------------------------------------------------------------------------------------------------
 * views */

static void lent_items_live_until_the_view_is_renewed(void **state)
{
  (void)state;
  enum { COUNT = 30 };
  bed b;
  store_item items[COUNT];
  char body[64];
  bed_open_lmdb(&b, NULL);
  for (int i = 0; i < COUNT; i++) {
    snprintf(body, sizeof body, "version %d", i % 6);
    if (i % 5 == 0) /* more would exhaust the snapshots kept */
      put(&b, "/a", body);
    assert_true(store_get(b.p, copal_span_str("/a"), &items[i], b.now) == STORE_OK);
  }
  for (int i = 0; i < COUNT; i++) {
    snprintf(body, sizeof body, "version %d", i / 5 * 5 % 6);
    assert_true(copal_span_is_equal(items[i].body, copal_span_str(body)));
  }
  store_view_renew(b.p);
  for (int i = 0; i < 100; i++) /* pages are used again, as nobody holds them */
    put(&b, "/a", "x");
  assert_true(store_usage_now(b.s).bytes < 40 * 4096);
  bed_close_lmdb(&b);
}

static void view_stays_until_renewed_and_shows_own_results(void **state)
{
  (void)state;
  bed b;
  store_port *other;
  store_item item;
  bed_open_lmdb(&b, NULL);
  assert_int_equal(store_port_open(b.s, NULL, &other), COPAL_OK);
  assert_int_equal(store_get(other, copal_span_str("/a"), &item, b.now), STORE_ABSENT);
  put(&b, "/a", "1");
  assert_true(body_is(&b, "/a", "1"));
  assert_int_equal(store_get(other, copal_span_str("/a"), &item, b.now),
                   STORE_ABSENT); /* its view is older */
  store_view_renew(other);
  assert_true(store_get(other, copal_span_str("/a"), &item, b.now) == STORE_OK);
  store_port_close(other);
  bed_close_lmdb(&b);
}

/* ------------------------------------------------------------------------------------------------
 * followers */

typedef struct witness {
  store_follower f;
  store_rev rev;
  unsigned calls, deleted, in_order;
  bool links_changed;
  char last[32];
} witness;

static void note_change(store_follower *f, const store_change *c)
{
  witness *w = (witness *)f;
  w->calls++;
  w->deleted += c->item == NULL;
  if (c->item != NULL) {
    w->in_order += c->rev > w->rev && c->rev == c->item->rev;
    w->rev = c->rev;
    snprintf(w->last, sizeof w->last, "%.*s|%.*s", (int)c->item->body.len,
             (const char *)c->item->body.ptr, (int)c->item->attrs.len,
             (const char *)c->item->attrs.ptr);
  }
  w->links_changed = c->links_changed;
}

static void followers_are_told_in_order_before_the_result(void **state)
{
  (void)state;
  enum { COUNT = 60 };
  bed b;
  bed_op ops[COUNT];
  witness w = {.f = {.on_change = note_change}};
  bed_open_lmdb(&b, NULL);
  store_follow(b.s, &w.f);
  for (int i = 0; i < COUNT; i++) {
    ops[i] = op_of(&b, i % 4 == 3 ? STORE_DELETE : STORE_PUT, i % 2 == 0 ? "/a" : "/b", "1");
    assert_int_equal(store_commit(b.p, &ops[i].op, 0), COPAL_OK);
  }
  wait_for(&b, &ops[COUNT - 1]);
  assert_int_equal(w.calls, COUNT);
  assert_int_equal(w.deleted, COUNT / 4);
  assert_int_equal(w.in_order, COUNT - COUNT / 4);
  del(&b, "/none");
  assert_int_equal(w.calls, COUNT);
  bed_close_lmdb(&b);
}

static void followers_see_what_a_change_keeps(void **state)
{
  (void)state;
  bed b;
  witness w = {.f = {.on_change = note_change}};
  bed_open_lmdb(&b, NULL);
  store_follow(b.s, &w.f);
  bed_op op = op_of(&b, STORE_PUT, "/a", "1");
  op.op.attrs = copal_span_str(";rt=x");
  run(&b, &op);
  op = op_of(&b, STORE_PUT, "/a", "2");
  op.op.keeps_attrs = true;
  run(&b, &op);
  assert_string_equal(w.last, "2|;rt=x");
  assert_false(w.links_changed);
  op = op_of(&b, STORE_SET_ATTRS, "/a", "");
  op.op.attrs = copal_span_str(";rt=y");
  run(&b, &op);
  assert_string_equal(w.last, "2|;rt=y");
  assert_true(w.links_changed);
  bed_close_lmdb(&b);
}

/* ------------------------------------------------------------------------------------------------
 * limits */

static void commits_beyond_pending_max_are_refused(void **state)
{
  (void)state;
  bed b;
  bed_open_lmdb(&b, &(lmdb_store_cfg){.pending_max = 2, .byte_max = SMALL});
  bed_op op[3];
  for (int i = 0; i < 3; i++) {
    op[i] = op_of(&b, STORE_PUT, "/a", "1");
    assert_int_equal(store_commit(b.p, &op[i].op, 0), i < 2 ? COPAL_OK : COPAL_ENOSLOT);
  }
  assert_int_equal(lmdb_store_counts_now(b.s).pending_refused, 1);
  wait_for(&b, &op[1]);
  assert_int_equal(run(&b, &op[2]), STORE_OK);
  bed_close_lmdb(&b);
}

static void queue_takes_so_many_bytes_or_one_change(void **state)
{
  (void)state;
  static char large[200000];
  bed b;
  bed_open_lmdb(&b, &(lmdb_store_cfg){.queue_max = 1000, .byte_max = 64u << 20});
  memset(large, 'x', sizeof large - 1);
  bed_op op[2] = {op_of(&b, STORE_PUT, "/a", large), op_of(&b, STORE_PUT, "/b", large)};
  assert_int_equal(store_commit(b.p, &op[0].op, 0), COPAL_OK);
  assert_int_equal(store_commit(b.p, &op[1].op, 0), COPAL_ENOSLOT);
  wait_for(&b, &op[0]);
  assert_int_equal(op[0].result.status, STORE_OK);
  assert_int_equal(run(&b, &op[1]), STORE_OK);
  assert_true(body_is(&b, "/b", large));
  bed_close_lmdb(&b);
}

static void resources_beyond_the_limit_are_refused(void **state)
{
  (void)state;
  bed b;
  bed_open_lmdb(&b, &(lmdb_store_cfg){.resource_max = 2, .byte_max = SMALL});
  assert_int_equal(put(&b, "/a", "1"), STORE_OK);
  assert_int_equal(put(&b, "/b", "1"), STORE_OK);
  assert_int_equal(put(&b, "/c", "1"), STORE_FULL);
  assert_int_equal(lmdb_store_counts_now(b.s).resources_refused, 1);
  assert_int_equal(put(&b, "/a", "2"), STORE_OK);
  del(&b, "/b");
  assert_int_equal(put(&b, "/c", "1"), STORE_OK);
  bed_close_lmdb(&b);
}

typedef struct log_of_events {
  lmdb_listener hook; /* first */
  unsigned full, room, failed;
} log_of_events;

static void note_event(lmdb_listener *l, lmdb_event event, const char *why)
{
  log_of_events *log = (log_of_events *)l;
  assert_non_null(why);
  log->full += event == LMDB_EVENT_FULL;
  log->room += event == LMDB_EVENT_ROOM;
  log->failed += event == LMDB_EVENT_FAILED;
}

/* Fills the store with resources of `size` bytes; returns how many it took. */
static int fill_up(bed *b, size_t size)
{
  static char body[100000];
  memset(body, 'x', sizeof body);
  body[size] = '\0';
  for (int i = 0; i < 20000; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%05d", i);
    if (put(b, key, body) == STORE_FULL)
      return i;
  }
  fail_msg("never full");
  return 0;
}

static void full_then_empty_then_full(size_t size)
{
  log_of_events log = {.hook = {.on_event = note_event}};
  bed b;
  bed_open_lmdb(&b, &(lmdb_store_cfg){.byte_max = SMALL, .listener = &log.hook});
  const int first = fill_up(&b, size);
  assert_true((size_t)first * size > SMALL / 3); /* the reserve is 1 MiB */
  assert_true(lmdb_store_counts_now(b.s).bytes_refused > 0);
  assert_int_equal(log.full, 1);
  store_item item;
  assert_true(store_get(b.p, copal_span_str("/00001"), &item, b.now) == STORE_OK);
  assert_int_equal(item.body.len, size);
  store_view_renew(b.p);
  for (int i = 0; i < first; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%05d", i);
    assert_int_equal(del(&b, key), STORE_OK);
    assert_true(b.result.created);
  }
  const int second = fill_up(&b, size);
  assert_true(second >= first * 8 / 10);
  assert_int_equal(log.room, 1);
  assert_int_equal(log.full, 2);
  bed_close_lmdb(&b);
}

static void full_store_refuses_changes_takes_deletes_and_recovers(void **state)
{
  (void)state;
  full_then_empty_then_full(3000);
  full_then_empty_then_full(60000);
}

static void one_delete_makes_room_for_one(void **state)
{
  (void)state;
  static char body[50001];
  bed b;
  bed_open_lmdb(&b, &(lmdb_store_cfg){.byte_max = SMALL});
  const int count = fill_up(&b, 50000);
  memset(body, 'y', sizeof body - 1);
  for (int i = 0; i < count; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%05d", i);
    assert_int_equal(del(&b, key), STORE_OK);
    assert_int_equal(put(&b, key, body), STORE_OK);
  }
  bed_close_lmdb(&b);
}

static void full_store_stays_full_after_a_restart(void **state)
{
  (void)state;
  const lmdb_store_cfg cfg = {.byte_max = SMALL};
  bed b;
  bed_open_lmdb(&b, &cfg);
  fill_up(&b, 3000);
  bed_reopen_lmdb(&b, &cfg);
  assert_int_equal(put(&b, "/new", "1"), STORE_FULL);
  assert_int_equal(del(&b, "/00000"), STORE_OK);
  assert_int_equal(del(&b, "/00001"), STORE_OK);
  bed_close_lmdb(&b);
}

/* ------------------------------------------------------------------------------------------------
 * the directory */

static void second_opener_is_refused_with_the_owner(void **state)
{
  (void)state;
  bed b;
  store *s = NULL;
  char why[LMDB_WHY_SIZE], pid[32];
  bed_open_lmdb(&b, NULL);
  assert_int_equal(lmdb_store_open(b.dir, NULL, &s, why), -EBUSY);
  snprintf(pid, sizeof pid, "process %ld", (long)getpid());
  assert_non_null(strstr(why, pid));
  assert_null(s);
  lmdb_report report;
  assert_int_equal(lmdb_store_check(b.dir, NULL, NULL, &report, why), -EBUSY);
  bed_close_lmdb(&b);
}

static void directory_is_made_for_its_owner_alone(void **state)
{
  (void)state;
  bed b;
  struct stat st;
  bed_init(&b);
  bed_make_dir(&b);
  assert_int_equal(rmdir(b.dir), 0);
  bed_use(&b, bed_lmdb(&b, NULL));
  assert_int_equal(stat(b.dir, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0700);
  bed_close_lmdb(&b);
}

static void directory_that_cannot_be_made_is_named(void **state)
{
  (void)state;
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  assert_int_equal(lmdb_store_open("/nonexistent/a", NULL, &s, why), -ENOENT);
  assert_non_null(strstr(why, "/nonexistent/a"));
}

static void count_damage(void *ctx, const char *damage)
{
  assert_non_null(damage);
  ++*(unsigned *)ctx;
}

/* Changes the store's own record. */
static void rewrite_record(const bed *b, const store_record *r)
{
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi main;
  uint8_t bytes[STORE_RECORD_SIZE];
  store_record_put(r, bytes);
  MDB_val key = {5, "copal"};
  MDB_val value = {sizeof bytes, bytes};
  assert_int_equal(mdb_env_create(&env), 0);
  assert_int_equal(mdb_env_open(env, b->dir, 0, 0600), 0);
  assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
  assert_int_equal(mdb_dbi_open(txn, NULL, 0, &main), 0);
  assert_int_equal(mdb_put(txn, main, &key, &value, 0), 0);
  assert_int_equal(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

static void newer_format_is_refused(void **state)
{
  (void)state;
  bed b;
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  bed_open_lmdb(&b, NULL);
  bed_leave(&b);
  rewrite_record(&b, &(store_record){.format = STORE_FORMAT + 1});
  assert_true(lmdb_store_open(b.dir, NULL, &s, why) < 0);
  assert_non_null(strstr(why, "newer copald"));
  bed_remove_dir(&b);
}

/* A record as format 1 had it: 48 bytes, attributes, body. */
static size_t old_record(uint8_t *out, uint64_t rev, const char *attrs, const char *body)
{
  record r = {.item = {.rev = rev,
                       .etag = {{9, 8, 7, 6, 5, 4, 3, (uint8_t)rev}},
                       .content_format = 50,
                       .max_age_s = 60,
                       .attrs = copal_span_str(attrs),
                       .body = copal_span_str(body)},
              .wall = 1000000};
  record_put(&r,
             out); /* record_test has the bytes: without a lifetime they are those of format 1 */
  assert_int_equal(record_size(&r), 48 + strlen(attrs) + strlen(body));
  return record_size(&r);
}

/* A store as copald made it with format 1: one tree beside the store's record. */
static void make_old_store(const bed *b)
{
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi main, items;
  uint8_t bytes[256];
  store_record_put(&(store_record){.format = 1, .epoch = 4711, .rev = 9}, bytes);
  MDB_val name = {5, "copal"};
  MDB_val value = {STORE_RECORD_SIZE, bytes};
  assert_int_equal(mdb_env_create(&env), 0);
  assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
  assert_int_equal(mdb_env_open(env, b->dir, 0, 0600), 0);
  assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
  assert_int_equal(mdb_dbi_open(txn, NULL, 0, &main), 0);
  assert_int_equal(mdb_put(txn, main, &name, &value, 0), 0);
  assert_int_equal(mdb_dbi_open(txn, "items", MDB_CREATE, &items), 0);
  static const char *const keys[] = {"/a", "/b"};
  for (size_t i = 0; i < 2; i++) {
    name = (MDB_val){2, (void *)(uintptr_t)keys[i]};
    value =
        (MDB_val){old_record(bytes, 8 + i, i == 0 ? ";rt=x" : "", i == 0 ? "one" : "two"), bytes};
    assert_int_equal(mdb_put(txn, items, &name, &value, 0), 0);
  }
  assert_int_equal(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
  char lock[80];
  snprintf(lock, sizeof lock, "%s/copald.lock", b->dir);
  close(open(lock, O_CREAT | O_RDWR, 0600));
}

static void older_format_is_read_and_brought_up_to_date(void **state)
{
  (void)state;
  bed b;
  store_item item;
  lmdb_report report;
  char why[LMDB_WHY_SIZE];
  unsigned damages = 0;
  bed_init(&b);
  bed_make_dir(&b);
  make_old_store(&b);
  assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
  assert_true(damages == 0 && report.format == 1 && report.resources == 2);
  for (int life = 0; life < 2; life++) {
    bed_use(&b, bed_lmdb(&b, NULL));
    assert_int_equal(store_get(b.p, copal_span_str("/a"), &item, b.now), STORE_OK);
    assert_true(item.rev == 8 && item.lifetime_s == 0 && item.max_age_s == 60);
    assert_true(item.etag.bytes[0] == 9 && item.etag.bytes[7] == 8);
    assert_true(copal_span_is_equal(item.attrs, copal_span_str(";rt=x")));
    assert_true(body_is(&b, "/a", "one"));
    bed_op op = op_of(&b, STORE_PUT, "/b", "new");
    op.op.lifetime_s = 1000;
    assert_int_equal(run(&b, &op), STORE_OK);
    assert_true(op.result.rev > 9 && !op.result.created);
    bed_leave(&b);
  }
  assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
  assert_true(damages == 0 && report.format == STORE_FORMAT && report.resources == 2);
  bed_remove_dir(&b);
}

static void shortened_file_is_refused(void **state)
{
  (void)state;
  bed b;
  store *s = NULL;
  char why[LMDB_WHY_SIZE], path[128];
  bed_open_lmdb(&b, NULL);
  for (int i = 0; i < 100; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%d", i);
    put(&b, key, "1234567890123456789012345678901234567890");
  }
  bed_leave(&b);
  snprintf(path, sizeof path, "%s/data.mdb", b.dir);
  assert_int_equal(truncate(path, 3 * 4096), 0);
  assert_true(lmdb_store_open(b.dir, NULL, &s, why) < 0);
  assert_non_null(strstr(why, "lost its end"));
  bed_remove_dir(&b);
}

/* ------------------------------------------------------------------------------------------------
 * the check */

static void check_accepts_what_is_right(void **state)
{
  (void)state;
  bed b;
  lmdb_report report;
  unsigned damages = 0;
  char why[LMDB_WHY_SIZE], key[1200];
  bed_open_lmdb(&b, NULL);
  for (int i = 0; i < 500; i++) {
    snprintf(key, sizeof key, i % 50 == 0 ? "/%0600d" : "/%d", i);
    put(&b, key, i % 70 == 0 ? key : "x");
  }
  for (int i = 0; i < 500; i += 3) {
    snprintf(key, sizeof key, "/%d", i);
    del(&b, key);
  }
  const uint64_t resources = store_usage_now(b.s).resources;
  bed_leave(&b);
  assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
  assert_int_equal(damages, 0);
  assert_int_equal(report.damaged, 0);
  assert_int_equal(report.resources, resources);
  assert_int_equal(report.rev, 500);
  bed_remove_dir(&b);
}

/* Flips one byte of the file, found by what is around it. */
static void flip_in_file(const bed *b, const char *text)
{
  static uint8_t file[1 << 20];
  char path[128];
  snprintf(path, sizeof path, "%s/data.mdb", b->dir);
  const int fd = open(path, O_RDWR);
  const ssize_t len = pread(fd, file, sizeof file, 0);
  assert_true(len > 0);
  unsigned found = 0;
  for (ssize_t at = 0; at + (ssize_t)strlen(text) <= len; at++)
    if (memcmp(file + at, text, strlen(text)) == 0) {
      file[at] ^= 0x20;
      assert_int_equal(pwrite(fd, file + at, 1, at), 1);
      found++;
    }
  assert_true(found > 0);
  close(fd);
}

/* A store with something in each tree. */
static void fill_all_trees(bed *b)
{
  bed_op op = op_of(b, STORE_PUT, "/mortal", "1");
  op.op.lifetime_s = 3600;
  op.op.id.bytes[0] = 1;
  run(b, &op);
  op = op_of(b, STORE_PUT, "/mortal", "2");
  op.op.keeps_lifetime = true;
  run(b, &op);
  op = op_of(b, STORE_PUT, "own", "state");
  op.op.space = STORE_STATE;
  op.op.lifetime_s = 3600;
  run(b, &op);
}

static void check_reads_every_tree(void **state)
{
  (void)state;
  bed b;
  lmdb_report report;
  unsigned damages = 0;
  char why[LMDB_WHY_SIZE];
  bed_open_lmdb(&b, &(lmdb_store_cfg){.byte_max = SMALL, .history = 4});
  fill_all_trees(&b);
  bed_leave(&b);
  assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
  assert_int_equal(damages, 0);
  assert_true(report.resources == 1 && report.former == 1 && report.states == 1 && report.ops == 1);
  bed_remove_dir(&b);
}

/* Takes the first entry of a tree out, behind the store's back. */
static void drop_first_of(const bed *b, const char *tree)
{
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi dbi;
  MDB_cursor *cursor;
  MDB_val key, value;
  assert_int_equal(mdb_env_create(&env), 0);
  assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
  assert_int_equal(mdb_env_open(env, b->dir, 0, 0600), 0);
  assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
  assert_int_equal(mdb_dbi_open(txn, tree, 0, &dbi), 0);
  assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
  assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
  assert_int_equal(mdb_cursor_del(cursor, 0), 0);
  mdb_cursor_close(cursor);
  assert_int_equal(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

static void check_finds_what_the_indexes_miss(void **state)
{
  (void)state;
  static const char *const trees[] = {"expiry", "items", "state", "ops"};
  for (size_t i = 0; i < 4; i++) {
    bed b;
    lmdb_report report;
    unsigned damages = 0;
    char why[LMDB_WHY_SIZE];
    bed_open_lmdb(&b, &(lmdb_store_cfg){.byte_max = SMALL, .history = 4});
    fill_all_trees(&b);
    bed_leave(&b);
    drop_first_of(&b, trees[i]);
    assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
    assert_true(damages > 0);
    bed_remove_dir(&b);
  }
}

static void check_finds_a_flipped_bit(void **state)
{
  (void)state;
  bed b;
  lmdb_report report;
  unsigned damages = 0;
  char why[LMDB_WHY_SIZE];
  bed_open_lmdb(&b, NULL);
  put(&b, "/a", "precious content");
  put(&b, "/b", "other");
  bed_leave(&b);
  flip_in_file(&b, "precious content");
  assert_int_equal(lmdb_store_check(b.dir, count_damage, &damages, &report, why), COPAL_OK);
  assert_int_equal(damages, 1);
  assert_int_equal(report.damaged, 1);
  bed_remove_dir(&b);
}

/* Puts a record that cannot be read in the place of one, behind the store's back. */
static void break_record(const bed *b, const char *key)
{
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi items;
  uint8_t bytes[100] = {0};
  MDB_val name = {strlen(key), (void *)(uintptr_t)key};
  MDB_val value = {sizeof bytes, bytes};
  bytes[43] = 0x80; /* a flag that is not known */
  assert_int_equal(mdb_env_create(&env), 0);
  assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
  assert_int_equal(mdb_env_open(env, b->dir, 0, 0600), 0);
  assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
  assert_int_equal(mdb_dbi_open(txn, "items", 0, &items), 0);
  assert_int_equal(mdb_put(txn, items, &name, &value, 0), 0);
  assert_int_equal(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

static void damaged_record_fails_alone_and_can_be_deleted(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_open_lmdb(&b, NULL);
  bed_op op = op_of(&b, STORE_PUT, "/a", "1");
  op.op.lifetime_s = 1;
  run(&b, &op);
  put(&b, "/b", "2");
  bed_leave(&b);
  break_record(&b, "/a");
  bed_use(&b, bed_lmdb(&b, NULL));
  assert_int_equal(store_get(b.p, copal_span_str("/a"), &item, b.now), STORE_FAILED);
  assert_true(lmdb_store_counts_now(b.s).reads_failed > 0);
  assert_int_equal(put(&b, "/a", "3"), STORE_FAILED);
  op = op_of(&b, STORE_DELETE, "/a", "");
  op.op.must_be_present = true;
  assert_int_equal(run(&b, &op), STORE_FAILED);
  assert_true(body_is(&b, "/b", "2"));
  assert_int_equal(del(&b, "/a"), STORE_OK);
  assert_int_equal(put(&b, "/a", "3"), STORE_OK);
  assert_true(body_is(&b, "/a", "3"));
  bed_close_lmdb(&b);
}

static void check_needs_a_store_and_makes_none(void **state)
{
  (void)state;
  bed b;
  lmdb_report report;
  char why[LMDB_WHY_SIZE];
  bed_init(&b);
  bed_make_dir(&b);
  assert_int_equal(lmdb_store_check(b.dir, NULL, NULL, &report, why), -ENOENT);
  assert_non_null(strstr(why, "no data directory"));
  assert_int_equal(rmdir(b.dir), 0);
}

static void empty_keys_are_refused(void **state)
{
  (void)state;
  bed b;
  store_item item;
  bed_open_lmdb(&b, NULL);
  bed_op op = op_of(&b, STORE_PUT, "", "1");
  assert_int_equal(store_commit(b.p, &op.op, 0), COPAL_EINVAL);
  assert_int_equal(store_get(b.p, copal_span_none(), &item, b.now), STORE_ABSENT);
  bed_close_lmdb(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(representation_survives_a_restart),
      cmocka_unit_test(age_survives_a_restart_with_another_clock),
      cmocka_unit_test(instants_before_the_clock_are_its_zero),
      cmocka_unit_test(revisions_and_etags_are_never_reused),
      cmocka_unit_test(conditions_see_earlier_changes_of_the_batch),
      cmocka_unit_test(lent_items_live_until_the_view_is_renewed),
      cmocka_unit_test(view_stays_until_renewed_and_shows_own_results),
      cmocka_unit_test(followers_are_told_in_order_before_the_result),
      cmocka_unit_test(followers_see_what_a_change_keeps),
      cmocka_unit_test(commits_beyond_pending_max_are_refused),
      cmocka_unit_test(queue_takes_so_many_bytes_or_one_change),
      cmocka_unit_test(resources_beyond_the_limit_are_refused),
      cmocka_unit_test(full_store_refuses_changes_takes_deletes_and_recovers),
      cmocka_unit_test(one_delete_makes_room_for_one),
      cmocka_unit_test(full_store_stays_full_after_a_restart),
      cmocka_unit_test(second_opener_is_refused_with_the_owner),
      cmocka_unit_test(directory_is_made_for_its_owner_alone),
      cmocka_unit_test(directory_that_cannot_be_made_is_named),
      cmocka_unit_test(newer_format_is_refused),
      cmocka_unit_test(older_format_is_read_and_brought_up_to_date),
      cmocka_unit_test(shortened_file_is_refused),
      cmocka_unit_test(check_accepts_what_is_right),
      cmocka_unit_test(check_reads_every_tree),
      cmocka_unit_test(check_finds_what_the_indexes_miss),
      cmocka_unit_test(check_finds_a_flipped_bit),
      cmocka_unit_test(damaged_record_fails_alone_and_can_be_deleted),
      cmocka_unit_test(check_needs_a_store_and_makes_none),
      cmocka_unit_test(empty_keys_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
