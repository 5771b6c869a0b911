/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are given once more: a table where each request has one place. What comes twice in a
 * row is worth keeping, so that many that come once do not push out what comes often. */
#include "core/proto/recall.h"

#include <string.h>

#define KEPT_BIT UINT32_C(0x80000000) /* no hash is 0 */

enum {
  SLOT_SIZE = 256, /* bytes */
  ROOM = SLOT_SIZE - (int)sizeof(recall_slot),
  COUNT_MAX = 1 << 24,
  WORD = sizeof(uint64_t),
};

_Static_assert(ROOM <= UINT8_MAX, "lengths fit a byte");
_Static_assert(sizeof(recall_slot) % WORD == 0, "the proof is aligned for any number");

/* What is looked at first. Slots that are not used are not touched. */
typedef struct recall_place {
  uint32_t kept; /* hash of the request whose answer is in the slot; 0: there is none */
  uint32_t seen; /* of the one that did not find its answer here last */
} recall_place;

/* The endpoint's table. */
struct recall {
  recall_place *places;
  uint8_t *slots; /* of SLOT_SIZE, one for each place */
  uint32_t mask;
};

bool recall_is_valid(const copal_ep_cfg *cfg)
{
  const uint32_t n = cfg->recall_count;
  return n <= COUNT_MAX && (n & (n - 1)) == 0;
}

void recall_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg)
{
  if (cfg->recall_count == 0)
    return;
  struct recall *r = copal_carve(c, sizeof *r);
  recall_place *places = copal_carve_zeros(c, cfg->recall_count * sizeof *places);
  uint8_t *slots = copal_carve(c, (uint64_t)cfg->recall_count * SLOT_SIZE);
  if (!ep)
    return;
  *r = (struct recall){.places = places, .slots = slots, .mask = cfg->recall_count - 1};
  ep->recall = r;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
  h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
  return h ^ h >> 32;
}

/* Good for finding a place; what lies there is compared. Never 0. */
static uint32_t hash_of(const copal_ep *ep, copal_span key)
{
  uint64_t h = mix(ep->seed, key.len);
  uint64_t word = 0;
  size_t at = 0;
  for (; key.len - at >= WORD; at += WORD) {
    memcpy(&word, key.ptr + at, WORD);
    h = mix(h, word);
  }
  for (word = 0; at < key.len; at++)
    word = word << 8 | key.ptr[at];
  return (uint32_t)mix(h, word) | KEPT_BIT;
}

static bool is_about(const recall_slot *s, copal_span key)
{
  return s->key_len == key.len && memcmp(s->bytes + s->proof_len, key.ptr, key.len) == 0;
}

static recall_slot *slot_at(const struct recall *r, size_t at)
{
  return (recall_slot *)(void *)(r->slots + at * SLOT_SIZE);
}

/* A GET without a body, of one server. */
static bool is_eligible(const copal_ep *ep, const turn *t)
{
  const copal_msg *m = t->msg;
  return ep->recall && m->code == COPAL_CODE_GET && m->payload.len == 0 && m->options.len > 0 &&
         m->options.len < ROOM && (t->path->flags & COPAL_PATH_GROUP) == 0;
}

const recall_slot *recall_find(copal_ep *ep, turn *t)
{
  if (!is_eligible(ep, t))
    return NULL;
  const struct recall *r = ep->recall;
  const copal_span key = t->msg->options;
  const uint32_t hash = hash_of(ep, key);
  recall_place *place = &r->places[hash & r->mask];
  const recall_slot *s = slot_at(r, hash & r->mask);
  const bool is_kept = place->kept == hash && is_about(s, key);
  if (is_kept && ep->cfg.server->is_current(ep->cfg.server, t->path,
                                            copal_span_of(s->bytes, s->proof_len), t->now))
    return s;
  if (is_kept || place->seen == hash)
    t->recall_hash = hash;
  place->seen = hash;
  return NULL;
}

void recall_keep(copal_ep *ep, const turn *t, const copal_response *r, const copal_wr *w)
{
  const copal_span key = t->msg->options, token = t->msg->token;
  const size_t head = COPAL_HEADER_SIZE + token.len;
  if (t->recall_hash == 0 || r->proof.len == 0 || token.len > COPAL_TOKEN_MAX ||
      !ep->cfg.server->is_current)
    return;
  const copal_span tail = copal_span_of(w->buf + head, w->len - head);
  if (r->proof.len > ROOM || tail.len > ROOM || r->proof.len + key.len + tail.len > ROOM)
    return;
  const uint32_t at = t->recall_hash & ep->recall->mask;
  recall_slot *s = slot_at(ep->recall, at);
  ep->recall->places[at].kept = t->recall_hash;
  *s = (recall_slot){.key_len = (uint8_t)key.len,
                     .tail_len = (uint8_t)tail.len,
                     .proof_len = (uint8_t)r->proof.len,
                     .code = r->code};
  memcpy(s->bytes, r->proof.ptr, r->proof.len);
  memcpy(s->bytes + s->proof_len, key.ptr, key.len);
  if (tail.len > 0)
    memcpy(s->bytes + s->proof_len + s->key_len, tail.ptr, tail.len);
}
