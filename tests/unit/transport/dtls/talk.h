/* SPDX-License-Identifier: Apache-2.0 */
/* A DTLS server and its clients on a network of virtual time that loses, repeats and reorders what
 * a seed says; with keys and certificates made on the spot. */
#ifndef TESTS_UNIT_TRANSPORT_DTLS_TALK_H
#define TESTS_UNIT_TRANSPORT_DTLS_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/dtls/dtls.h"

enum {
  TALK_DATAGRAM_MAX = 2048,
  TALK_NET_MAX = 512,
  TALK_TEXT_MAX = 128,
  TALK_SERVER = 0, /* index of a side; clients follow */
  TALK_SIDE_MAX = 4,
};

/* What credentials a side has. */
typedef enum talk_mode {
  TALK_PSK,
  TALK_RPK,
  TALK_X509,
} talk_mode;

typedef struct talk talk;

/* Credentials that know one PSK identity with two keys, and trust one public key and one CA. */
typedef struct talk_credentials {
  dtls_credentials face; /* first */
  talk_mode mode;
  const char *psk_identity;
  const char *keys[DTLS_PSK_COUNT]; /* NULL: none */
  bool refuses;                     /* certificates, for the reason that follows */
  dtls_refusal refusal;
  bool admits_nobody;
  int readmits;        /* what readmit() says; COPAL_OK at first */
  uint32_t renamed;    /* as whom, unless 0 */
  unsigned asked;      /* readmit(), so often */
  bool is_late;        /* keys are not known yet */
  unsigned full_count; /* so often there is no room to ask */
  dtls_psk_wait *late; /* who waits for them */
  gnutls_certificate_credentials_t certificates;
  unsigned held, released; /* identities */
} talk_credentials;

typedef struct talk_side {
  dtls_app app;    /* first */
  copal_sink sink; /* where its datagrams leave */
  talk *talk;
  int index;
  dtls *dtls;
  talk_credentials credentials;
  copal_addr addr;   /* where it is */
  uint32_t session;  /* client: of talk_connect(); server: of the last message or opening */
  uint32_t answered; /* session whose key has come */
  uint16_t flags;    /* of the path of the last message */
  unsigned opened, closed, failed, renamed;
  dtls_end why;
  handshake_failure_kind failure;
  dtls_refusal refusal;
  char text_of_failure[DTLS_OBJECTION_SIZE]; /* of the last failure */
  unsigned heard;
  char text[TALK_TEXT_MAX]; /* last heard */
  uint8_t room[TALK_DATAGRAM_MAX];
} talk_side;

typedef struct talk_datagram {
  copal_time due;
  copal_addr from, to;
  size_t len;
  uint8_t bytes[TALK_DATAGRAM_MAX];
} talk_datagram;

typedef struct talk_cfg {
  talk_mode mode;
  bool server_has_no_cid, client_has_no_cid;
  bool client_shows_nothing; /* neither certificate nor raw public key */
  uint16_t mtu;              /* 0: 1200 */
  uint32_t session_max, handshake_max, per_prefix_max, idle_s; /* 0: plenty */
  unsigned loss, dup, reorder;                                 /* percent */
  uint32_t seed;
} talk_cfg;

struct talk {
  talk_cfg cfg;
  copal_time now;
  uint64_t random;
  talk_side sides[TALK_SIDE_MAX];
  int side_count;
  size_t count;
  talk_datagram net[TALK_NET_MAX];
  unsigned sent;           /* datagrams */
  const char *server_name; /* whom clients want to talk to; NULL: anybody */

  /* May change a datagram on its way; false drops it. NULL: none. */
  bool (*tamper)(talk *t, talk_datagram *d);
  unsigned tampered;
  uint8_t copy[TALK_DATAGRAM_MAX]; /* for the use of `tamper` */
  size_t copy_len;
};

/* A server and a client. */
talk *talk_open(const talk_cfg *cfg);

/* The same, and they have a session. */
talk *talk_open_session(const talk_cfg *cfg);

/* Asserts that both sides hear what the other says. */
void talk_assert_heard(talk *t, int client);

void talk_close(talk *t);

/* Adds one more client; returns its index. */
int talk_add_client(talk *t);

/* Ends the server's process and starts another one at the same address, with the same keys of
 * tickets and connection IDs. In order: sessions go on; otherwise they are gone. Not from within
 * `tamper`. */
void talk_restart_server(talk *t, bool is_in_order);

/* Bytes on the heap now. */
size_t talk_heap(void);

/* Replaces a client by a new one that knows nothing, at the same address. */
void talk_restart_client(talk *t, int client);

/* Starts a handshake of a client. */
void talk_connect(talk *t, int client);

/* Lets time pass. */
void talk_run(talk *t, copal_dur span);

/* Runs until the client is connected or has failed, `span` at most. Returns whether it is. */
bool talk_shake(talk *t, int client, copal_dur span);

/* Side `from` sends a message in its session. */
void talk_say(talk *t, int from, const char *text);

/* Puts a datagram on the net. */
void talk_put(talk *t, const copal_addr *from, const copal_addr *to, copal_span bytes);

/* An address of 198.51.100.0/24. */
copal_addr talk_addr(uint8_t host, uint16_t port);

#endif
