/* SPDX-License-Identifier: Apache-2.0 */
/* A bar on the terminal that shows how far a block-wise transfer is. */
#include "cmd/copal/progress.h"

#include <unistd.h>

#include "cmd/copal/run.h"

enum {
  BAR_MIN = 10, /* columns, below that it is left out */
  BAR_MAX = 40,
  TEXT_COLUMNS = 60, /* of all but the bar */
};

#define SHOW_AFTER (COPAL_SECOND / 2)
#define DRAW_EVERY (COPAL_SECOND / 10)

static void put_bytes(double n, buf *out)
{
  static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
  size_t unit = 0;
  while (n >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
    n /= 1024;
    unit++;
  }
  buf_print(out, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
}

static void put_bar(size_t columns, double share, buf *out)
{
  const size_t full = (size_t)((double)columns * share);
  buf_char(out, '[');
  for (size_t i = 0; i < columns; i++)
    buf_char(out, i < full ? '=' : i == full ? '>' : ' ');
  buf_text(out, "] ");
}

static void put_time(double seconds, buf *out)
{
  const unsigned long s = seconds < 1e6 ? (unsigned long)(seconds + 0.5) : 999999;
  if (s >= 3600)
    buf_print(out, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
  else
    buf_print(out, "%lu:%02lu", s / 60, s % 60);
}

void progress_put(const progress *p, size_t done, size_t total, copal_time elapsed, buf *out)
{
  const double seconds = elapsed > 0 ? (double)elapsed / 1e6 : 1e-6;
  const double rate = (double)(done - p->first) / seconds;
  const bool is_known = total >= done && total > 0; /* Size2 is an estimate only */
  if (is_known) {
    const double share = (double)done / (double)total;
    const size_t room = p->width > TEXT_COLUMNS ? p->width - TEXT_COLUMNS : 0;
    buf_print(out, "%3.0f%% ", share * 100);
    if (room >= BAR_MIN)
      put_bar(room < BAR_MAX ? room : BAR_MAX, share, out);
  }
  put_bytes((double)done, out);
  if (is_known) {
    buf_text(out, " of ");
    put_bytes((double)total, out);
  }
  buf_text(out, "  ");
  put_bytes(rate, out);
  buf_text(out, "/s");
  if (is_known && rate > 0) {
    buf_text(out, "  ");
    put_time((double)(total - done) / rate, out);
    buf_text(out, " left");
  }
}

static void draw(progress *p, size_t done, size_t total, copal_time now)
{
  buf out = {0};
  buf_text(&out, "\r\033[K");
  progress_put(p, done, total, now - p->start, &out);
  run_write(STDERR_FILENO, buf_span(&out));
  buf_wipe(&out);
  p->is_shown = true;
  p->drawn = now;
}

static void on_progress(transfer_monitor *m, size_t done, size_t total)
{
  progress *p = (progress *)m;
  const copal_time now = session_now();
  if (!p->has_begun || done < p->first) {
    p->has_begun = true;
    p->start = now;
    p->first = done;
  }
  if (p->is_on && now - p->start >= SHOW_AFTER && now - p->drawn >= DRAW_EVERY)
    draw(p, done, total, now);
}

void progress_init(progress *p, const args *a)
{
  /* The lines of --verbose would tear it apart. */
  *p = (progress){.monitor = {on_progress},
                  .is_on = isatty(STDERR_FILENO) && !a->silent && !a->verbose,
                  .width = style_for(STDERR_FILENO, a->color).width};
}

void progress_clear(progress *p)
{
  if (p->is_shown)
    run_write(STDERR_FILENO, copal_span_str("\r\033[K"));
  p->is_shown = false;
}
