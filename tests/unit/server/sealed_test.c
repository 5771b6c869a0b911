/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed files: read once, by who has the key, and not when a bit of them is another one. */
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

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "server/sealed.h"

enum { PATH_SIZE = 128, SIZE_MAX_TEST = 512 };

static const char text[] = "keys that nobody may read";

typedef struct bed {
  char dir[PATH_SIZE], path[PATH_SIZE], key[PATH_SIZE], elsewhere[PATH_SIZE];
  char why[SEALED_WHY_SIZE];
  sealed_file file;
} bed;

static int setup(void **state)
{
  bed *b = calloc(1, sizeof *b);
  assert_non_null(b);
  strcpy(b->dir, "sealed-XXXXXX");
  assert_non_null(mkdtemp(b->dir));
  snprintf(b->path, sizeof b->path, "%.100s/it", b->dir);
  snprintf(b->key, sizeof b->key, "%.100s/it.key", b->dir);
  snprintf(b->elsewhere, sizeof b->elsewhere, "%.100s/other", b->dir);
  b->file = (sealed_file){.dir = b->dir, .name = "it", .holds = "TEST", .key_file = ""};
  *state = b;
  return 0;
}

static int teardown(void **state)
{
  bed *b = *state;
  (void)unlink(b->path);
  (void)unlink(b->key);
  (void)unlink(b->elsewhere);
  assert_int_equal(rmdir(b->dir), 0); /* nothing else was left there */
  free(b);
  return 0;
}

static int64_t write_text(bed *b)
{
  uint8_t room[SEALED_HEAD_SIZE + sizeof text + SEALED_TAG_SIZE];
  memcpy(room + SEALED_HEAD_SIZE, text, sizeof text);
  return sealed_write(&b->file, (copal_mspan){room, sizeof room}, b->why);
}

static size_t read_bytes(const char *path, uint8_t *bytes)
{
  const int fd = open(path, O_RDONLY);
  assert_true(fd >= 0);
  const ssize_t n = read(fd, bytes, SIZE_MAX_TEST);
  close(fd);
  assert_true(n >= 0);
  return (size_t)n;
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t len)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, len), len);
  close(fd);
}

/* Takes the file, which must hold the text. */
static void expect_text(bed *b)
{
  uint8_t *memory = NULL;
  assert_int_equal(sealed_take(&b->file, &memory, b->why), sizeof text);
  assert_memory_equal(memory + SEALED_HEAD_SIZE, text, sizeof text);
  free(memory);
}

static void expect_nothing(bed *b, int rc)
{
  uint8_t *memory = NULL;
  assert_int_equal(sealed_take(&b->file, &memory, b->why), rc);
  assert_null(memory);
  assert_int_equal(access(b->path, F_OK), -1);
}

static void content_comes_back_once(void **state)
{
  bed *b = *state;
  expect_nothing(b, 0);
  assert_true(write_text(b) > 0);
  expect_text(b);
  expect_nothing(b, 0);
  assert_int_equal(access(b->key, F_OK), -1);
}

