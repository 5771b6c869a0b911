/* SPDX-License-Identifier: Apache-2.0 */
/* The DTLS sessions of one shard: 160 bytes each in a reserved mapping, and 4 to 8 bytes of the
 * table that finds them by address. A CID names its slot. RFC 6347 section 4.1, RFC 9146 sections 3
 * and 6, RFC 7252 section 9.1. */
/* clang-format off */
/* state      event                    next       what happens
 * FREE       dtls_session_take        HANDSHAKE  found by address and CID; counts as no session yet
 * HANDSHAKE  dtls_session_establish   UP         may evict the session that was used longest ago
 * HANDSHAKE  dtls_session_end         FREE
 * UP         authentic record         UP         dtls_session_open
 * UP         dtls_session_end, idle,  ENDING     on_end is called, and may still seal an alert
 *            evicted, too many forged
 *            records, numbers used up
 * ENDING     on_end has returned      FREE       keys are wiped; the slot rests */
/* clang-format on */
/* Handshakes have slots of their own, so that a flood of them evicts nobody. A pointer to a session
 * is good until the session ends; keep the number where that may happen. Thread: the owner's only.
 */
#ifndef TRANSPORT_DTLS_SESSION_H
#define TRANSPORT_DTLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/path.h"
#include "copal/span.h"
#include "copal/time.h"
#include "transport/dtls/cid.h"
#include "transport/dtls/record.h"

typedef struct dtls_sessions dtls_sessions;

enum {
  DTLS_SESSION_SIZE = 160,
  DTLS_SESSION_MAX = 1 << 23, /* sessions and handshakes of one shard */
  DTLS_PEER_CID_INLINE = 20,  /* longer ones go to a table of their own */
  DTLS_VERIFY_DATA_SIZE = 12, /* RFC 5246 section 7.4.9 */
  DTLS_NAME_SIZE = 9 + DTLS_VERIFY_DATA_SIZE,
};

typedef enum dtls_session_state {
  DTLS_SESSION_FREE,
  DTLS_SESSION_HANDSHAKE,
  DTLS_SESSION_UP,
  DTLS_SESSION_ENDING,
} dtls_session_state;

/* Flags of a session. Those from DTLS_SESSION_CID to DTLS_SESSION_UNPROVEN are part of the saved
 * form; never renumber. */
enum {
  DTLS_SESSION_CID = 1,       /* the peer must send our CID; plain records are invalid */
  DTLS_SESSION_CONFIRMED = 2, /* the peer has our last flight: it sent application data */
  DTLS_SESSION_RESUMED = 4,   /* by an abbreviated handshake */
  DTLS_SESSION_CLIENT = 8,    /* we are the client */
  DTLS_SESSION_UNPROVEN = 16, /* the address is new, and nothing sent there was seen to arrive */
  DTLS_SESSION_STALE = 32,    /* restored after a crash: what arrives may be a replay */
  DTLS_SESSION_LONG_CID = 64, /* the peer's CID is in the side table */
  DTLS_SESSION_ALIAS = 128,   /* our CID names another slot: it was restored where that was taken */
};

/* One session. Fields are for reading; they change through the functions below, but for those of
 * the last flight, which the handshake code keeps, and `identity`. */
typedef struct dtls_session {
  copal_addr remote;
  uint16_t local; /* of copal_path; 0 after a restart, until a record arrives */
  uint8_t state;  /* dtls_session_state */
  uint8_t aead;   /* dtls_aead */
  uint32_t generation;
  uint32_t identity; /* who the peer is: a number of the policy's, 0 nobody */
  dtls_window window;
  uint64_t tx_seq;   /* of the next record of epoch 1 */
  uint32_t tx_block; /* numbers of this block of DTLS_SEQ_BLOCK and later ones are not to be used:
                        a file on disk says that they may be, by the next process */
  uint32_t last_use; /* seconds of copal_time: the last authentic record */
  union {
    struct {
      dtls_keys rx, tx;
    };
    void *handshake; /* in HANDSHAKE: the handshake code's own */
  };
  uint32_t hash_next;    /* slot + 1 of the next with that hash; 0: none */
  uint32_t newer, older; /* slot + 1 in order of use, or of release; 0: none */
  uint32_t forgeries;    /* records that were not authentic */
  uint8_t flags;         /* DTLS_SESSION_* */
  uint8_t lane;          /* first byte of our CID */
  uint16_t credit;       /* bytes that may go to an unproven address */
  uint16_t flight_seq;   /* last flight: number of its next record of epoch 0 */
  uint8_t flight_mid;    /* last flight: message_seq of our Finished */
  uint8_t peer_cid_len;  /* 0: we send the plain form */
  uint8_t verify_data[DTLS_VERIFY_DATA_SIZE]; /* last flight: of our Finished */
  uint8_t peer_cid[DTLS_PEER_CID_INLINE];
} dtls_session;

