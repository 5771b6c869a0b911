/* SPDX-License-Identifier: Apache-2.0 */
/* Files of pre-shared keys: any bytes are refused with a sentence, or give keys of at least a byte
 * for each identity; reading again what is wrong changes nothing. RFC 4279. Input: the file. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copal/error.h"
#include "policy/pskfile.h"
#include "require.h"

enum { PATH_SIZE = 32, PEOPLE = 1 << 16 };

static void fill(int fd, const uint8_t *data, size_t size)
{
  REQUIRE(ftruncate(fd, 0) == 0);
  REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
}

/* Somebody asks for an identity: the first bytes of the file, up to the colon. */
static void ask(pskfile *f, const uint8_t *data, size_t size)
{
  dtls_credentials *c = pskfile_credentials(f);
  const uint8_t *colon = size > 0 ? memchr(data, ':', size) : NULL;
  dtls_psks keys = {.count = 0};
  const copal_span name = copal_span_of(data, colon != NULL ? (size_t)(colon - data) : size);
  if (c->psk_find(c, name, NULL, &keys) != COPAL_OK)
    return;
  REQUIRE(keys.count > 0 && keys.count <= DTLS_PSK_COUNT);
  for (size_t i = 0; i < keys.count; i++)
    REQUIRE(keys.keys[i].len > 0 && keys.keys[i].len <= sizeof keys.keys[i].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char path[PATH_SIZE], why[PSKFILE_WHY_SIZE] = "";
  pskfile *f = NULL;
  identities *people = identities_open(PEOPLE);
  const int fd = memfd_create("psk", MFD_CLOEXEC);
  REQUIRE(people != NULL && fd >= 0 && fchmod(fd, 0600) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  fill(fd, data, size);
  if (pskfile_open(path, people, &f, why) == COPAL_OK) {
    const size_t count = pskfile_count(f);
    ask(f, data, size);
    fill(fd, (const uint8_t *)"no line of keys", 15);
    REQUIRE(pskfile_reload(f, why) < 0 && why[0] != '\0');
    REQUIRE(pskfile_count(f) == count);
    pskfile_close(f);
  } else {
    REQUIRE(why[0] != '\0' && memchr(why, '\0', sizeof why) != NULL);
  }
  close(fd);
  identities_close(people);
  return 0;
}
