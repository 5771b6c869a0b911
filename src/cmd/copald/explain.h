/* SPDX-License-Identifier: Apache-2.0 */
/* copald --explain: which access rule decides, and why. Thread: the main thread only. */
#ifndef COPALD_EXPLAIN_H
#define COPALD_EXPLAIN_H

#include <stdio.h>

#include "server/conf.h"

/* Answers "IDENTITY METHOD PATH [over any|secure|oscore]". The rules, if any, and the
 * credentials file are those of `c`. Returns the exit code: 0 allowed, 1 denied, 2 the question is
 * not one. */
int explain(const conf *c, const char *question, FILE *out, FILE *err);

#endif
