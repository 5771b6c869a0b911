/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run tells. */
#include "cmd/copal/load/show.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/copal/print_json.h"
#include "cmd/copal/report.h"
#include "cmd/copal/session.h"

enum { LABEL_COLUMN = 18, NAME_SIZE = 24 };

typedef struct level {
  const char *label, *member;
  double share;
} level;

static const level levels[] = {
    {"p50", "p50_ms", 0.5},       {"p90", "p90_ms", 0.9},          {"p99", "p99_ms", 0.99},
    {"p99.9", "p99_9_ms", 0.999}, {"p99.99", "p99_99_ms", 0.9999},
};

/* A counter that is shown when it is not zero. */
typedef struct fault {
  const char *label, *member;
  uint64_t value;
} fault;

enum { FAULTS_MAX = 24 };

static size_t list_faults(const account *a, fault out[FAULTS_MAX])
{
  const fault all[] = {
      {"retransmissions", "retransmissions", a->retransmissions},
      {"timeouts", "timeouts", a->timeouts},
      {"unanswered", "unanswered", a->unanswered},
      {"refused by the network", "refused", a->refused},
      {"handshakes failed", "handshakes_failed", a->handshakes_failed},
      {"sessions lost", "sessions_lost", a->sessions_lost},
      {"resets", "resets", a->resets},
      {"duplicates", "duplicates", a->duplicates},
      {"late", "late", a->late},
      {"not sent in time", "unsent", a->unsent},
      {"not sendable", "send_failed", a->send_failed},
      {"not registered", "not_registered", a->refusals},
      {"without the last state", "incomplete", a->incomplete},
      {"wrong code", "wrong_code", a->wrong.code},
      {"wrong payload", "wrong_payload", a->wrong.payload},
      {"wrong block", "wrong_block", a->wrong.block},
      {"wrong token", "wrong_token", a->wrong.token},
      {"wrong Message ID", "wrong_mid", a->wrong.mid},
      {"wrong type", "wrong_type", a->wrong.type},
      {"malformed", "malformed", a->wrong.malformed},
      {"older state after newer", "backwards", a->wrong.backwards},
  };
  const size_t count = sizeof all / sizeof all[0];
  memcpy(out, all, sizeof all);
  return count;
}

static double seconds_of(const load_outcome *o)
{
  return o->elapsed > 0 ? (double)o->elapsed / 1e6 : 1e-6;
}

static double per_second(const load_outcome *o, uint64_t n)
{
  return (double)n / seconds_of(o);
}

static double milliseconds(copal_time us)
{
  return (double)us / 1000;
}

/* Microseconds of the server's CPU time for each message that was verified. */
static double cpu_per_message(const load_outcome *o)
{
  return o->account->messages == 0 ? 0 : (double)o->cpu_ns / 1000 / (double)o->account->messages;
}

static double cores_used(const load_outcome *o)
{
  return (double)o->cpu_ns / 1e9 / seconds_of(o);
}

/* ------------------------------------------------------------------------------------------------
 * for people */

static void put_count(buf *out, uint64_t n, const char *what)
{
  buf_print(out, "%" PRIu64 " %s%s", n, what, n == 1 ? "" : "s");
}

void show_plan(const load_outcome *o, buf *out)
{
  const load_plan *p = o->plan;
  const bool observes = o->args->load.observes;
  buf_text(out, o->args->operands[0]);
  buf_text(out, ": ");
  if (observes) {
    put_count(out, p->clients, "observer");
  } else {
    buf_print(out, "%s, %s, ", copal_code_name(p->shape.code),
              p->shape.type == COPAL_CON ? "confirmable" : "non-confirmable");
    put_count(out, p->clients, "client");
    buf_print(out, " with %u under way each", (unsigned)p->window);
  }
  if (p->rate > 0)
    buf_print(out, ", %g %s per second", p->rate, observes ? "changes" : "requests");
  else
    buf_text(out, observes ? ", changes in lock step" : ", closed loop");
  if (p->requests > 0)
    buf_print(out, ", %" PRIu64 " in all\n", p->requests);
  else
    buf_print(out, ", %g s\n", (double)p->duration / 1e6);
}

static void put_label(const style *s, buf *out, const char *label)
{
  const size_t len = strlen(label);
  buf_text(out, "  ");
  if (len > 0)
    style_text(s, out, INK_KEY, label);
  buf_fill(out, ' ', len < LABEL_COLUMN ? LABEL_COLUMN - len : 1);
}

