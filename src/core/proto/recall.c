/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are given once more: a table where each request has one place. What is not found
 * there twice in a row is worth keeping, so that many that come once do not push out what comes
 * often. */
#include "core/proto/recall.h"

#include <string.h>

#include "core/proto/challenge.h"
#include "core/proto/dedup.h"
#include "core/proto/reply.h"
#include "core/proto/send.h"
#include "core/proto/serve.h"

#define KEPT_BIT UINT32_C(0x80000000) /* no hash is 0 */

/* An answer that is kept, with what was asked. */
typedef struct recall_slot {
  uint8_t key_len;
  uint8_t tail_len;
  uint8_t proof_len;
  copal_code code;
  _Alignas(uint64_t) uint8_t bytes[]; /* proof, options asked with, options and payload of the
                                         answer */
} recall_slot;

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

/* All of up to WORD bytes: by two halves that overlap, or byte by byte. */
static uint64_t rest_of(const uint8_t *bytes, size_t len)
{
  enum { HALF = WORD / 2 };
  uint32_t low, high;
  uint64_t word = 0;
  if (len >= HALF) {
    memcpy(&low, bytes, HALF);
    memcpy(&high, bytes + len - HALF, HALF);
    return (uint64_t)high << 32 | low;
  }
  for (size_t i = 0; i < len; i++)
    word = word << 8 | bytes[i];
  return word;
}

/* Good for finding a place; what lies there is compared. Never 0. */
static uint32_t hash_of(const copal_ep *ep, copal_span key)
{
  uint64_t h = mix(ep->seed, key.len);
  size_t at = 0;
  for (; key.len - at > WORD; at += WORD) {
    uint64_t word;
    memcpy(&word, key.ptr + at, WORD);
    h = mix(h, word);
  }
  return (uint32_t)mix(h, rest_of(key.ptr + at, key.len - at)) | KEPT_BIT;
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

/* The answer to the request when one is kept that is good now, or NULL. When it has come before
 * without one, `t->recall_hash` says where an answer to it would be kept. */
static const recall_slot *find(copal_ep *ep, turn *t)
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

/* Options and payload of a kept answer. */
static copal_span tail_of(const recall_slot *s)
{
  return copal_span_of(s->bytes + s->proof_len + s->key_len, s->tail_len);
}

/* Writes and sends it, or a challenge in its place. Returns false when there is no room; then
 * nothing has been weighed. */
static bool send_again(copal_ep *ep, turn *t, const recall_slot *s, copal_time now)
{
  reply_rules_begin(t);
  copal_msg head = serve_head(ep, t, s->code, now);
  copal_wr w = send_begin(ep, t->path);
  copal_msg_put_head(&w, &head);
  copal_wr_span(&w, tail_of(s));
  if (w.err)
    return false;
  if (challenge_is_due(ep, t->path, t->msg->code, w.len, now) &&
      challenge_replace(ep, t->path, &w, &head, &t->rules, now) < 0)
    return false;
  send_commit(ep, t->path, &w);
  return true;
}

bool recall_answer(copal_ep *ep, turn *t, copal_time now)
{
  const recall_slot *s = find(ep, t);
  if (!s || t->msg->token.len > ep->cfg.token_cap || !send_again(ep, t, s, now))
    return false;
  /* As of all that is safe, only a Non-confirmable one is remembered. RFC 7252 section 4.5. */
  dedup *d = NULL;
  if (!t->rules.is_confirmable)
    d = dedup_remember(ep, t->path, t->msg->mid, ep->non_lifetime, now);
  if (d)
    d->state = DEDUP_SILENT;
  ep->stats.rx_requests++;
  ep->stats.recalled++;
  challenge_probe(ep, t->path, now);
  return true;
}

bool recall_is_wanted(const turn *t)
{
  /* Those with Echo show something of their sender. RFC 9175 section 2.2. */
  return t->recall_hash != 0 && turn_has_plain_answer(t) &&
         copal_opt_is_absent(t->sight.absent, COPAL_OPT_ECHO);
}

void recall_keep(copal_ep *ep, const turn *t, const copal_response *r, const copal_wr *w)
{
  const copal_span key = t->msg->options, token = t->msg->token;
  const size_t head = COPAL_HEADER_SIZE + token.len;
  if (r->proof.len == 0 || !recall_is_wanted(t) || token.len > COPAL_TOKEN_MAX ||
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
