/* SPDX-License-Identifier: Apache-2.0 */
/* The journal engine: recovery of a directory as a crash leaves it, torn and damaged tails,
 * checkpoints, and going back to LMDB alone. */
#include "unit/store/bed.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "store/journal/crc32c.h"
#include "store/journal/engine.h"

enum { FILE_ROOM = 2 << 20, CHANGES = 6 };

#define NEVER_US (UINT64_C(3600) * 1000000)

static const journal_store_cfg no_checkpoint = {.common.byte_max = 64u << 20,
                                                .checkpoint_us = NEVER_US};

/* What a crash leaves: files as they are while the store is open and no checkpoint runs. */
static void copy_file(const char *from, const char *to)
{
  static uint8_t bytes[FILE_ROOM];
  const int in = open(from, O_RDONLY);
  const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(in >= 0 && out >= 0);
  for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
    assert_int_equal(write(out, bytes, (size_t)n), n);
  close(in);
  close(out);
}

/* The name of the one segment. */
static void segment_of(const char *dir, char *name, size_t room)
{
  char path[128];
  snprintf(path, sizeof path, "%s/journal", dir);
  DIR *d = opendir(path);
  assert_non_null(d);
  name[0] = '\0';
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (strstr(e->d_name, ".seg") != NULL)
      snprintf(name, room, "%s/journal/%s", dir, e->d_name);
  closedir(d);
  assert_true(name[0] != '\0');
}

static void copy_store(const bed *from, bed *to)
{
  char a[512], b[512];
  bed_init(to);
  bed_make_dir(to);
  snprintf(a, sizeof a, "%s/data.mdb", from->dir);
  snprintf(b, sizeof b, "%s/data.mdb", to->dir);
  copy_file(a, b);
  snprintf(b, sizeof b, "%s/journal", to->dir);
  assert_int_equal(mkdir(b, 0700), 0);
  segment_of(from->dir, a, sizeof a);
  snprintf(b, sizeof b, "%s/journal/%s", to->dir, strrchr(a, '/') + 1);
  copy_file(a, b);
}

static void begin(bed *b, const journal_store_cfg *cfg)
{
  bed_init(b);
  bed_make_dir(b);
  bed_use(b, bed_journal(b, cfg));
}

static void end(bed *b)
{
  bed_leave(b);
  bed_remove_dir(b);
}

static void put_some(bed *b)
{
  for (int i = 1; i <= CHANGES; i++) {
    char body[12];
    snprintf(body, sizeof body, "%d", i);
    assert_int_equal(put(b, "/a", body), STORE_OK);
  }
}

/* Opens what is left of the store. Returns the number that /a has; 0: nothing; -1: refused. */
static int number_in(bed *b)
{
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  store_item item;
  int number = 0;
  if (journal_store_open(b->dir, &no_checkpoint, &s, why) != COPAL_OK) {
    assert_true(why[0] != '\0');
    return -1;
  }
  bed_use(b, s);
  if (store_get(b->p, copal_span_str("/a"), &item, b->now) == STORE_OK) {
    assert_int_equal(item.body.len, 1);
    number = item.body.ptr[0] - '0';
    assert_int_equal(item.rev, number);
  }
  bed_leave(b);
  return number;
}

static void crc32c_matches_rfc3720_b_4(void **state)
{
  (void)state;
  uint8_t bytes[32] = {0};
  assert_int_equal(crc32c(0, copal_span_of(bytes, 32)), 0x8a9136aau);
  memset(bytes, 0xff, sizeof bytes);
  assert_int_equal(crc32c(0, copal_span_of(bytes, 32)), 0x62a8ab43u);
  for (uint8_t i = 0; i < 32; i++)
    bytes[i] = i;
  assert_int_equal(crc32c(0, copal_span_of(bytes, 32)), 0x46dd794eu);
  const uint32_t first = crc32c(0, copal_span_of(bytes, 5));
  assert_int_equal(crc32c(first, copal_span_of(bytes + 5, 27)), 0x46dd794eu);
}

