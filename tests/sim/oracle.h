/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle watches the wire and the applications of a simulation and knows what RFC 7252 sections
 * 4, 5 and 8 allow. It has no access to the endpoints' insides. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "net.h"
#include "peek.h"

enum {
  ORACLE_TRACKS_MAX = 4096,
  ORACLE_SEEN_MAX = 4096,
  ORACLE_INDEX_SIZE = 16384, /* power of two, more than the records */
  ORACLE_REQUESTS_MAX = 512,
  ORACLE_TOKEN_KEPT = 16,
  ORACLE_TEXT_SIZE = 240,
};

/* What can be broken. */
typedef enum oracle_rule {
  RULE_NONE,
  RULE_ONCE,       /* a handler runs once per message, and has run when a 2.xx arrives. 4.5 */
  RULE_LAST_EVENT, /* each exchange ends in exactly one last event, in time */
  RULE_SCHEDULE,   /* retransmission instants and their number. 4.2, 4.8 */
  RULE_NSTART,     /* outstanding interactions per server. 4.7 */
  RULE_REPLY,      /* ACK and RST match, never answer each other, are the same for duplicates */
  RULE_RESPONSE,   /* a response belongs to a request: token, number, group. 5.2, 5.3, 8.2 */
  RULE_LEAK,       /* nothing is in use when all lifetimes are over */
  RULE_RESULT,     /* the client gets what the server made for this very request */
  RULE_PROGRESS,   /* deadlines advance, work per run is bounded */
  RULE_MID,        /* Message IDs are not reused within EXCHANGE_LIFETIME. 4.4 */
  RULE_FORMAT,     /* what leaves is well formed and not too large */
  RULE_ALIVE,      /* an endpoint answers after whatever it went through */
  RULE_API,        /* calls return what the header says */
  RULE_OBSERVE,    /* what a server sends to its observers. RFC 7641 section 4 */
  RULE_COUNT,
} oracle_rule;

const char *oracle_rule_name(oracle_rule r);

/* A message sent by a node that needs a Message ID of its own: CON or NON. */
typedef struct oracle_track {
  uint8_t from, to, type, code;
  uint16_t mid;
  uint16_t token_len;
  uint8_t token[ORACLE_TOKEN_KEPT];
  uint32_t size;
  uint64_t hash;
  copal_time first, last;
  copal_time gap;       /* the last gap between transmissions */
  uint32_t count;       /* transmissions */
  bool is_outstanding;  /* counts for NSTART */
  bool is_settled;      /* acknowledged, reset or answered: no transmission may follow */
  bool is_doubtful;     /* a damaged datagram may have settled it */
  bool is_notification; /* may go on with the schedule of an older one. RFC 7641 section 4.5.2 */
  int request;          /* index of the request, or -1 */
} oracle_track;

/* A CON or NON as it was delivered to a node. */
typedef struct oracle_seen {
  uint8_t to, from, type, code;
  uint16_t mid;
  uint16_t token_len;
  uint8_t token[ORACLE_TOKEN_KEPT];
  uint64_t hash; /* of the first copy */
  copal_time first;
  uint32_t deliveries;
  uint32_t replies; /* ACK and RST sent */
  uint64_t reply_hash;
  uint32_t handled;   /* runs of the handler */
  uint32_t responses; /* distinct responses */
  bool has_reply;
  bool has_empty_ack;
  bool is_tainted; /* copies differ, or one came near the end of its lifetime */
  bool is_group;
  bool has_observe; /* may have many responses. RFC 7641 */
} oracle_seen;

/* A request or ping of an application. */
typedef struct oracle_request {
  uint8_t client, to;
  copal_type type;
  copal_code code;
  bool is_ping;
  bool is_many;
  bool is_observe;      /* registers, and registers again, until it is canceled */
  uint16_t no_response; /* value of No-Response, 0 is none */
  copal_dur timeout;    /* 0: default */
  copal_time started;
  copal_time first_tx; /* COPAL_NEVER: not yet on the wire */
  int track;           /* its track, or -1 */
  uint32_t handled;    /* runs of the handler with its nonce */
  uint32_t made[8];    /* bit per code: responses an application made for it */
  uint32_t responses;
  uint32_t ends;
  copal_event_kind end;
  copal_time ended;
} oracle_request;

/* A table from a key to a record, forgotten at once by a new generation. */
typedef struct oracle_slot {
  uint64_t key;
  uint32_t generation;
  uint32_t value;
} oracle_slot;

typedef struct oracle_index {
  uint32_t generation;
  oracle_slot slots[ORACLE_INDEX_SIZE];
} oracle_index;

typedef struct oracle {
  /* what the run promises */
  copal_params params;
  uint8_t nstart;
  copal_dur tick;
  size_t message_max;
  bool is_noisy;     /* datagrams are damaged or made up: payloads prove nothing */
  copal_dur lag;     /* drivers are late by up to this */
  bool is_ample;     /* the pools hold all that the run needs */
  bool is_cut_short; /* the endpoints are wiped before they have done all they owe */
  bool has_refusals; /* a sink refused datagrams: transmissions are missing on the wire */
  bool is_verbose;
  const copal_stats *stats[NET_NODES_MAX];
  struct oracle_observe *observe; /* watches notifications, or NULL */

  /* what was seen */
  oracle_track tracks[ORACLE_TRACKS_MAX];
  oracle_seen seen[ORACLE_SEEN_MAX];
  oracle_request requests[ORACLE_REQUESTS_MAX];
  uint32_t track_count, seen_count, request_count;
  oracle_index track_index, seen_index;
  int outstanding[NET_NODES_MAX][NET_NODES_MAX + 1];
  uint64_t wire_hash; /* of all that was sent, in order and with its time */
  int quiet_node;     /* node that is being fed an ACK or RST, or -1 */
  uint8_t quiet_peer;
  bool is_ack_delivered; /* the datagram being fed is an ACK, with this Message ID */
  uint16_t ack_mid;

  /* verdict */
  oracle_rule broken; /* the first rule that broke */
  copal_time broken_at;
  char text[ORACLE_TEXT_SIZE];
} oracle;

/* Forgets everything; `params`, `tick` and `message_max` are common to all nodes. */
void oracle_reset(oracle *o, const copal_params *params, copal_dur tick, size_t message_max);

/* Records a broken rule; the first one counts. */
void oracle_fail(oracle *o, oracle_rule rule, copal_time now, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The nonce by which a request is known on the wire. */
void oracle_nonce(uint32_t id, uint8_t out[PEEK_NONCE_SIZE]);

/* The request of a nonce, or -1. */
int oracle_request_of(const oracle *o, const uint8_t nonce[PEEK_NONCE_SIZE]);

/* wire */
void oracle_on_send(oracle *o, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len,
                    copal_time now);
void oracle_on_deliver(oracle *o, const net_event *e);
/* An endpoint call has returned; limits that may be crossed inside one call are checked now. */
void oracle_after_call(oracle *o, uint8_t node, copal_time now);

/* applications */
void oracle_on_start(oracle *o, uint32_t id, const oracle_request *r);
void oracle_on_event(oracle *o, uint32_t id, const copal_event *e, copal_time now);
void oracle_on_handler(oracle *o, uint8_t server, const copal_req *req, uint8_t client, int id,
                       copal_time now);
void oracle_on_made(oracle *o, int id, copal_code code);

/* All is over: every exchange must have ended. */
void oracle_finish(oracle *o, copal_time now);

#endif
