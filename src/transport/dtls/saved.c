/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as bytes. */
#include "transport/dtls/saved.h"

#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "transport/dtls/session_table.h"

enum {
  VERSION = 1,
  FLAGS = DTLS_SESSION_CID | DTLS_SESSION_CONFIRMED | DTLS_SESSION_RESUMED | DTLS_SESSION_CLIENT |
          DTLS_SESSION_UNPROVEN | DTLS_SESSION_STALE,
};

/* What the bytes say. */
typedef struct saved {
  dtls_session image;
  copal_span peer_cid;
  uint32_t slot, idle_s;
} saved;

static void put64(copal_wr *w, uint64_t v)
{
  copal_wr_be(w, (uint32_t)(v >> 32), 4);
  copal_wr_be(w, (uint32_t)v, 4);
}

static uint64_t get64(copal_rd *r)
{
  const uint64_t high = copal_rd_be(r, 4);
  return high << 32 | copal_rd_be(r, 4);
}

static void put_keys(copal_wr *w, const dtls_keys *k)
{
  copal_wr_span(w, copal_span_of(k->key, sizeof k->key));
  copal_wr_span(w, copal_span_of(k->salt, sizeof k->salt));
}

static void get_bytes(copal_rd *r, uint8_t *out, size_t len)
{
  const copal_span s = copal_rd_span(r, len);
  if (s.len == len)
    memcpy(out, s.ptr, len);
}

static void get_keys(copal_rd *r, dtls_keys *k)
{
  get_bytes(r, k->key, sizeof k->key);
  get_bytes(r, k->salt, sizeof k->salt);
}

/* Writes the session as one that goes on with `tx_seq`. */
static size_t put_session(const dtls_sessions *all, const dtls_session *s, uint64_t tx_seq,
                          uint8_t flags, uint8_t out[DTLS_SAVED_MAX], copal_time now)
{
  const dtls_cid own = dtls_session_own_cid(all, s);
  const uint32_t now_s = (uint32_t)(now / COPAL_SECOND);
  const copal_span cid = dtls_session_peer_cid(all, s);
  copal_wr w = copal_wr_init((copal_mspan){out, DTLS_SAVED_MAX});
  copal_wr_u8(&w, VERSION);
  copal_wr_u8(&w, flags & FLAGS);
  copal_wr_u8(&w, s->aead);
  copal_wr_u8(&w, own.lane);
  copal_wr_be(&w, own.slot, 4);
  copal_wr_be(&w, own.generation, 4);
  copal_wr_span(&w, copal_span_of(s->remote.ip, sizeof s->remote.ip));
  copal_wr_u16(&w, s->remote.port);
  copal_wr_u16(&w, s->remote.zone);
  put64(&w, tx_seq);
  put64(&w, s->window.top);
  put64(&w, s->window.bits);
  put_keys(&w, &s->rx);
  put_keys(&w, &s->tx);
  copal_wr_be(&w, now_s > s->last_use ? now_s - s->last_use : 0, 4);
  copal_wr_be(&w, s->forgeries, 4);
  copal_wr_u16(&w, s->credit);
  copal_wr_u16(&w, s->flight_seq);
  copal_wr_u8(&w, s->flight_mid);
  copal_wr_span(&w, copal_span_of(s->verify_data, sizeof s->verify_data));
  copal_wr_u8(&w, (uint8_t)cid.len);
  copal_wr_span(&w, cid);
  return w.len;
}

size_t dtls_saved_export(dtls_sessions *all, dtls_session *s, uint8_t out[DTLS_SAVED_MAX],
                         copal_time now)
{
  s->tx_block = 0;
  return put_session(all, s, s->tx_seq, s->flags, out, now);
}

size_t dtls_saved_checkpoint(dtls_sessions *all, dtls_session *s, uint8_t out[DTLS_SAVED_MAX],
                             copal_time now)
{
  const uint64_t tx_seq = dtls_session_reserve(all, s);
  return put_session(all, s, tx_seq, s->flags | DTLS_SESSION_STALE, out, now);
}

static int parse(copal_span bytes, saved *out)
{
  dtls_session *s = &out->image;
  copal_rd r = copal_rd_init(bytes);
  memset(out, 0, sizeof *out);
  if (copal_rd_u8(&r) != VERSION)
    return COPAL_EFORMAT;
  s->flags = copal_rd_u8(&r);
  s->aead = copal_rd_u8(&r);
  s->lane = copal_rd_u8(&r);
  out->slot = copal_rd_be(&r, 4);
  s->generation = copal_rd_be(&r, 4);
  get_bytes(&r, s->remote.ip, sizeof s->remote.ip);
  s->remote.port = copal_rd_u16(&r);
  s->remote.zone = copal_rd_u16(&r);
  s->tx_seq = get64(&r);
  s->window.top = get64(&r);
  s->window.bits = get64(&r);
  get_keys(&r, &s->rx);
  get_keys(&r, &s->tx);
  out->idle_s = copal_rd_be(&r, 4);
  s->forgeries = copal_rd_be(&r, 4);
  s->credit = copal_rd_u16(&r);
  s->flight_seq = copal_rd_u16(&r);
  s->flight_mid = copal_rd_u8(&r);
  get_bytes(&r, s->verify_data, sizeof s->verify_data);
  out->peer_cid = copal_rd_span(&r, copal_rd_u8(&r));
  const bool is_good = r.err == COPAL_OK && r.left == 0 && (s->flags & ~FLAGS) == 0 &&
                       dtls_aead_is_known(s->aead) && out->slot < DTLS_SESSION_MAX &&
                       s->tx_seq <= DTLS_SEQ_MAX && s->window.top <= DTLS_SEQ_MAX + 1;
  return is_good ? COPAL_OK : COPAL_EFORMAT;
}

int dtls_saved_peek(copal_span bytes, dtls_saved_home *home)
{
  saved what;
  const int rc = parse(bytes, &what);
  if (rc == COPAL_OK)
    *home = (dtls_saved_home){what.image.remote, what.image.flags, what.image.lane};
  explicit_bzero(&what, sizeof what);
  return rc;
}

/* Instants count from the start of the machine, which may be later than the last use. */
static int restore(dtls_sessions *all, saved *what, const dtls_saved_here *here, copal_time now)
{
  const uint64_t idle_s = what->idle_s + (here->age_s < UINT32_MAX ? here->age_s : UINT32_MAX);
  const uint64_t now_s = now / COPAL_SECOND;
  dtls_session *s;
  if (all->cfg.idle_s != 0 && idle_s > all->cfg.idle_s)
    return COPAL_EAGAIN;
  what->image.identity = here->identity;
  const dtls_restored r = {.slot = what->slot,
                           .image = &what->image,
                           .peer_cid = what->peer_cid,
                           .idle_s = (uint32_t)(idle_s < now_s ? idle_s : now_s)};
  const int rc = dtls_session_restore(all, &r, &s, now);
  if (rc == COPAL_OK)
    s->local = here->local;
  return rc;
}

int dtls_saved_import(dtls_sessions *all, copal_span bytes, const dtls_saved_here *here,
                      copal_time now)
{
  saved what;
  int rc = parse(bytes, &what);
  if (rc == COPAL_OK)
    rc = restore(all, &what, here, now);
  explicit_bzero(&what, sizeof what);
  return rc;
}
