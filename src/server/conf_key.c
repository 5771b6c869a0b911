/* SPDX-License-Identifier: Apache-2.0 */
/* The table of configuration keys. Transmission parameters have the names of RFC 7252 section 4.8.
 * Thread: any. */
#include "server/conf_key.h"

#include <string.h>

static const char *const switch_words[] = {"off", "on", NULL};
static const char *const store_words[] = {"memory", "lmdb", "journal", NULL};
static const char *const client_words[] = {"none", "optional", "required", NULL};
static const char *const name_words[] = {"cn", "san", "subject", "fingerprint", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const crash_words[] = {"drop", "challenge", NULL};
static const char *const audit_words[] = {"off", "refusals", "changes", NULL};
static const char *const format_words[] = {"auto", "text", "json", NULL};

#define PLACE(field) offsetof(conf, field), sizeof(((conf *)0)->field)
#define COUNT(section, name, field, min, max)                                                      \
  {                                                                                                \
    section, name, CONF_NUMBER, CONF_PLAIN, PLACE(field), min, max, NULL, false                    \
  }
#define BYTES(section, name, field, min, max)                                                      \
  {                                                                                                \
    section, name, CONF_NUMBER, CONF_BYTES, PLACE(field), min, max, NULL, false                    \
  }
#define TIME(section, name, field, min, max)                                                       \
  {                                                                                                \
    section, name, CONF_NUMBER, CONF_DURATION, PLACE(field), min, max, NULL, false                 \
  }
#define WORD(section, name, field, words, is_live)                                                 \
  {                                                                                                \
    section, name, CONF_WORD, CONF_PLAIN, PLACE(field), 0, 0, words, is_live                       \
  }
#define LIST(section, name, field, is_live)                                                        \
  {                                                                                                \
    section, name, CONF_LIST, CONF_PLAIN, PLACE(field), 0, 0, NULL, is_live                        \
  }
#define TEXT(section, name, field, min)                                                            \
  {                                                                                                \
    section, name, CONF_TEXT, CONF_PLAIN, PLACE(field), min, 0, NULL, false                        \
  }
#define LIVE_TEXT(section, name, field)                                                            \
  {                                                                                                \
    section, name, CONF_TEXT, CONF_PLAIN, PLACE(field), 0, 0, NULL, true                           \
  }
#define LIVE(section, name, unit, field, min, max)                                                 \
  {                                                                                                \
    section, name, CONF_NUMBER, unit, PLACE(field), min, max, NULL, true                           \
  }

/* clang-format off */
const conf_key conf_keys[] = {
    LIST("", "listen", listen, false),
    LIST("", "names", names, true),
    WORD("", "store", store, store_words, false),
    TEXT("", "data", data, 0),
    TEXT("", "pid_file", pid_file, 0),
    LIVE_TEXT("", "access_file", access_file),
    LIVE("", "drain_timeout", CONF_DURATION, drain_timeout, 0, UINT32_MAX),

    WORD("log", "level", log_level, level_words, true),
    WORD("log", "format", log_format, format_words, false),
    WORD("log", "audit", audit, audit_words, true),

    COUNT("server", "shards", shards, 0, CONF_SHARDS_MAX),
    COUNT("server", "sockets", sockets, 0, CONF_SOCKETS_MAX),
    COUNT("server", "batch", udp.batch, 1, 1024),
    BYTES("server", "datagram", udp.datagram_max, 64, 65535),
    BYTES("server", "receive_buffer", udp.rcvbuf, 4096, 1u << 30),
    BYTES("server", "send_buffer", udp.sndbuf, 4096, 1u << 30),
    BYTES("server", "request_memory", request_memory, 4096, 1u << 30),
    COUNT("server", "mailbox", mailbox, 16, 1u << 20),

    TIME("transmission", "ack_timeout", params.ack_timeout, 1000, UINT32_MAX),
    {"transmission", "ack_random_factor", CONF_FACTOR, CONF_PLAIN,
     PLACE(params.ack_random_percent), 100, 1000, NULL, false},
    COUNT("transmission", "max_retransmit", params.max_retransmit, 0, 20),
    COUNT("transmission", "nstart", params.nstart, 1, 255),
    TIME("transmission", "default_leisure", params.default_leisure, 0, UINT32_MAX),
    COUNT("transmission", "probing_rate", params.probing_rate, 0, UINT32_MAX),
    TIME("transmission", "max_latency", params.max_latency, 0, UINT32_MAX),
    TIME("transmission", "processing_delay", params.processing_delay, 0, UINT32_MAX),
    TIME("transmission", "ack_delay", params.ack_delay, 0, UINT32_MAX),

    COUNT("limits", "exchanges", exchanges, 1, 1u << 24),
    COUNT("limits", "peers", peers, 1, 1u << 24),
    COUNT("limits", "dedup", dedup, 1, 1u << 26),
    COUNT("limits", "dedup_per_peer", dedup_per_peer, 1, 1u << 26),
    COUNT("limits", "answers", answers, 0, 1u << 24),
    COUNT("limits", "chunks", chunks, 1, 1u << 26),
    BYTES("limits", "chunk", chunk, 16, 4096),
    BYTES("limits", "message", message, 64, 65507),
    BYTES("limits", "token", token, 8, 65535),
    BYTES("limits", "block", block, 16, 1024),
    COUNT("limits", "observations", observations, 1, 1u << 24),
    COUNT("limits", "observations_per_client", observations_per_client, 1, 1u << 24),
    COUNT("limits", "mid_counters", mid_counters, 1, 1u << 24),
    COUNT("limits", "timer_slots", timer_slots, 2, 1u << 20),
    TIME("limits", "timer_tick", timer_tick, 100, 1000000),

    WORD("qblock", "enabled", has_qblock, switch_words, false),
    COUNT("qblock", "max_payloads", qblock.max_payloads, 1, COPAL_QBLOCK_PAYLOADS_MAX),
    TIME("qblock", "non_timeout", qblock.non_timeout, 1000, UINT32_MAX),
    {"qblock", "random_factor", CONF_FACTOR, CONF_PLAIN, PLACE(qblock.random_percent), 100, 1000,
     NULL, false},
    TIME("qblock", "non_receive_timeout", qblock.non_receive_timeout, 1000, UINT32_MAX),
    COUNT("qblock", "non_max_retransmit", qblock.non_max_retransmit, 0, 20),
    TIME("qblock", "non_partial_timeout", qblock.non_partial_timeout, 1000, UINT32_MAX),
    COUNT("qblock", "bodies", qblock.flow_count, 1, 1u << 16),

    WORD("amplification", "guard", guard_is_on, switch_words, false),
    BYTES("amplification", "free", guard.free_size, 0, 65535),
    BYTES("amplification", "burst", guard.burst, 0, 1u << 30),
    BYTES("amplification", "refill", guard.refill, 0, 1u << 30),
    TIME("amplification", "verified_for", guard.verified_for, 1000000, UINT32_MAX),
    LIST("amplification", "trusted", trusted, false),

    TEXT("dtls", "psk_file", psk_file, 0),
    TEXT("dtls", "credentials", credentials, 0),
    LIST("dtls", "certificate", dtls_files.certificate, true),
    LIST("dtls", "key", dtls_files.key, true),
    LIVE_TEXT("dtls", "ca", dtls_files.ca),
    LIVE_TEXT("dtls", "crl", dtls_files.crl),
    LIVE_TEXT("dtls", "raw_key", dtls_files.raw_key),
    LIVE_TEXT("dtls", "raw_peers", dtls_files.raw_peers),
    WORD("dtls", "clients", dtls.clients, client_words, false),
    WORD("dtls", "identity", dtls.name, name_words, false),
    COUNT("dtls", "sessions", dtls.sessions, 1, 1u << 28),
    COUNT("dtls", "handshakes", dtls.handshakes, 1, 1u << 20),
    COUNT("dtls", "handshakes_per_prefix", dtls.per_prefix, 1, UINT16_MAX),
    LIVE("dtls", "idle_timeout", CONF_SECONDS, dtls.idle_s, 0, 1u << 30),
    WORD("dtls", "connection_id", dtls.has_cid, switch_words, false),
    WORD("dtls", "tickets", dtls.has_tickets, switch_words, false),
    LIVE("dtls", "ticket_rotation", CONF_SECONDS, dtls.ticket_s, 0, 1u << 30),
    TEXT("dtls", "saved_key", dtls.saved_key, 0),
    WORD("dtls", "after_crash", dtls.after_crash, crash_words, false),
    TIME("dtls", "checkpoint", dtls.checkpoint, 1000000, UINT32_MAX),
    BYTES("dtls", "mtu", dtls.mtu, 256, 16384),
    TIME("dtls", "retransmit", dtls.retransmit, 100000, 60000000),
    TIME("dtls", "handshake_timeout", dtls.timeout, 1000000, 600000000),

    LIST("lookup", "command", lookup.command, false),
    TEXT("lookup", "url", lookup.url, 0),
    TEXT("lookup", "ca", lookup.ca, 0),
    TEXT("lookup", "token_file", lookup.token_file, 0),
    TIME("lookup", "timeout", lookup.timeout, 100000, 60000000),
    {"lookup", "ttl", CONF_NUMBER, CONF_SECONDS, PLACE(lookup.ttl_s), 1, 604800, NULL, false},
    {"lookup", "negative_ttl", CONF_NUMBER, CONF_SECONDS, PLACE(lookup.negative_ttl_s), 1, 604800,
     NULL, false},
    {"lookup", "fallback", CONF_NUMBER, CONF_SECONDS, PLACE(lookup.fallback_s), 0, 604800, NULL,
     false},
    COUNT("lookup", "cache", lookup.cache, 1, 1u << 24),
    COUNT("lookup", "concurrency", lookup.concurrency, 1, 64),
    COUNT("lookup", "queue", lookup.queue, 1, 1u << 20),

    LIVE("rate", "identity", CONF_PLAIN, rate.identity.per_second, 0, RATE_MAX),
    LIVE("rate", "identity_burst", CONF_PLAIN, rate.identity.burst, 1, RATE_MAX),
    LIVE("rate", "address", CONF_PLAIN, rate.address.per_second, 0, RATE_MAX),
    LIVE("rate", "address_burst", CONF_PLAIN, rate.address.burst, 1, RATE_MAX),
    LIVE("rate", "prefix", CONF_PLAIN, rate.prefix.per_second, 0, RATE_MAX),
    LIVE("rate", "prefix_burst", CONF_PLAIN, rate.prefix.burst, 1, RATE_MAX),
    LIVE("rate", "silent_after", CONF_PLAIN, rate.silent_after, 0, RATE_MAX),

    WORD("groups", "all_coap_nodes", joins_all_nodes, switch_words, false),
    LIST("groups", "join", groups, false),
    LIST("groups", "interfaces", group_interfaces, false),
    WORD("groups", "membership", has_membership, switch_words, false),

    COUNT("observe", "confirm_every", observe_confirm_every, 0, 65534),

    COUNT("uploads", "count", uploads, 1, 1u << 20),
    COUNT("uploads", "per_client", uploads_per_client, 1, 1u << 20),
    BYTES("uploads", "size", upload_bytes, 1024, UINT64_MAX),
    BYTES("uploads", "memory", upload_memory, 0, UINT64_MAX),
    TIME("uploads", "lifetime", upload_lifetime, 1000000, UINT32_MAX),
    TEXT("uploads", "directory", upload_dir, 1),

    LIVE("resources", "body", CONF_BYTES, limits.body_max, 1, 1u << 30),
    LIVE("resources", "patch", CONF_BYTES, limits.patch_max, 1, 1u << 30),
    LIVE("resources", "default_max_age", CONF_SECONDS, limits.default_max_age_s, 0,
         STORE_NO_MAX_AGE - 1),
    LIVE("resources", "attributes", CONF_BYTES, limits.attrs_max, 0, 65535),
    LIVE("resources", "path", CONF_BYTES, limits.key_max, 1, STORE_KEY_MAX),
    COUNT("resources", "pending", pending, 1, 1u << 20),
    COUNT("resources", "count", store_resources, 1, UINT64_MAX),
    BYTES("resources", "memory", store_bytes, 4096, UINT64_MAX),
    BYTES("resources", "disk", store_disk, 4u << 20, UINT64_C(1) << 46),
    COUNT("resources", "history", history, 0, CONF_HISTORY_MAX),
};
/* clang-format on */

const size_t conf_key_count = sizeof conf_keys / sizeof conf_keys[0];

const conf_key *conf_key_find(const char *section, const char *name)
{
  for (size_t i = 0; i < conf_key_count; i++)
    if (strcmp(conf_keys[i].section, section) == 0 && strcmp(conf_keys[i].name, name) == 0)
      return &conf_keys[i];
  return NULL;
}

bool conf_section_is_known(const char *section)
{
  for (size_t i = 0; i < conf_key_count; i++)
    if (*section != '\0' && strcmp(conf_keys[i].section, section) == 0)
      return true;
  return false;
}

uint64_t conf_key_get(const conf *c, const conf_key *k)
{
  const uint8_t *field = (const uint8_t *)c + k->offset;
  uint8_t v8;
  uint16_t v16;
  uint32_t v32;
  uint64_t v64 = 0;
  switch (k->size) {
  case 1: memcpy(&v8, field, 1); return v8;
  case 2: memcpy(&v16, field, 2); return v16;
  case 4: memcpy(&v32, field, 4); return v32;
  case 8: memcpy(&v64, field, 8); return v64;
  }
  return v64;
}

void conf_key_set(conf *c, const conf_key *k, uint64_t value)
{
  uint8_t *field = (uint8_t *)c + k->offset;
  const uint8_t v8 = (uint8_t)value;
  const uint16_t v16 = (uint16_t)value;
  const uint32_t v32 = (uint32_t)value;
  switch (k->size) {
  case 1: memcpy(field, &v8, 1); return;
  case 2: memcpy(field, &v16, 2); return;
  case 4: memcpy(field, &v32, 4); return;
  case 8: memcpy(field, &value, 8); return;
  }
}

const char *conf_key_text(const conf *c, const conf_key *k)
{
  return (const char *)c + k->offset;
}

const conf_strings *conf_key_list(const conf *c, const conf_key *k)
{
  return (const conf_strings *)(const void *)((const uint8_t *)c + k->offset);
}
