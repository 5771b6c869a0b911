/* SPDX-License-Identifier: Apache-2.0 */
/* CPU time of another process. */
#ifndef COPAL_CMD_LOAD_GAUGE_H
#define COPAL_CMD_LOAD_GAUGE_H

#include <stdint.h>

/* Nanoseconds that all threads of the process have used. Returns 0, or -errno: -ENOENT when there
 * is no such process. */
int gauge_cpu(int pid, uint64_t *ns);

#endif
