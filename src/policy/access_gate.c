/* SPDX-License-Identifier: Apache-2.0 */
/* Where a shard asks the access rules. Thread: the owner's only. */
#include "policy/access_gate.h"

#include <stdlib.h>
#include <string.h>

enum { PROFILES = 4096 }; /* a power of two */

/* How the rules know an identity. */
typedef struct known {
  uint64_t serial; /* of the identity; 0: none */
  access_profile profile;
} known;

struct access_gate {
  access_rules *rules;
  uint32_t turn; /* how many rules there were before */
  access_profile anonymous;
  known known[PROFILES];
};

static const identity nobody = {.kind = IDENTITY_ANONYMOUS};

access_gate *access_gate_open(access_rules *rules)
{
  access_gate *g = calloc(1, sizeof *g);
  if (g != NULL)
    access_gate_reload(g, rules);
  return g;
}

void access_gate_close(access_gate *g)
{
  if (g == NULL)
    return;
  access_release(g->rules);
  free(g);
}

void access_gate_reload(access_gate *g, access_rules *rules)
{
  access_rules *old = g->rules;
  g->rules = access_hold(rules);
  if (old != NULL) /* nobody is known without rules, and pages never written take no memory */
    memset(g->known, 0, sizeof g->known);
  access_release(old);
  g->turn++;
  if (rules != NULL)
    g->anonymous = access_profile_of(rules, &nobody, ACCESS_PLAIN);
}

const access_rules *access_gate_rules(const access_gate *g)
{
  return g->rules;
}

uint64_t access_gate_mark(const access_gate *g, const identity *id, uint8_t over)
{
  if (g->rules == NULL)
    return 0;
  uint64_t mark = id->serial * 0x9e3779b97f4a7c15ull; /* spreads what counts up */
  mark ^= ((uint64_t)g->turn << 32) | over;
  return mark * 0xbf58476d1ce4e5b9ull;
}

void access_gate_name(const access_gate *g, const identity *id, uint8_t over, copal_wr *w)
{
  copal_wr_be(w, (uint32_t)(id->serial >> 32), 4);
  copal_wr_be(w, (uint32_t)id->serial, 4);
  copal_wr_be(w, g->turn, 4);
  copal_wr_be(w, over, 1);
}

const access_profile *access_gate_profile(access_gate *g, const identity *id, uint8_t over)
{
  if (id->kind == IDENTITY_ANONYMOUS) {
    g->anonymous.over = over;
    return &g->anonymous;
  }
  known *k = &g->known[id->serial & (PROFILES - 1)];
  if (k->serial != id->serial)
    *k = (known){id->serial, access_profile_of(g->rules, id, over)};
  k->profile.id = id; /* lent for the call only */
  k->profile.over = over;
  return &k->profile;
}

access_verdict access_gate_judge(access_gate *g, const identity *id, uint8_t over, unsigned right,
                                 copal_span key)
{
  if (g->rules == NULL)
    return (access_verdict){.is_allowed = true};
  return access_judge(g->rules, access_gate_profile(g, id, over), right, key);
}
