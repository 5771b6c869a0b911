/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies that come in blocks. RFC 7959 sections 2.3, 2.5, 2.9; transfers of one client are
 * told apart by method, URI with its query, and Request-Tag, RFC 9175 section 3.
 *
 * Unfinished uploads are bounded in number, for one client and in all, and in bytes; the one that
 * has waited longest gives way, in all that of an address which holds more than half of them. Each
 * ends when its next block does not come within the lifetime, without further traffic where the
 * shard has timers. Blocks may come ahead of others: service/ordering.h. Threads: one object serves
 * all shards; they write bodies side by side. */
#ifndef SERVICE_UPLOADS_H
#define SERVICE_UPLOADS_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/assembly.h"
#include "server/handler.h"
#include "service/lender.h"
#include "store/staging.h"

typedef struct uploads uploads;

/* Limits; a field that is zero takes the default named. */
typedef struct uploads_cfg {
  uint32_t count_max;   /* unfinished uploads; default 1024 */
  uint32_t per_client;  /* of these, from one address and port, or session; default 16 */
  uint64_t byte_max;    /* bytes of all unfinished uploads; default 256 MiB */
  copal_dur lifetime;   /* between two blocks; default EXCHANGE_LIFETIME */
  staging_place *place; /* where large bodies wait. Lent for the object's life; default: files in
                           "/var/tmp" */
} uploads_cfg;

typedef struct uploads_counts {
  uint64_t open;     /* now */
  uint64_t bytes;    /* now */
  uint64_t finished; /* bodies that came in whole */
  uint64_t broken;   /* 4.08: a block was missing, repeated with other bytes, or the Content-Format
                        changed */
  uint64_t expired;  /* the next block did not come in time */
  uint64_t evicted;  /* gave way to another upload */
  uint64_t failed;   /* could not be kept: no memory, no space */
} uploads_counts;

/* Returns NULL without memory. */
uploads *uploads_open(const uploads_cfg *cfg);

/* The shards have ended. Safe on NULL. */
void uploads_close(uploads *u);

/* An upload whose last block has come. */
typedef struct upload upload;

/* Takes the block of a request with Block1 in. Returns COPAL_OK with `*whole` NULL: answer 2.31; or
 * COPAL_OK with the upload in `*whole` and its body in `*body`, lent until it is freed; or an
 * error to answer with: COPAL_EINCOMPLETE, COPAL_ETOOBIG, COPAL_EBLOCK, COPAL_ENOSLOT. */
int uploads_take(uploads *u, const handler_req *req, upload **whole, copal_span *body);

/* True when a block of it came with If-None-Match, which only the first one does. RFC 7959 section
 * 2.10. */
bool upload_must_be_absent(const upload *whole);

/* Who has the body of a finished upload. */
lender *upload_lender(upload *whole);

/* The request has been handled: frees the upload, or leaves that to who has taken its lender. Safe
 * on NULL. */
void upload_forget(upload *whole);

/* What tells apart the transfers of a client beside the method: the path and the options that
 * count, as one string, in the request's arena unless it is the path. Returns false without room.
 */
bool uploads_name(const handler_req *req, copal_span *name);

/* The shard that numbered the client's session, for tables that serve all shards; 0 without one. */
uint32_t uploads_shard(const handler_req *req);

uploads_counts uploads_counts_now(uploads *u);

#endif
