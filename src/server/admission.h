/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is let in: who asks, how often, and whether the access rules allow it. RFC 7252
 * sections 5.9.2.2, 5.9.2.4 and 8.2, RFC 7641 section 4.1, RFC 8516. Thread: the shard's only. */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include "copal/endpoint.h"
#include "policy/access_gate.h"
#include "policy/identity.h"
#include "policy/rate.h"
#include "server/audit.h"

typedef struct admission_stats {
  uint64_t unauthorized;   /* 4.01: access rules, anonymous */
  uint64_t forbidden;      /* 4.03: access rules, authenticated */
  uint64_t group_refused;  /* no answer: access rules or limits, multicast */
  uint64_t observe_denied; /* answered without Observe: no right to it */
  uint64_t observe_ended;  /* relations ended by other rules */
  rate_stats rate;
  uint64_t audit_missed; /* changes that the audit could not follow */
} admission_stats;

/* Knows who is behind the security sessions of a shard. */
typedef struct admission_sessions {
  /* The identity of the session that `path` names, held while the call lasts; 0 for none. */
  identity_ref (*identity)(struct admission_sessions *s, const copal_path *path);

  /* True while what comes through that session may be a replay. */
  bool (*is_stale)(struct admission_sessions *s, const copal_path *path);
} admission_sessions;

/* What can change while the server runs. */
typedef struct admission_cfg {
  access_rules *rules; /* NULL: everything is allowed */
  rate_cfg rate;
  audit_mode audit;
} admission_cfg;

typedef struct admission {
  copal_reviewer reviewer; /* first: looks over relations */
  access_gate *gate;
  rate *rate;
  audit audit;
  const identities *people;     /* lent; NULL: nobody has one */
  admission_sessions *sessions; /* lent; NULL: there are none */
  admission_stats stats;
  bool is_limited; /* some limit of the rate is on */
} admission;

/* Who asks, and how the request is protected. */
typedef struct admission_asker {
  const identity *id;
  uint8_t over; /* ACCESS_PLAIN, _SESSION or _OSCORE */
} admission_asker;

/* Holds the rules for itself. Returns 0 or COPAL_ENOSPC; then wipe it. */
int admission_init(admission *a, const admission_cfg *cfg);

/* Takes other values over; relations whose clients lost the right to them are told and end. */
void admission_reload(admission *a, const admission_cfg *cfg, copal_ep *ep, copal_time now);

/* Frees what it has. Safe on a zeroed object. */
void admission_wipe(admission *a);

/* True for a datagram with a request that is not worth being read, because its sender floods. */
static inline bool admission_is_silent(admission *a, const copal_path *path, copal_time now)
{
  return a->is_limited && rate_is_silent(a->rate, path, now);
}

/* Who is behind a path. The identity is lent as long as its session lasts. */
admission_asker admission_asker_of(const admission *a, const copal_path *path);

/* Counts the request. Returns 0, or the seconds after which to ask again: 4.29. */
uint32_t admission_wait(admission *a, const copal_req *req, const admission_asker *who,
                        copal_time now);

/* What the rules say of the request: 0, or the error to answer. `key` is its canonical path. */
copal_code admission_judge(admission *a, const copal_req *req, const admission_asker *who,
                           copal_span key, copal_time now);

/* True for a request that must not take effect before an Echo value has shown that it is no replay:
 * the session comes from a checkpoint, and the request is not safe. RFC 9175 section 2.3. */
bool admission_is_doubtful(const admission *a, const copal_req *req);

/* Whether a request that wants to observe may do so. */
bool admission_may_observe(admission *a, const admission_asker *who, copal_span key);

/* The counters with those of its parts. */
admission_stats admission_stats_now(const admission *a);

#endif
