/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager about the state. Thread: the main thread only. */
#include "cmd/copald/notify.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/clock.h"

void notify_send(const char *state)
{
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  const size_t len = path == NULL ? 0 : strlen(path);
  if (len < 2 || len >= sizeof addr.sun_path)
    return;
  memcpy(addr.sun_path, path, len);
  if (path[0] == '@')
    addr.sun_path[0] = '\0'; /* an abstract name */
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  /* RELOADING=1 must carry the time; it does no harm elsewhere. */
  char text[128];
  const int n = snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%" PRIu64 "\n", state,
                         clock_now() - CLOCK_AT_BOOT);
  (void)sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)&addr,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
  close(fd);
}
