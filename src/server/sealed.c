/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed files. */
#include "server/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/gcm.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/whole_file.h"

enum {
  VERSION = 1,
  VERSION_OFFSET = 8,
  HOLDS_OFFSET = 12,
  SALT_OFFSET = 16,
  SALT_SIZE = 32,
  NAME_MAX_SIZE = 64,
};

#define FILE_MAX (UINT64_C(1) << 34) /* bytes: what is larger was not written by us */

static const char magic[] = "copalSEA";
static const char key_suffix[] = ".key", new_suffix[] = ".new";

/* ------------------------------------------------------------------------------------------------
 * sealing */

static void make_head(const sealed_file *f, uint8_t head[SEALED_HEAD_SIZE])
{
  memset(head, 0, SEALED_HEAD_SIZE);
  memcpy(head, magic, sizeof magic - 1);
  head[VERSION_OFFSET + 3] = VERSION;
  memcpy(head + HOLDS_OFFSET, f->holds, SEALED_NAME_SIZE);
}

/* The cipher with the key of the file that has this head, and its nonce. */
static void init_cipher(struct gcm_aes256_ctx *cipher, const uint8_t secret[SEALED_KEY_SIZE],
                        const uint8_t head[SEALED_HEAD_SIZE])
{
  static const uint8_t nonce[GCM_IV_SIZE]; /* the key is used once */
  struct hmac_sha256_ctx hmac;
  uint8_t prk[SHA256_DIGEST_SIZE], key[AES256_KEY_SIZE];
  hmac_sha256_set_key(&hmac, SALT_SIZE, head + SALT_OFFSET);
  hkdf_extract(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
               (nettle_hash_digest_func *)hmac_sha256_digest, SHA256_DIGEST_SIZE, SEALED_KEY_SIZE,
               secret, prk);
  hmac_sha256_set_key(&hmac, sizeof prk, prk);
  hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
              (nettle_hash_digest_func *)hmac_sha256_digest, SHA256_DIGEST_SIZE, SALT_OFFSET, head,
              sizeof key, key);
  gcm_aes256_set_key(cipher, key);
  gcm_aes256_set_iv(cipher, sizeof nonce, nonce);
  gcm_aes256_update(cipher, SEALED_HEAD_SIZE, head);
  explicit_bzero(&hmac, sizeof hmac);
  explicit_bzero(prk, sizeof prk);
  explicit_bzero(key, sizeof key);
}

static int seal(const sealed_file *f, const uint8_t secret[SEALED_KEY_SIZE], copal_mspan room)
{
  struct gcm_aes256_ctx cipher;
  uint8_t *content = room.ptr + SEALED_HEAD_SIZE;
  const size_t len = room.len - SEALED_HEAD_SIZE - SEALED_TAG_SIZE;
  make_head(f, room.ptr);
  if (getrandom(room.ptr + SALT_OFFSET, SALT_SIZE, 0) != SALT_SIZE)
    return -errno;
  init_cipher(&cipher, secret, room.ptr);
  gcm_aes256_encrypt(&cipher, len, content, content);
  gcm_aes256_digest(&cipher, SEALED_TAG_SIZE, content + len);
  explicit_bzero(&cipher, sizeof cipher);
  return 0;
}

static bool unseal(const sealed_file *f, const uint8_t secret[SEALED_KEY_SIZE], uint8_t *bytes,
                   size_t size)
{
  struct gcm_aes256_ctx cipher;
  uint8_t head[SEALED_HEAD_SIZE], tag[SEALED_TAG_SIZE];
  if (size < SEALED_HEAD_SIZE + SEALED_TAG_SIZE)
    return false;
  make_head(f, head);
  if (memcmp(head, bytes, SALT_OFFSET) != 0)
    return false;
  const size_t len = size - SEALED_HEAD_SIZE - SEALED_TAG_SIZE;
  uint8_t *content = bytes + SEALED_HEAD_SIZE;
  init_cipher(&cipher, secret, bytes);
  gcm_aes256_decrypt(&cipher, len, content, content);
  gcm_aes256_digest(&cipher, sizeof tag, tag);
  explicit_bzero(&cipher, sizeof cipher);
  return memeql_sec(tag, content + len, sizeof tag) != 0;
}

/* ------------------------------------------------------------------------------------------------
 * files */

static int fail(char why[SEALED_WHY_SIZE], const char *what, const char *name, int rc)
{
  snprintf(why, SEALED_WHY_SIZE, "%s %.120s: %s", what, name, strerror(-rc));
  return rc;
}

static int open_dir(const sealed_file *f)
{
  return whole_file_dir(f->dir);
}

static int write_file(int dir, const char *name, copal_span bytes)
{
  char temporary[NAME_MAX_SIZE + sizeof new_suffix];
  snprintf(temporary, sizeof temporary, "%s%s", name, new_suffix);
  return whole_file_write(dir, name, temporary, bytes);
}

