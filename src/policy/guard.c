/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets, verified sources and Echo values. */
#include "policy/guard.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copal/error.h"
#include "crypto/mac.h"

enum {
  BUDGETS = 4096,         /* a power of two */
  VERIFIED = 16384,       /* a power of two */
  PREFIX_BYTES_IPV4 = 15, /* of the mapped address: /24 */
  PREFIX_BYTES_IPV6 = 7,  /* /56 */
  IPV4_BITS = 96,         /* of the mapping */
  ADDRESS_BITS = 128,
  ECHO_TIME_SIZE =
      4, /* an Echo value is the time it was made, and a MAC over that and the endpoint */
  ECHO_MAC_SIZE = COPAL_ECHO_SIZE - ECHO_TIME_SIZE,
  PROBE_PERIOD_S = 60, /* how long the Message ID of a probe stays the same */
  GUESS_COST = 64,     /* bytes of a budget */
  ECHO_FRESH_S = 60,   /* RFC 9175 section 2.3: the threshold T */
};

#define IDLE_MAX UINT32_MAX /* microseconds */

typedef struct budget {
  uint32_t left;       /* bytes */
  copal_time refilled; /* 0: never used */
} budget;

/* A source that is known to receive what is sent to it. */
typedef struct verified {
  copal_addr remote;
  copal_time until;
} verified;

struct guard {
  copal_guard hook; /* first */
  guard_cfg cfg;
  guard_stats stats;
  bool has_drawn; /* the response being sent drew on a budget */
  uint8_t key[MAC_KEY_SIZE];
  uint64_t seed;
  guard_proof *proof; /* NULL: nobody wants to know */
  budget budgets[BUDGETS];
  verified verified[VERIFIED];
};

guard_cfg guard_cfg_default(void)
{
  return (guard_cfg){
      .free_size = 136, .burst = 16384, .refill = 2048, .verified_for = 300 * COPAL_SECOND};
}

/* --------------------------------------------------------------------------------------- networks
 */

static bool is_ipv4(const uint8_t ip[16])
{
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(ip, mapped, sizeof mapped) == 0;
}

static int parse_bits(const char *text, unsigned most, unsigned *bits)
{
  char *end;
  *bits = most;
  if (text == NULL)
    return COPAL_OK;
  const unsigned long v = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || v > most)
    return COPAL_EINVAL;
  *bits = (unsigned)v;
  return COPAL_OK;
}

int guard_net_parse(const char *text, guard_net *net)
{
  char address[INET6_ADDRSTRLEN];
  const char *slash = strchr(text, '/');
  const size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
  unsigned bits;

  if (len >= sizeof address)
    return COPAL_EINVAL;
  memcpy(address, text, len);
  address[len] = '\0';
  memset(net, 0, sizeof *net);
  if (inet_pton(AF_INET, address, net->ip + 12) == 1) {
    net->ip[10] = net->ip[11] = 0xff;
    if (parse_bits(slash != NULL ? slash + 1 : NULL, ADDRESS_BITS - IPV4_BITS, &bits))
      return COPAL_EINVAL;
    net->bits = (uint8_t)(IPV4_BITS + bits);
    return COPAL_OK;
  }
  if (inet_pton(AF_INET6, address, net->ip) != 1 ||
      parse_bits(slash != NULL ? slash + 1 : NULL, ADDRESS_BITS, &bits))
    return COPAL_EINVAL;
  net->bits = (uint8_t)bits;
  return COPAL_OK;
}

static bool is_in(const guard_net *net, const uint8_t ip[16])
{
  const unsigned whole = net->bits / 8;
  const unsigned rest = net->bits % 8;

  if (memcmp(net->ip, ip, whole) != 0)
    return false;
  return rest == 0 || ((net->ip[whole] ^ ip[whole]) >> (8 - rest)) == 0;
}

static bool is_loopback(const uint8_t ip[16])
{
  static const uint8_t ipv6[16] = {[15] = 1};
  return is_ipv4(ip) ? ip[12] == 127 : memcmp(ip, ipv6, sizeof ipv6) == 0;
}

