/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as they are saved. */
#include "server/session_form.h"

#include <string.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/secure.h"
#include "transport/dtls/saved.h"

enum { PLACE_SIZE = 16 + 2 + 16 + 4 };

dtls_sessions *session_form_table(shard *owner)
{
  dtls *d = secure_dtls(shard_secure(owner));
  return d != NULL ? dtls_table(d) : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * writing */

bool session_form_put(state_writer *w, shard *owner, const identities *known, dtls_session *s,
                      session_form_kind kind)
{
  uint8_t form[DTLS_SAVED_MAX];
  udp_side side;
  if (!udp_side_of(shard_udp(owner), s->local, &side))
    return false;
  const copal_addr bound = udp_local_addr(shard_udp(owner), side.socket);
  const identity *who = identity_of(known, s->identity);
  dtls_sessions *table = session_form_table(owner);
  const copal_time now = clock_now();
  const size_t len = kind == SESSION_FORM_LAST ? dtls_saved_export(table, s, form, now)
                                               : dtls_saved_checkpoint(table, s, form, now);
  state_put_uint(w, PLACE_SIZE + 4 + who->name.len + who->groups.len + who->proof.len + len, 4);
  state_put(w, copal_span_of(bound.ip, sizeof bound.ip));
  state_put_uint(w, bound.port, 2);
  state_put(w, copal_span_of(side.ip, sizeof side.ip));
  state_put_uint(w, side.ifindex, 4);
  state_put_uint(w, (uint64_t)who->kind, 1);
  state_put_uint(w, who->name.len, 1);
  state_put(w, who->name);
  state_put_uint(w, who->groups.len, 1);
  state_put(w, who->groups);
  state_put_uint(w, who->proof.len, 1);
  state_put(w, who->proof);
  state_put(w, copal_span_of(form, len));
  explicit_bzero(form, sizeof form);
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

typedef struct record {
  copal_addr bound;
  udp_side side;
  identity_kind kind;
  copal_span name, groups, proof;
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
  out->groups = copal_rd_span(&r, copal_rd_u8(&r));
  out->proof = copal_rd_span(&r, copal_rd_u8(&r));
  out->form = copal_rd_rest(&r);
  if (r.err != COPAL_OK || kind > IDENTITY_OSCORE ||
      (kind == IDENTITY_ANONYMOUS) != (out->name.len == 0))
    return false;
  out->kind = (identity_kind)kind;
  return dtls_saved_peek(out->form, &out->home) == COPAL_OK;
}

/* Where the peer's records arrive. */
static server_place home_of(server *s, const record *r)
{
  return (r->home.flags & DTLS_SESSION_CID) != 0 ? server_home_of_lane(s, &r->bound, r->home.lane)
                                                 : server_home(s, &r->bound, &r->home.remote);
}

/* Our side there, 0 when the shard has no such socket. */
static uint16_t local_of(const server_place *home, const record *r)
{
  udp *u = shard_udp(home->owner);
  udp_side side = r->side;
  uint32_t skip = home->socket;
  for (side.socket = 0; side.socket < udp_count(u); side.socket++) {
    const copal_addr at = udp_local_addr(u, side.socket);
    if (at.port == r->bound.port && memcmp(at.ip, r->bound.ip, sizeof at.ip) == 0 && skip-- == 0)
      return udp_local_for(u, &side);
  }
  return 0;
}

/* Who it was, if the credentials would let him in today. */
static int hold_owner(const record *r, const session_form_owners *owners, uint32_t *who)
{
  dtls_credentials *c = owners->credentials;
  const identity id = {.kind = r->kind, .name = r->name, .groups = r->groups, .proof = r->proof};
  uint32_t now = 0;
  if (identity_hold_as(owners->known, &id, who) < 0)
    return COPAL_EINVAL;
  if (*who == 0 || c->readmit == NULL)
    return COPAL_OK;
  const int rc = c->readmit(c, *who, &now);
  if (rc == COPAL_OK && now == *who)
    return COPAL_OK;
  identity_release(owners->known, *who);
  *who = now;
  return rc == COPAL_OK || rc == COPAL_ENOTFOUND ? rc : COPAL_EINVAL;
}

static int restore(const record *r, server *s, const session_form_owners *owners, uint64_t age_s)
{
  dtls_saved_here here = {.age_s = age_s};
  const server_place home = home_of(s, r);
  dtls_sessions *table = home.owner != NULL ? session_form_table(home.owner) : NULL;
  if (table == NULL || (here.local = local_of(&home, r)) == 0)
    return COPAL_EINVAL;
  const int rc = hold_owner(r, owners, &here.identity);
  if (rc < 0)
    return rc;
  if (dtls_saved_import(table, r->form, &here, clock_now()) == COPAL_OK)
    return COPAL_OK;
  identity_release(owners->known, here.identity);
  return COPAL_EINVAL;
}

int session_form_restore(copal_rd *r, server *s, const session_form_owners *owners, uint64_t age_s)
{
  record one;
  const copal_rd rest = copal_rd_sub(r, copal_rd_be(r, 4));
  return r->err == COPAL_OK && parse(rest, &one) ? restore(&one, s, owners, age_s) : COPAL_EINVAL;
}
