/* SPDX-License-Identifier: Apache-2.0 */
/* A DTLS server and its clients on a network of virtual time. */
#include "unit/transport/dtls/talk.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "copal/error.h"
#include "transport/dtls/saved.h"

enum { LATENCY = 5000, JITTER = 60000, LANE = 3, SOON = 2000000 };

static copal_time virtual_now = 1000 * (copal_time)COPAL_SECOND;

/* GnuTLS looks at the clock by itself; this is the one it finds. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
  (void)clock;
  t->tv_sec = (time_t)(virtual_now / COPAL_SECOND);
  t->tv_nsec = (long)(virtual_now % COPAL_SECOND) * 1000;
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * keys and certificates, made once */

static gnutls_x509_privkey_t server_key, client_key, ca_key;
static gnutls_x509_crt_t server_crt, client_crt, ca_crt;

static gnutls_x509_privkey_t make_key(void)
{
  gnutls_x509_privkey_t key;
  assert_int_equal(gnutls_x509_privkey_init(&key), 0);
  assert_int_equal(gnutls_x509_privkey_generate(
                       key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
                   0);
  return key;
}

static gnutls_x509_crt_t make_crt(gnutls_x509_privkey_t key, const char *name, bool is_ca)
{
  gnutls_x509_crt_t crt;
  const uint8_t serial = 7;
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  gnutls_x509_crt_set_version(crt, 3);
  gnutls_x509_crt_set_key(crt, key);
  gnutls_x509_crt_set_serial(crt, &serial, 1);
  gnutls_x509_crt_set_activation_time(crt, 0);
  gnutls_x509_crt_set_expiration_time(crt, 2000000000);
  gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
  gnutls_x509_crt_set_ca_status(crt, is_ca);
  gnutls_x509_crt_set_key_usage(crt,
                                is_ca ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE);
  assert_int_equal(gnutls_x509_crt_sign2(crt, is_ca ? crt : ca_crt, ca_key, GNUTLS_DIG_SHA256, 0),
                   0);
  return crt;
}

static void make_keys(void)
{
  if (ca_key != NULL)
    return;
  ca_key = make_key();
  server_key = make_key();
  client_key = make_key();
  ca_crt = make_crt(ca_key, "ca", true);
  server_crt = make_crt(server_key, "server", false);
  client_crt = make_crt(client_key, "client", false);
}

static gnutls_datum_t export_key(gnutls_x509_privkey_t key)
{
  gnutls_datum_t out;
  assert_int_equal(
      gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, &out),
      0);
  return out;
}

static gnutls_datum_t export_spki(gnutls_x509_crt_t crt)
{
  gnutls_datum_t out;
  gnutls_pubkey_t pub;
  gnutls_pubkey_init(&pub);
  gnutls_pubkey_import_x509(pub, crt, 0);
  assert_int_equal(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &out), 0);
  gnutls_pubkey_deinit(pub);
  return out;
}

static gnutls_certificate_credentials_t make_certificates(const talk_cfg *cfg, bool is_server)
{
  const talk_mode mode = cfg->mode;
  gnutls_certificate_credentials_t out;
  gnutls_x509_privkey_t key = is_server ? server_key : client_key;
  gnutls_x509_crt_t crt = is_server ? server_crt : client_crt;
  assert_int_equal(gnutls_certificate_allocate_credentials(&out), 0);
  if (!is_server && cfg->client_shows_nothing)
    return out;
  if (mode == TALK_X509) {
    gnutls_x509_crt_t chain[2] = {crt, ca_crt};
    assert_int_equal(gnutls_certificate_set_x509_key(out, chain, 2, key), 0);
    return out;
  }
  gnutls_datum_t spki = export_spki(crt), secret = export_key(key);
  assert_true(gnutls_certificate_set_rawpk_key_mem(out, &spki, &secret, GNUTLS_X509_FMT_DER, NULL,
                                                   0, NULL, 0, 0) >= 0);
  gnutls_free(spki.data);
  gnutls_free(secret.data);
  return out;
}