_Static_assert(sizeof(dtls_session) == DTLS_SESSION_SIZE, "the size is part of the capacity plan");

/* Why a session ended. */
typedef enum dtls_end {
  DTLS_END_LOCAL,     /* we closed it, or the handshake failed */
  DTLS_END_PEER,      /* close_notify or a fatal alert of the peer */
  DTLS_END_REPLACED,  /* the peer made a new one. RFC 6347 section 4.2.8 */
  DTLS_END_EVICTED,   /* the limit was reached, and it was used longest ago */
  DTLS_END_IDLE,      /* nothing authentic for `idle_s` */
  DTLS_END_FORGED,    /* too many records that were not authentic */
  DTLS_END_EXHAUSTED, /* as many records sealed as the keys are good for */
  DTLS_END_REVOKED,   /* the peer was taken out of the credentials */
  DTLS_END_NO_ROOM,   /* the peer is somebody else now, whom there is no room to register */
  DTLS_END_COUNT,
} dtls_end;

/* Told of each end of an established session (not of a handshake), before its keys are wiped:
 * dtls_session_seal() still works. It may not take, establish or end sessions. */
typedef struct dtls_on_end {
  void (*on_end)(struct dtls_on_end *hook, dtls_session *s, dtls_end why);
} dtls_on_end;

typedef struct dtls_sessions_cfg {
  uint32_t max;           /* established sessions; at least 1 */
  uint32_t handshake_max; /* at a time; at least 1. Both together at most DTLS_SESSION_MAX */
  uint32_t long_cid_max;  /* peers' CIDs of more than DTLS_PEER_CID_INLINE bytes; 0: one for 64 */
  uint32_t idle_s;        /* seconds without an authentic record; 0: for ever */
  uint32_t forgery_max;   /* 0: 2^20, which leaves a chance of 2^-44 for one of 8 bytes of tag */
  uint64_t seal_max;      /* records sealed with the same keys; 0: 2^36 */
  uint32_t seed;          /* random: keys the hashes and the first generations */

  const dtls_cid_key *cid_key; /* lent for the table's life */
  dtls_on_end *on_end;         /* lent for the table's life; NULL: nobody is told */
} dtls_sessions_cfg;

typedef struct dtls_sessions_stats {
  uint64_t established;
  uint64_t ended[DTLS_END_COUNT]; /* established ones, by reason */
  uint64_t no_slot;               /* handshakes refused: handshake_max */
  uint64_t no_long_cid;           /* sessions refused: long_cid_max */
  uint64_t rx_records, tx_records;
  uint64_t rx_unknown_cid; /* not ours, or of a session that is no more */
  uint64_t rx_epoch;       /* records of another epoch than 1 for an established session */
  uint64_t rx_form;        /* plain where a CID was agreed on, or the other way round */
  uint64_t rx_replayed;    /* accepted before, or too old to tell */
  uint64_t rx_forged;      /* not authentic, or malformed */
  uint64_t moved;          /* the peer's address changed. RFC 9146 section 6 */
  uint64_t proven;         /* new addresses that proved to be the peer's; stale sessions too */
  uint64_t tx_unproven;    /* not sent: beyond what an unproven address may get */
  uint64_t tx_unreserved;  /* not sent: the numbers may have been used by the next process */
  uint64_t restored, restored_stale;
} dtls_sessions_stats;

/* Reserves the mapping; pages that no session reaches cost nothing. Returns 0, COPAL_EINVAL for a
 * limit out of range, or COPAL_ENOSPC. */
int dtls_sessions_open(const dtls_sessions_cfg *cfg, dtls_sessions **all);

/* Wipes and frees all without telling anybody. Safe on NULL. */
void dtls_sessions_close(dtls_sessions *all);

/* New limits of idle time and forgeries from now on; the others stay as they were opened. */
void dtls_sessions_reload(dtls_sessions *all, const dtls_sessions_cfg *cfg);

const dtls_sessions_stats *dtls_sessions_stats_now(const dtls_sessions *all);
uint32_t dtls_sessions_count(const dtls_sessions *all);           /* established */
uint32_t dtls_sessions_handshake_count(const dtls_sessions *all); /* in HANDSHAKE */

/* ------------------------------------------------------------------------------------------ life
 */

/* A slot for a handshake with the peer at `path`; its CID, which can be told the peer, begins with
 * `lane`: the steer_cid_byte() of the socket the peer came to. Returns NULL when handshake_max are
 * under way. `s->handshake` is NULL and the caller's to set. */
