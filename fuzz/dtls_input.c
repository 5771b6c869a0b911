/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams for a DTLS server and its client, in the middle of a handshake or behind it: nothing
 * breaks, and an established session goes on. RFC 6347, RFC 9146. Input: how many of the genuine
 * datagrams come first, then pieces of: to whom (bit 7) and length, bytes. */
#include <string.h>

#include "copal/error.h"
#include "require.h"
#include "transport/dtls/dtls.h"

enum { CLIENT, SERVER, SIDES, ROOM = 2048, GENUINE_MAX = 12, PIECE_MAX = 127 };

typedef struct side {
  dtls_app app; /* first */
  copal_sink sink;
  dtls *dtls;
  size_t len; /* of what it sent last */
  uint8_t room[ROOM];
} side;

static side sides[SIDES];

static copal_addr addr_of(const side *s)
{
  return (copal_addr){{[10] = 0xff, [11] = 0xff, [12] = 192, [15] = (uint8_t)(s - sides)}, 9, 0};
}

static int psk_find(dtls_credentials *c, copal_span name, dtls_psk_wait *w, dtls_psks *keys)
{
  (void)c, (void)name, (void)w;
  keys->count = 1;
  memset(keys->keys[0].bytes, 7, keys->keys[0].len = 16);
  return COPAL_OK;
}

static int psk_own(dtls_credentials *c, dtls_own_psk *own)
{
  (void)c;
  own->identity[0] = 'x';
  own->identity_len = 1;
  memset(own->key, 7, own->key_len = 16);
  return COPAL_OK;
}

static int vouch(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  (void)c, (void)claim;
  *who = 1;
  return COPAL_OK;
}

static void release(dtls_credentials *c, uint32_t who)
{
  (void)c, (void)who;
}

static void on_message(dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now)
{
  (void)a, (void)bytes, (void)now;
  REQUIRE((path->flags & COPAL_PATH_SECURE) != 0);
}

static void on_close(dtls_app *a, const copal_path *path, dtls_end why, copal_time now)
{
  (void)a, (void)path, (void)now;
  REQUIRE(why != DTLS_END_FORGED);
}

static copal_mspan reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  side *s = (side *)((uint8_t *)sink - offsetof(side, sink));
  (void)path;
  return (copal_mspan){s->room, cap <= ROOM ? cap : 0};
}

static void commit(copal_sink *sink, const copal_path *path, size_t len)
{
  (void)path;
  ((side *)((uint8_t *)sink - offsetof(side, sink)))->len = len;
}

static void open_side(side *s, dtls_credentials *c)
{
  static const uint8_t secret[DTLS_TICKET_KEY_SIZE];
  const char *why;
  *s = (side){.app = {.on_message = on_message, .on_close = on_close}, .sink = {reserve, commit}};
  const dtls_cfg cfg = {.is_client = s == &sides[CLIENT],
                        .credentials = c,
                        .sink = &s->sink,
                        .app = &s->app,
                        .session_max = 4,
                        .handshake_max = 4,
                        .per_prefix_max = 4,
                        .has_cid = true,
                        .cid_secret = secret,
                        .ticket_key = secret,
                        .mtu = 1200,
                        .retransmit = COPAL_SECOND,
                        .timeout = 60 * COPAL_SECOND};
  REQUIRE(dtls_open(&cfg, &s->dtls, &why, 0) == COPAL_OK);
}

static void deliver(side *to, const uint8_t *bytes, size_t len)
{
  uint8_t copy[ROOM];
  const copal_path path = {.remote = addr_of(to == sides ? &sides[SERVER] : &sides[CLIENT])};
  const dtls_source from = {&path, 0};
  memcpy(copy, bytes, len);
  dtls_input(to->dtls, &from, (copal_mspan){copy, len}, COPAL_SECOND);
}

/* Lets genuine datagrams pass, one way and the other. */
static void exchange(unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    side *from = &sides[i % SIDES];
    const size_t len = from->len;
    from->len = 0;
    if (len > 0)
      deliver(&sides[(i + 1) % SIDES], from->room, len);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  dtls_credentials c = {
      .psk_find = psk_find, .psk_own = psk_own, .vouch = vouch, .release = release};
  uint32_t session;
  if (size == 0)
    return 0;
  for (side *s = sides; s < &sides[SIDES]; s++)
    open_side(s, &c);
  const copal_path path = {.remote = addr_of(&sides[SERVER])};
  REQUIRE(dtls_connect(sides[CLIENT].dtls, &path, NULL, &session, 0) == COPAL_OK);
  exchange(data[0] % GENUINE_MAX);
  for (size_t at = 1; at + 1 < size;) {
    const size_t left = size - at - 1;
    const size_t len = (data[at] & PIECE_MAX) < left ? (data[at] & PIECE_MAX) : left;
    deliver(&sides[data[at] >> 7], data + at + 1, len);
    at += 1 + len;
  }
  for (side *s = sides; s < &sides[SIDES]; s++)
    dtls_close(s->dtls);
  return 0;
}
