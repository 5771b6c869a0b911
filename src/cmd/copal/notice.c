/* SPDX-License-Identifier: Apache-2.0 */
/* One representation of an observed resource, as it is shown. RFC 7641 section 3. */
#include "cmd/copal/notice.h"

#include <time.h>

#include "cmd/copal/print_json.h"
#include "transport/udp.h"

static const char *const gap_names[] = {
    [NOTICE_GAP_NONE] = "none",
    [NOTICE_GAP_STALE] = "stale",
    [NOTICE_GAP_RECONNECTED] = "reconnected",
};

static void put_clock(buf *out)
{
  struct timespec now;
  struct tm local;
  char text[sizeof "23:59:60"];
  clock_gettime(CLOCK_REALTIME, &now);
  if (localtime_r(&now.tv_sec, &local) && strftime(text, sizeof text, "%H:%M:%S", &local) > 0)
    buf_print(out, "%s.%03u", text, (unsigned)(now.tv_nsec / 1000000));
}

static void put_gap(const notice *n, buf *out)
{
  if (n->gap != NOTICE_GAP_NONE)
    buf_print(out, "  (%s)", gap_names[n->gap]);
  if (n->reordered > 0)
    buf_print(out, "  (%zu out of order)", n->reordered);
  if (n->overrun > 0)
    buf_print(out, "  (%zu not shown)", n->overrun);
}

void notice_title(const notice *n, const style *s, buf *out)
{
  buf line = {0};
  buf_text(&line, "--- ");
  put_clock(&line);
  buf_text(&line, "  ");
  report_code(n->report->result->reply.msg.code, true, &line);
  if (n->has_sequence)
    buf_print(&line, "  #%u", (unsigned)n->sequence);
  if (n->since > 0)
    buf_print(&line, "  +%.3f s", (double)n->since / 1e6);
  put_gap(n, &line);
  style_put(s, out, INK_DIM, buf_span(&line));
  buf_char(out, '\n');
  buf_wipe(&line);
}

static void put_gap_json(const notice *n, buf *out)
{
  json_key(out, "gap");
  buf_char(out, '{');
  json_member_text(out, "cause", gap_names[n->gap]);
  json_member_real(out, "ms", (double)n->since / 1e3);
  json_member_uint(out, "seq_step", n->step);
  json_member_uint(out, "reordered", n->reordered);
  json_member_uint(out, "overrun", n->overrun);
  buf_char(out, '}');
}

void notice_json(const notice *n, buf *out)
{
  char peer[UDP_ADDR_TEXT_SIZE];
  buf object = {0};
  udp_addr_format(&n->report->result->reply.from.remote, peer);
  buf_char(&object, '{');
  json_member_text(&object, "url", n->report->target->text);
  json_member_text(&object, "peer", peer);
  json_member_uint(&object, "count", n->count);
  if (n->has_sequence)
    json_member_uint(&object, "seq", n->sequence);
  json_member_real(&object, "elapsed_ms", (double)n->elapsed / 1e3);
  put_gap_json(n, &object);
  report_response_json(n->report, &object);
  buf_text(&object, "}\n");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}
