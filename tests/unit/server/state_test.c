/* SPDX-License-Identifier: Apache-2.0 */
/* The state file: whole or not at all, read once, and judged before it is believed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/state.h"

enum { PATH_SIZE = 128, FILE_SIZE_MAX = 1024 };

/* A section that remembers what it is given. */
typedef struct part {
  state_section section; /* first */
  const char *text;      /* that it saves */
  char loaded[64];
  int loads;
  uint32_t version;
  uint64_t age;
} part;

typedef struct bed {
  char dir[PATH_SIZE], file[PATH_SIZE];
  char why[STATE_WHY_SIZE];
} bed;

static void save(state_section *s, state_writer *w)
{
  state_put(w, copal_span_str(((part *)s)->text));
}

static void load(state_section *s, uint32_t version, copal_span bytes, uint64_t age)
{
  part *p = (part *)s;
  assert_true(bytes.len < sizeof p->loaded);
  if (bytes.len > 0)
    memcpy(p->loaded, bytes.ptr, bytes.len);
  p->loaded[bytes.len] = '\0';
  p->version = version;
  p->age = age;
  p->loads++;
}

static part part_of(const char *name, uint32_t version, const char *text)
{
  part p = {.section = {.version = version, .save = save, .load = load}, .text = text};
  memcpy(p.section.name, name, STATE_NAME_SIZE);
  return p;
}

static int setup(void **state)
{
  bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  strcpy(b->dir, "state-XXXXXX");
  assert_non_null(mkdtemp(b->dir));
  snprintf(b->file, sizeof b->file, "%.100s/state", b->dir);
  *state = b;
  return 0;
}

static int teardown(void **state)
{
  bed *b = *state;
  (void)unlink(b->file);
  assert_int_equal(rmdir(b->dir), 0); /* nothing else was left there */
  free(b);
  return 0;
}

/* Saves two parts. */
static void save_two(bed *b, uint32_t version)
{
  part one = part_of("ONE ", version, "first"), two = part_of("TWO ", 1, "");
  state_registry r = {.first = NULL};
  state_register(&r, &one.section);
  state_register(&r, &two.section);
  assert_true(state_save(&r, b->dir, b->why) > 0);
}

static int64_t load_one(bed *b, part *one)
{
  state_registry r = {.first = NULL};
  state_register(&r, &one->section);
  return state_load(&r, b->dir, b->why);
}

