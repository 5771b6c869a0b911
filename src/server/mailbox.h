/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of pointers from many threads to one, with a descriptor to sleep on. Posting and
 * waking: any thread. Everything else: the owner's thread only. */
#ifndef SERVER_MAILBOX_H
#define SERVER_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mailbox mailbox;

/* `cap` messages, rounded up to a power of two. Returns 0 or -errno. */
int mailbox_open(size_t cap, mailbox **m);
void mailbox_close(mailbox *m);

/* Queues `msg`, given to the owner on success, and wakes the owner when it sleeps. Returns 0, or
 * COPAL_ENOSLOT when the queue is full; that is counted. Messages of one thread keep their order.
 */
int mailbox_post(mailbox *m, void *msg);

/* Wakes the owner without a message. */
void mailbox_wake(mailbox *m);

/* The next message, or NULL. */
void *mailbox_take(mailbox *m);

/* The owner is about to sleep on mailbox_fd(). From here on posts and wakes write to it; what was
 * posted before must be looked for once more after this call. */
void mailbox_doze(mailbox *m);

/* The owner is awake: posts need no system call until the next mailbox_doze(). */
void mailbox_rouse(mailbox *m);

/* Makes mailbox_fd() unreadable again; for when it was found readable. */
void mailbox_clear(mailbox *m);

/* Becomes readable when the dozing owner is to wake. */
int mailbox_fd(const mailbox *m);

/* Messages refused because the queue was full. */
uint64_t mailbox_refused(mailbox *m);

#endif
