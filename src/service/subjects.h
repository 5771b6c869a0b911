/* SPDX-License-Identifier: Apache-2.0 */
/* Observed resources: what ties the observations of a shard to the representations of the store.
 * RFC 7641 sections 4.1 and 4.2.
 *
 * Threads: one object serves all shards. A subject belongs to the shard that made it; only the
 * table is shared. */
#ifndef SERVICE_SUBJECTS_H
#define SERVICE_SUBJECTS_H

#include <stdint.h>

#include "server/handler.h"

typedef struct subjects subjects;

/* Returns NULL without memory. */
subjects *subjects_open(void);

/* After every shard's endpoint has been wiped. Safe on NULL. */
void subjects_close(subjects *s);

/* A resource in one Content-Format, as one shard's clients observe it. */
typedef struct subject subject;

/* Offers the client of the request being handled to observe the resource in the Content-Format of
 * `item`, its present representation. Before the answer; subject_settle() after it. Returns NULL
 * without memory: the request is answered without Observe. */
subject *subjects_observe(subjects *s, const handler_req *req, const store_item *item);

/* Forgets the subject again when the answer has established no observation. Safe on NULL. */
void subject_settle(subject *s);

#endif
