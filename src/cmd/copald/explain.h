/* SPDX-License-Identifier: Apache-2.0 */
/* copald --explain: which access rule decides, and why. Thread: the main thread only. */
#ifndef COPALD_EXPLAIN_H
#define COPALD_EXPLAIN_H

#include <stdio.h>

#include "policy/access.h"

/* Answers "IDENTITY METHOD PATH [over any|secure|oscore]". `rules` may be NULL: there are none.
 * Returns the exit code: 0 allowed, 1 denied, 2 the question is not one. */
int explain(const access_rules *rules, const char *question, FILE *out, FILE *err);

#endif
