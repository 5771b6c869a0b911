/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the daemon. Thread: the one that holds the snapshot. */
#include "server/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "copal/error.h"

typedef enum metric_kind {
  METRIC_SUM,      /* added up over shards */
  METRIC_LARGEST,  /* the largest of the shards */
  METRIC_SMALLEST, /* the smallest of the shards */
} metric_kind;

typedef struct metric {
  const char *name;
  size_t offset; /* in metrics */
  size_t size;
  metric_kind kind;
  bool is_rare; /* logged only when it is not zero */
} metric;

#define AT(field) offsetof(metrics, field), sizeof(((metrics *)0)->field)
#define ALWAYS(name, field)                                                                        \
  {                                                                                                \
    name, AT(field), METRIC_SUM, false                                                             \
  }
#define RARE(name, field)                                                                          \
  {                                                                                                \
    name, AT(field), METRIC_SUM, true                                                              \
  }

static const metric table[] = {
    ALWAYS("rx_datagrams", udp.rx_datagrams),
    ALWAYS("rx_bytes", udp.rx_bytes),
    ALWAYS("tx_datagrams", udp.tx_datagrams),
    ALWAYS("tx_bytes", udp.tx_bytes),
    RARE("rx_truncated", udp.rx_truncated),
    RARE("rx_errors", udp.rx_errors),
    RARE("tx_errors", udp.tx_errors),
    RARE("tx_again", udp.tx_again),
    RARE("rx_elsewhere", udp.rx_elsewhere),
    RARE("kernel_drops", udp.kernel_drops),
    {"receive_buffer", AT(udp.rcvbuf), METRIC_SMALLEST, false},

    ALWAYS("rx_requests", ep.rx_requests),
    RARE("recalled", ep.recalled),
    RARE("rx_responses", ep.rx_responses),
    RARE("rx_empty", ep.rx_empty),
    RARE("tx_retransmits", ep.tx_retransmits),
    RARE("tx_acks", ep.tx_acks),
    RARE("tx_resets", ep.tx_resets),
    RARE("tx_dropped", ep.tx_dropped),
    RARE("dup_replayed", ep.dup_replayed),
    RARE("dup_reacked", ep.dup_reacked),
    RARE("dup_ignored", ep.dup_ignored),
    RARE("dedup_evicted", ep.dedup_evicted),
    RARE("dedup_refused", ep.dedup_refused),
    RARE("exchanges_refused", ep.exchanges_refused),
    RARE("chunks_refused", ep.chunks_refused),
    RARE("timeouts", ep.timeouts),
    RARE("resets", ep.resets),
    RARE("unreachables", ep.unreachables),
    RARE("suppressed", ep.suppressed),
    RARE("mid_wraps", ep.mid_wraps),
    RARE("notify_cons", ep.notify_cons),
    RARE("notify_nons", ep.notify_nons),
    RARE("relations_refused", ep.relations_refused),
    RARE("relations_restored", ep.relations_restored),
    RARE("relations_deregistered", ep.relations_deregistered),
    RARE("relations_reset", ep.relations_reset),
    RARE("relations_lost", ep.relations_lost),
    RARE("relations_finished", ep.relations_finished),

    ALWAYS("exchanges", usage.exchanges),
    ALWAYS("peers", usage.peers),
    ALWAYS("dedups", usage.dedups),
    ALWAYS("chunks", usage.chunks),
    ALWAYS("relations", usage.relations),
    ALWAYS("observers", usage.observers),

    ALWAYS("requests_served", pipeline.requests),
    RARE("foreign_hosts", pipeline.foreign_hosts),
    RARE("long_paths", pipeline.long_paths),
    RARE("no_routes", pipeline.no_routes),
    RARE("no_memory", pipeline.no_memory),
    RARE("doubted", pipeline.doubted),

    RARE("unauthorized", admission.unauthorized),
    RARE("forbidden", admission.forbidden),
    RARE("group_refused", admission.group_refused),
    RARE("observe_denied", admission.observe_denied),
    RARE("observe_ended", admission.observe_ended),
    RARE("rate_identities", admission.rate.identities),
    RARE("rate_addresses", admission.rate.addresses),
    RARE("rate_prefixes", admission.rate.prefixes),
    RARE("rate_silenced", admission.rate.silenced),
    RARE("audit_missed", admission.audit_missed),

    RARE("probed", ep.probed),
    RARE("challenged", ep.challenged),
    RARE("qblock_blocks", qblock.blocks),
    RARE("qblock_sets", qblock.sets),
    RARE("qblock_refused", qblock.refused),
    RARE("qblock_ended", qblock.ended),
    RARE("qblock_withheld", qblock.withheld),
    RARE("guard_drawn", guard.drawn),
    RARE("guard_refused", guard.refused),
    RARE("guard_verified", guard.verified),
    RARE("guard_echo_bad", guard.echo_bad),

    RARE("dtls_malformed", dtls.malformed),
    RARE("dtls_stray", dtls.stray),
    RARE("dtls_cookies_sent", dtls.cookies_sent),
    RARE("dtls_cookies_bad", dtls.cookies_bad),
    RARE("dtls_hellos_repeated", dtls.repeated),
    RARE("handshakes_started", dtls.started),
    RARE("handshakes_completed", dtls.completed),
    RARE("handshakes_resumed", dtls.resumed),
    RARE("handshakes_failed_protocol", dtls.failed[HANDSHAKE_PROTOCOL]),
    RARE("handshakes_failed_timeout", dtls.failed[HANDSHAKE_TIMEOUT]),
    RARE("handshakes_failed_refused", dtls.failed[HANDSHAKE_REFUSED]),
    RARE("handshakes_refused_other", dtls.refused[DTLS_REFUSAL_OTHER]),
    RARE("handshakes_refused_no_certificate", dtls.refused[DTLS_REFUSAL_MISSING]),
    RARE("handshakes_refused_unknown_key", dtls.refused[DTLS_REFUSAL_UNKNOWN]),
    RARE("handshakes_refused_unknown_ca", dtls.refused[DTLS_REFUSAL_ISSUER]),
    RARE("handshakes_refused_revoked", dtls.refused[DTLS_REFUSAL_REVOKED]),
    RARE("handshakes_refused_expired", dtls.refused[DTLS_REFUSAL_EXPIRED]),
    RARE("handshakes_refused_not_yet_valid", dtls.refused[DTLS_REFUSAL_EARLY]),
    RARE("handshakes_refused_purpose", dtls.refused[DTLS_REFUSAL_PURPOSE]),
    RARE("handshakes_refused_algorithm", dtls.refused[DTLS_REFUSAL_ALGORITHM]),
    RARE("handshakes_refused_name", dtls.refused[DTLS_REFUSAL_NAME]),
    RARE("handshakes_refused_broken", dtls.refused[DTLS_REFUSAL_BROKEN]),
    RARE("handshakes_failed_wrong_key", dtls.failed[HANDSHAKE_WRONG_KEY]),
    RARE("handshakes_failed_alert", dtls.failed[HANDSHAKE_ALERT]),
    RARE("handshakes_superseded", dtls.superseded),
    RARE("handshakes_refused_limit", sessions.no_slot),
    RARE("handshakes_refused_prefix", dtls.refused_prefix),
    RARE("handshakes_gave_way", dtls.gave_way),
    RARE("handshakes_no_memory", dtls.no_memory),
    RARE("handshake_records_filtered", dtls.shim.filtered),
    RARE("handshake_records_overflown", dtls.shim.overflown),
    RARE("handshake_records_forged", dtls.shim.forged),
    RARE("handshake_records_replayed", dtls.shim.replayed),
    RARE("handshake_alerts_plain", dtls.shim.alerts),
    RARE("dtls_flights_resent", dtls.flights_resent),
    RARE("dtls_renegotiations_refused", dtls.renegotiations),
    RARE("dtls_alerts_received", dtls.alerts_received),
    RARE("dtls_unexpected", dtls.unexpected),
    RARE("dtls_tx_closed", dtls.tx_closed),
    RARE("dtls_tx_refused", dtls.tx_refused),
    RARE("dtls_rx_records", sessions.rx_records),
    RARE("dtls_tx_records", sessions.tx_records),
    RARE("dtls_rx_unknown_cid", sessions.rx_unknown_cid),
    RARE("dtls_rx_epoch", sessions.rx_epoch),
    RARE("dtls_rx_form", sessions.rx_form),
    RARE("dtls_rx_replayed", sessions.rx_replayed),
    RARE("dtls_rx_forged", sessions.rx_forged),
    RARE("sessions_moved", sessions.moved),
    RARE("sessions_proven", sessions.proven),
    RARE("dtls_tx_unproven", sessions.tx_unproven),
    RARE("dtls_tx_unreserved", sessions.tx_unreserved),
    RARE("sessions_no_long_cid", sessions.no_long_cid),
    RARE("sessions_restored", sessions.restored),
    RARE("sessions_restored_stale", sessions.restored_stale),
    RARE("sessions_closed", sessions.ended[DTLS_END_LOCAL]),
    RARE("sessions_closed_by_peer", sessions.ended[DTLS_END_PEER]),
    RARE("sessions_replaced", sessions.ended[DTLS_END_REPLACED]),
    RARE("sessions_evicted", sessions.ended[DTLS_END_EVICTED]),
    RARE("sessions_idle", sessions.ended[DTLS_END_IDLE]),
    RARE("sessions_forged", sessions.ended[DTLS_END_FORGED]),
    RARE("sessions_exhausted", sessions.ended[DTLS_END_EXHAUSTED]),
    RARE("sessions_revoked", sessions.ended[DTLS_END_REVOKED]),
    RARE("sessions_without_room", sessions.ended[DTLS_END_NO_ROOM]),
    RARE("sessions", dtls_usage.sessions),
    RARE("handshakes", dtls_usage.handshakes),

    ALWAYS("batches", shard.batches),
    ALWAYS("sleeps", shard.sleeps),
    RARE("drain_ignored", shard.drain_ignored),
    RARE("yield_abandoned", shard.yield_abandoned),
    RARE("network_errors", shard.network_errors),
    RARE("network_errors_lost", shard.errors_lost),
    RARE("mailbox_refused", shard.mailbox_refused),
    {"arena_peak", AT(shard.arena_peak), METRIC_LARGEST, false},
};

