/* SPDX-License-Identifier: Apache-2.0 */
/* The key log for debugging. */
#include "transport/dtls/keylog.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

const char *keylog_file(void)
{
  const char *name = secure_getenv("SSLKEYLOGFILE"); /* as GnuTLS asks for it */
  if (name == NULL || name[0] == '\0')
    return NULL;
  /* GnuTLS would make it readable by everybody. */
  const int fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0)
    close(fd);
  return name;
}
