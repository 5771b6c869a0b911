/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of the daemon. */
#include "cmd/copald/vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "copal/error.h"
#include "server/listener.h"

enum { IDENTITIES_MAX = 1 << 22 };

static bool has_secure_address(const conf *c)
{
  for (size_t i = 0; i < c->listen.count; i++)
    if (listener_is_secure(c->listen.items[i]))
      return true;
  return false;
}

int vault_open(vault *v, const conf *c, char why[VAULT_WHY_SIZE])
{
  *v = (vault){.identities = identities_open(IDENTITIES_MAX)};
  snprintf(why, VAULT_WHY_SIZE, "out of memory");
  if (v->identities == NULL)
    return -ENOMEM;
  int rc = 0;
  if (c->psk_file[0] == '\0' && has_secure_address(c)) {
    snprintf(why, VAULT_WHY_SIZE,
             "a coaps address needs credentials: give --psk-file, or psk_file "
             "in the section dtls");
    rc = -EINVAL;
  } else if (c->psk_file[0] != '\0') {
    rc = pskfile_open(c->psk_file, v->identities, &v->psks, why) < 0
             ? -EINVAL
             : secure_shared_init(&v->shared, pskfile_credentials(v->psks), v->identities);
  }
  if (rc < 0)
    vault_close(v);
  return rc;
}

void vault_close(vault *v)
{
  pskfile_close(v->psks);
  if (v->identities != NULL)
    identities_close(v->identities);
  secure_shared_wipe(&v->shared);
  *v = (vault){.psks = NULL};
}

void vault_reload(vault *v, logger *log)
{
  char why[PSKFILE_WHY_SIZE];
  if (v->psks == NULL)
    return;
  if (pskfile_reload(v->psks, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else
    LOG(log, LOG_LEVEL_INFO, "credentials_read", log_number("identities", pskfile_count(v->psks)));
}

const secure_shared *vault_secure(const vault *v)
{
  return v->psks != NULL ? &v->shared : NULL;
}
