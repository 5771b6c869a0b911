/* SPDX-License-Identifier: Apache-2.0 */
/* The store that the configuration asks for. */
#include "cmd/copald/storage.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "cmd/copald/datadir.h"
#include "copal/error.h"
#include "server/clock.h"
#include "server/state.h"
#include "store/journal/journal.h"
#include "store/memory/memory.h"

_Static_assert((int)LMDB_WHY_SIZE <= (int)SERVER_WHY_SIZE, "a sentence of the store must fit");

/* On the store's thread, of damage on any: each line is one write. */
static void on_event(lmdb_listener *l, lmdb_event event, const char *why)
{
  storage *st = (storage *)l;
  switch (event) {
  case LMDB_EVENT_FULL:
    LOG(&st->log, LOG_LEVEL_WARN, "store_full", log_text("reason", why),
        log_text("hint", "changes are answered 5.03; delete resources or make room"));
    return;
  case LMDB_EVENT_ROOM: log_event(&st->log, LOG_LEVEL_INFO, "store_has_room", NULL, 0); return;
  case LMDB_EVENT_FAILED:
    LOG(&st->log, LOG_LEVEL_ERROR, "store_failed", log_text("error", why),
        log_text("hint", "changes are answered 5.00 until copald is started again"));
    return;
  case LMDB_EVENT_DAMAGED:
    LOG(&st->log, LOG_LEVEL_ERROR, "store_damaged", log_text("record", why),
        log_text("hint", "see 'copald --check'; a DELETE takes a damaged record away"));
    return;
  }
}

/* The way to the directory that nobody has named may be missing; to one that somebody has, it means
 * a mistake. */
static int make_way(const conf *c, char why[SERVER_WHY_SIZE])
{
  char own[CONF_TEXT_SIZE];
  const datadir_facts facts = datadir_facts_now();
  if (datadir_choose(&facts, own, sizeof own) < 0 || strcmp(own, c->data) != 0)
    return 0;
  const int rc = datadir_make_parents(own);
  if (rc < 0)
    snprintf(why, SERVER_WHY_SIZE, "%.180s: cannot be made: %s", own, strerror(-rc));
  return rc;
}

/* The file is mapped: a page that cannot be read has no other way to say so. What was acknowledged
 * is as the disk has it; whoever supervises the service starts it again, or not. */
static void on_lost_page(int number, siginfo_t *info, void *context)
{
  static const char text[] =
      "copald: the data file cannot be read: its disk has failed, or somebody has cut it off; see "
      "'copald --check'\n";
  (void)number;
  (void)context;
  if (info->si_code != BUS_ADRERR && info->si_code != BUS_OBJERR) { /* no matter of a file */
    signal(SIGBUS, SIG_DFL);
    raise(SIGBUS);
    return;
  }
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
    _exit(EXIT_LOST_DATA);
  _exit(EXIT_LOST_DATA);
}

static void catch_lost_pages(void)
{
  struct sigaction action = {.sa_flags = SA_SIGINFO};
  action.sa_sigaction = on_lost_page;
  sigaction(SIGBUS, &action, NULL);
}

static int open_durable(storage *st, const conf *c, char why[SERVER_WHY_SIZE])
{
  const lmdb_store_cfg cfg = {
      .resource_max = c->store_resources,
      .byte_max = c->store_disk,
      .history = c->history,
      .now = clock_now(),
      .listener = &st->listener,
  };
  const int rc = make_way(c, why);
  if (rc < 0)
    return rc;
  catch_lost_pages();
  if (c->store == CONF_STORE_JOURNAL)
    return journal_store_open(c->data, &(journal_store_cfg){.common = cfg}, &st->store, why);
  return lmdb_store_open(c->data, &cfg, &st->store, why);
}

int storage_open(storage *st, const conf *c, const logger *log, char why[SERVER_WHY_SIZE])
{
  *st = (storage){.listener.on_event = on_event, .log = *log};
  switch (c->store) {
  case CONF_STORE_LMDB:
  case CONF_STORE_JOURNAL: return open_durable(st, c, why);
  case CONF_STORE_MEMORY: break;
  }
  const memory_store_cfg cfg = {.resource_max = c->store_resources,
                                .byte_max = c->store_bytes,
                                .history = c->history,
                                .now = clock_now()};
  st->store = memory_store_open(&cfg);
  return st->store != NULL ? COPAL_OK : COPAL_ENOSPC;
}

const char *storage_advice(const conf *c, int rc)
{
  if (c->store == CONF_STORE_MEMORY)
    return NULL;
  switch (rc) {
  case -EBUSY:
    return "end that one, or give this one a directory of its own: --data DIR; "
           "or keep nothing: --store memory";
  case -EACCES:
  case -EPERM:
    return "the directory and all files in it must belong to the user that copald runs as; "
           "or choose another: --data DIR; or keep nothing: --store memory";
  case -ENOSPC:
  case -EDQUOT:
    return "make room, or choose a directory on another disk: --data DIR; or keep nothing: "
           "--store memory";
  case -EISDIR:
  case -EROFS:
  case -ENOENT:
  case -ENOTDIR:
  case -ENAMETOOLONG: return "choose a directory: --data DIR; or keep nothing: --store memory";
  case COPAL_EFORMAT: return "see what is wrong: copald --check DIR";
  }
  return NULL;
}

void storage_close(storage *st)
{
  store_close(st->store);
  st->store = NULL;
}

const char *storage_name(const conf *c)
{
  return c->store != CONF_STORE_MEMORY ? c->data : "memory";
}

/* ------------------------------------------------------------------------------------------------
 * checking */

static void print_damage(void *ctx, const char *damage)
{
  fprintf(ctx, "copald: %s\n", damage);
}

/* A page that leads outside the file, or that the disk does not give, ends the walk through it.
 * LMDB's assertions have been told. */
static void on_bad_page(int number)
{
  static const char text[] =
      "copald: a file of the store cannot be read: its disk has failed, or a "
      "page of data.mdb leads outside of it\n";
  if (number != SIGABRT && write(STDERR_FILENO, text, sizeof text - 1) < 0)
    _exit(EXIT_RUNTIME);
  _exit(EXIT_RUNTIME);
}

void storage_catch_damage(void)
{
  const struct sigaction action = {.sa_handler = on_bad_page};
  sigaction(SIGBUS, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGABRT, &action, NULL);
}

int storage_check(const char *dir, FILE *out, FILE *err)
{
  char why[LMDB_WHY_SIZE];
  lmdb_report report;
  const int rc = lmdb_store_check(dir, print_damage, err, &report, why);
  if (rc < 0) {
    fprintf(err, "copald: %s\n", why);
    return rc;
  }
  char state_why[STATE_WHY_SIZE];
  if (state_check(dir, state_why) < 0) {
    fprintf(err, "copald: %s\n", state_why);
    report.damaged++;
  }
  journal_report journal;
  const int journal_rc = journal_store_check(dir, print_damage, err, &journal, why);
  if (journal_rc < 0) {
    fprintf(err, "copald: %s\n", why);
    return journal_rc;
  }
  report.damaged += journal.damaged;
  if (journal.has_journal)
    fprintf(out, "%s: the journal has %" PRIu64 " batches that the database has not%s\n", dir,
            journal.batches, journal.is_torn ? ", and one that was not finished" : "");
  fprintf(out, "%s: %" PRIu64 " resources, revision %" PRIu64 ", %" PRIu64 " bytes, %s\n", dir,
          report.resources, report.rev, report.bytes,
          report.damaged == 0 ? "no damage" : "damaged");
  return report.damaged == 0 ? COPAL_OK : COPAL_EFORMAT;
}