static void acknowledged_changes_survive_a_crash(void **state)
{
  (void)state;
  bed b, left;
  begin(&b, &no_checkpoint);
  put_some(&b);
  put(&b, "/b", "gone");
  del(&b, "/b");
  put(&b, "/c", "kept");
  copy_store(&b, &left);
  bed_use(&left, bed_journal(&left, &no_checkpoint));
  assert_true(body_is(&left, "/a", "6"));
  assert_false(body_is(&left, "/b", "gone"));
  assert_true(body_is(&left, "/c", "kept"));
  assert_int_equal(store_usage_now(left.s).resources, 2);
  assert_int_equal(put(&left, "/d", "1"), STORE_OK);
  assert_true(left.result.rev > b.result.rev);
  end(&left);
  end(&b);
}

/* The bytes of the segment that are in use. */
static off_t end_of(const uint8_t *bytes, off_t len)
{
  while (len > 0 && bytes[len - 1] == 0)
    len--;
  return len;
}

static void tail_cut_or_flipped_anywhere_gives_a_prefix_or_a_refusal(void **state)
{
  (void)state;
  static uint8_t bytes[FILE_ROOM];
  bed b, left;
  char path[512];
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left);
  segment_of(left.dir, path, sizeof path);
  const int fd = open(path, O_RDONLY);
  const ssize_t len = read(fd, bytes, sizeof bytes);
  close(fd);
  const off_t last = end_of(bytes, len);
  bool seen[CHANGES + 2] = {false};
  for (off_t at = 4096 - 64; at < last; at += 3) {
    for (int is_cut = 0; is_cut < 2; is_cut++) {
      bed victim;
      copy_store(&b, &victim);
      segment_of(victim.dir, path, sizeof path);
      const int out = open(path, O_RDWR);
      const uint8_t flipped = bytes[at] ^ 0x10;
      if (is_cut) {
        assert_int_equal(ftruncate(out, at), 0);
        assert_int_equal(ftruncate(out, len), 0);
      } else
        assert_int_equal(pwrite(out, &flipped, 1, at), 1);
      close(out);
      const int number = number_in(&victim);
      assert_in_range(number + 1, 0, CHANGES + 1);
      if (!is_cut)
        assert_true(number == -1 || number >= CHANGES - 1); /* acknowledged ones are not dropped */
      seen[number + 1] = true;
      bed_remove_dir(&victim);
    }
  }
  for (int i = 0; i < CHANGES; i++)
    assert_true(seen[i]); /* a refusal, nothing, and every prefix but the whole */
  bed_remove_dir(&left);
  end(&b);
}

static void clean_close_leaves_a_store_for_lmdb_alone_and_back(void **state)
{
  (void)state;
  bed b;
  begin(&b, &no_checkpoint);
  put_some(&b);
  bed_leave(&b);
  bed_use(&b, bed_lmdb(&b, NULL));
  assert_true(body_is(&b, "/a", "6"));
  put(&b, "/a", "7");
  bed_leave(&b);
  bed_use(&b, bed_journal(&b, &no_checkpoint));
  assert_true(body_is(&b, "/a", "7"));
  assert_int_equal(put(&b, "/a", "8"), STORE_OK);
  end(&b);
}

static void lmdb_alone_refuses_a_store_with_an_open_journal(void **state)
{
  (void)state;
  bed b, left;
  store *s = NULL;
  char why[LMDB_WHY_SIZE];
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left);
  assert_int_equal(lmdb_store_open(left.dir, NULL, &s, why), COPAL_EFORMAT);
  assert_non_null(strstr(why, "journal"));
  bed_remove_dir(&left);
  end(&b);
}

static void count_damage(void *ctx, const char *damage)
{
  assert_true(damage[0] != '\0');
  ++*(int *)ctx;
}

static void missing_journal_is_refused(void **state)
{
  (void)state;
  bed b, left;
  char path[512];
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left);
  segment_of(left.dir, path, sizeof path);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(number_in(&left), -1);
  bed_remove_dir(&left);
  end(&b);
}

static bool has_segment(const bed *b)
{
  char path[512];
  segment_of(b->dir, path, sizeof path);
  return access(path, F_OK) == 0;
}

