/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of an endpoint: its pools, tables and the request being handled. Shared by the modules
 * of proto, seen by nobody else. */
#ifndef CORE_PROTO_EP_H
#define CORE_PROTO_EP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "core/base/chain.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/base/pool.h"
#include "core/base/timerq.h"
#include "core/wire/option_check.h"

/* A remote endpoint for which there is something to remember. Exists while it has remembered
 * messages or client exchanges, or must be left quiet. */
typedef struct peer {
  copal_map_link link; /* in ep->peers_by_path */
  copal_timer quiet;   /* runs while PROBING_RATE forbids to send, RFC 7252 section 4.7 */
  copal_path path;
  uint32_t dedup_count;
  copal_node waiting;      /* exchanges in their turn for NSTART or PROBING_RATE */
  struct dedup *newest;    /* the ring of dedup entries, or NULL: behind it is the oldest */
  uint32_t exchange_count; /* client exchanges that point here */
  uint32_t outstanding;    /* of these, interactions that count against NSTART */
} peer;

typedef enum dedup_state {
  DEDUP_OPEN,    /* the request is being handled, nothing has been answered */
  DEDUP_SILENT,  /* a duplicate is ignored */
  DEDUP_ACKED,   /* a duplicate gets an Empty ACK */
  DEDUP_REPLIED, /* a duplicate gets the kept reply */
  DEDUP_SPENT,   /* a registration taken back: a duplicate runs, but begins no observation */
  DEDUP_DEAD,    /* out of its lifetime, waiting for its turn to be given back */
} dedup_state;

/* A message that was received and is remembered for EXCHANGE_LIFETIME or NON_LIFETIME.
 * RFC 7252 section 4.5. */
typedef struct dedup {
  copal_map_link link; /* in ep->dedup_by_mid */
  copal_node age;      /* in ep->dedup_by_age */
  struct dedup *newer; /* of the peer; the newest leads to the oldest */
  peer *peer;
  struct exchange *exchange; /* that will answer, while DEDUP_OPEN or DEDUP_ACKED; or NULL */
  copal_chain reply;         /* DEDUP_REPLIED */
  copal_time expires;
  uint16_t mid;
  uint16_t local;
  uint8_t state; /* dedup_state */
} dedup;

typedef enum exchange_state {
  EXCHANGE_FREE,
  EXCHANGE_QUEUED,        /* client: waits for its turn at the peer */
  EXCHANGE_WAIT_ACK,      /* client or server: a confirmable message is in flight */
  EXCHANGE_WAIT_RESPONSE, /* client: acknowledged, or non-confirmable */
  EXCHANGE_DEFERRED,      /* server: the handler is late, no ACK has left */
  EXCHANGE_ACKED,         /* server: the handler is late, an Empty ACK has left or none is due */
  EXCHANGE_LEISURE,       /* server: the answer to a group request waits for its random instant */
} exchange_state;

/* What must be remembered of a request to write its response. */
typedef struct reply_rules {
  copal_code request_code;
  bool is_confirmable;
  bool is_group;
  bool wants_problem; /* Accept names concise problem details */
  bool has_no_response;
  uint8_t no_response; /* RFC 7967: classes held back */
  bool has_block2;
  copal_block block2;
  bool is_qblock2; /* what `block2` says came as Q-Block2 */
  bool has_observe;
  uint32_t observe; /* 24 bits */
} reply_rules;

/* One exchange in either role. */
typedef struct exchange {
  copal_timer timer;
  copal_map_link by_token; /* client exchanges with a token */
  copal_map_link by_mid;   /* while an ACK or RST may match `mid` */
  copal_node queue;        /* in peer->waiting */
  copal_path path;
  peer *peer;           /* client: whom it is addressed to; NULL for a group */
  copal_client *client; /* client: who is told */
  dedup *dedup;         /* server: the request's entry, or NULL when it had to go */
  copal_chain kept;     /* the datagram to send, or to send again */
  copal_time give_up;   /* client: when to stop waiting for the response */
  copal_time span_end;  /* last instant for a retransmission, RFC 7252 section 4.2 */
  copal_dur interval;   /* of the running retransmission timer */
  copal_dur patience;   /* client: how long to wait for the response */
  uint32_t generation;  /* distinguishes users of the same slot */
  reply_rules rules;    /* server */
  uint16_t mid;
  uint16_t token_len;
  uint8_t state; /* exchange_state */
  uint8_t type;  /* copal_type of the message sent or, while the handler is late, received */
  uint8_t retransmits;
  bool is_client;
  bool is_observe;     /* client: the request registers an observation */
  bool has_observed;   /* client: a notification has come */
  bool is_renewing;    /* client: it registers again, and nothing has come since */
  uint32_t sequence;   /* client: of the freshest notification */
  copal_time fresh_at; /* client: when that came */
  bool is_counted;     /* in peer->outstanding */
  bool wants_many;
  bool has_token;  /* linked by_token */
  bool has_mid;    /* linked by_mid */
  uint8_t token[]; /* up to cfg.token_cap bytes */
} exchange;