enum { METRIC_COUNT = sizeof table / sizeof table[0] };

static uint64_t get(const metrics *m, const metric *x)
{
  const uint8_t *field = (const uint8_t *)m + x->offset;
  uint64_t v64 = 0;
  uint32_t v32;
  if (x->size == sizeof v64) {
    memcpy(&v64, field, sizeof v64);
    return v64;
  }
  memcpy(&v32, field, sizeof v32);
  return v32;
}

static void set(metrics *m, const metric *x, uint64_t value)
{
  uint8_t *field = (uint8_t *)m + x->offset;
  const uint32_t v32 = (uint32_t)value;
  if (x->size == sizeof value)
    memcpy(field, &value, sizeof value);
  else
    memcpy(field, &v32, sizeof v32);
}

static uint64_t combine(metric_kind kind, uint64_t a, uint64_t b)
{
  switch (kind) {
  case METRIC_SUM: return a + b;
  case METRIC_LARGEST: return a > b ? a : b;
  case METRIC_SMALLEST: return a == 0 || (b != 0 && b < a) ? b : a;
  }
  return a;
}

void metrics_add(metrics *sum, const metrics *m)
{
  for (size_t i = 0; i < METRIC_COUNT; i++)
    set(sum, &table[i], combine(table[i].kind, get(sum, &table[i]), get(m, &table[i])));
  for (size_t i = 0; i < COPAL_ERR_COUNT; i++)
    sum->ep.rejected[i] += m->ep.rejected[i];
}

