/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies as a histogram of constant relative width: recording is O(1), and a percentile is off
 * by less than 1.6 %. */
#ifndef COPAL_CMD_LOAD_HISTOGRAM_H
#define COPAL_CMD_LOAD_HISTOGRAM_H

#include <stdint.h>

#include "copal/time.h"

enum {
  HISTOGRAM_STEPS = 64,   /* cells for each power of two */
  HISTOGRAM_OCTAVES = 32, /* up to 2^37 microseconds, which is more than a day */
  HISTOGRAM_CELLS = HISTOGRAM_STEPS * (HISTOGRAM_OCTAVES + 1),
};

/* A zeroed one is empty. */
typedef struct histogram {
  uint64_t cells[HISTOGRAM_CELLS];
  uint64_t count;
  uint64_t sum; /* microseconds */
  copal_time min, max;
} histogram;

void histogram_add(histogram *h, copal_time us);
void histogram_merge(histogram *h, const histogram *from);

/* The value that `share` (0 to 1) of all do not exceed, microseconds; 0 when empty. */
copal_time histogram_at(const histogram *h, double share);

/* Microseconds; 0 when empty. */
double histogram_mean(const histogram *h);

#endif
