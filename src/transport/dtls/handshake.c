/* SPDX-License-Identifier: Apache-2.0 */
/* One DTLS 1.2 handshake, made by GnuTLS behind the shim. RFC 6347 section 4.2, RFC 9146
 * section 3. */
#include "transport/dtls/handshake.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/dtls.h>

#include "copal/error.h"

enum {
  EXT_CID = 54,  /* RFC 9146 section 3 */
  EXT_EMS = 23,  /* RFC 7627 section 5.1 */
  RUNS_MAX = 64, /* turns of the library in one run */
  RANDOM_SIZE = 32,
  RECORD_OVERHEAD = 1 + DTLS_CID_SIZE, /* that the library does not know of */
  SERVER_NAME_MAX = 253,               /* bytes of a name in the DNS */
};

/* How long a handshake in which an alert or a record that does not open was seen may go on without
 * progress: anybody can send such, so it is not the end at once. */
#define DOUBT (500 * COPAL_MILLISECOND)

/* AEAD suites with AES-128 only: what the record layer knows. RFC 7252 sections 9.1.3.1 to 9.1.3.3,
 * RFC 7925 section 4. */
static const char priorities[] =
    "NONE:+VERS-DTLS1.2:+AES-128-CCM-8:+AES-128-CCM:+AES-128-GCM:+AEAD:+SHA256:+PSK:+ECDHE-ECDSA:"
    "+GROUP-SECP256R1:+GROUP-X25519:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+COMP-NULL:"
    "+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK:+CTYPE-SRV-X509:+CTYPE-CLI-X509:%SERVER_PRECEDENCE";

/* Kinds of proof that are left out. */
typedef enum left_out {
  LEFT_OUT_NOTHING,
  LEFT_OUT_RAW_KEYS,
  LEFT_OUT_CERTIFICATES,
  LEFT_OUT_COUNT,
} left_out;

struct handshake_kit {
  handshake_cfg cfg;
  gnutls_priority_t priorities[LEFT_OUT_COUNT];
  gnutls_psk_server_credentials_t psk; /* server */
  uint8_t ticket_key[DTLS_TICKET_KEY_SIZE];
};

struct handshake {
  shim_gate gate; /* first */
  shim shim;
  handshake_kit *kit;
  const dtls_sessions *sessions;
  gnutls_session_t tls;
  gnutls_psk_client_credentials_t psk_own;
  gnutls_certificate_credentials_t certificates;
  char *server_name;
  dtls_psk_wait *wait; /* NULL: nothing is waited for */
  bool is_waiting;     /* credentials have not answered yet */
  bool has_psks;
  psk_trial trial;
  size_t psk_choice; /* the client has this one of them */
  bool has_choice;
  dtls_psks psks;
  uint8_t psk_identity[DTLS_PSK_IDENTITY_MAX];
  size_t psk_identity_len;
  uint8_t client_random[RANDOM_SIZE];
  bool has_identity; /* held */
  bool is_refused;   /* by vouch(), for the reason in `objection` */
  dtls_objection objection;
  uint32_t identity;
  gnutls_handshake_description_t last_in, last_out; /* as of the last progress */
  copal_time doubted_at;                            /* COPAL_NEVER: nothing is wrong */
  copal_time begun_at, deadline;
  handshake_failure_kind failure;
  const char *failure_text;
};

/* ------------------------------------------------------------------------------------------------
 * the kit */

static int on_psk(gnutls_session_t tls, const gnutls_datum_t *username, gnutls_datum_t *key);

static int open_psk_server(handshake_kit *k)
{
  const dtls_credentials *c = k->cfg.credentials;
  if (gnutls_psk_allocate_server_credentials(&k->psk) < 0)
    return COPAL_ENOSPC;
  gnutls_psk_set_server_credentials_function2(k->psk, on_psk);
  if (c->psk_hint != NULL && gnutls_psk_set_server_credentials_hint(k->psk, c->psk_hint) < 0)
    return COPAL_ENOSPC;
  return COPAL_OK;
}

