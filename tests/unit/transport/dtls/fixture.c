/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of DTLS sessions without a handshake. */
#include "unit/transport/dtls/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

uint32_t fixture_random(uint32_t n)
{
  static uint64_t seed = 42;
  seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (uint32_t)(seed >> 33) % n;
}

copal_path fixture_path(uint32_t host)
{
  const copal_addr remote = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, (uint8_t)(host >> 16),
                              (uint8_t)(host >> 8), (uint8_t)host},
                             10000,
                             0};
  return (copal_path){.remote = remote, .local = 1};
}

const dtls_cid_key *fixture_cid_key(void)
{
  static dtls_cid_key key;
  dtls_cid_key_init(&key, (const uint8_t *)"the fixture's key");
  return &key;
}

dtls_sessions *fixture_open(dtls_sessions_cfg cfg)
{
  dtls_sessions *all = NULL;
  cfg.cid_key = fixture_cid_key();
  assert_int_equal(dtls_sessions_open(&cfg, &all), COPAL_OK);
  return all;
}

fixture_peer fixture_peer_at(uint32_t host, bool has_cid, size_t own_cid_len)
{
  static const dtls_aead aeads[] = {DTLS_AES_128_CCM_8, DTLS_AES_128_GCM, DTLS_AES_128_CCM};
  fixture_peer p = {.path = fixture_path(host),
                    .aead = aeads[host % 3],
                    .has_cid = has_cid,
                    .own_cid_len = own_cid_len,
                    .seq = 1};
  for (size_t i = 0; i < sizeof host; i++) {
    p.tx.key[i] = p.rx.salt[i] = (uint8_t)(host >> 8 * i);
    p.rx.key[i] = p.tx.salt[i] = (uint8_t) ~(host >> 8 * i);
    p.own_cid[i] = (uint8_t)(host >> 8 * i);
  }
  return p;
}

dtls_session *fixture_join(dtls_sessions *all, fixture_peer *p, copal_time now)
{
  const uint8_t *ip = p->path.remote.ip;
  const uint32_t host = (uint32_t)ip[13] << 16 | (uint32_t)ip[14] << 8 | ip[15];
  const dtls_established e = {.aead = p->aead,
                              .flags = p->has_cid ? DTLS_SESSION_CID : 0,
                              .rx = p->tx,
                              .tx = p->rx,
                              .window = {1, 1}, /* the Finished */
                              .tx_seq = 1,
                              .peer_cid = copal_span_of(p->own_cid, p->own_cid_len),
                              .identity = host,
                              .flight_seq = 7,
                              .flight_mid = 6,
                              .verify_data = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
  dtls_session *s = dtls_session_take(all, &p->path, FIXTURE_LANE);
  assert_non_null(s);
  dtls_session_cid(all, s, p->cid);
  if (dtls_session_establish(all, s, &e, now) != COPAL_OK) {
    dtls_session_end(all, s, DTLS_END_LOCAL);
    return NULL;
  }
  p->number = dtls_session_number(all, s);
  return s;
}

fixture_wire fixture_seal(fixture_peer *p, dtls_type type, const char *text)
{
  fixture_wire w;
  const dtls_draft d = {.type = type,
                        .epoch = 1,
                        .seq = p->seq++,
                        .cid = copal_span_of(p->cid, p->has_cid ? sizeof p->cid : 0),
                        .content = copal_span_str(text)};
  const int size = dtls_record_seal(&p->tx, p->aead, &d, (copal_mspan){w.bytes, sizeof w.bytes});
  assert_true(size > 0);
  w.size = (size_t)size;
  return w;
}

int fixture_deliver(dtls_sessions *all, const fixture_wire *w, const copal_path *from,
                    dtls_opened *opened, copal_time now)
{
  static uint8_t room[FIXTURE_WIRE_MAX];
  dtls_opened ignored;
  dtls_record rec;
  copal_rd r = copal_rd_init(copal_span_of(w->bytes, w->size));
  if (!dtls_record_next(&r, DTLS_CID_SIZE, &rec))
    return COPAL_EFORMAT;
  dtls_session *s = rec.type == DTLS_TLS12_CID ? dtls_session_by_cid(all, rec.cid)
                                               : dtls_session_by_path(all, from, DTLS_SESSION_UP);
  const dtls_arrival a = {&rec, from, {room, sizeof room}};
  return s == NULL ? COPAL_ENOTFOUND
                   : dtls_session_open(all, s, &a, opened != NULL ? opened : &ignored, now);
}

int fixture_say(dtls_sessions *all, fixture_peer *p, copal_time now)
{
  const fixture_wire w = fixture_seal(p, DTLS_APPLICATION_DATA, "hello");
  return fixture_deliver(all, &w, &p->path, NULL, now);
}

int fixture_answer(dtls_sessions *all, uint32_t number, const char *text, fixture_wire *w)
{
  dtls_session *s = dtls_session_of(all, number);
  assert_non_null(s);
  const int size = dtls_session_seal(all, s, DTLS_APPLICATION_DATA, copal_span_str(text),
                                     (copal_mspan){w->bytes, sizeof w->bytes});
  w->size = size > 0 ? (size_t)size : 0;
  return size;
}

bool fixture_hears(fixture_peer *p, const fixture_wire *w, const char *text)
{
  uint8_t room[FIXTURE_WIRE_MAX];
  dtls_content content;
  dtls_record rec;
  copal_rd r = copal_rd_init(copal_span_of(w->bytes, w->size));
  if (!dtls_record_next(&r, p->own_cid_len, &rec) ||
      (rec.type == DTLS_TLS12_CID) != (p->own_cid_len > 0) ||
      !copal_span_is_equal(rec.cid, copal_span_of(p->own_cid, p->own_cid_len)) ||
      !dtls_window_is_new(&p->window, rec.seq) ||
      dtls_record_open(&p->rx, p->aead, &rec, (copal_mspan){room, sizeof room}, &content) != 0)
    return false;
  dtls_window_accept(&p->window, rec.seq);
  return copal_span_is_equal(content.bytes, copal_span_str(text));
}
