/* SPDX-License-Identifier: Apache-2.0 */
/* Observed resources: what ties the observations of a shard to the representations of the store.
 * RFC 7641 sections 4.1 and 4.2; FETCH after RFC 8132 section 2.4; conditions after
 * draft-ietf-core-conditional-attributes section 3.
 *
 * Threads: one object serves all shards. A subject belongs to the shard that made it; only the
 * table is shared. */
#ifndef SERVICE_SUBJECTS_H
#define SERVICE_SUBJECTS_H

#include <stdint.h>

#include "server/handler.h"
#include "service/conditions.h"
#include "service/registrations.h"

typedef struct subjects subjects;

/* Returns NULL without memory. */
subjects *subjects_open(void);

/* After every shard's endpoint has been wiped. Safe on NULL. */
void subjects_close(subjects *s);

/* Has observations kept in, and restored from, `kept`, which is lent until subjects_close().
 * Returns what restores them, for registrations_start(). */
registrations_user *subjects_keep(subjects *s, registrations *kept);

/* Longer documents of a FETCH are answered, but not observed: the server keeps them. */
enum { SUBJECTS_FETCH_MAX = 1024 };

/* What a client sees of a resource. Spans are borrowed. */
typedef struct subjects_view {
  const store_item *item; /* the present representation */
  uint16_t format;        /* of what is shown: the representation, or the selection of a FETCH */
  copal_span body;
  bool is_fetch;
  uint16_t fetch_format; /* of the document that selects */
  copal_span fetch;
  uint32_t accept; /* of a FETCH: a Content-Format, or REPLY_ANY_FORMAT */
  const conditions *conditions;
} subjects_view;

/* A view of a resource, as one shard's clients observe it; with conditions, as one of them does. */
typedef struct subject subject;

/* Offers the client of the request being handled to observe the resource as it is shown to it.
 * Before the answer; subject_settle() after it. Returns NULL without memory, and when the terms are
 * not welcome: the request is answered without Observe. */
subject *subjects_observe(subjects *s, const handler_req *req, const subjects_view *view);

/* Forgets the subject again when the answer has established no observation. Safe on NULL. */
void subject_settle(subject *s);

/* The client's observation begins now, ahead of the answer to its request, which has been deferred.
 * `w` waits until it is stored, as told in registrations_save(). Between subjects_observe() and
 * subject_settle(). */
void subject_register(subject *s, copal_xref exchange, registrations_waiter *w);

/* The item with its Max-Age cut down to c.pmax, as section 4 of the draft wants it. */
store_item subjects_item(const handler_env *env, const store_item *item, const conditions *c,
                         copal_time now);

#endif