static void put_bytes(buf *out, double n)
{
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; n >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
    n /= 1024;
  buf_print(out, "%.*f %s", unit == 0 ? 0 : 1, n, units[unit]);
}

static void put_rates(const load_outcome *o, const style *s, buf *out)
{
  const account *a = o->account;
  put_label(s, out, o->args->load.observes ? "notifications" : "answers");
  buf_print(out, "%" PRIu64 "  %.1f per second\n", a->answered, per_second(o, a->answered));
  if (o->args->load.observes) {
    put_label(s, out, "changes");
    buf_print(out, "%" PRIu64 "  %.1f per second, to %" PRIu64 " observers\n", a->changes,
              per_second(o, a->changes), a->observers);
    put_label(s, out, "expected");
    buf_print(out, "%" PRIu64 " = %" PRIu64 " seen + %" PRIu64 " skipped + %" PRIu64 " missing\n",
              a->expected, a->answered, a->skipped, a->missing);
    put_label(s, out, "confirmable");
    buf_print(out, "%" PRIu64 "\n", a->confirmable);
  }
  if (a->repeated > 0) {
    put_label(s, out, "repeated states");
    buf_print(out, "%" PRIu64 "\n", a->repeated);
  }
  if (a->ports_changed > 0) {
    put_label(s, out, "ports changed");
    buf_print(out, "%" PRIu64 "\n", a->ports_changed);
  }
  if (a->handshakes > 0) {
    put_label(s, out, "handshakes");
    buf_print(out, "%" PRIu64 "\n", a->handshakes);
  }
  if (a->messages != a->answered) {
    put_label(s, out, "blocks");
    buf_print(out, "%" PRIu64 "  %.1f per second\n", a->messages, per_second(o, a->messages));
  }
  if (a->body_bytes > 0) {
    put_label(s, out, "bodies");
    put_bytes(out, (double)a->body_bytes);
    buf_text(out, "  ");
    put_bytes(out, per_second(o, a->body_bytes));
    buf_text(out, " per second\n");
  }
}

static void put_latency(const histogram *h, const char *label, const style *s, buf *out)
{
  if (h->count == 0)
    return;
  put_label(s, out, label);
  buf_print(out, "min %.3f  mean %.3f  max %.3f ms\n", milliseconds(h->min),
            histogram_mean(h) / 1000, milliseconds(h->max));
  put_label(s, out, "");
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
    buf_print(out, "%s%s %.3f", i == 0 ? "" : "  ", levels[i].label,
              milliseconds(histogram_at(h, levels[i].share)));
  buf_text(out, " ms\n");
}

static void put_cpu(const load_outcome *o, const style *s, buf *out)
{
  if (o->plan->pid <= 0)
    return;
  put_label(s, out, "server's CPU");
  if (!o->has_cpu) {
    buf_text(out, "not known, the process has ended\n");
    return;
  }
  buf_print(out, "%.2f us per message, %.2f of a core\n", cpu_per_message(o), cores_used(o));
}

static void put_codes(const load_outcome *o, const style *s, buf *out)
{
  bool is_first = true;
  put_label(s, out, "codes");
  for (unsigned code = 0; code < 256; code++) {
    if (o->account->codes[code] == 0)
      continue;
    buf_text(out, is_first ? "" : ", ");
    report_code((copal_code)code, false, out);
    buf_print(out, " %" PRIu64, o->account->codes[code]);
    is_first = false;
  }
  buf_text(out, is_first ? "none\n" : "\n");
}

static void put_faults(const load_outcome *o, const style *s, buf *out)
{
  fault faults[FAULTS_MAX];
  const size_t count = list_faults(o->account, faults);
  bool is_first = true;
  put_label(s, out, "faults");
  for (size_t i = 0; i < count; i++) {
    if (faults[i].value == 0)
      continue;
    buf_print(out, "%s%s %" PRIu64, is_first ? "" : ", ", faults[i].label, faults[i].value);
    is_first = false;
  }
  buf_text(out, is_first ? "none\n" : "\n");
}

void show_progress(const load_progress *p, size_t width, buf *out)
{
  const size_t begin = out->len;
  buf_print(out, "%.1f s  %.0f per second  %" PRIu64 " answers", p->seconds, p->per_second,
            p->answered);
  if (p->faults > 0)
    buf_print(out, "  %" PRIu64 " faults", p->faults);
  if (out->len - begin > width)
    out->len = begin + width; /* a second line could not be taken back */
}