enum { FANOUT_COUNT = 5 };

/* Appends the counters of the services; returns the new number of fields. */
static size_t add_services(log_field *fields, size_t count, const router *mounted)
{
  for (size_t i = 0; i < mounted->count; i++) {
    service *s = mounted->mounts[i].service;
    service_count counts[SERVICE_COUNT_MAX];
    const size_t n = s->count != NULL ? s->count(s, counts) : 0;
    for (size_t k = 0; k < n; k++)
      if (counts[k].value != 0)
        fields[count++] = log_number(counts[k].name, counts[k].value);
  }
  return count;
}

metrics_shared metrics_shared_now(store *s, fanout *f)
{
  metrics_shared shared = {.stored = store_usage_now(s), .fanout = fanout_stats_now(f)};
  shared.count = store_counts_now(s, shared.counts);
  return shared;
}

/* Appends the counters of the store and the fan-out that are not zero; returns the new number of
 * fields. */
static size_t add_shared(log_field *fields, size_t count, const metrics_shared *shared)
{
  const store_count fanned[FANOUT_COUNT] = {{"fanout_watches", shared->fanout.watches},
                                            {"fanout_posted", shared->fanout.posted},
                                            {"fanout_merged", shared->fanout.merged},
                                            {"fanout_refused", shared->fanout.refused},
                                            {"fanout_passed", shared->fanout.passed}};
  for (size_t i = 0; i < shared->count; i++)
    if (shared->counts[i].value != 0)
      fields[count++] = log_number(shared->counts[i].name, shared->counts[i].value);
  for (size_t i = 0; i < shared->credential_count; i++)
    if (shared->credentials[i].value != 0)
      fields[count++] = log_number(shared->credentials[i].name, shared->credentials[i].value);
  for (size_t i = 0; i < FANOUT_COUNT; i++)
    if (fanned[i].value != 0)
      fields[count++] = log_number(fanned[i].name, fanned[i].value);
  return count;
}

void metrics_log(logger *l, const metrics *m, const metrics_shared *shared, const router *mounted)
{
  log_field fields[METRIC_COUNT + COPAL_ERR_COUNT + 2 + STORE_COUNT_MAX + FANOUT_COUNT +
                   SECURE_COUNT_MAX + ROUTER_MOUNT_MAX * SERVICE_COUNT_MAX];
  char rejected[COPAL_ERR_COUNT][32];
  size_t count = 0;
  fields[count++] = log_number("resources", shared->stored.resources);
  fields[count++] = log_number("store_bytes", shared->stored.bytes);
  for (size_t i = 0; i < METRIC_COUNT; i++) {
    const uint64_t v = get(m, &table[i]);
    if (v != 0 || !table[i].is_rare)
      fields[count++] = log_number(table[i].name, v);
  }
  for (int i = 0; i < COPAL_ERR_COUNT; i++) {
    if (m->ep.rejected[i] == 0)
      continue;
    snprintf(rejected[i], sizeof rejected[i], "rejected_%s", copal_err_name(-i));
    fields[count++] = log_number(rejected[i], m->ep.rejected[i]);
  }
  count = add_shared(fields, count, shared);
  count = add_services(fields, count, mounted);
  log_event(l, LOG_LEVEL_INFO, "metrics", fields, count);
}
