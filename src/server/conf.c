/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: defaults, checks and printing. Thread: the main thread only. */
#include "server/conf.h"

#include <assert.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "server/conf_key.h"
#include "server/listener.h"

enum { SOCKETS_PER_SHARD = 4 };
static_assert(CONF_SHARDS_MAX * SOCKETS_PER_SHARD <= CONF_SOCKETS_MAX, "no shard goes without");

/* Bodies on their way cost little until there are any. */
static copal_qblock qblock_default(void)
{
  copal_qblock q = copal_qblock_default();
  q.flow_count = 256;
  return q;
}

void conf_init(conf *c)
{
  *c = (conf){
      .store = CONF_STORE_DEFAULT,
      .drain_timeout = 10 * COPAL_SECOND,
      .log_level = LOG_LEVEL_INFO,
      .log_format = LOG_FORMAT_AUTO,
      .mailbox = 1024,
      .request_memory = 1u << 20,
      .udp = {.batch = 64, .datagram_max = 65535, .rcvbuf = 4u << 20, .sndbuf = 4u << 20},
      .params = copal_params_default(),
      .exchanges = 65536,
      .peers = 65536,
      .dedup = 131072,
      .dedup_per_peer = 8192,
      .answers = 4096,
      .chunks = 524288,
      .chunk = 56,
      .message = 1152,
      .token = 64,
      .block = 1024,
      .mid_counters = 65536,
      .observations = 131072,
      .observations_per_client = 4096,
      .observe_confirm_every = 10,
      .timer_slots = 4096,
      .timer_tick = 4 * COPAL_MILLISECOND,
      .has_qblock = CONF_OFF,
      .qblock = qblock_default(),
      .guard_is_on = CONF_ON,
      .dtls = {.clients = CONF_CLIENTS_REQUIRED,
               .sessions = 1000000,
               .handshakes = 4096,
               .per_prefix = 1024,
               .idle_s = 7 * 24 * 3600,
               .has_cid = CONF_ON,
               .has_tickets = CONF_ON,
               .ticket_s = 24 * 3600,
               .after_crash = CONF_CRASH_DROP,
               .checkpoint = 60 * COPAL_SECOND,
               .mtu = 1200,
               .retransmit = COPAL_SECOND,
               .timeout = 30 * COPAL_SECOND},
      .lookup = {.timeout = 5 * COPAL_SECOND,
                 .ttl_s = 300,
                 .negative_ttl_s = 10,
                 .fallback_s = 3600,
                 .cache = 100000,
                 .concurrency = 8,
                 .queue = 1024},
      .joins_all_nodes = CONF_ON,
      .has_membership = CONF_OFF,
      .guard = guard_cfg_default(),
      .rate = rate_cfg_default(),
      .limits = {.body_max = 1u << 20,
                 .patch_max = 1u << 16,
                 .default_max_age_s = 60,
                 .attrs_max = 1024,
                 .key_max = STORE_KEY_MAX},
      .pending = 1024,
      .uploads = 1024,
      .uploads_per_client = 16,
      .upload_bytes = 256u << 20,
      .upload_memory = 16u << 20,
      .upload_lifetime = 247 * COPAL_SECOND,
      .upload_dir = "/var/tmp",
      .store_resources = 1000000,
      .store_bytes = 1u << 30,
      .store_disk = UINT64_C(64) << 30,
  };
}

void conf_wipe(conf *c)
{
  conf_strings_wipe(&c->listen);
  conf_strings_wipe(&c->names);
  conf_strings_wipe(&c->trusted);
  conf_strings_wipe(&c->groups);
  conf_strings_wipe(&c->group_interfaces);
  conf_strings_wipe(&c->lookup.command);
  conf_strings_wipe(&c->dtls_files.certificate);
  conf_strings_wipe(&c->dtls_files.key);
  access_release(c->rules);
  c->rules = NULL;
}

/* ------------------------------------------------------------------------------------------------
 * checks */

