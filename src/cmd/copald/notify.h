/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager about the state, if there is one: the protocol of sd_notify(3). Thread:
 * the main thread only. */
#ifndef COPALD_NOTIFY_H
#define COPALD_NOTIFY_H

/* Sends `state`, such as "READY=1", to the socket named by NOTIFY_SOCKET. Does nothing without it;
 * failures have no consequence. */
void notify_send(const char *state);

/* Waits, a few seconds at most, until the manager has read everything sent so far: a process that
 * ends before might not be known as its service's any more. */
void notify_settle(void);

#endif
