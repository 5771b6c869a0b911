/* SPDX-License-Identifier: Apache-2.0 */
/* The slab of DTLS sessions: slots, order of use, finding by address and CID, beginning and end.
 * RFC 6347 section 4.2.8, RFC 9146 section 3. */
#include "transport/dtls/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "core/base/map.h"
#include "transport/dtls/session_table.h"

enum {
  FORGERY_MAX_DEFAULT = 1 << 20,
  LONG_CID_SHARE = 64, /* one session of so many may have a long CID */
  REST_COUNT = 1024,   /* free slots that rest before the one that rests longest is used again */
  SWEEP_COUNT = 4,     /* sessions ended per sweep */
  ALIGNMENT = 4096,    /* bytes: a page, so that an array can be given back */
};

#define SEAL_MAX_DEFAULT (UINT64_C(1) << 36)

/* ---------------------------------------------------------------------------------------- order */

static dtls_session *at(const dtls_sessions *all, uint32_t link)
{
  return link == 0 ? NULL : &all->slots[link - 1];
}

static uint32_t link_of(const dtls_sessions *all, const dtls_session *s)
{
  return (uint32_t)(s - all->slots) + 1;
}

static void order_append(dtls_sessions *all, dtls_order *o, dtls_session *s)
{
  s->newer = 0;
  s->older = o->newest;
  *(o->newest == 0 ? &o->oldest : &at(all, o->newest)->newer) = link_of(all, s);
  o->newest = link_of(all, s);
}

static void order_remove(dtls_sessions *all, dtls_order *o, dtls_session *s)
{
  *(s->newer == 0 ? &o->newest : &at(all, s->newer)->older) = s->older;
  *(s->older == 0 ? &o->oldest : &at(all, s->older)->newer) = s->newer;
  s->newer = s->older = 0;
}

static uint32_t seconds(copal_time now)
{
  return (uint32_t)(now / COPAL_SECOND);
}

void dtls_table_touch(dtls_sessions *all, dtls_session *s, copal_time now)
{
  if (s->last_use == seconds(now))
    return; /* in order to the second, which spares a busy session two cache misses per record */
  s->last_use = seconds(now);
  order_remove(all, &all->use, s);
  order_append(all, &all->use, s);
}

/* ------------------------------------------------------------------------------------- addresses
 */

static uint32_t *bucket_of(const dtls_sessions *all, const copal_addr *remote)
{
  return &all->buckets[copal_hash(all->cfg.seed, remote, sizeof *remote) & all->bucket_mask];
}

static void hash_insert(dtls_sessions *all, dtls_session *s)
{
  uint32_t *bucket = bucket_of(all, &s->remote);
  s->hash_next = *bucket;
  *bucket = link_of(all, s);
}

static void hash_remove(dtls_sessions *all, dtls_session *s)
{
  uint32_t *link = bucket_of(all, &s->remote);
  while (*link != link_of(all, s))
    link = &at(all, *link)->hash_next;
  *link = s->hash_next;
  s->hash_next = 0;
}

void dtls_table_move(dtls_sessions *all, dtls_session *s, const copal_path *to)
{
  hash_remove(all, s);
  s->remote = to->remote;
  s->local = to->local;
  hash_insert(all, s);
}

static bool is_at(const dtls_session *s, const copal_addr *remote, uint16_t local)
{
  return memcmp(&s->remote, remote, sizeof *remote) == 0 &&
         (s->local == local || s->local == 0 || local == 0);
}

dtls_session *dtls_session_by_path(const dtls_sessions *all, const copal_path *path,
                                   dtls_session_state state)
{
  dtls_session *s = at(all, *bucket_of(all, &path->remote));
  while (s != NULL && (s->state != state || !is_at(s, &path->remote, path->local)))
    s = at(all, s->hash_next);
  return s;
}

/* ----------------------------------------------------------------------------------------- slots
 */

/* Takes the next slot that was never used. Its first generation is random, so that the CIDs of an
 * earlier process mean nothing here. */
static dtls_session *take_unused(dtls_sessions *all)
{
  const uint32_t slot = all->used++;
  all->slots[slot].generation = copal_hash_mix(all->cfg.seed, slot);
  return &all->slots[slot];
}

static void rest(dtls_sessions *all, dtls_session *s)
{
  order_append(all, &all->rest, s);
  all->resting_count++;
}

static dtls_session *rouse(dtls_sessions *all, dtls_session *s)
{
  order_remove(all, &all->rest, s);
  all->resting_count--;
  return s;
}