dtls_session *dtls_session_take(dtls_sessions *all, const copal_path *path, uint8_t lane);

/* True when a session whose peer has a CID of that length can be established now; ask before the
 * extension is answered. RFC 9146 section 3. */
bool dtls_sessions_has_room_for_cid(const dtls_sessions *all, size_t peer_cid_len);

/* What a handshake has brought about. */
typedef struct dtls_established {
  dtls_aead aead;
  uint16_t flags; /* DTLS_SESSION_CID, _RESUMED, _CLIENT, _CONFIRMED */
  dtls_keys rx, tx;
  dtls_window window;  /* records of epoch 1 accepted so far */
  uint64_t tx_seq;     /* of the next record of epoch 1 */
  copal_span peer_cid; /* borrowed; empty: we send the plain form */
  uint32_t identity;
  uint16_t flight_seq;
  uint8_t flight_mid;
  uint8_t verify_data[DTLS_VERIFY_DATA_SIZE];
} dtls_established;

/* HANDSHAKE becomes UP. `s->handshake` is forgotten: free it before. Returns 0, COPAL_EINVAL for an
 * unknown AEAD or a CID that is too long, or COPAL_ENOSLOT without room for a long CID; then the
 * session stays in HANDSHAKE. */
int dtls_session_establish(dtls_sessions *all, dtls_session *s, const dtls_established *e,
                           copal_time now);

/* Ends other sessions that the peer of this one can no longer mean: those at the same address that
 * have no CID, or have the same identity. RFC 6347 section 4.2.8. Returns how many. */
unsigned dtls_session_replace_others(dtls_sessions *all, const dtls_session *s);

/* Ends a session or a handshake; harmless for one that is ending already. */
void dtls_session_end(dtls_sessions *all, dtls_session *s, dtls_end why);

/* Ends a few sessions that were idle for too long; call it once per message or batch. Returns how
 * many. */
unsigned dtls_sessions_sweep(dtls_sessions *all, copal_time now);

/* When dtls_sessions_sweep() has something to do, or COPAL_NEVER. */
copal_time dtls_sessions_next_sweep(const dtls_sessions *all);

/* --------------------------------------------------------------------------------------- finding
 */

/* The session (HANDSHAKE or UP) one of our CIDs belongs to, or NULL, which is counted. */
dtls_session *dtls_session_by_cid(dtls_sessions *all, copal_span cid);

/* The session in that state which came to `path` last, or NULL. Local addresses are compared where
 * both are known. */
dtls_session *dtls_session_by_path(const dtls_sessions *all, const copal_path *path,
                                   dtls_session_state state);

/* The number of a session for copal_path.session: never 0, and used again for another session as
 * late as possible; and the session (HANDSHAKE, UP or ENDING) it stands for, or NULL. */
uint32_t dtls_session_number(const dtls_sessions *all, const dtls_session *s);
dtls_session *dtls_session_of(const dtls_sessions *all, uint32_t number);

/* The name of an established session: its lane, what its CID says and the verify_data of its
 * handshake. It stays the same when the session is saved and restored, and no other session, of
 * this process or another, has it. And the session (UP) of that name, or NULL. */
void dtls_session_name(const dtls_sessions *all, const dtls_session *s,
                       uint8_t out[DTLS_NAME_SIZE]);
dtls_session *dtls_session_named(const dtls_sessions *all, copal_span name);

/* Its slot, 0 to max + handshake_max - 1; the CID it is told; the way to its peer. */
uint32_t dtls_session_slot(const dtls_sessions *all, const dtls_session *s);
void dtls_session_cid(const dtls_sessions *all, const dtls_session *s, uint8_t out[DTLS_CID_SIZE]);
copal_path dtls_session_path(const dtls_sessions *all, const dtls_session *s);

/* The CID the peer wants to see in our records; lent until the session ends. */
copal_span dtls_session_peer_cid(const dtls_sessions *all, const dtls_session *s);

/* --------------------------------------------------------------------------------------- records
 */

/* A record that arrived for a session. */
typedef struct dtls_arrival {
  const dtls_record *rec;
  const copal_path *from;
  copal_mspan room; /* as for dtls_record_open() */
} dtls_arrival;

/* What dtls_session_open() found. */
typedef struct dtls_opened {
  dtls_content content;
  bool is_newest; /* newer than all before it */
  bool is_moved;  /* the peer's address is another one since this record */
} dtls_opened;