/* ------------------------------------------------------------------------------------------------
 * credentials */

static int psk_find(dtls_credentials *face, copal_span identity, dtls_psk_wait *w, dtls_psks *keys)
{
  talk_credentials *c = (talk_credentials *)face;
  if (c->full_count > 0) {
    c->full_count--;
    return COPAL_ENOSLOT;
  }
  if (c->is_late) {
    c->late = w;
    return COPAL_EPENDING;
  }
  if (!copal_span_is_equal(identity, copal_span_str(c->psk_identity)))
    return COPAL_ENOTFOUND;
  for (keys->count = 0; keys->count < DTLS_PSK_COUNT && c->keys[keys->count] != NULL;
       keys->count++) {
    keys->keys[keys->count].len = strlen(c->keys[keys->count]);
    memcpy(keys->keys[keys->count].bytes, c->keys[keys->count], keys->keys[keys->count].len);
  }
  return COPAL_OK;
}

static void psk_cancel(dtls_credentials *face, dtls_psk_wait *w)
{
  (void)face, (void)w;
}

static int psk_own(dtls_credentials *face, dtls_own_psk *own)
{
  const talk_credentials *c = (talk_credentials *)face;
  own->identity_len = strlen(c->psk_identity);
  memcpy(own->identity, c->psk_identity, own->identity_len);
  own->key_len = strlen(c->keys[0]);
  memcpy(own->key, c->keys[0], own->key_len);
  return COPAL_OK;
}

static gnutls_certificate_credentials_t certificates_take(dtls_credentials *face,
                                                          copal_span server_name)
{
  (void)server_name;
  return ((talk_credentials *)face)->certificates;
}

static void certificates_give(dtls_credentials *face, gnutls_certificate_credentials_t taken)
{
  (void)face, (void)taken;
}

static bool admits_nobody(dtls_credentials *face)
{
  return ((talk_credentials *)face)->admits_nobody;
}

/* The peer of a server is the client and the other way round. */
static bool is_known(const talk_credentials *c, const dtls_claim *claim)
{
  switch (claim->kind) {
  case DTLS_CLAIM_NONE: return c->admits_nobody;
  case DTLS_CLAIM_PSK:
    return copal_span_is_equal(copal_span_of(claim->items[0].data, claim->items[0].size),
                               copal_span_str(c->psk_identity));
  case DTLS_CLAIM_RPK:
  case DTLS_CLAIM_X509: return !c->refuses && claim->count >= 1;
  }
  return false;
}

static int vouch(dtls_credentials *face, const dtls_claim *claim, uint32_t *identity)
{
  talk_credentials *c = (talk_credentials *)face;
  if (!is_known(c, claim)) {
    if (claim->objection != NULL && claim->kind != DTLS_CLAIM_PSK)
      *claim->objection = (dtls_objection){c->refusal, "not one of us"};
    return COPAL_ENOTFOUND;
  }
  c->held++;
  *identity = 1 + (uint32_t)claim->kind;
  return COPAL_OK;
}

static int readmit(dtls_credentials *face, uint32_t identity, uint32_t *now)
{
  talk_credentials *c = (talk_credentials *)face;
  c->asked++;
  *now = identity;
  if (c->readmits == COPAL_OK && c->renamed != 0 && c->renamed != identity) {
    c->held++;
    *now = c->renamed;
  }
  return c->readmits;
}

static void release(dtls_credentials *face, uint32_t identity)
{
  ((talk_credentials *)face)->released += identity != 0;
}

static void init_credentials(talk_credentials *c, const talk_cfg *cfg, bool is_server)
{
  *c = (talk_credentials){.face = {.vouch = vouch, .readmit = readmit, .release = release},
                          .mode = cfg->mode,
                          .psk_identity = "device",
                          .keys = {"0123456789abcdef", NULL}};
  if (cfg->mode == TALK_PSK) {
    c->face.psk_find = psk_find;
    c->face.psk_cancel = psk_cancel;
    c->face.psk_own = psk_own;
    return;
  }
  c->face.certificates_take = certificates_take;
  c->face.certificates_give = certificates_give;
  c->face.admits_nobody = admits_nobody;
  c->certificates = make_certificates(cfg, is_server);
}