static void what_is_saved_is_loaded_once(void **state)
{
  bed *b = *state;
  struct stat st;
  part one = part_of("ONE ", 7, "");
  save_two(b, 7);
  assert_int_equal(stat(b->file, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(load_one(b, &one), st.st_size);
  assert_int_equal(one.loads, 1);
  assert_string_equal(one.loaded, "first");
  assert_int_equal(one.version, 7);
  assert_true(one.age < 60u * 1000000u);
  assert_int_equal(load_one(b, &one), 0); /* removed */
  assert_int_equal(one.loads, 1);
}

static void without_a_file_nothing_is_loaded(void **state)
{
  part one = part_of("ONE ", 1, "");
  assert_int_equal(load_one(*state, &one), 0);
  assert_int_equal(one.loads, 0);
}

static void without_a_directory_both_fail(void **state)
{
  bed b = {.dir = "state-that-is-not-there"};
  state_registry r = {.first = NULL};
  (void)state;
  assert_int_equal(state_save(&r, b.dir, b.why), -ENOENT);
  assert_non_null(strstr(b.why, "cannot write"));
  assert_int_equal(state_load(&r, b.dir, b.why), 0);
}

static void a_section_of_a_newer_version_is_passed_over(void **state)
{
  part one = part_of("ONE ", 6, ""), newer = part_of("ONE ", 9, "");
  save_two(*state, 7);
  assert_true(load_one(*state, &one) > 0);
  assert_int_equal(one.loads, 0);
  save_two(*state, 7);
  assert_true(load_one(*state, &newer) > 0);
  assert_int_equal(newer.version, 7); /* what was written, not what is known */
}

static void sections_that_nobody_knows_are_passed_over(void **state)
{
  part other = part_of("ELSE", 1, "");
  save_two(*state, 1);
  assert_true(load_one(*state, &other) > 0);
  assert_int_equal(other.loads, 0);
}

static size_t read_file(const char *path, uint8_t bytes[FILE_SIZE_MAX])
{
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  const size_t n = fread(bytes, 1, FILE_SIZE_MAX, f);
  assert_int_equal(fclose(f), 0);
  return n;
}

static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void any_damage_is_noticed_and_nothing_is_handed_out(void **state)
{
  bed *b = *state;
  uint8_t bytes[FILE_SIZE_MAX];
  part one = part_of("ONE ", 1, "");
  save_two(b, 1);
  const size_t n = read_file(b->file, bytes);
  for (size_t i = 0; i < n; i++) {
    bytes[i] ^= 0x10;
    write_file(b->file, bytes, n);
    assert_int_equal(load_one(b, &one), -EBADMSG);
    assert_int_equal(access(b->file, F_OK), -1);
    bytes[i] ^= 0x10;
  }
  for (size_t len = 0; len < n; len++) {
    write_file(b->file, bytes, len);
    assert_int_equal(load_one(b, &one), -EBADMSG);
  }
  assert_non_null(strstr(b->why, "damaged"));
  assert_int_equal(one.loads, 0);
  write_file(b->file, bytes, n);
  assert_int_equal(load_one(b, &one), n); /* the bytes themselves were good */
}

static void a_check_judges_and_takes_nothing(void **state)
{
  bed *b = *state;
  uint8_t bytes[FILE_SIZE_MAX];
  part one = part_of("ONE ", 1, "");
  assert_int_equal(state_check(b->dir, b->why), 0); /* none */
  save_two(b, 1);
  const size_t n = read_file(b->file, bytes);
  for (size_t i = 0; i < n; i++) {
    bytes[i] ^= 0x10;
    write_file(b->file, bytes, n);
    assert_int_equal(state_check(b->dir, b->why), -EBADMSG);
    bytes[i] ^= 0x10;
  }
  assert_non_null(strstr(b->why, "damaged"));
  write_file(b->file, bytes, n);
  assert_int_equal(state_check(b->dir, b->why), n);
  assert_int_equal(load_one(b, &one), n); /* it is still there */
}

static void links_are_not_followed(void **state)
{
  bed *b = *state;
  part one = part_of("ONE ", 1, "");
  assert_int_equal(symlink("/dev/zero", b->file), 0);
  assert_int_equal(load_one(b, &one), -ELOOP);
  assert_int_equal(one.loads, 0);
}

static void a_save_that_was_cut_short_leaves_nothing(void **state)
{
  bed *b = *state;
  char path[PATH_SIZE];
  part one = part_of("ONE ", 1, "");
  snprintf(path, sizeof path, "%.100s/state.new", b->dir);
  write_file(path, (const uint8_t *)"half", 4);
  assert_int_equal(load_one(b, &one), 0);
  assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_saved_is_loaded_once, setup, teardown),
      cmocka_unit_test_setup_teardown(without_a_file_nothing_is_loaded, setup, teardown),
      cmocka_unit_test(without_a_directory_both_fail),
      cmocka_unit_test_setup_teardown(a_section_of_a_newer_version_is_passed_over, setup, teardown),
      cmocka_unit_test_setup_teardown(sections_that_nobody_knows_are_passed_over, setup, teardown),
      cmocka_unit_test_setup_teardown(any_damage_is_noticed_and_nothing_is_handed_out, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(a_check_judges_and_takes_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(links_are_not_followed, setup, teardown),
      cmocka_unit_test_setup_teardown(a_save_that_was_cut_short_leaves_nothing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
