/* SPDX-License-Identifier: Apache-2.0 */
/* What session.c and session_record.c share: the tables behind dtls_sessions. Thread: the owner's
 * only. */
#ifndef TRANSPORT_DTLS_SESSION_TABLE_H
#define TRANSPORT_DTLS_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/dtls/session.h"

/* No file holds the session: all numbers may be used. */
#define DTLS_NO_BLOCK UINT32_MAX

/* Sessions in order, linked by `newer` and `older`. Links are slot + 1, 0 is none. */
typedef struct dtls_order {
  uint32_t oldest, newest;
} dtls_order;

/* The CID of a session that is not in the slot the CID names; at the session's slot. */
typedef struct dtls_alias {
  uint32_t slot, generation; /* of the CID */
  uint32_t next;             /* slot + 1 of the next with that hash; 0: none */
} dtls_alias;

/* A reservation that counts once the checkpoint is on disk; settling uses the array, too. */
typedef struct dtls_raise {
  uint32_t key; /* the first block not to be used; when settling, last_use */
  uint32_t slot;
} dtls_raise;

struct dtls_sessions {
  dtls_sessions_cfg cfg;
  dtls_sessions_stats stats;
  void *map; /* the arrays */
  size_t map_size;
  dtls_session *slots;
  uint32_t *buckets; /* slot + 1 of the session that came last; 0: empty */
  uint8_t (*long_cids)[DTLS_CID_MAX];
  uint32_t *long_free; /* indices of long_cids that were used and are free again */
  dtls_raise *raises;
  dtls_alias *aliases;
  uint32_t *alias_buckets; /* as many as buckets */
  uint32_t slot_count;     /* max + handshake_max */
  uint32_t bucket_mask;
  uint32_t used; /* slots that were ever used, from 0 */
  uint32_t count, handshake_count;
  uint32_t resting_count;
  uint32_t long_used, long_free_count; /* as `used`; free ones among them */
  uint32_t raise_count;
  unsigned number_bits; /* of slot + 1 in a session's number */
  bool wants_save;
  dtls_order use;  /* established sessions */
  dtls_order rest; /* free slots that were used, in order of release */
};

/* The session moves to another address. */
void dtls_table_move(dtls_sessions *all, dtls_session *s, const copal_path *to);

/* The session was used now. */
void dtls_table_touch(dtls_sessions *all, dtls_session *s, copal_time now);

/* Gives a session the CID of another slot; forgets it; finds the session such a CID belongs to, or
 * NULL. The lane is the session's own. */
void dtls_alias_insert(dtls_sessions *all, dtls_session *s, uint32_t slot, uint32_t generation);
void dtls_alias_remove(dtls_sessions *all, dtls_session *s);
dtls_session *dtls_alias_find(const dtls_sessions *all, const dtls_cid *cid);

#endif
