/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are there whole or not at all. */
#include "server/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct place {
  char path[32];
  int dir;
} place;

static int set_up(void **state)
{
  static place p;
  memcpy(p.path, "/tmp/copal-whole-XXXXXX", sizeof "/tmp/copal-whole-XXXXXX");
  if (mkdtemp(p.path) == NULL)
    return -1;
  p.dir = whole_file_dir(p.path);
  *state = &p;
  return p.dir < 0;
}

static int tear_down(void **state)
{
  const place *p = *state;
  (void)unlinkat(p->dir, "file", 0);
  close(p->dir);
  return rmdir(p->path);
}

static int read_it(const place *p, uint64_t max, uint8_t **bytes, size_t *size)
{
  const int fd = openat(p->dir, "file", O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  const int rc = whole_file_read(fd, max, bytes, size);
  close(fd);
  return rc;
}

static void what_is_written_takes_the_place_of_what_was_there(void **state)
{
  const place *p = *state;
  uint8_t *bytes = NULL;
  size_t size = 0;
  struct stat st;
  const int left = openat(p->dir, "file.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  close(left); /* of a write that was cut short */
  assert_int_equal(whole_file_write(p->dir, "file", "file.new", copal_span_str("a longer one")), 0);
  assert_int_equal(whole_file_write(p->dir, "file", "file.new", copal_span_str("short")), 0);
  assert_int_equal(read_it(p, 5, &bytes, &size), 0);
  assert_int_equal(size, 5);
  assert_memory_equal(bytes, "short", 5);
  free(bytes);
  assert_int_equal(fstatat(p->dir, "file", &st, 0), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(fstatat(p->dir, "file.new", &st, 0), -1);
}

static void what_is_too_large_or_no_file_is_refused(void **state)
{
  const place *p = *state;
  uint8_t *bytes = NULL;
  size_t size = 0;
  assert_int_equal(whole_file_write(p->dir, "file", "file.new", copal_span_str("short")), 0);
  assert_int_equal(read_it(p, 4, &bytes, &size), -EBADMSG);
  assert_int_equal(whole_file_read(p->dir, 4, &bytes, &size), -EBADMSG);
  assert_null(bytes);
  assert_int_equal(whole_file_dir("/nowhere"), -ENOENT);
}

static void a_failed_write_leaves_what_was_there(void **state)
{
  const place *p = *state;
  uint8_t *bytes = NULL;
  size_t size = 0;
  assert_int_equal(whole_file_write(p->dir, "file", "file.new", copal_span_str("old")), 0);
  assert_int_equal(symlinkat("file", p->dir, "file.new"), 0);
  assert_int_equal(whole_file_write(p->dir, "file", "file.new", copal_span_str("new")), -ELOOP);
  assert_int_equal(read_it(p, 9, &bytes, &size), 0);
  assert_memory_equal(bytes, "old", 3);
  free(bytes);
  assert_int_equal(unlinkat(p->dir, "file.new", 0), 0);
}

static void exactly_so_many_bytes_are_read(void **state)
{
  uint8_t room[8];
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "abc", 3), 3);
  close(ends[1]);
  assert_int_equal(whole_file_get(ends[0], room, 2), 0);
  assert_int_equal(whole_file_get(ends[0], room, 2), -EBADMSG);
  close(ends[0]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_written_takes_the_place_of_what_was_there, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(what_is_too_large_or_no_file_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_failed_write_leaves_what_was_there, set_up, tear_down),
      cmocka_unit_test(exactly_so_many_bytes_are_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