/* Few slots rest long; many need not be touched at all. */
static dtls_session *take_slot(dtls_sessions *all)
{
  if (all->used < all->slot_count && all->resting_count < REST_COUNT)
    return take_unused(all);
  return rouse(all, at(all, all->rest.oldest));
}

static dtls_session *take_given_slot(dtls_sessions *all, uint32_t slot)
{
  while (all->used <= slot)
    rest(all, take_unused(all));
  return rouse(all, &all->slots[slot]);
}

/* ------------------------------------------------------------------------------------- long CIDs
 */

static uint32_t long_index(const dtls_session *s)
{
  uint32_t index;
  memcpy(&index, s->peer_cid, sizeof index);
  return index;
}

bool dtls_sessions_has_room_for_cid(const dtls_sessions *all, size_t len)
{
  return len <= DTLS_PEER_CID_INLINE ||
         (len <= DTLS_CID_MAX &&
          (all->long_free_count > 0 || all->long_used < all->cfg.long_cid_max));
}

static void set_peer_cid(dtls_sessions *all, dtls_session *s, copal_span cid)
{
  uint8_t *room = s->peer_cid;
  if (cid.len > DTLS_PEER_CID_INLINE) {
    const uint32_t index =
        all->long_free_count > 0 ? all->long_free[--all->long_free_count] : all->long_used++;
    memcpy(s->peer_cid, &index, sizeof index);
    room = all->long_cids[index];
    s->flags |= DTLS_SESSION_LONG_CID;
  }
  if (cid.len > 0)
    memcpy(room, cid.ptr, cid.len);
  s->peer_cid_len = (uint8_t)cid.len;
}

copal_span dtls_session_peer_cid(const dtls_sessions *all, const dtls_session *s)
{
  const bool is_long = (s->flags & DTLS_SESSION_LONG_CID) != 0;
  return copal_span_of(is_long ? all->long_cids[long_index(s)] : s->peer_cid, s->peer_cid_len);
}

/* ------------------------------------------------------------------------------ opening, closing
 */

static size_t carve(size_t *size, size_t more)
{
  const size_t offset = *size;
  *size += (more + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return offset;
}

/* Reserves address space; what is never touched takes no memory. Keys have no place in a core
 * dump. */
static int map_tables(dtls_sessions *all)
{
  const uint32_t bucket_count = copal_map_bucket_count(all->slot_count);
  size_t size = 0;
  const size_t slots = carve(&size, sizeof *all->slots * all->slot_count);
  const size_t buckets = carve(&size, sizeof *all->buckets * bucket_count);
  const size_t cids = carve(&size, sizeof *all->long_cids * all->cfg.long_cid_max);
  const size_t frees = carve(&size, sizeof *all->long_free * all->cfg.long_cid_max);
  const size_t raises = carve(&size, sizeof *all->raises * all->slot_count);
  const size_t aliases = carve(&size, sizeof *all->aliases * all->slot_count);
  const size_t alias_buckets = carve(&size, sizeof *all->alias_buckets * bucket_count);
  uint8_t *map =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED)
    return COPAL_ENOSPC;
  madvise(map, size, MADV_DONTDUMP);
  all->map = map;
  all->map_size = size;
  all->slots = (dtls_session *)(void *)(map + slots);
  all->buckets = (uint32_t *)(void *)(map + buckets);
  all->long_cids = (uint8_t(*)[DTLS_CID_MAX])(map + cids);
  all->long_free = (uint32_t *)(void *)(map + frees);
  all->raises = (dtls_raise *)(void *)(map + raises);
  all->aliases = (dtls_alias *)(void *)(map + aliases);
  all->alias_buckets = (uint32_t *)(void *)(map + alias_buckets);
  all->bucket_mask = bucket_count - 1;
  return COPAL_OK;
}

static void set_limits(dtls_sessions *all, const dtls_sessions_cfg *cfg)
{
  all->cfg.idle_s = cfg->idle_s;
  all->cfg.forgery_max = cfg->forgery_max != 0 ? cfg->forgery_max : FORGERY_MAX_DEFAULT;
}

