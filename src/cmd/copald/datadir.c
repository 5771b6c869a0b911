/* SPDX-License-Identifier: Apache-2.0 */
/* Where copald keeps what it stores when nobody has said where. Thread: the main thread only. */
#include "cmd/copald/datadir.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PARENT_MODE = 0700 };

datadir_facts datadir_facts_now(void)
{
  return (datadir_facts){.user = geteuid(),
                         .state_directory = getenv("STATE_DIRECTORY"),
                         .xdg_state_home = getenv("XDG_STATE_HOME"),
                         .home = getenv("HOME")};
}

/* Names that are not absolute mean nothing here. */
static int is_usable(const char *name)
{
  return name != NULL && name[0] == '/';
}

int datadir_choose(const datadir_facts *facts, char *out, size_t size)
{
  int len;
  if (is_usable(facts->state_directory))
    len = snprintf(out, size, "%.*s", (int)strcspn(facts->state_directory, ":"),
                   facts->state_directory);
  else if (facts->user == 0)
    len = snprintf(out, size, "/var/lib/copal");
  else if (is_usable(facts->xdg_state_home))
    len = snprintf(out, size, "%s/copal", facts->xdg_state_home);
  else if (is_usable(facts->home))
    len = snprintf(out, size, "%s/.local/state/copal", facts->home);
  else
    return -ENOENT;
  return len >= 0 && (size_t)len < size ? 0 : -ENAMETOOLONG;
}

int datadir_make_parents(const char *dir)
{
  char path[PATH_MAX];
  const size_t len = strlen(dir);
  if (len >= sizeof path)
    return -ENAMETOOLONG;
  memcpy(path, dir, len + 1);
  for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
    *at = '\0';
    if (mkdir(path, PARENT_MODE) != 0 && errno != EEXIST)
      return -errno;
    *at = '/';
  }
  return 0;
}
