/* SPDX-License-Identifier: Apache-2.0 */
/* The server side of observations: relations, and the notifications they are due. RFC 7641.
 *
 * A relation ties one observer (a client endpoint) and token to one subject. At most one
 * notification is outstanding for each observer; what changes meanwhile only marks its relations as
 * stale, and the newest representation is rendered when its turn comes, also for a retransmission.
 *
 * observer   event             next       action                         deadline
 * --------   ----------------  ---------  -----------------------------  ------------------------
 * idle       change            in flight  send CON                       first interval
 *                              idle       send NON                       not before one RTT
 * in flight  ACK               idle       take the RTT, send what is stale
 *            RST               idle       end the relation
 *            deadline          in flight  send the newest state again    interval doubled
 *            deadline          idle       end the relations              after MAX_RETRANSMIT
 * idle       quiet             in flight  send CON of what a NON said last
 *
 * A relation that an error ends leaves its subject at once and stays for its last word: that waits
 * for its turn, is confirmable, and is over with its acknowledgement.
 *
 * A build without observations takes observe_none.c. */
#ifndef CORE_PROTO_OBSERVE_H
#define CORE_PROTO_OBSERVE_H

#include "core/base/carver.h"
#include "core/proto/ep.h"

/* A client endpoint that observes something. Its timer carries the retransmission of the one
 * confirmable notification in flight, or the waiting time of RFC 7641 section 4.5.1. */
typedef struct observer {
  copal_map_link link; /* in ep->observers_by_path */
  copal_timer timer;
  copal_path path;
  uint32_t count;             /* relations */
  copal_node relations;       /* of relation.of_observer */
  copal_node stale;           /* relations that wait for their turn */
  struct relation *in_flight; /* whose confirmable notification is outstanding, or NULL */
  copal_time free_at;         /* no other notification before this instant; while one is in flight
                                 the instant of its first transmission */
  uint32_t quiet;             /* beat at which to look for a last state to repeat, or 0 */
  uint32_t sequence;          /* that the notification in flight carries */
  copal_dur interval;         /* of the running retransmission timer */
  uint32_t rtt : 29;          /* round-trip time, microseconds; 0 when not known */
  uint32_t rtt_samples : 3;   /* that it was made of, or 7: as many or more */
} observer;

#define OBSERVE_NO_SZX 0xfu /* of a client that did not ask for blocks */

typedef struct relation {
  copal_map_link link; /* in ep->relations_by_token */
  union {
    copal_node of_subject; /* in subject->relations */
    copal_chain last_word; /* without a subject: options and payload of the error that ended it */
  };
  copal_node of_observer; /* in observer->relations */
  copal_node turn;        /* in observer->stale; points to itself when not waiting */
  observer *observer;
  copal_subject *subject;  /* NULL: it has ended, and its client is being told */
  uint32_t confirmed;      /* when the client last showed its interest, in beats of 2^20 us */
  uint16_t mid;            /* of the last notification, once there has been one */
  uint16_t nons;           /* non-confirmable notifications since then */
  uint16_t spoken;         /* when the last of them left, low bits of its beat */
  uint16_t asked;          /* Message ID of the confirmable request that registered last */
  copal_code request_code; /* without a subject: of the error */
  uint8_t retransmits;     /* of the notification in flight */
  uint8_t token[COPAL_TOKEN_MAX];
  uint8_t token_len : 4;
  uint8_t szx : 4; /* of the blocks that the client asked for, or OBSERVE_NO_SZX */
  bool has_mid : 1;
  bool has_asked : 1;
  bool is_stale : 1;  /* the client has not been sent the newest state */
  uint8_t checks : 3; /* of the round-trip time, because a notification had to wait for it */
} relation;

/* Plans the memory of observers and relations; measures only when `ep` is NULL. */
void observe_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg);

/* Reads the Observe option of a GET or FETCH. A block further on is no registration. RFC 7641
 * section 4.1, RFC 7959 section 2.6, RFC 8132 section 2.4. */
void observe_read(turn *t);

/* Ends the observation that the request in `t` deregisters, if it does. RFC 7641 section 4.1. */
void observe_cancel(copal_ep *ep, const turn *t);

/* A success establishes the observation that the handler granted; an error ends one that the
 * request was to renew. RFC 7641 section 4.1. */
void observe_settle(copal_ep *ep, turn *t, copal_code code, copal_time now);

/* Adds the client of the request in `t` to the observers of its subject, or renews its relation.
 * Returns false when there is no room; the request is an ordinary one then. RFC 7641 section 4.1.
 */
bool observe_register(copal_ep *ep, turn *t, copal_time now);

/* Removes the relation of that client and token if there is one. RFC 7641 section 4.1. */
void observe_deregister(copal_ep *ep, const copal_path *path, copal_span token);

/* The request in `t` registers the relation. */
void observe_note(copal_ep *ep, relation *r, const turn *t, copal_time now);

/* The client takes the relation back, or has registered it anew: should the request that had
 * registered it come once more, late, it registers nothing. RFC 7252 section 4.5. */
void observe_spend(copal_ep *ep, const relation *r, copal_time now);

/* An Empty ACK or RST that belongs to no exchange. Returns false when no notification matches. */
bool observe_on_acknowledgement(copal_ep *ep, const copal_path *path, const copal_msg *msg,
                                copal_time now);

/* The network refused a message, of which type, Message ID and token are known. Returns false when
 * it is no notification that may still be on its way. */
bool observe_on_unreachable(copal_ep *ep, const copal_path *path, const copal_msg *quoted,
                            copal_time now);

/* The timer of an observer fired. */
void observe_on_timer(copal_ep *ep, copal_timer *t, copal_time now);

/* Ends all relations of a peer; all relations. Clients are not told. */
void observe_forget(copal_ep *ep, const copal_path *path);
void observe_wipe(copal_ep *ep);

/* Ends a relation with an error, unless one has. Its client is told by observe_go_on(), when it has
 * its turn. RFC 7641 section 4.2. */
void observe_refuse(copal_ep *ep, relation *r, copal_code code);

/* What waits at the observer has its turn, as far as it may now; an observer of nothing goes. */
void observe_go_on(copal_ep *ep, observer *o, copal_time now);

/* ------------------------------------------------------------------------------------------------
 * for observe_burst.c */

/* The client of a relation is to have the newest state, now or when it may. The relation may have
 * ended when this returns, and the subject with it. */
void observe_tell_of_change(copal_ep *ep, relation *r, copal_time now);

/* ------------------------------------------------------------------------------------------------
 * for observe_keep.c */

/* The relation of that client and token, or NULL. */
relation *observe_find(const copal_ep *ep, const copal_path *path, copal_span token);

/* A relation of `s` for that client and token, which has none. NULL when there is no room. */
relation *observe_begin(copal_ep *ep, copal_subject *s, const copal_path *path, copal_span token);

/* What a relation remembers of the block size that a request asks for. */
static inline uint8_t observe_szx(const reply_rules *rules)
{
  return rules->has_block2 ? rules->block2.szx : OBSERVE_NO_SZX;
}

/* Marks a relation that has its place in the queue of its observer. */
void observe_enqueue(copal_ep *ep, relation *r);

/* The next number of a sequence that was at `last`, 0 for a new one. RFC 7641 section 4.4. */
uint32_t observe_next_sequence(const copal_ep *ep, uint32_t last, copal_time now);

#endif
