/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies as a histogram of constant relative width. */
#include "cmd/copal/load/histogram.h"

#include <math.h>
#include <stddef.h>

/* Values below HISTOGRAM_STEPS have a cell each; above, every power of two has HISTOGRAM_STEPS. */
static size_t cell_of(copal_time us)
{
  if (us < HISTOGRAM_STEPS)
    return (size_t)us;
  const unsigned top = 63u - (unsigned)__builtin_clzll(us);
  const unsigned octave = top - 5; /* 1 for 64 to 127 */
  const size_t cell = octave * (size_t)HISTOGRAM_STEPS + (size_t)((us >> (octave - 1)) & 63);
  return cell < HISTOGRAM_CELLS ? cell : HISTOGRAM_CELLS - 1;
}

/* The largest value of a cell. */
static copal_time top_of(size_t cell)
{
  if (cell < HISTOGRAM_STEPS)
    return cell;
  const unsigned octave = (unsigned)(cell / HISTOGRAM_STEPS);
  const copal_time step = cell % HISTOGRAM_STEPS;
  return ((HISTOGRAM_STEPS + step + 1) << (octave - 1)) - 1;
}

void histogram_add(histogram *h, copal_time us)
{
  h->cells[cell_of(us)]++;
  h->min = h->count == 0 || us < h->min ? us : h->min;
  h->max = us > h->max ? us : h->max;
  h->count++;
  h->sum += us;
}

void histogram_merge(histogram *h, const histogram *from)
{
  if (from->count == 0)
    return;
  for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
    h->cells[i] += from->cells[i];
  h->min = h->count == 0 || from->min < h->min ? from->min : h->min;
  h->max = from->max > h->max ? from->max : h->max;
  h->count += from->count;
  h->sum += from->sum;
}

copal_time histogram_at(const histogram *h, double share)
{
  const uint64_t rank = (uint64_t)ceil(share * (double)h->count);
  uint64_t seen = 0;
  if (h->count == 0)
    return 0;
  for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
    seen += h->cells[i];
    if (seen >= rank && seen > 0)
      return top_of(i) < h->max ? top_of(i) : h->max;
  }
  return h->max;
}

double histogram_mean(const histogram *h)
{
  return h->count == 0 ? 0 : (double)h->sum / (double)h->count;
}
