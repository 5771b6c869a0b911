/* SPDX-License-Identifier: Apache-2.0 */
/* CIDs of sessions that were restored in another slot than the one their CID names, because shards
 * were merged or the table became smaller. RFC 9146 section 3. */
#include "core/base/map.h"
#include "transport/dtls/session.h"
#include "transport/dtls/session_table.h"

static uint32_t *bucket_of(const dtls_sessions *all, const dtls_cid *cid)
{
  uint32_t hash = copal_hash_mix(all->cfg.seed, cid->slot);
  hash = copal_hash_mix(hash, cid->generation);
  return &all->alias_buckets[copal_hash_mix(hash, cid->lane) & all->bucket_mask];
}

void dtls_alias_insert(dtls_sessions *all, dtls_session *s, uint32_t slot, uint32_t generation)
{
  const uint32_t own = dtls_session_slot(all, s);
  const dtls_cid cid = {s->lane, slot, generation};
  uint32_t *bucket = bucket_of(all, &cid);
  all->aliases[own] = (dtls_alias){slot, generation, *bucket};
  *bucket = own + 1;
  s->flags |= DTLS_SESSION_ALIAS;
}

void dtls_alias_remove(dtls_sessions *all, dtls_session *s)
{
  const uint32_t own = dtls_session_slot(all, s);
  const dtls_cid cid = dtls_session_own_cid(all, s);
  uint32_t *link = bucket_of(all, &cid);
  while (*link != own + 1)
    link = &all->aliases[*link - 1].next;
  *link = all->aliases[own].next;
  s->flags &= (uint8_t)~DTLS_SESSION_ALIAS;
}

dtls_session *dtls_alias_find(const dtls_sessions *all, const dtls_cid *cid)
{
  for (uint32_t link = *bucket_of(all, cid); link != 0; link = all->aliases[link - 1].next) {
    const dtls_alias *a = &all->aliases[link - 1];
    dtls_session *s = &all->slots[link - 1];
    if (a->slot == cid->slot && a->generation == cid->generation && s->lane == cid->lane)
      return s->state == DTLS_SESSION_UP ? s : NULL;
  }
  return NULL;
}
