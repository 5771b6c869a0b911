/* SPDX-License-Identifier: Apache-2.0 */
/* The journal engine with two batches under way, of which the first cannot be written: system calls
 * on the journal's files are slow, and fail when they are told to. */
#include "unit/store/bed.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { OPS = 600, ROUNDS = 8, KEY_ROOM = 24, SLOW_US = 3000, TAGS_MAX = OPS * ROUNDS };

static atomic_int calls;       /* of pwritev() on the journal since it was set */
static atomic_int failing_at;  /* the call that fails, counted from 1; 0: none */
static atomic_int failing_for; /* calls from there on */
static atomic_int failure;     /* errno */
static atomic_int sync_failure;

static bool is_of_journal(int fd)
{
  char link[64], path[512];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  path[n > 0 ? n : 0] = '\0';
  return strstr(path, "/journal/") != NULL;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
  if (is_of_journal(fd)) {
    const int call = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&failing_at);
    usleep(SLOW_US);
    if (at > 0 && call >= at && call < at + atomic_load(&failing_for)) {
      errno = atomic_load(&failure);
      return -1;
    }
  }
  return syscall(SYS_pwritev, fd, iov, count, (unsigned long)offset, 0ul);
}

int fdatasync(int fd)
{
  const int wanted = is_of_journal(fd) ? atomic_load(&sync_failure) : 0;
  if (wanted != 0) {
    errno = wanted;
    return -1;
  }
  return (int)syscall(SYS_fdatasync, fd);
}

static void fail_at(int call, int count, int error)
{
  atomic_store(&calls, 0);
  atomic_store(&failure, error);
  atomic_store(&failing_for, count);
  atomic_store(&failing_at, call);
}

typedef struct load {
  bed b;
  bed_op ops[OPS];
  char keys[OPS][KEY_ROOM];
  store_etag tags[TAGS_MAX]; /* of all that was acknowledged */
  size_t tag_count;
} load;

static load the_load;

static void begin(load *l)
{
  *l = (load){.tag_count = 0};
  fail_at(0, 0, 0);
  atomic_store(&sync_failure, 0);
  bed_init(&l->b);
  bed_make_dir(&l->b);
  bed_use(&l->b, bed_journal(&l->b, NULL));
}

static void submit_all(load *l, int round, const char *body)
{
  for (int i = 0; i < OPS; i++) {
    snprintf(l->keys[i], KEY_ROOM, "/r%d/%d", round, i);
    l->ops[i] = op_of(&l->b, STORE_PUT, l->keys[i], body);
    assert_int_equal(store_commit(l->b.p, &l->ops[i].op, l->b.now), COPAL_OK);
  }
}

static void await_all(load *l)
{
  for (int i = 0; i < OPS;) {
    const bool has_run = store_drain(l->b.p, OPS) > 0;
    while (i < OPS && l->ops[i].is_done)
      i++;
    if (i < OPS && !has_run)
      bed_sleep(&l->b);
  }
}

/* No revision is given out twice. */
static void note_tag(load *l, const store_etag *tag)
{
  for (size_t i = 0; i < l->tag_count; i++)
    assert_memory_not_equal(&l->tags[i], tag, sizeof *tag);
  l->tags[l->tag_count++] = *tag;
}

/* What was acknowledged is there, and nothing else. Returns how many were. */
static int check(load *l, store_status otherwise, const char *body)
{
  int acknowledged = 0;
  store_item item;
  store_view_renew(l->b.p);
  for (int i = 0; i < OPS; i++) {
    const store_result *r = &l->ops[i].result;
    const bool is_done = r->status == STORE_OK;
    assert_true(is_done || r->status == otherwise);
    assert_int_equal(body_is(&l->b, l->keys[i], body), is_done);
    if (!is_done)
      continue;
    assert_int_equal(store_get(l->b.p, l->ops[i].op.key, &item, l->b.now), STORE_OK);
    assert_memory_equal(&item.etag, &r->etag, sizeof item.etag);
    note_tag(l, &r->etag);
    acknowledged++;
  }
  return acknowledged;
}

