/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run tells: a line while it lasts, then figures for people or as JSON. */
#ifndef COPAL_CMD_LOAD_SHOW_H
#define COPAL_CMD_LOAD_SHOW_H

#include "cmd/copal/args.h"
#include "cmd/copal/buf.h"
#include "cmd/copal/load/account.h"
#include "cmd/copal/load/plan.h"
#include "cmd/copal/status.h"
#include "cmd/copal/style.h"

/* A finished run. */
typedef struct load_outcome {
  const args *args;
  const load_plan *plan;
  const account *account;
  copal_time elapsed; /* microseconds of the measured part */
  uint64_t cpu_ns;    /* of the server in that time */
  bool has_cpu;
  status result;     /* the exit status */
  const char *error; /* why nothing was measured; NULL: it was */
  bool is_planned;   /* `plan` says what was to be done */
} load_outcome;

/* What is about to be done, in a line. */
void show_plan(const load_outcome *o, buf *out);

/* The figures. */
void show_outcome(const load_outcome *o, const style *s, buf *out);

/* What to show while it lasts: `seconds` since the beginning, the rate since the line before, all
 * that was answered, faults. No line break; at most `width` columns. */
typedef struct load_progress {
  double seconds, per_second;
  uint64_t answered, faults;
} load_progress;

void show_progress(const load_progress *p, size_t width, buf *out);

/* One JSON object and a line break. */
void show_json(const load_outcome *o, buf *out);

#endif
