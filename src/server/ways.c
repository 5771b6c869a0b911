/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as they are stored. */
#include "server/ways.h"

#include <net/if.h>
#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "server/listener.h"
#include "transport/steer.h"

enum { VERSION = 1 };

_Static_assert(1 + 16 + 2 + 1 + IF_NAMESIZE + 1 + WAYS_SESSION_MAX <= (int)HANDLER_WHO_MAX,
               "room for a client");
_Static_assert(16 + 2 + 16 + 2 + 1 + IF_NAMESIZE <= (int)HANDLER_SIDE_MAX, "room for our side");

static copal_span ip_of(const uint8_t ip[16])
{
  return copal_span_of(ip, 16);
}

/* ------------------------------------------------------------------------------------------------
 * writing */

/* An interface by its name: its index changes with the order in which interfaces come up. Returns
 * false when it has none any more. */
static bool put_interface(copal_wr *w, uint32_t ifindex)
{
  char name[IF_NAMESIZE] = "";
  if (ifindex != 0 && if_indextoname(ifindex, name) == NULL)
    return false;
  copal_wr_u8(w, (uint8_t)strlen(name));
  copal_wr_span(w, copal_span_str(name));
  return true;
}

/* A session that moves with its peer is known by its key alone. */
static int put_who(const copal_path *path, const ways_session *secure, copal_wr *out)
{
  static const copal_addr anywhere = {.port = 0};
  const copal_addr *remote = secure->has_cid ? &anywhere : &path->remote;
  copal_wr_u8(out, VERSION);
  copal_wr_span(out, ip_of(remote->ip));
  copal_wr_u16(out, remote->port);
  if (!put_interface(out, remote->zone))
    return COPAL_ENOTFOUND;
  copal_wr_u8(out, secure->key_len);
  copal_wr_span(out, copal_span_of(secure->key, secure->key_len));
  return out->err;
}

static int put_side(const ways *w, const copal_path *path, uint16_t local, copal_wr *out)
{
  udp_side side;
  if (!udp_side_of(w->udp, local, &side))
    return COPAL_ENOTFOUND;
  const copal_addr bound = udp_local_addr(w->udp, side.socket);
  copal_wr_span(out, ip_of(bound.ip));
  copal_wr_u16(out, bound.port);
  copal_wr_span(out, ip_of(side.ip));
  copal_wr_u16(out, path->flags);
  return put_interface(out, side.ifindex) ? out->err : COPAL_ENOTFOUND;
}