/* ------------------------------------------------------------------------------------------------
 * what a side hears */

static void on_message(dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now)
{
  talk_side *s = (talk_side *)a;
  (void)now;
  assert_true((path->flags & COPAL_PATH_SECURE) != 0);
  assert_true(bytes.len < TALK_TEXT_MAX);
  memcpy(s->text, bytes.ptr, bytes.len);
  s->text[bytes.len] = '\0';
  s->heard++;
  s->session = path->session;
  s->flags = path->flags;
}

static void on_open(dtls_app *a, const copal_path *path, copal_time now)
{
  talk_side *s = (talk_side *)a;
  (void)now;
  s->opened++;
  s->session = path->session;
}

static void on_close(dtls_app *a, const copal_path *path, dtls_end why, copal_time now)
{
  talk_side *s = (talk_side *)a;
  (void)path, (void)now;
  s->closed++;
  s->why = why;
}

static void on_renamed(dtls_app *a, copal_time now)
{
  (void)now;
  ((talk_side *)a)->renamed++;
}

static void on_failure(dtls_app *a, const dtls_failure *f, copal_time now)
{
  talk_side *s = (talk_side *)a;
  (void)now;
  s->failed++;
  s->failure = f->kind;
  s->refusal = f->refusal;
  assert_non_null(f->text);
  snprintf(s->text_of_failure, sizeof s->text_of_failure, "%s", f->text);
}

static void on_answer(dtls_app *a, uint32_t session)
{
  talk_side *s = (talk_side *)a;
  s->answered = session;
}

static copal_mspan sink_reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  talk_side *s = (talk_side *)((uint8_t *)sink - offsetof(talk_side, sink));
  (void)path;
  assert_true(cap <= sizeof s->room);
  return (copal_mspan){s->room, cap};
}

static void sink_commit(copal_sink *sink, const copal_path *path, size_t len)
{
  talk_side *s = (talk_side *)((uint8_t *)sink - offsetof(talk_side, sink));
  s->talk->sent++;
  talk_put(s->talk, &s->addr, &path->remote, copal_span_of(s->room, len));
}

/* ------------------------------------------------------------------------------------------------
 * the network */

static unsigned draw(talk *t, unsigned n)
{
  t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(t->random >> 33) % n;
}

static void put_one(talk *t, const talk_datagram *d, copal_time due)
{
  assert_true(t->count < TALK_NET_MAX);
  t->net[t->count] = *d;
  t->net[t->count++].due = due;
}

void talk_put(talk *t, const copal_addr *from, const copal_addr *to, copal_span bytes)
{
  talk_datagram d = {.from = *from, .to = *to, .len = bytes.len};
  assert_true(bytes.len <= sizeof d.bytes);
  memcpy(d.bytes, bytes.ptr, bytes.len);
  if (t->tamper != NULL && !t->tamper(t, &d))
    return;
  if (draw(t, 100) < t->cfg.loss)
    return;
  const copal_time late = draw(t, 100) < t->cfg.reorder ? draw(t, JITTER) : 0;
  put_one(t, &d, t->now + LATENCY + late);
  if (draw(t, 100) < t->cfg.dup)
    put_one(t, &d, t->now + LATENCY + draw(t, JITTER));
}

/* Takes the next datagram that is due by `until`. */
static bool take(talk *t, copal_time until, talk_datagram *d)
{
  size_t best = t->count;
  for (size_t i = 0; i < t->count; i++)
    if (t->net[i].due <= until && (best == t->count || t->net[i].due < t->net[best].due))
      best = i;
  if (best == t->count)
    return false;
  *d = t->net[best];
  memmove(&t->net[best], &t->net[best + 1], (t->count - best - 1) * sizeof *t->net);
  t->count--;
  return true;
}

