/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of long work. */
#include "cmd/copald/meter.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 250 };

static uint64_t now_ms(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

void meter_init(meter *m, FILE *out, const char *what, const char *unit, uint64_t total)
{
  *m = (meter){.out = out,
               .is_on = isatty(fileno(out)) == 1,
               .what = what,
               .unit = unit,
               .total = total,
               .shown_ms = now_ms()};
}

void meter_show(meter *m, uint64_t done)
{
  const uint64_t now = m->is_on ? now_ms() : 0;
  if (!m->is_on || now - m->shown_ms < INTERVAL_MS)
    return;
  m->shown_ms = now;
  fprintf(m->out, "\r\033[Kcopald: %s: %" PRIu64, m->what, done);
  if (m->total > 0)
    fprintf(m->out, " of %" PRIu64, m->total);
  fprintf(m->out, " %s", m->unit);
  fflush(m->out);
}

void meter_clear(meter *m)
{
  if (m->is_on)
    fputs("\r\033[K", m->out);
}
