/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: what to show to which servers, and whom to believe there, by name or by the server's
 * host. They stand in $XDG_CONFIG_HOME/copal/profiles or ~/.config/copal/profiles, which others
 * must not be able to read. The file is documented in copal(1). */
#ifndef COPAL_CMD_PROFILE_H
#define COPAL_CMD_PROFILE_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/status.h"

/* What a profile may say, in the order of the table in profile.c. */
typedef enum profile_key {
  PROFILE_PSK, /* the key in hexadecimal */
  PROFILE_IDENTITY,
  PROFILE_PSK_FILE,
  PROFILE_CERT,
  PROFILE_KEY,
  PROFILE_CA,
  PROFILE_CRL,
  PROFILE_RAW_KEY,
  PROFILE_PIN,
  PROFILE_KEY_COUNT,
} profile_key;

typedef struct profile {
  char *name;                      /* NULL: none */
  char *values[PROFILE_KEY_COUNT]; /* NULL: it does not say; names of files are absolute */
} profile;

/* Finds the profile `name`, or without one (NULL) the first that is for `host`. Without a file, and
 * when none is for the host, `p` stays empty. Returns STATUS_OK, or STATUS_USAGE with a message:
 * there is none of that name, or the file has a mistake or can be read by others. */
status profile_find(profile *p, const char *name, const char *host, buf *err);

/* Wipes it. Safe on a zeroed object. */
void profile_wipe(profile *p);

#endif