static void deliver(talk *t, talk_datagram *d)
{
  for (int i = 0; i < t->side_count; i++) {
    talk_side *s = &t->sides[i];
    if (s->dtls == NULL || memcmp(&s->addr, &d->to, sizeof s->addr) != 0)
      continue;
    const copal_path path = {.remote = d->from, .local = 1};
    const dtls_source from = {&path, i == TALK_SERVER ? LANE : 0};
    dtls_input(s->dtls, &from, (copal_mspan){d->bytes, d->len}, t->now);
    return;
  }
}

static void set_now(talk *t, copal_time now)
{
  if (now > t->now)
    t->now = now;
  virtual_now = t->now;
}

static copal_time next_deadline(const talk *t)
{
  copal_time next = COPAL_NEVER;
  for (int i = 0; i < t->side_count; i++)
    if (t->sides[i].dtls != NULL && dtls_deadline(t->sides[i].dtls) < next)
      next = dtls_deadline(t->sides[i].dtls);
  return next;
}

static void step(talk *t, copal_time until)
{
  talk_datagram d;
  const copal_time timer = next_deadline(t);
  if (take(t, timer < until ? timer : until, &d)) {
    set_now(t, d.due);
    deliver(t, &d);
    return;
  }
  set_now(t, timer < until ? timer : until);
  for (int i = 0; timer <= until && i < t->side_count; i++)
    if (t->sides[i].dtls != NULL)
      dtls_expire(t->sides[i].dtls, t->now);
}

void talk_run(talk *t, copal_dur span)
{
  const copal_time end = t->now + span;
  while (t->now < end)
    step(t, end);
}

bool talk_shake(talk *t, int client, copal_dur span)
{
  const talk_side *s = &t->sides[client];
  const copal_time end = t->now + span;
  const unsigned opened = s->opened, failed = s->failed;
  while (t->now < end && s->opened == opened && s->failed == failed)
    step(t, end);
  return s->opened > opened;
}

/* ------------------------------------------------------------------------------------------------
 * sides */

copal_addr talk_addr(uint8_t host, uint16_t port)
{
  return (copal_addr){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, host}, port, 0};
}

static uint32_t or_plenty(uint32_t v)
{
  return v != 0 ? v : 64;
}

static void open_dtls(talk *t, talk_side *s)
{
  static const uint8_t ticket_key[DTLS_TICKET_KEY_SIZE] = {1, 2, 3};
  static const uint8_t cid_secret[DTLS_CID_KEY_SIZE] = {4, 5, 6};
  const bool is_server = s->index == TALK_SERVER;
  const char *why = "";
  const dtls_cfg cfg = {
      .is_client = !is_server,
      .credentials = &s->credentials.face,
      .sink = &s->sink,
      .app = &s->app,
      .session_max = or_plenty(t->cfg.session_max),
      .handshake_max = or_plenty(t->cfg.handshake_max),
      .per_prefix_max = or_plenty(t->cfg.per_prefix_max),
      .idle_s = t->cfg.idle_s,
      .has_cid = !(is_server ? t->cfg.server_has_no_cid : t->cfg.client_has_no_cid),
      .cid_secret = is_server ? cid_secret : NULL,
      .ticket_key = is_server ? ticket_key : NULL,
      .mtu = t->cfg.mtu != 0 ? t->cfg.mtu : 1200,
      .retransmit = COPAL_SECOND,
      .timeout = 60 * COPAL_SECOND,
  };
  assert_int_equal(dtls_open(&cfg, &s->dtls, &why, t->now), COPAL_OK);
}

static void open_side(talk *t, int index)
{
  talk_side *s = &t->sides[index];
  *s = (talk_side){.app = {on_message, on_open, on_close, on_failure, on_answer, on_renamed},
                   .sink = {sink_reserve, sink_commit},
                   .talk = t,
                   .index = index,
                   .addr = talk_addr((uint8_t)(index + 1), (uint16_t)(index == 0 ? 5684 : 40000))};
  init_credentials(&s->credentials, &t->cfg, index == TALK_SERVER);
  open_dtls(t, s);
}