int dtls_sessions_open(const dtls_sessions_cfg *cfg, dtls_sessions **out)
{
  if (cfg->max == 0 || cfg->handshake_max == 0 || cfg->max > DTLS_SESSION_MAX ||
      cfg->handshake_max > DTLS_SESSION_MAX - cfg->max || cfg->seal_max > DTLS_SEQ_MAX)
    return COPAL_EINVAL;
  dtls_sessions *all = calloc(1, sizeof *all);
  if (all == NULL)
    return COPAL_ENOSPC;
  all->cfg = *cfg;
  set_limits(all, cfg);
  if (all->cfg.long_cid_max == 0)
    all->cfg.long_cid_max = cfg->max / LONG_CID_SHARE + 1;
  if (all->cfg.seal_max == 0)
    all->cfg.seal_max = SEAL_MAX_DEFAULT;
  all->slot_count = cfg->max + cfg->handshake_max;
  while (all->slot_count >> all->number_bits != 0)
    all->number_bits++;
  if (map_tables(all) != COPAL_OK) {
    free(all);
    return COPAL_ENOSPC;
  }
  *out = all;
  return COPAL_OK;
}

void dtls_sessions_close(dtls_sessions *all)
{
  if (all == NULL)
    return;
  explicit_bzero(all->slots, sizeof *all->slots * all->used);
  munmap(all->map, all->map_size);
  free(all);
}

void dtls_sessions_reload(dtls_sessions *all, const dtls_sessions_cfg *cfg)
{
  set_limits(all, cfg);
}

const dtls_sessions_stats *dtls_sessions_stats_now(const dtls_sessions *all)
{
  return &all->stats;
}

uint32_t dtls_sessions_count(const dtls_sessions *all)
{
  return all->count;
}

uint32_t dtls_sessions_handshake_count(const dtls_sessions *all)
{
  return all->handshake_count;
}

/* ------------------------------------------------------------------------------------------ life
 */

dtls_session *dtls_session_take(dtls_sessions *all, const copal_path *path, uint8_t lane)
{
  if (all->handshake_count == all->cfg.handshake_max) {
    all->stats.no_slot++;
    return NULL;
  }
  dtls_session *s = take_slot(all);
  s->state = DTLS_SESSION_HANDSHAKE;
  s->remote = path->remote;
  s->local = path->local;
  s->lane = lane;
  hash_insert(all, s);
  all->handshake_count++;
  return s;
}

/* The session becomes one of those in use. */
static void enter(dtls_sessions *all, dtls_session *s)
{
  s->state = DTLS_SESSION_UP;
  s->tx_block = DTLS_NO_BLOCK;
  order_append(all, &all->use, s);
  all->count++;
}

int dtls_session_establish(dtls_sessions *all, dtls_session *s, const dtls_established *e,
                           copal_time now)
{
  if (!dtls_aead_is_known(e->aead) || e->peer_cid.len > DTLS_CID_MAX)
    return COPAL_EINVAL;
  if (!dtls_sessions_has_room_for_cid(all, e->peer_cid.len)) {
    all->stats.no_long_cid++;
    return COPAL_ENOSLOT;
  }
  s->aead = (uint8_t)e->aead;
  s->flags = (uint8_t)(e->flags & (DTLS_SESSION_CID | DTLS_SESSION_CONFIRMED |
                                   DTLS_SESSION_RESUMED | DTLS_SESSION_CLIENT));
  s->rx = e->rx;
  s->tx = e->tx;
  s->window = e->window;
  s->tx_seq = e->tx_seq;
  s->identity = e->identity;
  s->flight_seq = e->flight_seq;
  s->flight_mid = e->flight_mid;
  memcpy(s->verify_data, e->verify_data, sizeof s->verify_data);
  s->last_use = seconds(now);
  set_peer_cid(all, s, e->peer_cid);
  all->handshake_count--;
  enter(all, s);
  all->stats.established++;
  if (all->count > all->cfg.max)
    dtls_session_end(all, at(all, all->use.oldest), DTLS_END_EVICTED);
  return COPAL_OK;
}

/* Tells who wants to know, while the keys are still there. */
static void take_leave(dtls_sessions *all, dtls_session *s, dtls_end why)
{
  s->state = DTLS_SESSION_ENDING;
  all->stats.ended[why]++;
  if (all->cfg.on_end != NULL)
    all->cfg.on_end->on_end(all->cfg.on_end, s, why);
  order_remove(all, &all->use, s);
  all->count--;
  if ((s->flags & DTLS_SESSION_LONG_CID) != 0)
    all->long_free[all->long_free_count++] = long_index(s);
  if ((s->flags & DTLS_SESSION_ALIAS) != 0)
    dtls_alias_remove(all, s);
}

void dtls_session_end(dtls_sessions *all, dtls_session *s, dtls_end why)
{
  switch ((dtls_session_state)s->state) {
  case DTLS_SESSION_FREE:
  case DTLS_SESSION_ENDING: return;
  case DTLS_SESSION_HANDSHAKE: all->handshake_count--; break;
  case DTLS_SESSION_UP: take_leave(all, s, why); break;
  }
  hash_remove(all, s);
  const uint32_t generation = s->generation + 1;
  explicit_bzero(s, sizeof *s);
  s->generation = generation;
  rest(all, s);
}

