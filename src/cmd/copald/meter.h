/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of long work, on a terminal only. Thread: one at a time. */
#ifndef COPALD_METER_H
#define COPALD_METER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct meter {
  FILE *out;
  bool is_on;
  const char *what;  /* "dumping": borrowed */
  const char *unit;  /* "resources": borrowed */
  uint64_t total;    /* 0: not known */
  uint64_t shown_ms; /* when it was last shown */
} meter;

/* Shows nothing unless `out` is a terminal. */
void meter_init(meter *m, FILE *out, const char *what, const char *unit, uint64_t total);

/* So much is done. Cheap: the line is written a few times a second. */
void meter_show(meter *m, uint64_t done);

/* Takes the line away, before anything else is written. */
void meter_clear(meter *m);

#endif