/* Counter from which the Message IDs of some peers are drawn. There are many, and each notification
 * looks at another: they are small, and what only a round needs lies elsewhere. */
typedef struct mid_counter {
  uint16_t next;
  uint16_t first; /* of the round; odd, 0 before the first round */
} mid_counter;

/* The request whose on_request() is running. */
typedef struct turn {
  const copal_msg *msg;
  const copal_path *path;
  copal_opt_sight sight;  /* of its options */
  dedup *dedup;           /* NULL when nothing needs remembering */
  copal_subject *subject; /* to be observed when the response is a success, or NULL */
  copal_time now;
  reply_rules rules;
  bool wants_observe;
  bool is_leaving; /* Observe says to deregister */
  bool is_spent;   /* came before and was taken back: begins no observation */
  bool is_answered;
  bool is_deferred;
  bool is_continuous;       /* with Q-Block2: further sets may follow */
  uint32_t wanted;          /* with Q-Block2: blocks asked for, from `rules.block2` on */
  struct qblock_flow *flow; /* that puts the request to the handler once more, or NULL */
  uint32_t recall_hash;     /* of a request whose answer would be kept, to be given again; or 0 */
} turn;

/* The part of a notification that its receivers have in common. Good for those that are notified of
 * the same state at the same instant. */
typedef struct rendering {
  const copal_subject *subject; /* NULL: there is none */
  copal_time at;
  copal_span tail;  /* options and payload, in `scratch` of the endpoint */
  uint32_t observe; /* 24 bits */
  uint8_t szx;      /* of the relations that it is for */
  copal_code code;
} rendering;

struct relation;

/* What most functions touch comes first: small processors reach 124 bytes with one instruction. */
struct copal_ep {
  bool is_ending;          /* copal_ep_wipe() is under way: no new exchanges */
  bool is_busy;            /* inside a call that may call back */
  copal_node dedup_by_age; /* oldest first */
  copal_node telling;      /* subjects with observers who have not been told of the last change */
  mid_counter *mids;
  uint32_t *mid_rounds; /* for each counter: when its round began, in beats of 2^20 us */
  uint32_t *peer_marks; /* a bit for each bucket of `peers_by_path` that is not empty: of most
                           clients nothing is remembered, which a small array tells */
  uint32_t seed;        /* key of the hashes */
  uint32_t generation;  /* of the exchange taken last */
  copal_dur ack_spread; /* ACK_TIMEOUT * (ACK_RANDOM_FACTOR - 1), less what ticks may add */
  copal_dur transmit_span, exchange_lifetime, non_lifetime;
  uint32_t critical_requests, critical_responses; /* options understood, see option_check.h */
  turn *turn;                                     /* NULL outside on_request() */
  struct qblock *qblock;                          /* NULL: Q-Block is off */
  struct recall *recall;                          /* NULL: no answer is given twice */
  copal_mspan scratch;                            /* who writes there voids `rendering` */
  rendering rendering;
  copal_timerq timers;
  copal_pool exchanges, peers, dedups, chunks, observers, relations;
  copal_map peers_by_path, dedup_by_mid, exchange_by_token, exchange_by_mid;
  copal_map observers_by_path, relations_by_token;
  copal_stats stats;
  copal_ep_cfg cfg;
  /* While relations are reviewed: asks about one, or about some of those that nobody has asked
   * about yet. A pointer, so that who never calls copal_ep_review() need not have it. NULL: all is
   * done. */
  void (*review)(copal_ep *ep, struct relation *r, copal_time now);
  copal_reviewer *reviewer;
  uint32_t reviewed; /* observers in front of this place in the pool have been */
};

/* True when the request has none of the options that say how it is to be answered. Most have none.
 */
static inline bool turn_has_plain_answer(const turn *t)
{
  const uint32_t answering =
      COPAL_SIGHT_BIT(COPAL_OPT_OBSERVE) | COPAL_SIGHT_BIT(COPAL_OPT_ACCEPT) |
      COPAL_SIGHT_BIT(COPAL_OPT_BLOCK1) | COPAL_SIGHT_BIT(COPAL_OPT_BLOCK2) |
      COPAL_SIGHT_BIT(COPAL_OPT_Q_BLOCK1) | COPAL_SIGHT_BIT(COPAL_OPT_Q_BLOCK2) |
      COPAL_SIGHT_BIT(COPAL_OPT_NO_RESPONSE);
  return (t->sight.absent & answering) == answering;
}

/* First instance of an option of the request, unless its length is outside the registered range.
 * Most options are known to be absent and not looked for. */
bool turn_find(const turn *t, uint16_t number, copal_span *value);

/* A uniform 32-bit value from the entropy hook. */
uint32_t ep_random(copal_ep *ep);

/* `span` scaled by a uniform random factor in [0, 1). */
copal_dur ep_random_dur(copal_ep *ep, copal_dur span);

/* Hash under which everything about a remote endpoint is found. */
uint32_t ep_path_hash(const copal_ep *ep, const copal_path *path);

#endif
