/* SPDX-License-Identifier: Apache-2.0 */
/* The boundary between GnuTLS, which makes the handshake, and the wire: takes the library's records
 * apart, so that it knows nothing of connection IDs. RFC 9146 section 3, RFC 6347 section 4.2.
 *
 * Plaintext records pass, those from the network after a look at what they hold. Protected ones
 * (our Finished, the peer's, an alert) are opened and sealed again in the other form: the library's
 * form is that of RFC 6347, the wire's has the CID that was agreed on. What the library sealed does
 * not reach the wire, so no nonce is used twice there. Along the way the shim notes what a session
 * needs when the library is gone: keys, numbers, and what rebuilds our last flight. Thread: the
 * owner's. */
#ifndef TRANSPORT_DTLS_SHIM_H
#define TRANSPORT_DTLS_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "copal/span.h"
#include "transport/dtls/hello.h"
#include "transport/dtls/psk_trial.h"
#include "transport/dtls/record.h"
#include "transport/dtls/session.h"

/* Where datagrams leave. */
typedef struct shim_out {
  void (*send)(struct shim_out *o, copal_span datagram);
} shim_out;

/* Is asked before the library sees the ClientKeyExchange that names a PSK identity. */
typedef struct shim_gate {
  /* Returns false when the message `m` must wait; then the shim asks again at the next run. */
  bool (*opens)(struct shim_gate *g, const hello_message *m, copal_span identity);
} shim_gate;

typedef struct shim_stats {
  uint64_t filtered;  /* plaintext records that cannot be part of the handshake */
  uint64_t alerts;    /* plaintext alerts, which anybody can send */
  uint64_t overflown; /* records for which the queue had no room */
  uint64_t forged;    /* protected records that are not authentic */
  uint64_t replayed;
} shim_stats;

typedef struct shim_record shim_record;

typedef struct shim_queue {
  shim_record *first, *last;
  size_t count, size;
} shim_queue;

typedef struct shim {
  gnutls_session_t tls;
  shim_out *out;
  shim_gate *gate;  /* NULL: nothing waits */
  psk_trial *trial; /* server: told what goes by; NULL: nobody is */
  shim_stats *stats;
  bool is_client;
  size_t mtu; /* bytes of a datagram */

  bool is_cid_agreed; /* set by the extension's hooks, with the next two */
  uint8_t own_cid[DTLS_CID_SIZE];
  uint8_t own_cid_len; /* 0: none is wanted in records to us */
  uint8_t peer_cid[DTLS_CID_MAX];
  uint8_t peer_cid_len;

  uint16_t suite; /* of the ServerHello; 0: not seen yet */
  dtls_aead aead;
  dtls_keys rx, tx;
  bool has_rx, has_tx;
  dtls_window window; /* of epoch 1 */
  uint64_t tx_seq;    /* next of epoch 1 */
  uint64_t plain_seq; /* next of epoch 0 */
  uint16_t finished_mid;
  uint8_t verify_data[DTLS_VERIFY_DATA_SIZE];
  bool has_finished; /* ours has been written */
  uint8_t *ticket;   /* records of the NewSessionTicket of our last flight */
  size_t ticket_len;

  bool is_doubtful;  /* a fatal alert in plaintext or a record that did not open: the peer may have
                        given up, or somebody wants us to believe it */
  uint8_t alert;     /* description of the last plaintext alert */
  bool has_unopened; /* a protected record did not open with the keys agreed on */

  shim_queue in;    /* for the library */
  shim_queue early; /* application data that came before the handshake was over, opened */
  uint8_t *datagram;
  size_t datagram_len;
} shim;

/* `s` is zeroed but for tls, out, gate, stats, trial, is_client, mtu and the CIDs. Sets the
 * transport functions of `s->tls`. Returns 0 or COPAL_ENOSPC. */
int shim_init(shim *s);

/* Frees what it has and wipes keys. Safe on a zeroed object. */
void shim_wipe(shim *s);

/* Takes a record from the network, which is copied; what cannot belong to the handshake is
 * dropped. */
void shim_take(shim *s, const dtls_record *rec);

/* True when the library would find something to read. */
bool shim_has_input(shim *s);

/* A record of epoch 1 that waits for the library, from 0 on in the order they came; NULL: there are
 * not so many. Lent until the next call. */
const dtls_record *shim_protected(const shim *s, size_t i);

/* Sends what has gathered. */
void shim_flush(shim *s);

/* Fetches keys the library has by now. True when those of the peer are there; when both are. */
bool shim_can_open(shim *s);
bool shim_has_keys(shim *s);

/* Takes the next piece of early application data: COPAL_OK, or COPAL_ENOTFOUND. `*bytes` is given
 * to the caller, to be freed. */
int shim_next_early(shim *s, copal_mspan *bytes);

#endif
