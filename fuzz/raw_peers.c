/* SPDX-License-Identifier: Apache-2.0 */
/* Files of raw public keys: any bytes are refused with a sentence that names the line, or give
 * fingerprints of which each is found once, and what is written is read as the same. RFC 6920, RFC
 * 7252 section 9.1.3.2.1. Input: the file. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copal/error.h"
#include "policy/certs_inside.h"
#include "require.h"

enum { PATH_SIZE = 32 };

static void check_keys(const edition *e)
{
  char text[FINGERPRINT_TEXT];
  fingerprint again;
  REQUIRE(e->facts.peers == e->key_count);
  for (size_t i = 0; i < e->key_count; i++) {
    const known_key *k = &e->keys[i];
    REQUIRE(k->print.len >= FINGERPRINT_MIN && k->print.len <= FINGERPRINT_SIZE);
    REQUIRE(k->name[0] == '\0' || identity_name_is_valid(copal_span_str(k->name)));
    REQUIRE(edition_find(e, &k->print) == k);
    if (k->print.len < FINGERPRINT_SIZE)
      continue;
    fingerprint_write(&k->print, text);
    REQUIRE(fingerprint_read(text, &again) == NULL && fingerprint_is_of(&again, &k->print));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char path[PATH_SIZE], why[CERTS_WHY_SIZE] = "";
  const int fd = memfd_create("peers", MFD_CLOEXEC);
  edition *e = NULL;
  REQUIRE(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, data, size) == (ssize_t)size);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const certs_cfg cfg = {.raw_peers = path};
  if (edition_read(&cfg, &e, why) == COPAL_OK) {
    check_keys(e);
    edition_free(e);
  } else {
    REQUIRE(strncmp(why, path, strlen(path)) == 0);
    REQUIRE(memchr(why, '\0', sizeof why) != NULL);
  }
  close(fd);
  return 0;
}
