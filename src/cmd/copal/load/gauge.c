/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time of another process, from the scheduler's own account of its threads. */
#include "cmd/copal/load/gauge.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* A thread that has ended meanwhile counts no more. */
static uint64_t thread_cpu(int pid, const char *thread)
{
  char path[300];
  uint64_t ns = 0;
  snprintf(path, sizeof path, "/proc/%d/task/%.255s/schedstat", pid, thread);
  FILE *f = fopen(path, "re");
  if (f == NULL)
    return 0;
  if (fscanf(f, "%" SCNu64, &ns) != 1)
    ns = 0;
  fclose(f);
  return ns;
}

int gauge_cpu(int pid, uint64_t *ns)
{
  char dir[64];
  snprintf(dir, sizeof dir, "/proc/%d/task", pid);
  DIR *d = opendir(dir);
  if (d == NULL)
    return -errno;
  *ns = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (e->d_name[0] != '.')
      *ns += thread_cpu(pid, e->d_name);
  closedir(d);
  return 0;
}
