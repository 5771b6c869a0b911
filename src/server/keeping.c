/* SPDX-License-Identifier: Apache-2.0 */
/* What a server hands to the one that starts next. */
#include "server/keeping.h"

#include <stdlib.h>

#include "server/clock.h"

/* Lends the shards to the sections for one round. Returns false without memory. */
static bool lend(keeping *k, server *s)
{
  const uint32_t count = server_shard_count(s);
  dups_shard *lent = calloc(count, sizeof *lent);
  for (uint32_t i = 0; lent != NULL && i < count; i++) {
    shard *each = server_shard(s, i);
    lent[i] = (dups_shard){shard_ep(each), shard_ways(each)};
  }
  dups_lend(&k->dups, lent, lent != NULL ? count : 0, clock_now());
  return lent != NULL;
}

static void take_back(keeping *k)
{
  free(k->dups.shards);
  dups_lend(&k->dups, NULL, 0, 0);
}

static void restore(server_section *hook, server *s)
{
  keeping *k = (keeping *)hook;
  char why[STATE_WHY_SIZE] = "out of memory";
  const int64_t len = lend(k, s) ? state_load(&k->sections, k->dir, why) : -1;
  take_back(k);
  if (len < 0)
    LOG(k->log, LOG_LEVEL_WARN, "state_lost", log_text("error", why),
        log_text("hint", "requests repeated across this restart are known by the store alone"));
  if (len > 0)
    LOG(k->log, LOG_LEVEL_INFO, "state_restored", log_number("bytes", (uint64_t)len),
        log_number("duplicates", k->dups.restored),
        log_number("duplicates_refused", k->dups.refused));
}

static void save(server_section *hook, server *s)
{
  keeping *k = (keeping *)hook;
  char why[STATE_WHY_SIZE] = "out of memory";
  const int64_t len = lend(k, s) ? state_save(&k->sections, k->dir, why) : -1;
  take_back(k);
  if (len < 0)
    LOG(k->log, LOG_LEVEL_ERROR, "state_not_saved", log_text("error", why),
        log_text("hint", "requests repeated across this restart are known by the store alone"));
  else
    LOG(k->log, LOG_LEVEL_INFO, "state_saved", log_number("bytes", (uint64_t)len),
        log_number("duplicates", k->dups.saved));
}

void keeping_init(keeping *k, const char *dir, logger *log)
{
  *k = (keeping){
      .hook = {.name = "state", .restore = restore, .save = save}, .dir = dir, .log = log};
  dups_init(&k->dups);
  state_register(&k->sections, &k->dups.section);
}