static void file_and_key_are_of_their_owner_alone(void **state)
{
  bed *b = *state;
  struct stat st;
  const mode_t before = umask(0);
  assert_true(write_text(b) > 0);
  umask(before);
  assert_int_equal(stat(b->path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(stat(b->key, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  assert_int_equal(st.st_size, SEALED_KEY_SIZE);
}

/* A second implementation opens it. */
static void rfc5869_2_and_gcm_are_those_of_others(void **state)
{
  bed *b = *state;
  uint8_t key[SIZE_MAX_TEST], file[SIZE_MAX_TEST], prk[32], okm[32], plain[SIZE_MAX_TEST];
  static const uint8_t nonce[12];
  size_t plain_len = sizeof plain;
  gnutls_aead_cipher_hd_t cipher;
  assert_true(write_text(b) > 0);
  assert_int_equal(read_bytes(b->key, key), SEALED_KEY_SIZE);
  const size_t size = read_bytes(b->path, file);
  assert_int_equal(size, SEALED_HEAD_SIZE + sizeof text + SEALED_TAG_SIZE);
  const gnutls_datum_t secret = {key, SEALED_KEY_SIZE}, salt = {file + 16, 32}, info = {file, 16};
  const gnutls_datum_t extracted = {prk, sizeof prk}, file_key = {okm, sizeof okm};
  assert_int_equal(gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret, &salt, prk), 0);
  assert_int_equal(gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &extracted, &info, okm, sizeof okm), 0);
  assert_int_equal(gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &file_key), 0);
  assert_int_equal(gnutls_aead_cipher_decrypt(cipher, nonce, sizeof nonce, file, SEALED_HEAD_SIZE,
                                              SEALED_TAG_SIZE, file + SEALED_HEAD_SIZE,
                                              size - SEALED_HEAD_SIZE, plain, &plain_len),
                   0);
  gnutls_aead_cipher_deinit(cipher);
  assert_int_equal(plain_len, sizeof text);
  assert_memory_equal(plain, text, sizeof text);
}

static void no_flipped_bit_is_accepted(void **state)
{
  bed *b = *state;
  uint8_t file[SIZE_MAX_TEST], key[SIZE_MAX_TEST];
  assert_true(write_text(b) > 0);
  const size_t size = read_bytes(b->path, file), key_size = read_bytes(b->key, key);
  for (size_t bit = 0; bit < 8 * size; bit++) {
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
    write_bytes(b->path, file, size);
    write_bytes(b->key, key, key_size);
    expect_nothing(b, -EBADMSG);
    file[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  write_bytes(b->path, file, size);
  write_bytes(b->key, key, key_size);
  expect_text(b);
}

static void cut_files_are_refused(void **state)
{
  bed *b = *state;
  uint8_t file[SIZE_MAX_TEST], key[SIZE_MAX_TEST];
  assert_true(write_text(b) > 0);
  const size_t size = read_bytes(b->path, file), key_size = read_bytes(b->key, key);
  for (size_t len = 0; len < size; len++) {
    write_bytes(b->path, file, len);
    write_bytes(b->key, key, key_size);
    expect_nothing(b, -EBADMSG);
  }
}

static void same_content_is_never_sealed_alike(void **state)
{
  bed *b = *state;
  uint8_t first[SIZE_MAX_TEST], second[SIZE_MAX_TEST];
  assert_true(write_text(b) > 0);
  const size_t size = read_bytes(b->path, first);
  assert_true(write_text(b) > 0); /* the key is the same: nobody has taken the file */
  assert_int_equal(read_bytes(b->path, second), size);
  assert_memory_not_equal(first + 16, second + 16, 32);
  assert_memory_not_equal(first + SEALED_HEAD_SIZE, second + SEALED_HEAD_SIZE, sizeof text);
  expect_text(b);
}

static void copy_is_worthless_once_the_file_was_read(void **state)
{
  bed *b = *state;
  uint8_t copy[SIZE_MAX_TEST];
  assert_true(write_text(b) > 0);
  const size_t size = read_bytes(b->path, copy);
  expect_text(b);
  write_bytes(b->path, copy, size);
  expect_nothing(b, -EBADMSG);
  assert_true(write_text(b) > 0);
  write_bytes(b->path, copy, size); /* with the next key */
  expect_nothing(b, -EBADMSG);
}

static void file_that_holds_something_else_is_refused(void **state)
{
  bed *b = *state;
  assert_true(write_text(b) > 0);
  b->file.holds = "ELSE";
  expect_nothing(b, -EBADMSG);
}

static void key_elsewhere_is_used_and_stays(void **state)
{
  bed *b = *state;
  uint8_t key[SIZE_MAX_TEST], again[SIZE_MAX_TEST];
  b->file.key_file = b->elsewhere;
  assert_true(write_text(b) > 0);
  assert_int_equal(access(b->key, F_OK), -1);
  assert_int_equal(read_bytes(b->elsewhere, key), SEALED_KEY_SIZE);
  expect_text(b);
  assert_true(write_text(b) > 0);
  assert_int_equal(read_bytes(b->elsewhere, again), SEALED_KEY_SIZE);
  assert_memory_equal(key, again, SEALED_KEY_SIZE);
  expect_text(b);
}

static void bad_keys_are_refused(void **state)
{
  bed *b = *state;
  uint8_t key[SEALED_KEY_SIZE] = {1};
  b->file.key_file = b->elsewhere;
  write_bytes(b->elsewhere, key, sizeof key);
  assert_int_equal(chmod(b->elsewhere, 0604), 0);
  assert_int_equal(write_text(b), -EPERM);
  assert_non_null(strstr(b->why, "can be read by everybody"));
  assert_int_equal(chmod(b->elsewhere, 0640), 0); /* a group may be meant */
  assert_true(write_text(b) > 0);
  write_bytes(b->elsewhere, key, sizeof key - 1);
  assert_int_equal(write_text(b), -EBADMSG);
  expect_nothing(b, -EBADMSG);
  assert_non_null(strstr(b->why, "is no key"));
}

static void missing_key_is_said(void **state)
{
  bed *b = *state;
  assert_true(write_text(b) > 0);
  assert_int_equal(unlink(b->key), 0);
  expect_nothing(b, -EBADMSG);
  assert_non_null(strstr(b->why, "it.key"));
}

static void directory_that_is_not_there_is_said(void **state)
{
  bed *b = *state;
  uint8_t *memory = NULL;
  b->file.dir = "nowhere/at/all";
  assert_int_equal(write_text(b), -ENOENT);
  assert_int_equal(sealed_take(&b->file, &memory, b->why), -ENOENT);
  assert_int_equal(sealed_remove(&b->file), -ENOENT);
}

static void removed_file_is_gone_with_its_key(void **state)
{
  bed *b = *state;
  assert_int_equal(sealed_remove(&b->file), 0);
  assert_true(write_text(b) > 0);
  assert_int_equal(sealed_remove(&b->file), 0);
  assert_int_equal(access(b->key, F_OK), -1);
  expect_nothing(b, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(content_comes_back_once, setup, teardown),
      cmocka_unit_test_setup_teardown(file_and_key_are_of_their_owner_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(rfc5869_2_and_gcm_are_those_of_others, setup, teardown),
      cmocka_unit_test_setup_teardown(no_flipped_bit_is_accepted, setup, teardown),
      cmocka_unit_test_setup_teardown(cut_files_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(same_content_is_never_sealed_alike, setup, teardown),
      cmocka_unit_test_setup_teardown(copy_is_worthless_once_the_file_was_read, setup, teardown),
      cmocka_unit_test_setup_teardown(file_that_holds_something_else_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(key_elsewhere_is_used_and_stays, setup, teardown),
      cmocka_unit_test_setup_teardown(bad_keys_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(missing_key_is_said, setup, teardown),
      cmocka_unit_test_setup_teardown(directory_that_is_not_there_is_said, setup, teardown),
      cmocka_unit_test_setup_teardown(removed_file_is_gone_with_its_key, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
