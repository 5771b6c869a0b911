/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of the daemon and what goes with them: identities, and the keys its shards share.
 * Thread: the main thread, but for what the shards do through the credentials' face. */
#ifndef COPALD_VAULT_H
#define COPALD_VAULT_H

#include "policy/certs.h"
#include "policy/credfile.h"
#include "policy/identity.h"
#include "policy/lookup/lookup.h"
#include "policy/pskfile.h"
#include "server/conf.h"
#include "server/log.h"
#include "server/secure.h"

enum { VAULT_WHY_SIZE = PSKFILE_WHY_SIZE };

typedef struct vault {
  identities *identities;
  credfile *file; /* NULL: none is configured, as the next */
  pskfile *psks;
  lookup *lookup;
  lookup_watcher watcher; /* of the lookup */
  logger lookup_log;      /* for what it tells */
  secure_counter counter; /* of what it counts */
  certs *certs;           /* NULL: there are no credentials at all */
  conf_clients clients;   /* which of these must show something */
  secure_shared shared;
} vault;

/* True when the configuration names credentials. */
bool vault_is_wanted(const conf *c);

/* Reads what the configuration names. `log` is for what goes on beside the main thread. Returns 0,
 * or -errno with a sentence in `why`. The object stays where it is until vault_close(). */
int vault_open(vault *v, const conf *c, const logger *log, char why[VAULT_WHY_SIZE]);

/* Safe on a zeroed object. */
void vault_close(vault *v);

/* Tells the log what was read, and what of it expires soon. */
void vault_report(const vault *v, logger *log);

/* Reads it again, from the files that `c` and the credentials file name now; when something is
 * wrong with it the log says so and all stays as it was. Tickets of sessions are void in any case,
 * once server_refresh() was called. */
void vault_reload(vault *v, const conf *c, logger *log);

/* For the server; NULL when there are no credentials. */
const secure_shared *vault_secure(const vault *v);

#endif