/* Kinds of proof that would not be believed are not negotiated. RFC 7250 section 4. */
static int set_priorities(handshake_kit *k)
{
  static const char *const kinds[] = {
      [LEFT_OUT_RAW_KEYS] = "RAWPK", [LEFT_OUT_CERTIFICATES] = "X509"};
  const char *peer = k->cfg.is_client ? "SRV" : "CLI";
  int rc = gnutls_priority_init(&k->priorities[LEFT_OUT_NOTHING], priorities, NULL);
  for (int i = LEFT_OUT_RAW_KEYS; rc >= 0 && i < LEFT_OUT_COUNT; i++) {
    char text[sizeof priorities + 32];
    snprintf(text, sizeof text, "%s:-CTYPE-%s-%s", priorities, peer, kinds[i]);
    rc = gnutls_priority_init(&k->priorities[i], text, NULL);
  }
  return rc;
}

/* As the credentials are now: a reload may know the first raw key. */
static gnutls_priority_t priorities_now(const handshake_kit *k)
{
  dtls_credentials *c = k->cfg.credentials;
  left_out what = LEFT_OUT_NOTHING;
  if (c->refuses_raw_keys != NULL && c->refuses_raw_keys(c))
    what = LEFT_OUT_RAW_KEYS;
  else if (c->refuses_certificates != NULL && c->refuses_certificates(c))
    what = LEFT_OUT_CERTIFICATES;
  return k->priorities[what];
}

int handshake_kit_open(const handshake_cfg *cfg, handshake_kit **out, const char **why)
{
  handshake_kit *k = calloc(1, sizeof *k);
  *why = "out of memory";
  if (k == NULL)
    return COPAL_ENOSPC;
  k->cfg = *cfg;
  handshake_kit_set_ticket_key(k, cfg->ticket_key);
  int rc = set_priorities(k);
  if (rc < 0) {
    *why = gnutls_strerror(rc);
    rc = COPAL_EINVAL;
  } else if (!cfg->is_client && cfg->credentials->psk_find != NULL) {
    rc = open_psk_server(k);
  }
  if (rc < 0) {
    handshake_kit_close(k);
    return rc;
  }
  *out = k;
  return COPAL_OK;
}

void handshake_kit_close(handshake_kit *k)
{
  if (k == NULL)
    return;
  for (int i = 0; i < LEFT_OUT_COUNT; i++)
    if (k->priorities[i] != NULL)
      gnutls_priority_deinit(k->priorities[i]);
  if (k->psk != NULL)
    gnutls_psk_free_server_credentials(k->psk);
  gnutls_memset(k, 0, sizeof *k);
  free(k);
}

void handshake_kit_set_ticket_key(handshake_kit *k, const uint8_t *key)
{
  k->cfg.ticket_key = key != NULL ? k->ticket_key : NULL;
  if (key != NULL)
    memcpy(k->ticket_key, key, sizeof k->ticket_key);
}

/* ------------------------------------------------------------------------------------------------
 * connection IDs */

/* RFC 9146 section 3. A CID that there is no room for is not agreed on: the peer goes on without.
 */
static int cid_received(gnutls_session_t tls, const unsigned char *data, size_t len)
{
  handshake *h = gnutls_session_get_ptr(tls);
  if (len < 1 || (size_t)data[0] + 1 != len)
    return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
  if (!dtls_sessions_has_room_for_cid(h->sessions, data[0]))
    return h->kit->cfg.is_client ? GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER : 0;
  h->shim.is_cid_agreed = true;
  h->shim.peer_cid_len = data[0];
  memcpy(h->shim.peer_cid, data + 1, data[0]);
  return 0;
}

static int cid_wanted(gnutls_session_t tls, gnutls_buffer_t out)
{
  const handshake *h = gnutls_session_get_ptr(tls);
  uint8_t data[1 + DTLS_CID_SIZE];
  if (!h->kit->cfg.is_client && !h->shim.is_cid_agreed)
    return 0; /* the client did not offer it */
  data[0] = h->shim.own_cid_len;
  memcpy(data + 1, h->shim.own_cid, h->shim.own_cid_len);
  return gnutls_buffer_append_data(out, data, 1 + (size_t)data[0]);
}

/* The parse point makes the library ask in abbreviated handshakes, too: the extension is negotiated
 * afresh in each. */
static int register_cid(handshake *h)
{
  if (!h->kit->cfg.has_cid)
    return 0;
  return gnutls_session_ext_register(h->tls, "connection_id", EXT_CID, GNUTLS_EXT_MANDATORY,
                                     cid_received, cid_wanted, NULL, NULL, NULL,
                                     GNUTLS_EXT_FLAG_CLIENT_HELLO |
                                         GNUTLS_EXT_FLAG_TLS12_SERVER_HELLO | GNUTLS_EXT_FLAG_DTLS);
}

