/* SPDX-License-Identifier: Apache-2.0 */
/* Where a shard asks the access rules. It remembers how the rules know those who asked lately, so
 * that names are compared once and not for every request. Thread: the owner's only. */
#ifndef POLICY_ACCESS_GATE_H
#define POLICY_ACCESS_GATE_H

#include "policy/access.h"

typedef struct access_gate access_gate;

/* `rules` are held by the gate for itself; NULL: everything is allowed. Returns NULL without
 * memory. */
access_gate *access_gate_open(access_rules *rules);
void access_gate_close(access_gate *g);

/* Other rules; held likewise. */
void access_gate_reload(access_gate *g, access_rules *rules);

/* The rules, or NULL. */
const access_rules *access_gate_rules(const access_gate *g);

enum { ACCESS_GATE_NAME_MAX = 16 };

/* Writes what differs, within this gate, for other rules, askers and ways in: under it may be kept
 * what somebody is shown. At most ACCESS_GATE_NAME_MAX bytes. */
void access_gate_name(const access_gate *g, const identity *id, uint8_t over, copal_wr *w);

/* Equal for equal rules and askers, so that a tag of what somebody may see can be made of it. */
uint64_t access_gate_mark(const access_gate *g, const identity *id, uint8_t over);

/* How the rules know somebody; lent until the next call. Not without rules. */
const access_profile *access_gate_profile(access_gate *g, const identity *id, uint8_t over);

/* Whether somebody may do `right` to a canonical path. */
access_verdict access_gate_judge(access_gate *g, const identity *id, uint8_t over, unsigned right,
                                 copal_span key);

#endif
