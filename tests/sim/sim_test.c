/* SPDX-License-Identifier: Apache-2.0 */
/* Many seeded runs of simulated worlds; a failing seed is printed and reproduces. RFC 7252
 * sections 4, 5 and 8. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum { RUNS_DEFAULT = 10000, FAILURES_SHOWN = 5, EXIT_USAGE = 2 };

static const uint64_t seed_default = 0x636f70616c000000u;

typedef struct options {
  uint32_t runs;
  uint64_t seed;
  bool is_verbose;
} options;

static bool parse_options(int argc, char **argv, options *o)
{
  for (int i = 1; i < argc; i++) {
    const bool has_value = i + 1 < argc;
    if (strcmp(argv[i], "--verbose") == 0)
      o->is_verbose = true;
    else if (strcmp(argv[i], "--runs") == 0 && has_value)
      o->runs = (uint32_t)strtoul(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--seed") == 0 && has_value)
      o->seed = strtoull(argv[++i], NULL, 0);
    else
      return false;
  }
  return true;
}

static void print_cfg(const world_cfg *c)
{
  printf("  %u nodes, loss %u %%, dup %u %%, corrupt %u %%, delay %u..%u us, ack_timeout %u us,"
         " nstart %u, max_retransmit %u\n"
         "  pools: %u exchanges, %u peers, %u dedups, %u chunks of %u; message_max %u;"
         " sink full %u %%, injected %u %%\n",
         c->node_count, c->link.loss_percent, c->link.dup_percent, c->link.corrupt_percent,
         c->link.delay_min, c->link.delay_max, c->ep.params.ack_timeout, c->ep.params.nstart,
         c->ep.params.max_retransmit, c->ep.exchange_count, c->ep.peer_count, c->ep.dedup_count,
         c->ep.chunk_count, c->ep.chunk_size, c->ep.message_max, c->sink_full_percent,
         c->inject_percent);
}

static void print_failure(const world *w, uint64_t seed, const char *program)
{
  printf("FAILED seed 0x%" PRIx64 ": %s at %.6f s: %s\n", seed, oracle_rule_name(w->oracle.broken),
         (double)w->oracle.broken_at / 1e6, w->oracle.text);
  print_cfg(&w->cfg);
  printf("  reproduce: %s --runs 1 --seed 0x%" PRIx64 " --verbose\n", program, seed);
}

int main(int argc, char **argv)
{
  options o = {RUNS_DEFAULT, seed_default, false};
  unsigned failures = 0;
  if (!parse_options(argc, argv, &o)) {
    fprintf(stderr, "usage: %s [--runs N] [--seed S] [--verbose]\n", argv[0]);
    return EXIT_USAGE;
  }
  world *w = malloc(sizeof(*w));
  if (w == NULL)
    abort();
  world_init(w);
  for (uint32_t i = 0; i < o.runs && failures < FAILURES_SHOWN; i++) {
    const world_cfg cfg = world_cfg_of(o.seed + i);
    if (world_run(w, &cfg, o.is_verbose))
      continue;
    failures++;
    print_failure(w, o.seed + i, argv[0]);
  }
  printf("%" PRIu32 " runs, %" PRIu64 " requests, %" PRIu64 " datagrams: %" PRIu64
         " responses, %" PRIu64 " timeouts, %" PRIu64 " resets, %" PRIu64 " unreachable, %" PRIu64
         " canceled\n",
         o.runs, w->total_requests, w->total_datagrams, w->ends[COPAL_EVENT_RESPONSE],
         w->ends[COPAL_EVENT_TIMEOUT], w->ends[COPAL_EVENT_RESET], w->ends[COPAL_EVENT_UNREACHABLE],
         w->ends[COPAL_EVENT_CANCELED]);
  world_wipe(w);
  free(w);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