static bool is_power_of_two(uint64_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

static void check_trusted(const conf *c, conf_errors *e)
{
  guard_net net;
  if (c->trusted.count > GUARD_NET_MAX)
    conf_error(e, "amplification.trusted: at most %d networks", GUARD_NET_MAX);
  for (size_t i = 0; i < c->trusted.count; i++)
    if (guard_net_parse(c->trusted.items[i], &net) < 0)
      conf_error(e, "amplification.trusted: \"%s\" is not a network such as \"192.0.2.0/24\"",
                 c->trusted.items[i]);
}

static bool is_group(const char *text)
{
  copal_addr a;
  return udp_addr_parse(text, 0, &a) == 0 && udp_addr_is_multicast(&a);
}

static void check_groups(const conf *c, conf_errors *e)
{
  for (size_t i = 0; i < c->groups.count; i++)
    if (!is_group(c->groups.items[i]))
      conf_error(e, "groups.join: \"%s\" is not a multicast address", c->groups.items[i]);
}

guard_cfg conf_guard(const conf *c)
{
  guard_cfg g = c->guard;
  for (size_t i = 0; i < c->trusted.count && g.net_count < GUARD_NET_MAX; i++)
    if (guard_net_parse(c->trusted.items[i], &g.nets[g.net_count]) == COPAL_OK)
      g.net_count++;
  return g;
}

admission_cfg conf_admission(const conf *c)
{
  return (admission_cfg){.rules = c->rules, .rate = c->rate, .audit = c->audit};
}

int conf_load_rules(conf *c, conf_errors *errors)
{
  mistakes m = {.count = 0};
  access_release(c->rules);
  c->rules = NULL;
  if (c->access_file[0] == '\0')
    return COPAL_OK;
  if (access_load(c->access_file, &c->rules, &m) == COPAL_OK)
    return COPAL_OK;
  /* The lines end with a newline each; conf_error() adds one. */
  conf_error(errors, "%.*s", m.len > 0 ? (int)m.len - 1 : 0, m.text);
  return COPAL_EINVAL;
}

static void check_listen(const conf *c, conf_errors *e)
{
  for (size_t i = 0; i < c->listen.count; i++) {
    copal_addr a;
    char why[LISTENER_WHY_SIZE];
    if (listener_parse(c->listen.items[i], &a, why) < 0)
      conf_error(e, "listen: \"%s\": %s", c->listen.items[i], why);
  }
}

static void check_endpoint(const conf *c, conf_errors *e)
{
  if (copal_params_check(&c->params) < 0)
    conf_error(e, "transmission: the values do not go together: ack_delay must be below "
                  "ack_timeout, and EXCHANGE_LIFETIME below 71 minutes");
  if (copal_qblock_check(&c->qblock) < 0)
    conf_error(e, "qblock: non_receive_timeout must be at least a second above non_timeout times "
                  "random_factor");
  if (!is_power_of_two(c->block))
    conf_error(e, "limits.block: %" PRIu32 " is not a power of two", c->block);
  if (!is_power_of_two(c->mid_counters))
    conf_error(e, "limits.mid_counters: %" PRIu32 " is not a power of two", c->mid_counters);
  if (!is_power_of_two(c->timer_slots))
    conf_error(e, "limits.timer_slots: %" PRIu32 " is not a power of two", c->timer_slots);
  if (c->message > c->udp.datagram_max)
    conf_error(e, "limits.message: larger than server.datagram (%u bytes)",
               (unsigned)c->udp.datagram_max);
}

/* The guard makes the Echo values. */
static void check_crash(const conf *c, conf_errors *e)
{
  if (c->dtls.after_crash == CONF_CRASH_CHALLENGE && c->guard_is_on == CONF_OFF)
    conf_error(e, "dtls.after_crash: challenge needs amplification.guard");
}

int conf_check(const conf *c, conf_errors *e)
{
  check_listen(c, e);
  check_crash(c, e);
  check_trusted(c, e);
  check_groups(c, e);
  check_endpoint(c, e);
  if (e->count > 0)
    return COPAL_EINVAL;
  copal_ep_cfg ep = conf_ep(c, conf_shards(c));
  /* The size does not depend on the hooks, but they are required. */
  ep.sink = &(copal_sink){NULL, NULL};
  ep.entropy = &(copal_entropy){NULL};
  if (copal_ep_size(&ep) == 0)
    conf_error(e, "limits: the protocol endpoint does not accept this combination");
  return e->count > 0 ? COPAL_EINVAL : COPAL_OK;
}

void conf_error(conf_errors *e, const char *format, ...)
{
  e->count++;
  va_list args;
  va_start(args, format);
  const size_t left = sizeof e->text - e->len;
  const int n = vsnprintf(e->text + e->len, left, format, args);
  va_end(args);
  /* A line that does not fit, newline included, is only counted. */
  if (n < 0 || (size_t)n + 2 > left) {
    e->text[e->len] = '\0';
    return;
  }
  e->len += (size_t)n;
  e->text[e->len++] = '\n';
  e->text[e->len] = '\0';
}

/* ------------------------------------------------------------------------------------------------
 * shares of shards */

static uint32_t share(uint32_t whole, uint32_t shards)
{
  return (uint32_t)(((uint64_t)whole + shards - 1) / shards);
}

/* The largest power of two up to the share. */
static uint32_t share_power(uint32_t whole, uint32_t shards)
{
  uint32_t v = 1;
  while (v * 2 <= whole / shards)
    v *= 2;
  return v;
}

static uint8_t szx_of(uint32_t block)
{
  uint8_t szx = 0;
  while ((16u << szx) < block)
    szx++;
  return szx;
}

copal_ep_cfg conf_ep(const conf *c, uint32_t shards)
{
  copal_ep_cfg ep = COPAL_EP_CFG_INIT;
  ep.params = c->params;
  ep.exchange_count = share(c->exchanges, shards);
  ep.peer_count = share(c->peers, shards);
  ep.dedup_count = share(c->dedup, shards);
  ep.dedup_per_peer = c->dedup_per_peer < ep.dedup_count ? c->dedup_per_peer : ep.dedup_count;
  ep.recall_count = c->answers != 0 ? share_power(c->answers, shards) : 0;
  ep.chunk_count = share(c->chunks, shards);
  ep.chunk_size = c->chunk;
  ep.message_max = c->message;
  ep.token_cap = c->token;
  ep.szx_max = szx_of(c->block);
  ep.has_szx_max = true;
  ep.relation_count = share(c->observations, shards);
  ep.relation_per_peer = c->observations_per_client;
  ep.notify_con_every = c->observe_confirm_every ? c->observe_confirm_every : UINT16_MAX;
  ep.mid_count = share_power(c->mid_counters, shards);
  ep.timer_slots = c->timer_slots;
  ep.timer_tick = c->timer_tick;
  ep.qblock = c->has_qblock == CONF_ON ? &c->qblock : NULL;
  return ep;
}

uint32_t conf_shards(const conf *c)
{
  if (c->shards != 0)
    return c->shards;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return 1;
  const int n = CPU_COUNT(&set);
  return n < 1 ? 1 : n > CONF_SHARDS_MAX ? CONF_SHARDS_MAX : (uint32_t)n;
}

uint32_t conf_sockets(const conf *c)
{
  const uint32_t shards = conf_shards(c);
  if (c->sockets != 0)
    return c->sockets > shards ? c->sockets : shards;
  return shards * SOCKETS_PER_SHARD;
}

/* ------------------------------------------------------------------------------------------------
 * printing and comparing */

static void print_string(const char *s, FILE *out)
{
  fputc('"', out);
  for (; *s != '\0'; s++) {
    if (*s == '"' || *s == '\\')
      fputc('\\', out);
    fputc(*s, out);
  }
  fputc('"', out);
}

static void print_list(const conf_strings *l, FILE *out)
{
  fputs("[", out);
  for (size_t i = 0; i < l->count; i++) {
    fputs(i == 0 ? "" : ", ", out);
    print_string(l->items[i], out);
  }
  fputs("]", out);
}

static void print_number(const conf *c, const conf_key *k, FILE *out)
{
  const uint64_t v = conf_key_get(c, k);
  char text[CONF_VALUE_TEXT_SIZE];
  conf_value_format(v, k->unit, text);
  const bool is_bare = k->unit == CONF_PLAIN && v <= INT32_MAX;
  fprintf(out, is_bare ? "%s" : "\"%s\"", text);
}

static void print_value(const conf *c, const conf_key *k, FILE *out)
{
  switch (k->kind) {
  case CONF_LIST: print_list(conf_key_list(c, k), out); return;
  case CONF_TEXT: print_string(conf_key_text(c, k), out); return;
  case CONF_WORD: print_string(k->words[conf_key_get(c, k)], out); return;
  case CONF_NUMBER: print_number(c, k, out); return;
  case CONF_FACTOR: {
    const unsigned percent = (unsigned)conf_key_get(c, k);
    fprintf(out, "%u.%02u", percent / 100, percent % 100);
    return;
  }
  }
}

void conf_print(const conf *c, FILE *out)
{
  const char *section = "";
  for (size_t i = 0; i < conf_key_count; i++) {
    const conf_key *k = &conf_keys[i];
    if (strcmp(section, k->section) != 0) {
      fputs(*section != '\0' ? "}\n" : "", out);
      section = k->section;
      fprintf(out, "\n%s = {\n", section);
    }
    fprintf(out, "%s%s = ", *section != '\0' ? "  " : "", k->name);
    print_value(c, k, out);
    fputc('\n', out);
  }
  fputs("}\n", out);
}

static bool lists_are_equal(const conf_strings *a, const conf_strings *b)
{
  if (a->count != b->count)
    return false;
  for (size_t i = 0; i < a->count; i++)
    if (strcmp(a->items[i], b->items[i]) != 0)
      return false;
  return true;
}

static bool is_same(const conf *a, const conf *b, const conf_key *k)
{
  if (k->kind == CONF_LIST)
    return lists_are_equal(conf_key_list(a, k), conf_key_list(b, k));
  if (k->kind == CONF_TEXT)
    return strcmp(conf_key_text(a, k), conf_key_text(b, k)) == 0;
  return conf_key_get(a, k) == conf_key_get(b, k);
}

static void append_name(char *to, size_t size, const conf_key *k)
{
  const size_t len = strlen(to);
  snprintf(to + len, size - len, "%s%s%s%s", len == 0 ? "" : " ", k->section,
           *k->section == '\0' ? "" : ".", k->name);
}

void conf_compare(const conf *a, const conf *b, char *live, char *restart, size_t size)
{
  live[0] = restart[0] = '\0';
  for (size_t i = 0; i < conf_key_count; i++)
    if (!is_same(a, b, &conf_keys[i]))
      append_name(conf_keys[i].is_live ? live : restart, size, &conf_keys[i]);
}

/* ------------------------------------------------------------------------------------------------
 * strings */

int conf_strings_add(conf_strings *l, const char *s)
{
  char **items = realloc(l->items, (l->count + 1) * sizeof *items);
  if (items == NULL)
    return COPAL_ENOSPC;
  l->items = items;
  items[l->count] = strdup(s);
  if (items[l->count] == NULL)
    return COPAL_ENOSPC;
  l->count++;
  return COPAL_OK;
}

int conf_strings_copy(conf_strings *to, const conf_strings *from)
{
  *to = (conf_strings){NULL, 0};
  for (size_t i = 0; i < from->count; i++) {
    if (conf_strings_add(to, from->items[i]) < 0) {
      conf_strings_wipe(to);
      return COPAL_ENOSPC;
    }
  }
  return COPAL_OK;
}

void conf_strings_wipe(conf_strings *l)
{
  for (size_t i = 0; i < l->count; i++)
    free(l->items[i]);
  free(l->items);
  *l = (conf_strings){NULL, 0};
}