/* The next session that a new one at the same address makes meaningless. A session with a CID is
 * not known by its address, which a translator may have given to somebody else. */
static dtls_session *find_replaced(const dtls_sessions *all, const dtls_session *by)
{
  dtls_session *s = at(all, *bucket_of(all, &by->remote));
  for (; s != NULL; s = at(all, s->hash_next)) {
    if (s == by || s->state != DTLS_SESSION_UP || !is_at(s, &by->remote, by->local))
      continue;
    if ((s->flags & DTLS_SESSION_CID) == 0 || (s->identity == by->identity && s->identity != 0))
      return s;
  }
  return NULL;
}

unsigned dtls_session_replace_others(dtls_sessions *all, const dtls_session *by)
{
  unsigned count = 0;
  for (dtls_session *s; (s = find_replaced(all, by)) != NULL; count++)
    dtls_session_end(all, s, DTLS_END_REPLACED);
  return count;
}

unsigned dtls_sessions_sweep(dtls_sessions *all, copal_time now)
{
  unsigned count = 0;
  while (count < SWEEP_COUNT && dtls_sessions_next_sweep(all) <= now) {
    dtls_session_end(all, at(all, all->use.oldest), DTLS_END_IDLE);
    count++;
  }
  return count;
}

copal_time dtls_sessions_next_sweep(const dtls_sessions *all)
{
  const dtls_session *oldest = at(all, all->use.oldest);
  if (oldest == NULL || all->cfg.idle_s == 0)
    return COPAL_NEVER;
  /* The second of the last use counts whole: nothing is ended early. */
  return ((copal_time)oldest->last_use + all->cfg.idle_s + 1) * COPAL_SECOND;
}

/* --------------------------------------------------------------------------------------- finding
 */

static bool is_named(const dtls_session *s)
{
  return s->state == DTLS_SESSION_HANDSHAKE || s->state == DTLS_SESSION_UP;
}

static dtls_session *find_cid(const dtls_sessions *all, const dtls_cid *cid)
{
  if (cid->slot < all->used) {
    dtls_session *s = &all->slots[cid->slot];
    if (is_named(s) && s->generation == cid->generation && s->lane == cid->lane &&
        (s->flags & DTLS_SESSION_ALIAS) == 0)
      return s;
  }
  return dtls_alias_find(all, cid);
}

dtls_session *dtls_session_by_cid(dtls_sessions *all, copal_span bytes)
{
  dtls_cid cid;
  dtls_session *s = NULL;
  if (dtls_cid_read(all->cfg.cid_key, bytes, &cid))
    s = find_cid(all, &cid);
  if (s == NULL)
    all->stats.rx_unknown_cid++;
  return s;
}

void dtls_session_name(const dtls_sessions *all, const dtls_session *s, uint8_t out[DTLS_NAME_SIZE])
{
  const dtls_cid cid = dtls_session_own_cid(all, s);
  copal_wr w = copal_wr_init((copal_mspan){out, DTLS_NAME_SIZE});
  copal_wr_u8(&w, cid.lane);
  copal_wr_be(&w, cid.slot, 4);
  copal_wr_be(&w, cid.generation, 4);
  copal_wr_span(&w, copal_span_of(s->verify_data, sizeof s->verify_data));
}

dtls_session *dtls_session_named(const dtls_sessions *all, copal_span name)
{
  copal_rd r = copal_rd_init(name);
  dtls_cid cid = {.lane = copal_rd_u8(&r)};
  cid.slot = copal_rd_be(&r, 4);
  cid.generation = copal_rd_be(&r, 4);
  const copal_span rest = copal_rd_rest(&r);
  dtls_session *s = r.err == COPAL_OK ? find_cid(all, &cid) : NULL;
  const bool is_it =
      s != NULL && s->state == DTLS_SESSION_UP &&
      copal_span_is_equal(rest, copal_span_of(s->verify_data, sizeof s->verify_data));
  return is_it ? s : NULL;
}

dtls_cid dtls_session_own_cid(const dtls_sessions *all, const dtls_session *s)
{
  const uint32_t slot = dtls_session_slot(all, s);
  if ((s->flags & DTLS_SESSION_ALIAS) != 0)
    return (dtls_cid){s->lane, all->aliases[slot].slot, all->aliases[slot].generation};
  return (dtls_cid){s->lane, slot, s->generation};
}

