/* SPDX-License-Identifier: Apache-2.0 */
/* Message IDs from shared counters through a keyed permutation. */
#include "core/proto/mid.h"

enum {
  MID_ROUNDS = 4,           /* of a balanced Feistel network: enough to look random */
  MID_GROUP_FIRST = 0xf000, /* from here on for groups only */
  BEAT_SHIFT = 20,          /* a beat is 2^20 microseconds */
};

/* A permutation of the 16-bit numbers that depends on `key`: distinct counters give distinct IDs.
 */
static uint16_t permute(uint16_t v, uint32_t key)
{
  uint8_t left = (uint8_t)(v >> 8);
  uint8_t right = (uint8_t)v;

  for (uint32_t round = 0; round < MID_ROUNDS; round++) {
    const uint8_t next = (uint8_t)(left ^ copal_hash_mix(key, round << 8 | right));
    left = right;
    right = next;
  }
  return (uint16_t)(left << 8 | right);
}

static void start_round(copal_ep *ep, mid_counter *c, copal_time now)
{
  uint32_t *began = &ep->mid_rounds[c - ep->mids];
  const uint32_t beat = (uint32_t)(now >> BEAT_SHIFT);

  if (c->first == 0) {
    c->first = (uint16_t)(ep_random(ep) | 1);
    c->next = c->first;
  } else if (beat - *began < ep->exchange_lifetime >> BEAT_SHIFT) {
    ep->stats.mid_wraps++;
  }
  *began = beat;
}

static uint16_t draw(copal_ep *ep, uint32_t path_hash, bool is_group, copal_time now)
{
  mid_counter *c = &ep->mids[path_hash & (ep->cfg.mid_count - 1)];
  uint16_t mid;

  do {
    if (c->next == c->first) /* also before the first round */
      start_round(ep, c, now);
    mid = permute(c->next++, copal_hash_mix(path_hash, ep->seed));
  } while ((mid >= MID_GROUP_FIRST) != is_group);
  return mid;
}

uint16_t mid_draw(copal_ep *ep, uint32_t path_hash, copal_time now)
{
  return draw(ep, path_hash, false, now);
}

uint16_t mid_draw_group(copal_ep *ep, uint32_t path_hash, copal_time now)
{
  return draw(ep, path_hash, true, now);
}
