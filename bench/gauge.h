/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, and CPU time of another process. Thread: any; nothing is shared. */
#ifndef BENCH_GAUGE_H
#define BENCH_GAUGE_H

#include <stdint.h>

/* Monotonic, nanoseconds. */
uint64_t gauge_now(void);

/* Nanoseconds that the threads of a process have run (/proc/PID/task/.../schedstat); 0 for pid 0. A
 * process that is gone ends the program, for its figures would be wrong. */
uint64_t gauge_cpu(int pid);

#endif