talk *talk_open(const talk_cfg *cfg)
{
  talk *t = calloc(1, sizeof *t);
  assert_non_null(t);
  make_keys();
  t->cfg = *cfg;
  t->random = cfg->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
  t->now = virtual_now;
  t->side_count = 2;
  open_side(t, TALK_SERVER);
  open_side(t, 1);
  return t;
}

int talk_add_client(talk *t)
{
  assert_true(t->side_count < TALK_SIDE_MAX);
  open_side(t, t->side_count);
  return t->side_count++;
}

static void close_side(talk_side *s)
{
  dtls_close(s->dtls);
  s->dtls = NULL;
  assert_int_equal(s->credentials.held, s->credentials.released);
  if (s->credentials.certificates != NULL)
    gnutls_certificate_free_credentials(s->credentials.certificates);
}

void talk_restart_client(talk *t, int client)
{
  close_side(&t->sides[client]);
  open_side(t, client);
}

enum { SAVED_MAX = 64 };

void talk_restart_server(talk *t, bool is_in_order)
{
  static uint8_t saved[SAVED_MAX][DTLS_SAVED_MAX];
  size_t sizes[SAVED_MAX], count = 0;
  talk_side *server = &t->sides[TALK_SERVER];
  dtls_sessions *table = dtls_table(server->dtls);
  dtls_session *s;
  for (uint32_t slot = 0; is_in_order && (s = dtls_session_from_slot(table, slot)) != NULL;) {
    slot = dtls_session_slot(table, s) + 1;
    assert_true(count < SAVED_MAX);
    sizes[count] = dtls_saved_export(table, s, saved[count], t->now);
    count++;
  }
  close_side(server);
  open_side(t, TALK_SERVER);
  table = dtls_table(server->dtls);
  for (size_t i = 0; i < count; i++) {
    const dtls_saved_here place = {.identity = 1, .local = 1};
    server->credentials.held++;
    assert_int_equal(dtls_saved_import(table, copal_span_of(saved[i], sizes[i]), &place, t->now),
                     COPAL_OK);
  }
  dtls_sessions_settle(table);
  s = dtls_session_from_slot(table, 0);
  server->session = s != NULL ? dtls_session_number(table, s) : 0;
}

/* A build with AddressSanitizer has a heap of its own. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t talk_heap(void)
{
  if (__sanitizer_get_current_allocated_bytes != NULL)
    return __sanitizer_get_current_allocated_bytes();
  const struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

void talk_close(talk *t)
{
  for (int i = 0; i < t->side_count; i++)
    close_side(&t->sides[i]);
  free(t);
}

void talk_connect(talk *t, int client)
{
  talk_side *s = &t->sides[client];
  const copal_path path = {.remote = t->sides[TALK_SERVER].addr, .local = 1};
  virtual_now = t->now;
  assert_int_equal(dtls_connect(s->dtls, &path, t->server_name, &s->session, t->now), COPAL_OK);
}

void talk_say(talk *t, int from, const char *text)
{
  talk_side *s = &t->sides[from];
  copal_sink *sink = dtls_sink(s->dtls);
  const copal_path path = {.session = s->session, .flags = COPAL_PATH_SECURE};
  const copal_mspan room = sink->reserve(sink, &path, strlen(text));
  if (room.ptr == NULL)
    return;
  memcpy(room.ptr, text, strlen(text));
  sink->commit(sink, &path, strlen(text));
}

talk *talk_open_session(const talk_cfg *cfg)
{
  enum { CLIENT = 1 };
  talk *t = talk_open(cfg);
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  return t;
}

void talk_assert_heard(talk *t, int client)
{
  talk_side *server = &t->sides[TALK_SERVER], *c = &t->sides[client];
  talk_say(t, client, "from client");
  talk_run(t, SOON);
  assert_string_equal(server->text, "from client");
  talk_say(t, TALK_SERVER, "from server");
  talk_run(t, SOON);
  assert_string_equal(c->text, "from server");
  server->text[0] = c->text[0] = '\0';
}