/* ------------------------------------------------------------------------------------------------
 * pre-shared keys */

static void keep_psk_identity(handshake *h, copal_span identity)
{
  h->psk_identity_len = identity.len;
  memcpy(h->psk_identity, identity.ptr, identity.len);
}

/* Asks for the keys of an identity. False when the answer comes later. */
static bool find_psks(handshake *h, copal_span identity, dtls_psk_wait *w)
{
  dtls_credentials *c = h->kit->cfg.credentials;
  if (h->is_waiting)
    c->psk_cancel(c, h->wait);
  h->is_waiting = false;
  h->psks.count = 0;
  if (identity.len > DTLS_PSK_IDENTITY_MAX)
    return h->has_psks = true;
  keep_psk_identity(h, identity);
  const int rc = c->psk_find(c, identity, w, &h->psks);
  h->is_waiting = rc == COPAL_EPENDING && w != NULL;
  if (rc < 0)
    h->psks.count = 0;
  h->has_psks = !h->is_waiting && (rc != COPAL_ENOSLOT || w == NULL);
  return h->has_psks;
}

/* Finds out which of two keys the client has. False when its Finished is not there yet; when none
 * of them opens it, the first one will fail. */
static bool choose_psk(handshake *h, const hello_message *exchange)
{
  const dtls_record *rec;
  if (h->psks.count < 2 || h->has_choice)
    return true;
  if (h->trial.count == 0)
    psk_trial_derive(&h->trial, exchange, &h->psks);
  if (h->trial.count == 0)
    return true;
  for (size_t i = 0; (rec = shim_protected(&h->shim, i)) != NULL; i++) {
    const int found = psk_trial_find(&h->trial, h->shim.aead, rec);
    h->has_choice = true;
    if (found >= 0) {
      h->psk_choice = (size_t)found;
      break;
    }
  }
  return h->has_choice;
}

static bool gate_opens(shim_gate *gate, const hello_message *exchange, copal_span identity)
{
  handshake *h = (handshake *)gate;
  if (gnutls_kx_get(h->tls) != GNUTLS_KX_PSK)
    return true;
  return (h->has_psks || find_psks(h, identity, h->wait)) && choose_psk(h, exchange);
}

bool handshake_owns(handshake *h, const dtls_record *rec, copal_mspan room)
{
  const shim *s = &h->shim;
  dtls_content content;
  if (!shim_can_open(&h->shim))
    return psk_trial_find(&h->trial, s->aead, rec) >= 0;
  if (rec->fragment.len > room.len)
    return false;
  const bool is_its = dtls_record_open(&s->rx, s->aead, rec, room, &content) == COPAL_OK;
  gnutls_memset(room.ptr, 0, rec->fragment.len);
  return is_its;
}

/* Called by the library. An unknown identity goes on with a random key, as RFC 4279 section 2
 * allows, so that its Finished fails as with a wrong key. The gate may have let a message through
 * that the library did not take: the keys are those of the identity the library has read, for that
 * one is what a ticket names. */
static int on_psk(gnutls_session_t tls, const gnutls_datum_t *username, gnutls_datum_t *key)
{
  handshake *h = gnutls_session_get_ptr(tls);
  const copal_span name = copal_span_of(username->data, username->size);
  if (!h->has_psks || !copal_span_is_equal(name, handshake_psk_identity(h))) {
    h->psk_choice = 0;
    (void)find_psks(h, name, NULL);
  }
  if (h->psks.count == 0)
    return 1;
  const size_t i = h->psk_choice;
  key->size = (unsigned)h->psks.keys[i].len;
  key->data = gnutls_malloc(key->size);
  if (key->data == NULL)
    return -1;
  memcpy(key->data, h->psks.keys[i].bytes, key->size);
  return 0;
}

