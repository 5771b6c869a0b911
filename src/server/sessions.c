/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS sessions in the state file. */
#include "server/sessions.h"

#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "server/clock.h"
#include "transport/dtls/saved.h"

enum { VERSION = 1, PLACE_SIZE = 16 + 2 + 16 + 4 };

static dtls_sessions *table_of(shard *owner)
{
  dtls *d = secure_dtls(shard_secure(owner));
  return d != NULL ? dtls_table(d) : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * saving */

static void save_session(sessions *all, state_writer *w, shard *owner, dtls_session *s)
{
  uint8_t form[DTLS_SAVED_MAX];
  udp_side side;
  if (!udp_side_of(shard_udp(owner), s->local, &side))
    return; /* nobody could tell where it belongs; its peer is told that it is over */
  const copal_addr bound = udp_local_addr(shard_udp(owner), side.socket);
  const identity *who = identity_of(all->identities, s->identity);
  const size_t len = dtls_saved_export(table_of(owner), s, form, clock_now());
  state_put_uint(w, PLACE_SIZE + 2 + who->name.len + len, 4);
  state_put(w, copal_span_of(bound.ip, sizeof bound.ip));
  state_put_uint(w, bound.port, 2);
  state_put(w, copal_span_of(side.ip, sizeof side.ip));
  state_put_uint(w, side.ifindex, 4);
  state_put_uint(w, (uint64_t)who->kind, 1);
  state_put_uint(w, who->name.len, 1);
  state_put(w, who->name);
  state_put(w, copal_span_of(form, len));
  explicit_bzero(form, sizeof form);
  all->saved++;
}

static void save_shard(sessions *all, state_writer *w, shard *owner)
{
  dtls_sessions *table = table_of(owner);
  dtls_session *s;
  for (uint32_t slot = 0; table != NULL && (s = dtls_session_from_slot(table, slot)) != NULL;
       slot++) {
    slot = dtls_session_slot(table, s);
    save_session(all, w, owner, s);
  }
}

static void save(state_section *section, state_writer *w)
{
  sessions *all = (sessions *)section;
  const secure_shared *keys = all->shared;
  state_put(w, copal_span_of(keys->cid_secret, sizeof keys->cid_secret));
  state_put(w, copal_span_of(keys->ticket_key, sizeof keys->ticket_key));
  for (uint32_t i = 0; all->server != NULL && i < server_shard_count(all->server); i++)
    save_shard(all, w, server_shard(all->server, i));
}

/* ------------------------------------------------------------------------------------------------
 * loading */

typedef struct record {
  copal_addr bound;
  udp_side side;
  identity_kind kind;
  copal_span name;
  copal_span form;
  dtls_saved_home home;
} record;

static void get_ip(copal_rd *r, uint8_t ip[16])
{
  const copal_span s = copal_rd_span(r, 16);
  if (s.len == 16)
    memcpy(ip, s.ptr, 16);
}

static bool parse(copal_rd r, record *out)
{
  *out = (record){.side = {.socket = -1}};
  get_ip(&r, out->bound.ip);
  out->bound.port = copal_rd_u16(&r);
  get_ip(&r, out->side.ip);
  out->side.ifindex = copal_rd_be(&r, 4);
  const uint8_t kind = copal_rd_u8(&r);
  out->name = copal_rd_span(&r, copal_rd_u8(&r));
  out->form = copal_rd_rest(&r);
  if (r.err != COPAL_OK || kind > IDENTITY_OSCORE ||
      (kind == IDENTITY_ANONYMOUS) != (out->name.len == 0))
    return false;
  out->kind = (identity_kind)kind;
  return dtls_saved_peek(out->form, &out->home) == COPAL_OK;
}

/* The shard that receives what the peer sends, or NULL. */
static shard *home_of(server *s, const record *r)
{
  return (r->home.flags & DTLS_SESSION_CID) != 0 ? server_home_of_lane(s, &r->bound, r->home.lane)
                                                 : server_home(s, &r->bound, &r->home.remote);
}

/* Our side in the shard, 0 when it has no such socket. */
static uint16_t local_of(udp *u, const record *r)
{
  udp_side side = r->side;
  for (side.socket = 0; side.socket < udp_count(u); side.socket++) {
    const copal_addr at = udp_local_addr(u, side.socket);
    if (at.port == r->bound.port && memcmp(at.ip, r->bound.ip, sizeof at.ip) == 0)
      return udp_local_for(u, &side);
  }
  return 0;
}

static bool restore(sessions *all, const record *r, uint64_t age)
{
  dtls_saved_here here = {.age_s = age / COPAL_SECOND};
  shard *owner = home_of(all->server, r);
  dtls_sessions *table = owner != NULL ? table_of(owner) : NULL;
  if (table == NULL || (here.local = local_of(shard_udp(owner), r)) == 0)
    return false;
  if (r->kind != IDENTITY_ANONYMOUS &&
      identity_hold(all->identities, r->kind, r->name, &here.identity) < 0)
    return false;
  if (dtls_saved_import(table, r->form, &here, clock_now()) == COPAL_OK)
    return true;
  if (here.identity != 0)
    identity_release(all->identities, here.identity);
  return false;
}

/* The secrets come first: sessions are found by what they say. */
static bool take_secrets(sessions *all, copal_rd *r)
{
  secure_shared *keys = all->shared;
  const copal_span cid = copal_rd_span(r, sizeof keys->cid_secret);
  const copal_span ticket = copal_rd_span(r, sizeof keys->ticket_key);
  if (r->err != COPAL_OK)
    return false;
  memcpy(keys->cid_secret, cid.ptr, cid.len);
  memcpy(keys->ticket_key, ticket.ptr, ticket.len);
  for (uint32_t i = 0; i < server_shard_count(all->server); i++) {
    secure *s = shard_secure(server_shard(all->server, i));
    if (s != NULL)
      secure_inherit(s);
  }
  return true;
}

static void settle(server *s)
{
  for (uint32_t i = 0; i < server_shard_count(s); i++) {
    dtls_sessions *table = table_of(server_shard(s, i));
    if (table != NULL)
      dtls_sessions_settle(table);
  }
}

static void load(state_section *section, uint32_t version, copal_span bytes, uint64_t age)
{
  sessions *all = (sessions *)section;
  (void)version;
  copal_rd r = copal_rd_init(bytes);
  if (all->server == NULL || !take_secrets(all, &r))
    return;
  while (r.left > 0 && r.err == COPAL_OK) {
    record one;
    const copal_rd rest = copal_rd_sub(&r, copal_rd_be(&r, 4));
    if (r.err == COPAL_OK && parse(rest, &one) && restore(all, &one, age))
      all->restored++;
    else
      all->refused++;
  }
  settle(all->server);
}

void sessions_init(sessions *s, secure_shared *shared, identities *known)
{
  *s = (sessions){.section = {.name = "DTLS", .version = VERSION, .save = save, .load = load},
                  .shared = shared,
                  .identities = known};
}