/* Opens a record of epoch 1 for a session that is UP: checks form and replay window, counts
 * forgeries, notes the use, and follows the peer to a new address when the record is authentic, has
 * our CID and is newer than all others; the address is then unproven. Returns 0; COPAL_EFORMAT for
 * what is to be discarded without a word; or COPAL_ENOTFOUND when that was one too many and the
 * session has ended. RFC 6347 section 4.1.2.7, RFC 9146 sections 3 and 6.
 * DTLS_SESSION_CONFIRMED is set by application data. */
int dtls_session_open(dtls_sessions *all, dtls_session *s, const dtls_arrival *a, dtls_opened *out,
                      copal_time now);

/* What dtls_session_seal() needs beside content: see dtls_record_head(). */
size_t dtls_session_head(const dtls_session *s);
size_t dtls_session_overhead(const dtls_session *s);

/* Seals the next record of epoch 1. `content` lies apart from `room`, or dtls_session_head() bytes
 * into it. Returns its size; COPAL_ENOSPC or COPAL_EINVAL as dtls_record_seal(), with nothing used
 * up; COPAL_EAGAIN when the peer's address is unproven and has got three times what came from it,
 * or when numbers must be reserved first (dtls_sessions_wants_save()); COPAL_ENOTFOUND when the
 * keys are worn out and the session has ended. */
int dtls_session_seal(dtls_sessions *all, dtls_session *s, dtls_type type, copal_span content,
                      copal_mspan room);

/* The peer has answered something that could not be guessed (an Echo value, a Message ID) and was
 * sent where it is now: its address is proven. With an Echo value the request is fresh too, and a
 * session is stale no more: numbers up to now are taken for used. A Message ID is too short for
 * that, for there may be many recorded answers to try. RFC 9146 section 6, RFC 9175 section 2.3. */
void dtls_session_prove(dtls_sessions *all, dtls_session *s, bool is_fresh);

static inline bool dtls_session_is_address_unproven(const dtls_session *s)
{
  return (s->flags & DTLS_SESSION_UNPROVEN) != 0;
}

/* True when a request that is not safe must bring a fresh Echo first. */
static inline bool dtls_session_is_stale(const dtls_session *s)
{
  return (s->flags & DTLS_SESSION_STALE) != 0;
}

/* True once its numbers are those of another process: dtls_saved_export(). */
static inline bool dtls_session_is_given(const dtls_session *s)
{
  return s->tx_block == 0;
}

/* ---------------------------------------------------------------------------------------- saving
 */

/* Numbers are reserved in blocks. A file written while the process runs on (a checkpoint) holds for
 * each session the first number that was never used: the reserved blocks are skipped when it is
 * read after a crash. So a session in a checkpoint stops at its reservation until another
 * checkpoint is on disk; 65536 to 131072 records. */
enum { DTLS_SEQ_BLOCK = 1 << 16 };

/* The number the next process may start with if the file being written is read after a crash; the
 * session keeps below it from now on, once the file is on disk, too. For
 * src/transport/dtls/saved.c. */
uint64_t dtls_session_reserve(dtls_sessions *all, dtls_session *s);

/* The checkpoint with all reservations since the last call is on disk; or it came to nothing. */
void dtls_sessions_reserved(dtls_sessions *all, bool is_on_disk);

/* There is no checkpoint any more, on the disk either: all numbers may be used. */
void dtls_sessions_unbind(dtls_sessions *all);

/* True when a session has used most of its reservation, or all: write a checkpoint soon. */
bool dtls_sessions_wants_save(const dtls_sessions *all);

/* A session that another process had. */
typedef struct dtls_restored {
  uint32_t slot;             /* that its CID names, with `image->generation` and `image->lane` */
  const dtls_session *image; /* borrowed; links and what concerns tables are not looked at */
  copal_span peer_cid;       /* borrowed */
  uint32_t idle_s;           /* since its last use */
} dtls_restored;

/* Makes it again, in its slot or, when that is taken, in another, under the same CID. Returns 0 and
 * the session; COPAL_EINVAL for what cannot be; or COPAL_ENOSLOT when the table is full or the
 * peer's CID has no room. Call dtls_sessions_settle() after the last one. For
 * src/transport/dtls/saved.c. */
int dtls_session_restore(dtls_sessions *all, const dtls_restored *r, dtls_session **s,
                         copal_time now);

/* What its CID says, or would say: its own slot and generation, but for DTLS_SESSION_ALIAS. */
dtls_cid dtls_session_own_cid(const dtls_sessions *all, const dtls_session *s);

/* Puts sessions in order of use, after some were restored. */
void dtls_sessions_settle(dtls_sessions *all);

/* The established session in the first slot not before `slot`, or NULL. */
dtls_session *dtls_session_from_slot(const dtls_sessions *all, uint32_t slot);

#endif
