/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's records by key; shared by the files of the oracle. */
#ifndef SIM_ORACLE_TABLE_H
#define SIM_ORACLE_TABLE_H

#include "oracle.h"

/* FNV-1a over a datagram. */
uint64_t oracle_hash(const uint8_t *bytes, size_t len);

/* The latest record of a message, or NULL. `a` is its sender, `b` its destination. */
oracle_track *oracle_track_find(oracle *o, uint8_t a, uint8_t b, uint16_t mid);

/* A fresh record that replaces an older one of the same key. */
oracle_track *oracle_track_make(oracle *o, uint8_t a, uint8_t b, uint16_t mid);

/* The latest record of a message delivered to `to` in the name of `from`, or NULL; and a fresh one.
 */
oracle_seen *oracle_seen_find(oracle *o, uint8_t to, uint8_t from, uint16_t mid);
oracle_seen *oracle_seen_make(oracle *o, uint8_t to, uint8_t from, uint16_t mid);

/* Ends the interaction of a track: nothing is outstanding any more. */
void oracle_release(oracle *o, oracle_track *t);

/* True while the node's tables have held everything they should: RFC 7252 section 4.5 holds in
 * full. */
bool oracle_has_dedup(const oracle *o, uint8_t node);

/* A safe request may be run again: a confirmable one instead of being remembered, another one when
 * pools are small. RFC 7252 section 4.5. */
static inline bool oracle_may_rerun(const oracle *o, const oracle_seen *s)
{
  const bool is_safe = s->code == COPAL_CODE_GET || s->code == COPAL_CODE_FETCH;
  return is_safe && (s->type == PEEK_CON || !o->is_ample);
}

/* Seconds for messages. */
static inline double oracle_seconds(copal_time t)
{
  return (double)t / 1e6;
}

#endif
