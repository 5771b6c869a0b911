/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials files: any bytes are refused with a place and a reason, or give keys of at least a
 * byte for each identity; reading again what is wrong changes nothing. Input: the file. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copal/error.h"
#include "policy/credfile.h"
#include "require.h"

enum { PATH_SIZE = 32, PEOPLE = 1 << 16 };

/* The library that reads the file forgets a text behind which there is a mistake. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
  return "leak:libconfig";
}

static void fill(int fd, const void *data, size_t size)
{
  REQUIRE(ftruncate(fd, 0) == 0);
  REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
}

/* Somebody asks for an identity: what stands between the first quotes. */
static void ask(credfile *f, const uint8_t *data, size_t size)
{
  dtls_credentials *c = credfile_credentials(f);
  dtls_psks keys = {.count = 0};
  const uint8_t *from = size > 0 ? memchr(data, '"', size) : NULL;
  if (from == NULL)
    return;
  const size_t left = size - (size_t)(from + 1 - data);
  const uint8_t *to = left > 0 ? memchr(from + 1, '"', left) : NULL;
  if (to == NULL)
    return;
  const copal_span name = copal_span_of(from + 1, (size_t)(to - from) - 1);
  if (c->psk_find(c, name, NULL, &keys) != COPAL_OK)
    return;
  REQUIRE(keys.count > 0 && keys.count <= DTLS_PSK_COUNT);
  for (size_t i = 0; i < keys.count; i++)
    REQUIRE(keys.keys[i].len > 0 && keys.keys[i].len <= sizeof keys.keys[i].bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char wrong[] = "psk = {";
  char path[PATH_SIZE];
  mistakes m = {.count = 0};
  credfile *f = NULL;
  identities *people = identities_open(PEOPLE);
  const int fd = memfd_create("credentials", MFD_CLOEXEC);
  REQUIRE(people != NULL && fd >= 0 && fchmod(fd, 0600) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  fill(fd, data, size);
  if (credfile_open(path, people, &f, &m) == COPAL_OK) {
    const credfile_facts before = credfile_facts_now(f);
    REQUIRE(m.count == 0);
    ask(f, data, size);
    fill(fd, wrong, strlen(wrong));
    REQUIRE(credfile_reload(f, &m) < 0 && m.count > 0);
    const credfile_facts after = credfile_facts_now(f);
    REQUIRE(after.psks == before.psks && after.raw_keys == before.raw_keys &&
            after.subjects == before.subjects);
    credfile_close(f);
  } else {
    REQUIRE(m.count > 0 && strncmp(m.text, path, strlen(path)) == 0);
  }
  close(fd);
  identities_close(people);
  return 0;
}