void dtls_session_cid(const dtls_sessions *all, const dtls_session *s, uint8_t out[DTLS_CID_SIZE])
{
  const dtls_cid cid = dtls_session_own_cid(all, s);
  dtls_cid_make(all->cfg.cid_key, &cid, out);
}

uint32_t dtls_session_slot(const dtls_sessions *all, const dtls_session *s)
{
  return (uint32_t)(s - all->slots);
}

uint32_t dtls_session_number(const dtls_sessions *all, const dtls_session *s)
{
  return s->generation << all->number_bits | link_of(all, s);
}

dtls_session *dtls_session_of(const dtls_sessions *all, uint32_t number)
{
  const uint32_t link = number & ((UINT32_C(1) << all->number_bits) - 1);
  if (link == 0 || link > all->used)
    return NULL;
  dtls_session *s = at(all, link);
  return s->state != DTLS_SESSION_FREE && dtls_session_number(all, s) == number ? s : NULL;
}

copal_path dtls_session_path(const dtls_sessions *all, const dtls_session *s)
{
  return (copal_path){.remote = s->remote,
                      .session = dtls_session_number(all, s),
                      .local = s->local,
                      .flags = COPAL_PATH_SECURE};
}

dtls_session *dtls_session_from_slot(const dtls_sessions *all, uint32_t slot)
{
  while (slot < all->used && all->slots[slot].state != DTLS_SESSION_UP)
    slot++;
  return slot < all->used ? &all->slots[slot] : NULL;
}

/* ------------------------------------------------------------------------------------- restoring
 */

static bool is_slot_free(const dtls_sessions *all, uint32_t slot)
{
  return slot < all->slot_count &&
         (slot >= all->used || all->slots[slot].state == DTLS_SESSION_FREE);
}

/* Its slot, or another when that is taken or beyond the table. */
static dtls_session *take_slot_like(dtls_sessions *all, uint32_t slot)
{
  return is_slot_free(all, slot) ? take_given_slot(all, slot) : take_slot(all);
}

/* The session at `s`, which has a slot, becomes what the image says. */
static void fill(dtls_sessions *all, dtls_session *s, const dtls_restored *r)
{
  const uint32_t own_generation = s->generation;
  const bool has_slot = dtls_session_slot(all, s) == r->slot;
  *s = *r->image;
  s->flags &= (uint8_t) ~(DTLS_SESSION_LONG_CID | DTLS_SESSION_ALIAS);
  s->local = 0;
  s->hash_next = s->newer = s->older = 0;
  if (has_slot)
    return;
  s->generation = own_generation;
  dtls_alias_insert(all, s, r->slot, r->image->generation); /* without a CID, too: it has a name */
}

int dtls_session_restore(dtls_sessions *all, const dtls_restored *r, dtls_session **out,
                         copal_time now)
{
  const dtls_session *image = r->image;
  if (!dtls_aead_is_known(image->aead) || r->peer_cid.len > DTLS_CID_MAX ||
      r->slot >= DTLS_SESSION_MAX || image->tx_seq > DTLS_SEQ_MAX ||
      image->window.top > DTLS_SEQ_MAX + 1)
    return COPAL_EINVAL;
  if (all->count >= all->cfg.max || !dtls_sessions_has_room_for_cid(all, r->peer_cid.len))
    return COPAL_ENOSLOT;
  dtls_session *s = take_slot_like(all, r->slot);
  fill(all, s, r);
  s->last_use = seconds(now) - r->idle_s;
  set_peer_cid(all, s, r->peer_cid);
  hash_insert(all, s);
  enter(all, s);
  all->stats.restored++;
  if (dtls_session_is_stale(s))
    all->stats.restored_stale++;
  *out = s;
  return COPAL_OK;
}

static int compare_keys(const void *a, const void *b)
{
  const uint32_t x = ((const dtls_raise *)a)->key, y = ((const dtls_raise *)b)->key;
  return (x > y) - (x < y);
}

void dtls_sessions_settle(dtls_sessions *all)
{
  uint32_t count = 0;
  for (uint32_t slot = 0; slot < all->used; slot++)
    if (all->slots[slot].state == DTLS_SESSION_UP)
      all->raises[count++] = (dtls_raise){all->slots[slot].last_use, slot};
  qsort(all->raises, count, sizeof *all->raises, compare_keys);
  all->use = (dtls_order){0, 0};
  for (uint32_t i = 0; i < count; i++)
    order_append(all, &all->use, &all->slots[all->raises[i].slot]);
  all->raise_count = 0;
  madvise(all->raises, sizeof *all->raises * all->slot_count, MADV_DONTNEED);
}