static int set_own_psk(handshake *h)
{
  dtls_credentials *c = h->kit->cfg.credentials;
  dtls_own_psk own;
  if (c->psk_own == NULL || c->psk_own(c, &own) < 0)
    return 0;
  const gnutls_datum_t identity = {own.identity, (unsigned)own.identity_len};
  const gnutls_datum_t key = {own.key, (unsigned)own.key_len};
  int rc = gnutls_psk_allocate_client_credentials(&h->psk_own);
  if (rc >= 0)
    rc = gnutls_psk_set_client_credentials2(h->psk_own, &identity, &key, GNUTLS_PSK_KEY_RAW);
  if (rc >= 0)
    rc = gnutls_credentials_set(h->tls, GNUTLS_CRD_PSK, h->psk_own);
  gnutls_memset(&own, 0, sizeof own);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * who the peer is */

/* The credentials may have changed since the certificate came. */
static int vouch_again(handshake *h)
{
  dtls_credentials *c = h->kit->cfg.credentials;
  uint32_t now = h->identity;
  if (c->readmit == NULL || h->identity == 0)
    return COPAL_OK;
  const int rc = c->readmit(c, h->identity, &now);
  if (rc == COPAL_OK && now != h->identity) {
    c->release(c, h->identity);
    h->identity = now;
  }
  h->is_refused = rc < 0; /* and when there is no room: nobody keeps groups he has lost */
  return rc;
}

static int vouch(handshake *h, dtls_claim *claim)
{
  dtls_credentials *c = h->kit->cfg.credentials;
  claim->is_resumed = gnutls_session_is_resumed(h->tls) != 0;
  claim->server_name = h->server_name;
  claim->objection = &h->objection;
  if (h->has_identity)
    return vouch_again(h);
  const int rc = c->vouch(c, claim, &h->identity);
  h->has_identity = rc == COPAL_OK;
  h->is_refused = rc < 0;
  return rc;
}

static int vouch_for_certificate(handshake *h)
{
  unsigned count = 0;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(h->tls, &count);
  const bool is_raw = gnutls_certificate_type_get2(h->tls, GNUTLS_CTYPE_PEERS) == GNUTLS_CRT_RAWPK;
  dtls_claim claim = {.kind = is_raw ? DTLS_CLAIM_RPK : DTLS_CLAIM_X509,
                      .count = chain != NULL ? count : 0,
                      .items = chain};
  if (claim.count == 0)
    claim.kind = DTLS_CLAIM_NONE;
  return vouch(h, &claim);
}

/* Called by the library when the peer's certificate has come. */
static int on_certificate(gnutls_session_t tls)
{
  return vouch_for_certificate(gnutls_session_get_ptr(tls)) < 0 ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

static int vouch_for_psk(handshake *h)
{
  gnutls_datum_t name = {NULL, 0}; /* any bytes */
  const bool has_name = gnutls_psk_server_get_username2(h->tls, &name) >= 0 && name.data != NULL &&
                        name.size <= DTLS_PSK_IDENTITY_MAX;
  /* Whatever a ClientKeyExchange said: who has the ticket has shown the key of this one only. */
  if (gnutls_session_is_resumed(h->tls) != 0)
    keep_psk_identity(h, has_name ? copal_span_of(name.data, name.size) : copal_span_str(""));
  const gnutls_datum_t identity = {h->psk_identity, (unsigned)h->psk_identity_len};
  dtls_claim claim = {.kind = DTLS_CLAIM_PSK, .count = 1, .items = &identity};
  return vouch(h, &claim);
}

/* All is proved: who is it? */
static int vouch_at_end(handshake *h)
{
  if (gnutls_auth_get_type(h->tls) != GNUTLS_CRD_PSK)
    return vouch_for_certificate(h);
  return h->kit->cfg.is_client ? COPAL_OK : vouch_for_psk(h); /* a server has no PSK identity */
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

static int set_certificates(handshake *h, copal_span server_name)
{
  dtls_credentials *c = h->kit->cfg.credentials;
  if (c->certificates_take != NULL)
    h->certificates = c->certificates_take(c, server_name);
  if (h->certificates == NULL)
    return 0;
  gnutls_session_set_verify_function(h->tls, on_certificate);
  const bool is_optional = c->admits_nobody != NULL && c->admits_nobody(c);
  const bool is_quiet = c->asks_nobody != NULL && c->asks_nobody(c);
  if (!h->kit->cfg.is_client && !is_quiet)
    gnutls_certificate_server_set_request(h->tls,
                                          is_optional ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_REQUIRE);
  return gnutls_credentials_set(h->tls, GNUTLS_CRD_CERTIFICATE, h->certificates);
}

/* Tickets only for clients with the extended master secret: without it a session that is resumed
 * may not be the one it seems. RFC 7627 section 5.3. */
static int set_up_server(handshake *h, const hello_client *hello)
{
  const handshake_kit *k = h->kit;
  copal_span ems;
  gnutls_dtls_prestate_st state = {.record_seq = (unsigned)hello->record_seq,
                                   .hsk_read_seq = hello->message_seq,
                                   .hsk_write_seq = hello->message_seq - 1u};
  memcpy(h->client_random, hello->random.ptr, RANDOM_SIZE);
  gnutls_dtls_prestate_set(h->tls, &state);
  int rc = k->psk != NULL ? gnutls_credentials_set(h->tls, GNUTLS_CRD_PSK, k->psk) : 0;
  if (rc >= 0 && k->cfg.ticket_key != NULL &&
      hello_extension_find(hello->extensions, EXT_EMS, &ems)) {
    const gnutls_datum_t key = {(unsigned char *)k->ticket_key, sizeof k->ticket_key};
    rc = gnutls_session_ticket_enable_server(h->tls, &key);
  }
  return rc;
}

/* Names the server that is wanted, unless its authority is an address. RFC 6066 section 3. */
static int indicate(handshake *h)
{
  char host[SERVER_NAME_MAX + 1];
  uint8_t ipv4[4];
  size_t len = strcspn(h->server_name, ":[");
  if (len == 0 || len > SERVER_NAME_MAX)
    return 0;
  for (size_t i = 0; i < len; i++)
    host[i] = (char)tolower((unsigned char)h->server_name[i]); /* servers may compare bytes */
  host[len] = '\0';
  if (inet_pton(AF_INET, host, ipv4) == 1)
    return 0;
  len -= host[len - 1] == '.'; /* the root is not written */
  return len > 0 ? gnutls_server_name_set(h->tls, GNUTLS_NAME_DNS, host, len) : 0;
}

static int set_up_client(handshake *h, const char *server_name)
{
  const int rc = set_own_psk(h);
  if (rc < 0 || server_name == NULL)
    return rc;
  h->server_name = strdup(server_name);
  return h->server_name != NULL ? indicate(h) : GNUTLS_E_MEMORY_ERROR;
}

static int set_up(handshake *h, const handshake_start *start)
{
  const handshake_cfg *cfg = &h->kit->cfg;
  const unsigned flags = GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_ENABLE_RAWPK |
                         (cfg->is_client ? GNUTLS_CLIENT | GNUTLS_NO_TICKETS : GNUTLS_SERVER);
  int rc = gnutls_init(&h->tls, flags);
  if (rc < 0)
    return rc;
  gnutls_session_set_ptr(h->tls, h);
  rc = gnutls_priority_set(h->tls, priorities_now(h->kit));
  if (rc >= 0)
    rc = set_certificates(h, cfg->is_client ? copal_span_none()
                                            : hello_server_name(start->hello->extensions));
  if (rc >= 0)
    rc = cfg->is_client ? set_up_client(h, start->server_name) : set_up_server(h, start->hello);
  if (rc >= 0)
    rc = register_cid(h);
  gnutls_dtls_set_mtu(h->tls, cfg->mtu - RECORD_OVERHEAD);
  gnutls_dtls_set_timeouts(h->tls, cfg->retransmit / COPAL_MILLISECOND,
                           cfg->timeout / COPAL_MILLISECOND);
  return rc;
}

int handshake_open(const handshake_start *start, handshake **out, copal_time now)
{
  handshake *h = calloc(1, sizeof *h);
  if (h == NULL)
    return COPAL_ENOSPC;
  h->kit = start->kit;
  h->sessions = start->sessions;
  h->wait = start->kit->cfg.credentials->psk_cancel != NULL ? start->wait : NULL;
  h->begun_at = now;
  h->deadline = now;
  h->doubted_at = COPAL_NEVER;
  if (set_up(h, start) < 0) {
    handshake_close(h);
    return COPAL_ENOSPC;
  }
  h->gate.opens = gate_opens;
  h->shim = (shim){.tls = h->tls,
                   .out = start->out,
                   .gate = h->kit->psk != NULL ? &h->gate : NULL,
                   .trial = h->kit->psk != NULL ? &h->trial : NULL,
                   .stats = start->stats,
                   .is_client = h->kit->cfg.is_client,
                   .mtu = h->kit->cfg.mtu,
                   .own_cid_len = (uint8_t)start->own_cid.len};
  memcpy(h->shim.own_cid, start->own_cid.ptr, start->own_cid.len);
  if (shim_init(&h->shim) < 0) {
    handshake_close(h);
    return COPAL_ENOSPC;
  }
  *out = h;
  return COPAL_OK;
}

void handshake_close(handshake *h)
{
  if (h == NULL)
    return;
  dtls_credentials *c = h->kit->cfg.credentials;
  if (h->is_waiting)
    c->psk_cancel(c, h->wait);
  if (h->tls != NULL)
    gnutls_deinit(h->tls);
  if (h->psk_own != NULL)
    gnutls_psk_free_client_credentials(h->psk_own);
  if (h->certificates != NULL)
    c->certificates_give(c, h->certificates);
  if (h->has_identity)
    c->release(c, h->identity);
  shim_wipe(&h->shim);
  free(h->server_name);
  gnutls_memset(h, 0, sizeof *h);
  free(h);
}

shim *handshake_shim(handshake *h)
{
  return &h->shim;
}

/* ------------------------------------------------------------------------------------------------
 * running */

static handshake_state fail(handshake *h, handshake_failure_kind kind, const char *text)
{
  h->failure = kind;
  h->failure_text = text;
  shim_flush(&h->shim);
  return HANDSHAKE_FAILED;
}

/* RFC 5246 section 7.2.2. */
static gnutls_alert_description_t alert_for(dtls_refusal kind)
{
  switch (kind) {
  case DTLS_REFUSAL_MISSING: return GNUTLS_A_HANDSHAKE_FAILURE; /* section 7.4.6 */
  case DTLS_REFUSAL_UNKNOWN: return GNUTLS_A_CERTIFICATE_UNKNOWN;
  case DTLS_REFUSAL_ISSUER: return GNUTLS_A_UNKNOWN_CA;
  case DTLS_REFUSAL_REVOKED: return GNUTLS_A_CERTIFICATE_REVOKED;
  case DTLS_REFUSAL_EXPIRED:
  case DTLS_REFUSAL_EARLY: return GNUTLS_A_CERTIFICATE_EXPIRED;
  case DTLS_REFUSAL_PURPOSE:
  case DTLS_REFUSAL_ALGORITHM: return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
  case DTLS_REFUSAL_NAME:
  case DTLS_REFUSAL_BROKEN: return GNUTLS_A_BAD_CERTIFICATE;
  case DTLS_REFUSAL_OTHER:
  case DTLS_REFUSAL_COUNT: break;
  }
  return GNUTLS_A_ACCESS_DENIED;
}

static handshake_state fail_refused(handshake *h, const char *text)
{
  (void)gnutls_alert_send(h->tls, GNUTLS_AL_FATAL, alert_for(h->objection.kind));
  return fail(h, HANDSHAKE_REFUSED, h->objection.text[0] != '\0' ? h->objection.text : text);
}

/* The library has given up. */
static handshake_state fail_with(handshake *h, int rc)
{
  if (rc == GNUTLS_E_TIMEDOUT)
    return fail(h, h->shim.has_unopened ? HANDSHAKE_WRONG_KEY : HANDSHAKE_TIMEOUT,
                "the peer does not answer");
  if (rc == GNUTLS_E_NO_CERTIFICATE_FOUND && !h->is_refused) {
    h->objection = (dtls_objection){DTLS_REFUSAL_MISSING, "the peer shows no certificate"};
    h->is_refused = true;
  }
  if (h->is_refused)
    return fail_refused(h, gnutls_strerror(rc));
  (void)gnutls_alert_send_appropriate(h->tls, rc);
  return fail(h, HANDSHAKE_PROTOCOL, gnutls_strerror(rc));
}

/* An alert or a record that did not open was seen, and nothing after it. */
static handshake_state fail_in_doubt(handshake *h)
{
  if (!h->shim.has_unopened)
    return fail(h, HANDSHAKE_ALERT,
                gnutls_alert_get_name((gnutls_alert_description_t)h->shim.alert));
  (void)gnutls_alert_send(h->tls, GNUTLS_AL_FATAL, GNUTLS_A_DECRYPT_ERROR);
  return fail(h, HANDSHAKE_WRONG_KEY, "the peer has another key");
}

static void note_progress(handshake *h, copal_time now)
{
  const gnutls_handshake_description_t in = gnutls_handshake_get_last_in(h->tls);
  const gnutls_handshake_description_t out = gnutls_handshake_get_last_out(h->tls);
  if (in != h->last_in || out != h->last_out) {
    h->last_in = in;
    h->last_out = out;
    h->shim.is_doubtful = h->shim.has_unopened = false;
    h->doubted_at = COPAL_NEVER;
  } else if (h->shim.is_doubtful && h->doubted_at == COPAL_NEVER) {
    h->doubted_at = now;
  }
}

static void arm(handshake *h, copal_time now)
{
  const unsigned ms = gnutls_dtls_get_timeout(h->tls);
  const copal_time end = h->begun_at + h->kit->cfg.timeout;
  h->deadline = now + (ms > 0 ? ms : 1) * (copal_time)COPAL_MILLISECOND;
  if (end < h->deadline)
    h->deadline = end > now ? end : now + COPAL_MILLISECOND;
  if (h->doubted_at != COPAL_NEVER && h->doubted_at + DOUBT < h->deadline)
    h->deadline = h->doubted_at + DOUBT;
}

static handshake_state finish(handshake *h)
{
  if (!shim_has_keys(&h->shim))
    return fail(h, HANDSHAKE_PROTOCOL, "no keys of a suite that is allowed");
  if (vouch_at_end(h) < 0)
    return fail_refused(h, "the peer's credentials are not good any more");
  return HANDSHAKE_DONE;
}

handshake_state handshake_run(handshake *h, copal_time now)
{
  int rc = GNUTLS_E_AGAIN;
  if (h->doubted_at != COPAL_NEVER && now >= h->doubted_at + DOUBT && !shim_has_input(&h->shim))
    return fail_in_doubt(h);
  if (now >= h->begun_at + h->kit->cfg.timeout)
    return fail_with(h, GNUTLS_E_TIMEDOUT);
  for (int i = 0; i < RUNS_MAX; i++) {
    rc = gnutls_handshake(h->tls);
    shim_flush(&h->shim);
    if (rc == GNUTLS_E_SUCCESS)
      return finish(h);
    if (gnutls_error_is_fatal(rc))
      return fail_with(h, rc);
    if (rc == GNUTLS_E_AGAIN && !shim_has_input(&h->shim))
      break;
  }
  note_progress(h, now);
  arm(h, now);
  return HANDSHAKE_GOES_ON;
}

copal_time handshake_deadline(const handshake *h)
{
  return h->deadline;
}

handshake_failure_kind handshake_failure(const handshake *h, const char **text)
{
  *text = h->failure_text;
  return h->failure;
}

void handshake_result(handshake *h, dtls_established *e)
{
  const shim *s = &h->shim;
  const bool is_client = h->kit->cfg.is_client;
  const bool is_resumed = gnutls_session_is_resumed(h->tls) != 0;
  *e = (dtls_established){.aead = s->aead,
                          .rx = s->rx,
                          .tx = s->tx,
                          .window = s->window,
                          .tx_seq = s->tx_seq,
                          .identity = h->identity,
                          .flight_seq = (uint16_t)s->plain_seq,
                          .flight_mid = (uint8_t)s->finished_mid};
  if (s->is_cid_agreed)
    e->peer_cid = copal_span_of(s->peer_cid, s->peer_cid_len);
  memcpy(e->verify_data, s->verify_data, sizeof e->verify_data);
  e->flags =
      (uint16_t)((s->is_cid_agreed && s->own_cid_len > 0 ? DTLS_SESSION_CID : 0) |
                 (is_resumed ? DTLS_SESSION_RESUMED : 0) | (is_client ? DTLS_SESSION_CLIENT : 0) |
                 /* the side that hears the last flight need not keep its own */
                 (is_client != is_resumed ? DTLS_SESSION_CONFIRMED : 0));
  h->has_identity = false; /* the hold is the caller's now */
}

uint8_t handshake_alert(const handshake *h)
{
  return h->shim.alert;
}

dtls_refusal handshake_refusal(const handshake *h)
{
  return h->objection.kind;
}

copal_span handshake_psk_identity(const handshake *h)
{
  return copal_span_of(h->psk_identity, h->psk_identity_len);
}

copal_span handshake_client_random(const handshake *h)
{
  return copal_span_of(h->client_random, RANDOM_SIZE);
}