static void copy_database(const bed *from, const bed *to)
{
  char a[512], b[512];
  snprintf(a, sizeof a, "%s/data.mdb", from->dir);
  snprintf(b, sizeof b, "%s/data.mdb", to->dir);
  copy_file(a, b);
}

/* Its room is durable before it has a name: no crash makes it shorter. */
static void segment_that_has_lost_its_end_is_refused(void **state)
{
  (void)state;
  static const off_t at[] = {0, 63, 4095, 4096, 4097, 8192, 65535};
  bed b;
  char path[512];
  begin(&b, &no_checkpoint);
  put_some(&b);
  for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
    bed victim;
    copy_store(&b, &victim);
    segment_of(victim.dir, path, sizeof path);
    assert_int_equal(truncate(path, at[i]), 0);
    assert_int_equal(number_in(&victim), -1);
    assert_true(has_segment(&victim));
    bed_remove_dir(&victim);
  }
  end(&b);
}

/* The database knows which one there was at least when it was last written. */
static void journal_without_its_newest_segment_is_refused(void **state)
{
  (void)state;
  bed b, left, later;
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left); /* killed, and started again: a second segment */
  bed_use(&left, bed_journal(&left, &no_checkpoint));
  assert_int_equal(put(&left, "/a", "7"), STORE_OK);
  copy_store(&b, &later);
  copy_database(&left, &later);
  assert_int_equal(number_in(&later), -1);
  assert_true(has_segment(&later));
  bed_remove_dir(&later);
  end(&left);
  end(&b);
}

static void journal_without_its_database_is_refused(void **state)
{
  (void)state;
  bed b, left;
  char path[512];
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left);
  snprintf(path, sizeof path, "%s/data.mdb", left.dir);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(number_in(&left), -1);
  assert_int_equal(number_in(&left), -1); /* also beside the new one */
  assert_true(has_segment(&left));
  bed_remove_dir(&left);
  end(&b);
}

/* A database that was closed, restored beside a journal that has gone on. */
static void journal_ahead_of_a_closed_database_is_refused(void **state)
{
  (void)state;
  bed b, old, left;
  begin(&b, &no_checkpoint);
  put_some(&b);
  bed_leave(&b);
  bed_init(&old);
  bed_make_dir(&old);
  copy_database(&b, &old);
  bed_use(&b, bed_journal(&b, &no_checkpoint));
  assert_int_equal(put(&b, "/a", "7"), STORE_OK);
  copy_store(&b, &left);
  copy_database(&old, &left);
  assert_int_equal(number_in(&left), -1);
  assert_true(has_segment(&left));
  journal_report report;
  char why[LMDB_WHY_SIZE];
  int damages = 0;
  assert_int_equal(journal_store_check(left.dir, count_damage, &damages, &report, why), 0);
  assert_int_equal(report.damaged, 1);
  assert_int_equal(damages, 1);
  bed_remove_dir(&left);
  bed_remove_dir(&old);
  end(&b);
}

/* Closing was cut short, or a power loss has brought the file back. */
static void journal_that_a_closed_database_has_is_discarded(void **state)
{
  (void)state;
  bed b, left;
  begin(&b, &no_checkpoint);
  put_some(&b);
  copy_store(&b, &left);
  bed_leave(&b);
  copy_database(&b, &left);
  assert_int_equal(number_in(&left), CHANGES);
  assert_int_equal(number_in(&left), CHANGES);
  bed_remove_dir(&left);
  bed_remove_dir(&b);
}

/* Larger than what is copied: read from the journal, then from the database. */
static void long_bodies_go_through_the_journal(void **state)
{
  (void)state;
  enum { SIZE = 3 << 20 };
  char *body = malloc(SIZE + 1);
  bed b;
  begin(&b, &(journal_store_cfg){.common.byte_max = 256u << 20, .checkpoint_us = 2000});
  memset(body, 'x', SIZE);
  body[SIZE] = '\0';
  bed_op op = op_of(&b, STORE_PUT, "/large", body);
  op.op.lends_body = true;
  assert_int_equal(run(&b, &op), STORE_OK);
  assert_true(body_is(&b, "/large", body));
  usleep(50000);
  assert_true(body_is(&b, "/large", body)); /* lent before the checkpoint dropped it */
  store_view_renew(b.p);
  assert_true(body_is(&b, "/large", body));
  bed_leave(&b);
  bed_use(&b, bed_journal(&b, &no_checkpoint));
  assert_true(body_is(&b, "/large", body));
  end(&b);
  free(body);
}

