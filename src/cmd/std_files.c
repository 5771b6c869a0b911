/* SPDX-License-Identifier: Apache-2.0 */
/* Standard files that are closed. */
#include "cmd/std_files.h"

#include <fcntl.h>
#include <unistd.h>

void std_files_reserve(void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) >= 0)
      continue;
    /* The lowest number that is free is this one. */
    const int way = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", way) < 0)
      return;
  }
}