static int describe(handler_ways *hook, const copal_path *path, handler_way *way)
{
  const ways *w = (ways *)hook;
  copal_wr who = copal_wr_init((copal_mspan){way->who, sizeof way->who});
  copal_wr side = copal_wr_init((copal_mspan){way->side, sizeof way->side});
  ways_session secure = {.local = path->local};
  if ((path->flags & COPAL_PATH_SECURE) != 0 &&
      (w->sessions == NULL || !w->sessions->describe(w->sessions, path->session, &secure)))
    return COPAL_ENOTFOUND;
  int rc = put_who(path, &secure, &who);
  if (rc == COPAL_OK)
    rc = put_side(w, path, secure.local, &side);
  way->who_len = (uint8_t)who.len;
  way->side_len = (uint8_t)side.len;
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

/* Returns false when there is no such interface now. */
static bool get_interface(copal_rd *r, uint32_t *ifindex)
{
  char name[IF_NAMESIZE] = "";
  const copal_span text = copal_rd_span(r, copal_rd_u8(r));
  *ifindex = 0;
  if (r->err != COPAL_OK || text.len >= sizeof name)
    return false;
  if (text.len == 0)
    return true;
  memcpy(name, text.ptr, text.len);
  *ifindex = if_nametoindex(name);
  return *ifindex != 0 && *ifindex <= UINT16_MAX;
}

static void get_ip(copal_rd *r, uint8_t ip[16])
{
  const copal_span bytes = copal_rd_span(r, 16);
  if (bytes.len == 16)
    memcpy(ip, bytes.ptr, 16);
}

/* The shard's first socket with that address, or -1. */
static int find_first(const ways *w, const copal_addr *bound)
{
  for (int i = 0; i < udp_count(w->udp); i++) {
    const copal_addr local = udp_local_addr(w->udp, i);
    if (local.port == bound->port && memcmp(local.ip, bound->ip, sizeof local.ip) == 0)
      return i;
  }
  return -1;
}

/* Which of the sockets like this one the peer's datagrams arrive at. */
static uint32_t index_of(const ways *w, int socket, const copal_addr *remote)
{
  const uint32_t count = w->steered[socket];
  return count > 0 ? steer_index(remote, count) : 0;
}

/* The same for a session: its CID steers, or the address when it has none. */
static uint32_t index_of_session(const ways *w, int socket, const copal_addr *remote,
                                 copal_span key)
{
  const uint32_t count = w->steered[socket];
  if (remote->port != 0 || count == 0)
    return index_of(w, socket, remote);
  return key.ptr[0] % count;
}

/* The first shard has a socket of each listen address. When it has none, nobody listens there, and
 * it is for the first shard to clear up. */
static bool is_mine(handler_ways *hook, const handler_way *way)
{
  const ways *w = (ways *)hook;
  copal_rd who = copal_rd_init(copal_span_of(way->who, way->who_len));
  copal_rd side = copal_rd_init(copal_span_of(way->side, way->side_len));
  copal_addr remote = {.zone = 0}, bound = {.zone = 0};
  (void)copal_rd_u8(&who);
  get_ip(&who, remote.ip);
  remote.port = copal_rd_u16(&who);
  (void)copal_rd_span(&who, copal_rd_u8(&who));
  const copal_span key = copal_rd_span(&who, copal_rd_u8(&who));
  get_ip(&side, bound.ip);
  bound.port = copal_rd_u16(&side);
  const int first = find_first(w, &bound);
  if (first < 0)
    return w->shard == 0;
  const uint32_t index =
      key.len > 0 ? index_of_session(w, first, &remote, key) : index_of(w, first, &remote);
  return listener_shard(index, w->shards) == w->shard;
}

static int get_who(const handler_way *way, copal_path *path, copal_span *key)
{
  copal_rd r = copal_rd_init(copal_span_of(way->who, way->who_len));
  uint32_t zone;
  if (copal_rd_u8(&r) != VERSION)
    return COPAL_ENOTFOUND;
  get_ip(&r, path->remote.ip);
  path->remote.port = copal_rd_u16(&r);
  if (!get_interface(&r, &zone))
    return COPAL_ENOTFOUND;
  path->remote.zone = (uint16_t)zone;
  *key = copal_rd_span(&r, copal_rd_u8(&r));
  return r.err == COPAL_OK && r.left == 0 ? COPAL_OK : COPAL_ENOTFOUND;
}

/* The shard's socket with that address which the peer's datagrams arrive at; -1: there is none. */
static int find_socket(const ways *w, const copal_addr *bound, const copal_addr *remote)
{
  const int first = find_first(w, bound);
  if (first < 0)
    return -1;
  uint32_t skip = index_of(w, first, remote) / w->shards;
  for (int i = first; i < udp_count(w->udp); i++) {
    const copal_addr local = udp_local_addr(w->udp, i);
    if (local.port == bound->port && memcmp(local.ip, bound->ip, sizeof local.ip) == 0 &&
        skip-- == 0)
      return i;
  }
  return -1;
}

static int get_side(const ways *w, const handler_way *way, copal_path *path)
{
  copal_rd r = copal_rd_init(copal_span_of(way->side, way->side_len));
  copal_addr bound = {.zone = 0};
  udp_side side = {.socket = -1};
  get_ip(&r, bound.ip);
  bound.port = copal_rd_u16(&r);
  get_ip(&r, side.ip);
  path->flags = copal_rd_u16(&r);
  if (!get_interface(&r, &side.ifindex) || r.left != 0)
    return COPAL_ENOTFOUND;
  side.socket = find_socket(w, &bound, &path->remote);
  if (side.socket < 0)
    return COPAL_ENOTFOUND;
  path->local = udp_local_for(w->udp, &side);
  return path->local != 0 ? COPAL_OK : COPAL_ENOTFOUND;
}

static int recall(handler_ways *hook, const handler_way *way, copal_path *path)
{
  const ways *w = (ways *)hook;
  copal_span key;
  ways_session secure;
  *path = (copal_path){.session = 0};
  const int rc = get_who(way, path, &key);
  if (rc < 0 || key.len == 0)
    return rc < 0 ? rc : get_side(w, way, path);
  if (w->sessions == NULL || !w->sessions->find(w->sessions, key, &secure))
    return COPAL_ENOTFOUND;
  *path = secure.path;
  return COPAL_OK;
}

void ways_init(ways *w, udp *u, uint32_t shard, uint32_t shards)
{
  *w = (ways){.hook = {describe, is_mine, recall}, .udp = u, .shard = shard, .shards = shards};
}
