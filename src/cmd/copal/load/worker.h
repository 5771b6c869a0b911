/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of a load run: clients that send requests, verify every answer and count.
 *
 *   call     event                         next       action
 *   idle     its turn                      under way  send the request
 *   under    an answer with more blocks    under way  send the request for the next one
 *   way      the last or only answer       idle       verify and count
 *            Empty ACK                     under way  send it no more, wait for the response
 *            deadline                      under way  send it again, interval doubled
 *            deadline, sent often enough   idle       count a timeout
 *            RST, network error            idle       count */
#ifndef COPAL_CMD_LOAD_WORKER_H
#define COPAL_CMD_LOAD_WORKER_H

#include <stdint.h>

#include "cmd/copal/load/runner.h"

/* Makes worker `index` of plan->threads, with its part of the clients, and opens their sockets. The
 * plan is lent for the worker's life. Returns 0; -errno; or COPAL_ENOTFOUND, with the worker, when
 * a session could not be opened: its `failure` tells why. */
int worker_open(const load_plan *plan, uint32_t index, runner **r);

#endif
