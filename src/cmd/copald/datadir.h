/* SPDX-License-Identifier: Apache-2.0 */
/* Where copald keeps what it stores when nobody has said where. Thread: the main thread only. */
#ifndef COPALD_DATADIR_H
#define COPALD_DATADIR_H

#include <stddef.h>
#include <sys/types.h>

/* What the choice depends on. Borrowed; NULL or empty: not set. */
typedef struct datadir_facts {
  uid_t user;
  const char *state_directory; /* $STATE_DIRECTORY of a service manager: names separated by ':' */
  const char *xdg_state_home;  /* $XDG_STATE_HOME */
  const char *home;            /* $HOME */
} datadir_facts;

/* Those of this process. */
datadir_facts datadir_facts_now(void);

/* Writes the directory: the service manager's; /var/lib/copal for root; else "copal" in the user's
 * directory for state. Returns 0, -ENOENT when the user has none, or -ENAMETOOLONG. */
int datadir_choose(const datadir_facts *facts, char *out, size_t size);

/* Makes the directories above `dir` that are missing, for their owner alone. Returns 0 or -errno.
 */
int datadir_make_parents(const char *dir);

#endif