/* ------------------------------------------------------------------------------------------------
 * revisions */

static store_rev rev_in_database(const journal_store *s)
{
  env e = s->env;
  MDB_txn *txn;
  char why[LMDB_WHY_SIZE];
  assert_int_equal(mdb_txn_begin(e.mdb, NULL, MDB_RDONLY, &txn), 0);
  assert_int_equal(env_read_record(&e, txn, "", why), 0);
  mdb_txn_abort(txn);
  return e.record.rev;
}

/* A checkpoint may have versions of a batch that does not count as published yet. The next one may
 * have none of them: it does not take back what has been given out. */
static void what_a_checkpoint_has_stays_given_out(void **state)
{
  (void)state;
  bed b;
  begin(&b, &no_checkpoint);
  journal_store *s = (journal_store *)b.s;
  put_some(&b);
  checkpointer_stop(s);
  const store_rev published = s->published_rev;
  s->published_rev = 0; /* as if the batch were on its way still */
  for (int i = 0; i < 2; i++) {
    assert_int_equal(checkpoint_make(s), 0);
    assert_int_equal(rev_in_database(s), CHANGES);
  }
  s->published_rev = published;
  end(&b);
}

/* ------------------------------------------------------------------------------------------------
 * gathering */

static void changes_wait_for_others_while_the_port_gathers(void **state)
{
  (void)state;
  enum { MANY = 1000 };
  bed b;
  begin(&b, &no_checkpoint);
  bed_op op = op_of(&b, STORE_PUT, "/a", "1");
  store_gather(b.p, true);
  assert_true(store_gathered(b.p) == COPAL_NEVER);
  assert_int_equal(store_commit(b.p, &op.op, b.now), COPAL_OK);
  assert_int_equal(store_drain(b.p, 1), 0);
  store_view_renew(b.p);
  assert_true(store_gathered(b.p) == b.now);
  store_gather(b.p, false);
  assert_true(store_gathered(b.p) == COPAL_NEVER);
  wait_for(&b, &op);
  assert_true(body_is(&b, "/a", "1"));

  store_gather(b.p, true); /* not more than some */
  static bed_op many[MANY];
  for (unsigned i = 0; i < MANY; i++) {
    many[i] = op_of(&b, STORE_PUT, "/b", "1");
    assert_int_equal(store_commit(b.p, &many[i].op, b.now), COPAL_OK);
  }
  wait_for(&b, &many[0]);
  store_gather(b.p, false);
  if (!many[MANY - 1].is_done)
    wait_for(&b, &many[MANY - 1]);
  end(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(changes_wait_for_others_while_the_port_gathers),
      cmocka_unit_test(crc32c_matches_rfc3720_b_4),
      cmocka_unit_test(acknowledged_changes_survive_a_crash),
      cmocka_unit_test(tail_cut_or_flipped_anywhere_gives_a_prefix_or_a_refusal),
      cmocka_unit_test(segment_that_has_lost_its_end_is_refused),
      cmocka_unit_test(journal_without_its_newest_segment_is_refused),
      cmocka_unit_test(clean_close_leaves_a_store_for_lmdb_alone_and_back),
      cmocka_unit_test(lmdb_alone_refuses_a_store_with_an_open_journal),
      cmocka_unit_test(missing_journal_is_refused),
      cmocka_unit_test(journal_without_its_database_is_refused),
      cmocka_unit_test(journal_ahead_of_a_closed_database_is_refused),
      cmocka_unit_test(journal_that_a_closed_database_has_is_discarded),
      cmocka_unit_test(long_bodies_go_through_the_journal),
      cmocka_unit_test(what_a_checkpoint_has_stays_given_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