static void end(load *l)
{
  bed_leave(&l->b);
  bed_remove_dir(&l->b);
}

static void lack_of_room_in_the_air_gives_out_no_revision_twice(void **state)
{
  load *l = &the_load;
  (void)state;
  begin(l);
  int refused = 0;
  for (int round = 0; round < ROUNDS; round++) {
    fail_at(1 + round % 3, 1000, ENOSPC);
    submit_all(l, round, "x");
    await_all(l);
    fail_at(0, 0, 0);
    refused += OPS - check(l, STORE_FULL, "x");
  }
  print_message("%d of %d refused\n", refused, OPS * ROUNDS);
  assert_true(l->tag_count > 0 && refused > 0);
  submit_all(l, ROUNDS - 1, "again");
  await_all(l);
  for (int i = 0; i < OPS; i++)
    assert_int_equal(l->ops[i].result.status, STORE_OK);
  bed_leave(&l->b);
  bed_use(&l->b, bed_journal(&l->b, NULL));
  for (int i = 0; i < OPS; i++)
    assert_true(body_is(&l->b, l->keys[i], "again"));
  end(l);
}

/* A file that is full for a moment: the batch is written when it is tried again. */
static void a_write_that_fails_once_is_made_up_for(void **state)
{
  load *l = &the_load;
  (void)state;
  begin(l);
  for (int round = 0; round < ROUNDS; round++) {
    fail_at(1 + round % 3, 1, ENOSPC);
    submit_all(l, round, "x");
    await_all(l);
    assert_int_equal(check(l, STORE_OK, "x"), OPS);
  }
  end(l);
}

static void what_is_refused_for_good_takes_with_it_what_was_evaluated_behind_it(void **state)
{
  load *l = &the_load;
  (void)state;
  for (int round = 0; round < ROUNDS; round++) {
    begin(l);
    submit_all(l, 0, "before");
    await_all(l);
    assert_int_equal(check(l, STORE_OK, "before"), OPS);
    if (round % 2 == 0)
      fail_at(1 + round / 2 % 2, 1, EIO);
    else
      atomic_store(&sync_failure, EIO);
    submit_all(l, 1, "x");
    await_all(l);
    assert_true(check(l, STORE_FAILED, "x") < OPS);
    atomic_store(&sync_failure, 0);
    submit_all(l, 2, "y");
    await_all(l);
    assert_int_equal(check(l, STORE_FAILED, "y"), 0);
    assert_true(body_is(&l->b, "/r0/1", "before"));
    end(l);
  }
}

/* One key, changed by each of many changes on the version that the one before it makes: conditions
 * see what is in the air. */
static void conditions_see_batches_that_are_not_durable(void **state)
{
  load *l = &the_load;
  (void)state;
  begin(l);
  for (int i = 0; i < OPS; i++) {
    l->ops[i] = op_of(&l->b, i % 2 == 0 ? STORE_PUT : STORE_DELETE, "/one", "x");
    l->ops[i].op.must_be_absent = i % 2 == 0;
    l->ops[i].op.must_be_present = i % 2 == 1;
    assert_int_equal(store_commit(l->b.p, &l->ops[i].op, l->b.now), COPAL_OK);
  }
  await_all(l);
  for (int i = 0; i < OPS; i++)
    assert_int_equal(l->ops[i].result.status, STORE_OK);
  end(l);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lack_of_room_in_the_air_gives_out_no_revision_twice),
      cmocka_unit_test(a_write_that_fails_once_is_made_up_for),
      cmocka_unit_test(what_is_refused_for_good_takes_with_it_what_was_evaluated_behind_it),
      cmocka_unit_test(conditions_see_batches_that_are_not_durable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
