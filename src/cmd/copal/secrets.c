/* SPDX-License-Identifier: Apache-2.0 */
/* What the client shows to a server of coaps. */
#include "cmd/copal/secrets.h"

#include <stdlib.h>

#include "copal/error.h"
#include "policy/pskfile.h"

static pskfile *keys; /* the program has one identity at a time */

static const char *or_environment(const char *given, const char *name)
{
  const char *value = given ? given : getenv(name);
  return value && *value ? value : NULL;
}

status secrets_open(const args *a, dtls_credentials **c, buf *err)
{
  const char *file = or_environment(a->psk_file, "COPAL_PSK_FILE");
  const char *name = or_environment(a->identity, "COPAL_IDENTITY");
  char why[PSKFILE_WHY_SIZE];
  *c = NULL;
  if (!file)
    return STATUS_OK;
  if (!keys && pskfile_open(file, NULL, &keys, why) != COPAL_OK) {
    buf_print(err, "--psk-file: %s", why);
    return STATUS_USAGE;
  }
  if (name && pskfile_choose(keys, name) != COPAL_OK) {
    buf_print(err, "--identity: '%s' is not in %s", name, file);
    return STATUS_USAGE;
  }
  *c = pskfile_credentials(keys);
  return STATUS_OK;
}

void secrets_close(void)
{
  pskfile_close(keys);
  keys = NULL;
}
