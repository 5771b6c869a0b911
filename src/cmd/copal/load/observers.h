/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-out: observers on sockets of their own, and one writer that changes what they observe. The
 * body of a change begins with its number, so that each notification can be told to be newer or
 * older, and timed from its PUT. RFC 7641. */
#ifndef COPAL_CMD_LOAD_OBSERVERS_H
#define COPAL_CMD_LOAD_OBSERVERS_H

#include "cmd/copal/load/runner.h"

enum { OBSERVERS_BODY_MIN = 10 }; /* digits of the number */

/* Creates the resources, opens plan->clients sockets and registers each; the plan is lent for the
 * runner's life. Returns 0 with the runner; -errno; or COPAL_ENOTFOUND when no observer could be
 * registered, with the runner, whose account or `failure` says why. */
int observers_open(const load_plan *plan, runner **r);

#endif
