/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of open files. Thread: the main thread. */
#include "cmd/copald/openfiles.h"

#include <sys/resource.h>

enum {
  OTHERS = 64,       /* the store, the log, the channels of shards */
  ADDRESSES_MIN = 2, /* without any configured: loopback, of both families */
};

/* Each socket has a descriptor in the shard, too; a body that is received may be in a file. */
static uint64_t needed(const conf *c)
{
  const uint64_t addresses = c->listen.count > 0 ? c->listen.count : ADDRESSES_MIN;
  const uint32_t shards = conf_shards(c);
  return OTHERS + 4 * (uint64_t)shards + 2 * addresses * conf_sockets(c) + c->uploads;
}

void openfiles_raise(const conf *c, logger *log)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  const rlim_t soft = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    limit.rlim_cur = soft;
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < needed(c))
    LOG(log, LOG_LEVEL_WARN, "open_files_low", log_number("limit", limit.rlim_cur),
        log_number("needed", needed(c)),
        log_text("hint", "raise LimitNOFILE= of the service, or ulimit -n"));
}