void show_outcome(const load_outcome *o, const style *s, buf *out)
{
  put_rates(o, s, out);
  put_latency(&o->account->latency, "latency", s, out);
  put_latency(&o->account->uncorrected, "  uncorrected", s, out);
  put_cpu(o, s, out);
  put_codes(o, s, out);
  put_faults(o, s, out);
}

/* ------------------------------------------------------------------------------------------------
 * for machines */

static void put_json_latency(const histogram *h, const char *name, buf *out)
{
  buf object = {0};
  buf_char(&object, '{');
  json_member_uint(&object, "count", h->count);
  json_member_real(&object, "min_ms", milliseconds(h->min));
  json_member_real(&object, "mean_ms", histogram_mean(h) / 1000);
  for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
    json_member_real(&object, levels[i].member, milliseconds(histogram_at(h, levels[i].share)));
  json_member_real(&object, "max_ms", milliseconds(h->max));
  buf_char(&object, '}');
  json_key(out, name);
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}

static void put_json_codes(const account *a, buf *out)
{
  buf object = {0}, name = {0};
  buf_char(&object, '{');
  for (unsigned code = 0; code < 256; code++) {
    if (a->codes[code] == 0)
      continue;
    name.len = 0;
    report_code((copal_code)code, false, &name);
    json_member_uint(&object, buf_str(&name), a->codes[code]);
  }
  buf_char(&object, '}');
  json_key(out, "codes");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
  buf_wipe(&name);
}

static void put_json_faults(const account *a, buf *out)
{
  fault faults[FAULTS_MAX];
  const size_t count = list_faults(a, faults);
  buf object = {0};
  buf_char(&object, '{');
  for (size_t i = 0; i < count; i++)
    json_member_uint(&object, faults[i].member, faults[i].value);
  buf_char(&object, '}');
  json_key(out, "faults");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}

static void put_bool(buf *object, const char *name, bool value)
{
  json_key(object, name);
  buf_text(object, value ? "true" : "false");
}

static void put_json_plan(const load_plan *p, buf *object)
{
  json_member_text(object, "method", copal_code_name(p->shape.code));
  put_bool(object, "is_confirmable", p->shape.type == COPAL_CON);
  json_member_uint(object, "clients", p->clients);
  json_member_uint(object, "window", p->window);
  json_member_uint(object, "threads", p->threads);
  json_member_real(object, "rate", p->rate);
}

static void put_json_figures(const load_outcome *o, buf *object)
{
  const account *a = o->account;
  json_member_real(object, "elapsed_s", seconds_of(o));
  json_member_uint(object, "answers", a->answered);
  json_member_real(object, "answers_per_s", per_second(o, a->answered));
  json_member_uint(object, "messages", a->messages);
  json_member_uint(object, "body_bytes", a->body_bytes);
  if (o->plan->credentials != NULL)
    json_member_uint(object, "handshakes", a->handshakes);
  if (o->args->load.observes) {
    json_member_uint(object, "observers", a->observers);
    json_member_uint(object, "changes", a->changes);
    json_member_uint(object, "confirmable", a->confirmable);
    json_member_uint(object, "notifications_expected", a->expected);
    json_member_uint(object, "skipped_states", a->skipped);
    json_member_uint(object, "missing_states", a->missing);
    json_member_uint(object, "repeated_states", a->repeated);
  }
  json_member_uint(object, "ports_changed", a->ports_changed);
  put_json_latency(&a->latency, "latency", object);
  if (o->plan->rate > 0 && !o->args->load.observes)
    put_json_latency(&a->uncorrected, "latency_uncorrected", object);
  if (o->has_cpu) {
    json_member_real(object, "cpu_us_per_message", cpu_per_message(o));
    json_member_real(object, "cpu_cores", cores_used(o));
  }
  put_json_codes(a, object);
  put_json_faults(a, object);
}

void show_json(const load_outcome *o, buf *out)
{
  buf object = {0};
  buf_char(&object, '{');
  json_member_text(&object, "url", o->args->operands[0]);
  json_member_uint(&object, "status", o->result);
  if (o->error)
    json_member_text(&object, "error", o->error);
  put_bool(&object, "is_interrupted", session_is_interrupted());
  if (o->is_planned) {
    put_json_plan(o->plan, &object);
    put_json_figures(o, &object);
  }
  buf_text(&object, "}\n");
  buf_put_span(out, buf_span(&object));
  buf_wipe(&object);
}
