/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional query parameters of observations: which changes a client wants to hear of, and how
 * often. draft-ietf-core-conditional-attributes-12 section 3; documented in docs/conditions.md.
 *
 * Values and decisions only: no clock, no timer, no endpoint. */
#ifndef SERVICE_CONDITIONS_H
#define SERVICE_CONDITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/time.h"
#include "service/conditions_value.h"
#include "service/problem.h"

/* Which parameters a query has. */
enum {
  CONDITIONS_GT = 1 << 0,
  CONDITIONS_LT = 1 << 1,
  CONDITIONS_ST = 1 << 2,
  CONDITIONS_BAND = 1 << 3,
  CONDITIONS_EDGE = 1 << 4,
  CONDITIONS_PMIN = 1 << 5,
  CONDITIONS_PMAX = 1 << 6,
  CONDITIONS_EPMIN = 1 << 7,
  CONDITIONS_EPMAX = 1 << 8,
  CONDITIONS_CON = 1 << 9,
};

/* Shorter maximum periods would make the server a source of traffic that no change causes; such a
 * request is answered without Observe (section 5 of the draft). */
#define CONDITIONS_PERIOD_MIN (100 * COPAL_MILLISECOND)

typedef struct conditions {
  unsigned present; /* CONDITIONS_*; 0: an observation like any other */
  double gt, lt, st;
  bool edge; /* notify of the rising edge, else of the falling one */
  bool con;
  copal_time pmin, pmax, epmin, epmax; /* microseconds */
} conditions;

/* Reads the Uri-Query options that begin with "c."; others are not looked at. Returns false
 * and 4.00 for values that are malformed, out of range or contradict one another, parameters given
 * twice, and parameters that the draft does not know. */
bool conditions_parse(conditions *c, copal_span options, problem *why);

/* True when the value can be compared as the conditions demand. False and 4.00 otherwise. */
bool conditions_suit(const conditions *c, const conditions_value *v, problem *why);

/* False when the server does not want to observe on these terms. */
bool conditions_are_welcome(const conditions *c);

/* An observation with conditions: what its client has been told and when. */
typedef struct conditions_state {
  conditions asked;
  conditions_value reported; /* in the last notification */
  conditions_value sampled;  /* at the last evaluation */
  copal_time reported_at;
  copal_time sampled_at;
  bool is_changed; /* since the last evaluation */
  bool is_owed;    /* the conditions hold; the notification waits for pmin */
} conditions_state;

/* The client has been sent the value in the response that registers it. */
void conditions_begin(conditions_state *s, const conditions *c, const conditions_value *v,
                      copal_time now);

/* Decides about the present value; `is_changed`: the resource has changed since the last call.
 * Returns true when a notification is due now, which is then taken as sent. `*again` is when to ask
 * again if nothing changes, or COPAL_NEVER. */
bool conditions_judge(conditions_state *s, const conditions_value *v, bool is_changed,
                      copal_time now, copal_time *again);

/* A notification has left with this value: the one that was due, or a newer one. */
void conditions_reported(conditions_state *s, const conditions_value *v, copal_time now);

#endif