static bool is_trusted(const guard *g, const copal_path *path)
{
  const uint8_t *ip = path->remote.ip;
  const bool is_proven = (path->flags & (COPAL_PATH_UNPROVEN | COPAL_PATH_STALE)) == 0;
  if (((path->flags & COPAL_PATH_SECURE) != 0 && is_proven) || (is_loopback(ip) && is_proven))
    return true;
  for (size_t i = 0; i < g->cfg.net_count; i++)
    if (is_in(&g->cfg.nets[i], ip))
      return true;
  return false;
}

/* ----------------------------------------------------------------------------------------- tables
 */

static uint64_t hash(const guard *g, const void *bytes, size_t len)
{
  const uint8_t *at = bytes;
  uint64_t h = g->seed;
  for (size_t i = 0; i < len; i++)
    h = (h ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a from a random start */
  return h ^ h >> 32;
}

static verified *place_of(guard *g, const copal_addr *remote)
{
  return &g->verified[hash(g, remote, sizeof *remote) & (VERIFIED - 1)];
}

static bool is_verified(guard *g, const copal_path *path, copal_time now)
{
  const verified *v = place_of(g, &path->remote);
  return v->until > now && memcmp(&v->remote, &path->remote, sizeof v->remote) == 0;
}

static void verify(guard *g, const copal_path *path, bool is_fresh, copal_time now)
{
  if (g->proof != NULL && path->session != 0)
    g->proof->on_proof(g->proof, path, is_fresh);
  if (is_trusted(g, path))
    return;
  if (!is_verified(g, path, now))
    g->stats.verified++;
  *place_of(g, &path->remote) = (verified){path->remote, now + g->cfg.verified_for};
}

static budget *budget_of(guard *g, const copal_addr *remote)
{
  const size_t len = is_ipv4(remote->ip) ? PREFIX_BYTES_IPV4 : PREFIX_BYTES_IPV6;
  return &g->budgets[hash(g, remote->ip, len) & (BUDGETS - 1)];
}

static void refill(const guard *g, budget *b, copal_time now)
{
  if (b->left > g->cfg.burst)
    b->left = g->cfg.burst; /* a reload has made it smaller */
  /* Neither factor exceeds 32 bits: after IDLE_MAX the budget is as good as full. */
  const copal_time idle = now - b->refilled;
  const uint64_t earned = (idle < IDLE_MAX ? idle : IDLE_MAX) * g->cfg.refill / COPAL_SECOND;
  if (b->refilled == 0 || earned >= g->cfg.burst - b->left) {
    b->left = g->cfg.burst;
    b->refilled = now;
  } else if (earned > 0) {
    b->left += (uint32_t)earned;
    /* What earned less than a byte counts the next time. */
    b->refilled = idle < IDLE_MAX ? b->refilled + earned * COPAL_SECOND / g->cfg.refill : now;
  }
}

/* ------------------------------------------------------------------------------------------ hooks
 */

static bool allows(copal_guard *hook, const copal_path *path, size_t len, copal_time now)
{
  guard *g = (guard *)hook;
  if (len <= g->cfg.free_size || is_trusted(g, path) || is_verified(g, path, now))
    return true;
  budget *b = budget_of(g, &path->remote);
  refill(g, b, now);
  if (b->left < len) {
    g->stats.refused++;
    return false;
  }
  b->left -= (uint32_t)len;
  g->stats.drawn++;
  g->has_drawn = true;
  return true;
}

static uint32_t seconds(copal_time now)
{
  return (uint32_t)(now / COPAL_SECOND);
}

/* The MAC of an Echo value made for that endpoint at that second. */
static void make_mac(const guard *g, const copal_path *path, uint32_t made, uint8_t *out)
{
  struct {
    copal_addr remote;
    uint32_t session;
    uint32_t made;
  } bound = {path->remote, path->session, made};
  mac_make(g->key, copal_span_of(&bound, sizeof bound), (copal_mspan){out, ECHO_MAC_SIZE});
}

/* The Message ID of a probe of that endpoint in that period: it cannot be guessed, and needs no
 * memory. */
static uint16_t probe_mid(const guard *g, const copal_path *path, uint32_t period)
{
  uint8_t mac[ECHO_MAC_SIZE];
  make_mac(g, path, ~period, mac); /* apart from those of Echo values */
  return (uint16_t)(mac[0] << 8 | mac[1]);
}

static uint32_t period_of(copal_time now)
{
  return seconds(now) / PROBE_PERIOD_S;
}

/* Who asks a group is not probed: all its members would speak at once, RFC 7252 section 8.2. */
static bool probe(copal_guard *hook, const copal_path *path, uint16_t *mid, copal_time now)
{
  guard *g = (guard *)hook;
  /* The peer of a session that has moved is asked at once. */
  if (!g->has_drawn && (path->flags & COPAL_PATH_UNPROVEN) == 0)
    return false;
  g->has_drawn = false;
  if ((path->flags & COPAL_PATH_GROUP) != 0)
    return false;
  *mid = probe_mid(g, path, period_of(now));
  return true;
}

/* Each answer costs something of the prefix's budget, so that guessing takes too long. */
static bool on_reset(copal_guard *hook, const copal_path *path, uint16_t mid, copal_time now)
{
  guard *g = (guard *)hook;
  const uint32_t period = period_of(now);
  budget *b = budget_of(g, &path->remote);

  refill(g, b, now);
  if (b->left < GUESS_COST)
    return false;
  b->left -= GUESS_COST;
  if (mid != probe_mid(g, path, period) && mid != probe_mid(g, path, period - 1))
    return false;
  verify(g, path, false, now);
  return true;
}

static void challenge(copal_guard *hook, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                      copal_time now)
{
  const guard *g = (const guard *)hook;
  const uint32_t made = seconds(now);
  memcpy(echo, &made, ECHO_TIME_SIZE);
  make_mac(g, path, made, echo + ECHO_TIME_SIZE);
}

static bool is_equal_in_constant_time(const uint8_t *a, const uint8_t *b, size_t len)
{
  uint8_t differences = 0;
  for (size_t i = 0; i < len; i++)
    differences |= a[i] ^ b[i];
  return differences == 0;
}

static void on_echo(copal_guard *hook, const copal_path *path, copal_span echo, copal_time now)
{
  guard *g = (guard *)hook;
  uint8_t mac[ECHO_MAC_SIZE];
  uint32_t made;

  g->stats.echo_bad++;
  if (echo.len != COPAL_ECHO_SIZE)
    return;
  memcpy(&made, echo.ptr, ECHO_TIME_SIZE);
  if (seconds(now) - made >= ECHO_FRESH_S)
    return;
  make_mac(g, path, made, mac);
  if (!is_equal_in_constant_time(mac, echo.ptr + ECHO_TIME_SIZE, sizeof mac))
    return;
  g->stats.echo_bad--;
  verify(g, path, true, now);
}

static void on_acknowledged(copal_guard *hook, const copal_path *path, copal_time now)
{
  verify((guard *)hook, path, false, now);
}

/* ---------------------------------------------------------------------------- opening and closing
 */

guard *guard_open(const guard_cfg *cfg)
{
  guard *g = calloc(1, sizeof *g);
  if (g == NULL)
    return NULL;
  if (getrandom(g->key, sizeof g->key, 0) != (ssize_t)sizeof g->key ||
      getrandom(&g->seed, sizeof g->seed, 0) != (ssize_t)sizeof g->seed) {
    free(g);
    return NULL;
  }
  g->hook = (copal_guard){.allows = allows,
                          .challenge = challenge,
                          .on_echo = on_echo,
                          .probe = probe,
                          .on_reset = on_reset,
                          .on_acknowledged = on_acknowledged};
  guard_reload(g, cfg);
  return g;
}

void guard_close(guard *g)
{
  free(g);
}

void guard_reload(guard *g, const guard_cfg *cfg)
{
  g->cfg = *cfg;
}

void guard_set_proof(guard *g, guard_proof *proof)
{
  g->proof = proof;
}

copal_guard *guard_hook(guard *g)
{
  return &g->hook;
}

const guard_stats *guard_stats_now(const guard *g)
{
  return &g->stats;
}
