/* SPDX-License-Identifier: Apache-2.0 */
/* The timers that services set on a shard. Thread: the shard's only. */
#ifndef SERVER_TIMERS_H
#define SERVER_TIMERS_H

#include "server/handler.h"

typedef struct timers timers;

/* Returns NULL without memory. */
timers *timers_open(copal_time now);

/* After the services have cancelled their timers. Safe on NULL. */
void timers_close(timers *t);

/* What handler_env carries. */
copal_timerq *timers_queue(timers *t);

/* The earliest instant at which timers_run() may have something to do, or COPAL_NEVER. */
copal_time timers_deadline(const timers *t);

/* Runs what is due, with the view of `port` renewed; of a great many some, the deadline stays in
 * the past then. */
void timers_run(timers *t, store_port *port, copal_time now);

#endif
