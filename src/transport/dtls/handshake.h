/* SPDX-License-Identifier: Apache-2.0 */
/* One DTLS 1.2 handshake, made by GnuTLS behind the shim: suites, certificates, pre-shared keys,
 * tickets, and the connection_id extension. When it is over, what a session needs is copied out and
 * the library's state is freed. RFC 6347 section 4.2, RFC 7252 section 9.1.3, RFC 9146 section 3,
 * RFC 7250, RFC 5077, RFC 7627.
 *
 *   result of a run         what it means
 *   HANDSHAKE_GOES_ON       waits for the peer, for a key, or for its timer
 *   HANDSHAKE_DONE          handshake_result() has all of it
 *   HANDSHAKE_FAILED        handshake_failure() says why; an alert has left where one is due
 *
 * Thread: the owner's only. */
#ifndef TRANSPORT_DTLS_HANDSHAKE_H
#define TRANSPORT_DTLS_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "copal/time.h"
#include "transport/dtls/credentials.h"
#include "transport/dtls/hello.h"
#include "transport/dtls/session.h"
#include "transport/dtls/shim.h"

enum { DTLS_TICKET_KEY_SIZE = 64 }; /* bytes; GnuTLS derives the keys of each period from it */

/* What the handshakes of a shard have in common. */
typedef struct handshake_cfg {
  dtls_credentials *credentials; /* lent for the kit's life */
  bool is_client;
  bool has_cid;              /* agree on connection IDs */
  const uint8_t *ticket_key; /* DTLS_TICKET_KEY_SIZE bytes, copied; NULL: no tickets */
  uint16_t mtu;              /* bytes of a datagram */
  copal_dur retransmit;      /* first interval, RFC 6347 section 4.2.4.1 */
  copal_dur timeout;         /* for the whole of it */
} handshake_cfg;

typedef struct handshake_kit handshake_kit;
typedef struct handshake handshake;

typedef enum handshake_state {
  HANDSHAKE_GOES_ON,
  HANDSHAKE_DONE,
  HANDSHAKE_FAILED,
} handshake_state;

typedef enum handshake_failure_kind {
  HANDSHAKE_NOT_FAILED,
  HANDSHAKE_PROTOCOL,  /* the peer broke the rules, or has nothing in common with us */
  HANDSHAKE_TIMEOUT,   /* nothing came in time */
  HANDSHAKE_REFUSED,   /* the peer's credentials are unknown or not good */
  HANDSHAKE_WRONG_KEY, /* the peer's Finished does not open: another PSK */
  HANDSHAKE_ALERT,     /* an alert came, and nothing after it */
  HANDSHAKE_FAILURE_COUNT,
} handshake_failure_kind;

/* How one is to begin. All lent until handshake_close(), but for spans, which are for the call. */
typedef struct handshake_start {
  handshake_kit *kit;
  shim_out *out;
  shim_stats *stats;
  const dtls_sessions *sessions; /* for the room a long CID takes */
  copal_span own_cid;            /* that the peer is told; empty: a zero-length one */
  const hello_client *hello;     /* server: the ClientHello with the cookie; NULL: client */
  const char *server_name;       /* client: as dtls_claim.server_name; its host goes into the SNI */
  dtls_psk_wait *wait;           /* server: told when a key that was not known at once is; NULL:
                                    nothing is waited for */
} handshake_start;

/* Makes what handshakes share. Returns 0, COPAL_EINVAL (see `why`, static storage) or
 * COPAL_ENOSPC. */
int handshake_kit_open(const handshake_cfg *cfg, handshake_kit **kit, const char **why);

/* After the last handshake. Safe on NULL. */
void handshake_kit_close(handshake_kit *kit);

/* Draws another key, so that tickets made so far are not good any more. */
void handshake_kit_set_ticket_key(handshake_kit *kit, const uint8_t *key);

/* Begins. Returns 0 or COPAL_ENOSPC. */
int handshake_open(const handshake_start *start, handshake **h, copal_time now);

/* Frees everything of it and wipes keys. Safe on NULL. */
void handshake_close(handshake *h);

/* Records from the network go there; then run it. */
shim *handshake_shim(handshake *h);

/* Goes on as far as possible. Call it when a record was taken, when its deadline has come, and when
 * credentials have answered. */
handshake_state handshake_run(handshake *h, copal_time now);

/* When to run it again at the latest. */
copal_time handshake_deadline(const handshake *h);

/* Why it failed; `*text` is lent until handshake_close(). */
handshake_failure_kind handshake_failure(const handshake *h, const char **text);

/* After HANDSHAKE_ALERT: which one, RFC 5246 section 7.2. */
uint8_t handshake_alert(const handshake *h);

/* After HANDSHAKE_REFUSED: what was wrong with the peer's credentials. */
dtls_refusal handshake_refusal(const handshake *h);

/* What has come about; spans are lent until handshake_close(). The identity's hold passes to the
 * caller. Once, and only after HANDSHAKE_DONE. */
void handshake_result(handshake *h, dtls_established *e);

/* Whom the peer names as a PSK identity, empty when nothing is known; lent. */
copal_span handshake_psk_identity(const handshake *h);

/* True when a record of epoch 1 is this handshake's: its keys, or one of the two that a client may
 * have, open it. `room` has the fragment's length at least, and is wiped. */
bool handshake_owns(handshake *h, const dtls_record *rec, copal_mspan room);

/* The random of the ClientHello: a repeated one has the same. Lent. */
copal_span handshake_client_random(const handshake *h);

#endif