static int read_file(int dir, const char *name, uint8_t **bytes, size_t *size)
{
  const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  const int rc = whole_file_read(fd, FILE_MAX, bytes, size);
  close(fd);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * keys */

static bool has_own_key(const sealed_file *f)
{
  return f->key_file[0] == '\0';
}

/* A name relative to the directory, which an absolute one is not. */
static const char *key_name(const sealed_file *f, char room[NAME_MAX_SIZE])
{
  snprintf(room, NAME_MAX_SIZE, "%s%s", f->name, key_suffix);
  return has_own_key(f) ? room : f->key_file;
}

/* Returns the key; -ENOENT without one; -EPERM when everybody can read it; -EBADMSG when it is no
 * key. */
static int read_key(const sealed_file *f, int dir, uint8_t key[SEALED_KEY_SIZE])
{
  char room[NAME_MAX_SIZE];
  struct stat st;
  const int fd = openat(has_own_key(f) ? dir : AT_FDCWD, key_name(f, room), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  int rc = fstat(fd, &st) == 0 ? 0 : -errno;
  if (rc == 0 && (!S_ISREG(st.st_mode) || st.st_size != SEALED_KEY_SIZE))
    rc = -EBADMSG;
  if (rc == 0 && (st.st_mode & S_IRWXO) != 0)
    rc = -EPERM;
  if (rc == 0)
    rc = whole_file_get(fd, key, SEALED_KEY_SIZE);
  close(fd);
  return rc;
}

/* Makes a key in a new file: what somebody else has made meanwhile stays as it is. */
static int make_key_elsewhere(const sealed_file *f, const uint8_t key[SEALED_KEY_SIZE])
{
  const int fd = open(f->key_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return -errno;
  int rc = whole_file_put(fd, copal_span_of(key, SEALED_KEY_SIZE));
  if (close(fd) < 0 && rc == 0)
    rc = -errno;
  if (rc < 0)
    (void)unlink(f->key_file);
  return rc;
}

static int make_key(const sealed_file *f, int dir, uint8_t key[SEALED_KEY_SIZE])
{
  char room[NAME_MAX_SIZE];
  if (getrandom(key, SEALED_KEY_SIZE, 0) != SEALED_KEY_SIZE)
    return -errno;
  if (!has_own_key(f))
    return make_key_elsewhere(f, key);
  return write_file(dir, key_name(f, room), copal_span_of(key, SEALED_KEY_SIZE));
}

static int complain_of_key(const sealed_file *f, int rc, char why[SEALED_WHY_SIZE])
{
  char room[NAME_MAX_SIZE];
  const char *name = key_name(f, room);
  if (rc == -EPERM)
    snprintf(why, SEALED_WHY_SIZE, "the key %.120s can be read by everybody", name);
  else if (rc == -EBADMSG)
    snprintf(why, SEALED_WHY_SIZE, "%.120s is no key: it should be a file of %d bytes", name,
             SEALED_KEY_SIZE);
  else
    (void)fail(why, "cannot use the key", name, rc);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * all together */

int64_t sealed_write(const sealed_file *f, copal_mspan room, char why[SEALED_WHY_SIZE])
{
  uint8_t key[SEALED_KEY_SIZE];
  const int dir = open_dir(f);
  if (dir < 0)
    return fail(why, "cannot open", f->dir, dir);
  int rc = read_key(f, dir, key);
  if (rc == -ENOENT)
    rc = make_key(f, dir, key);
  if (rc < 0) {
    complain_of_key(f, rc, why);
  } else {
    rc = seal(f, key, room);
    if (rc == 0)
      rc = write_file(dir, f->name, copal_span_of(room.ptr, room.len));
    if (rc < 0)
      fail(why, "cannot write", f->name, rc);
  }
  explicit_bzero(key, sizeof key);
  close(dir);
  return rc < 0 ? rc : (int64_t)room.len;
}

/* Removes the file, and the key that is good for it alone, on the disk too. */
static int remove_files(const sealed_file *f, int dir)
{
  char room[NAME_MAX_SIZE];
  int rc = unlinkat(dir, f->name, 0) == 0 || errno == ENOENT ? 0 : -errno;
  if (has_own_key(f))
    (void)unlinkat(dir, key_name(f, room), 0);
  snprintf(room, sizeof room, "%s%s", f->name, new_suffix);
  (void)unlinkat(dir, room, 0); /* of a write that a crash cut short */
  if (fsync(dir) < 0 && rc == 0)
    rc = -errno;
  return rc;
}

static int open_sealed(const sealed_file *f, int dir, uint8_t *bytes, size_t size,
                       char why[SEALED_WHY_SIZE])
{
  uint8_t key[SEALED_KEY_SIZE];
  char room[NAME_MAX_SIZE];
  int rc = read_key(f, dir, key);
  if (rc < 0) {
    complain_of_key(f, rc, why);
    return rc == -ENOENT ? -EBADMSG : rc;
  }
  if (!unseal(f, key, bytes, size)) {
    snprintf(why, SEALED_WHY_SIZE, "%.60s was changed, or sealed with another key than %.120s",
             f->name, key_name(f, room));
    rc = -EBADMSG;
  }
  explicit_bzero(key, sizeof key);
  return rc;
}

int64_t sealed_take(const sealed_file *f, uint8_t **memory, char why[SEALED_WHY_SIZE])
{
  uint8_t *bytes = NULL;
  size_t size = 0;
  const int dir = open_dir(f);
  if (dir < 0)
    return fail(why, "cannot open", f->dir, dir);
  int rc = read_file(dir, f->name, &bytes, &size);
  if (rc < 0 && rc != -ENOENT)
    fail(why, "cannot read", f->name, rc);
  if (rc == 0)
    rc = open_sealed(f, dir, bytes, size, why);
  const int removed = remove_files(f, dir);
  close(dir);
  if (rc == 0 && removed < 0)
    rc = fail(why, "cannot remove", f->name, removed); /* who cannot forget it must not use it */
  if (rc == 0) {
    *memory = bytes;
    return (int64_t)(size - SEALED_HEAD_SIZE - SEALED_TAG_SIZE);
  }
  if (bytes != NULL)
    explicit_bzero(bytes, size);
  free(bytes);
  return rc == -ENOENT ? 0 : rc;
}

int sealed_remove(const sealed_file *f)
{
  const int dir = open_dir(f);
  if (dir < 0)
    return dir;
  const int rc = remove_files(f, dir);
  close(dir);
  return rc;
}
