/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a command of the user's for a representation. */
#ifndef COPAL_CMD_HOOK_H
#define COPAL_CMD_HOOK_H

#include "cmd/copal/buf.h"
#include "cmd/copal/notice.h"
#include "cmd/copal/session.h"

/* Runs `command` by sh with the body on its standard input and COPAL_CODE, COPAL_SEQUENCE,
 * COPAL_CONTENT_FORMAT, COPAL_ETAG and COPAL_URI in its environment, and drives the session until
 * it has ended; an interrupt is passed on to it as SIGTERM. What became of it goes into `outcome`:
 * "exit status 3". Returns 0, or -1 when it could not be started. */
int hook_run(session *s, const char *command, const notice *n, buf *outcome);

#endif
