/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, and CPU time of another process. */
#include "gauge.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t gauge_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t thread_cpu(const char *dir, const char *thread)
{
  char path[512];
  unsigned long long ns = 0;
  snprintf(path, sizeof path, "%s/%s/schedstat", dir, thread);
  FILE *f = fopen(path, "re");
  if (f == NULL)
    return 0;
  if (fscanf(f, "%llu", &ns) != 1)
    ns = 0;
  fclose(f);
  return ns;
}

uint64_t gauge_cpu(int pid)
{
  if (pid == 0)
    return 0;
  char dir[64];
  snprintf(dir, sizeof dir, "/proc/%d/task", pid);
  DIR *d = opendir(dir);
  if (d == NULL) {
    fprintf(stderr, "load: process %d is gone\n", pid);
    exit(3);
  }
  uint64_t sum = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;)
    if (e->d_name[0] != '.')
      sum += thread_cpu(dir, e->d_name);
  closedir(d);
  return sum;
}
