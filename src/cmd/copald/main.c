/* SPDX-License-Identifier: Apache-2.0 */
/* copald: the CoAP server. Puts configuration, store, services and server together. Thread: the
 * main thread only. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "cmd/copald/backup.h"
#include "cmd/copald/datadir.h"
#include "cmd/copald/drop.h"
#include "cmd/copald/dump.h"
#include "cmd/copald/explain.h"
#include "cmd/copald/load.h"
#include "cmd/copald/notify.h"
#include "cmd/copald/openfiles.h"
#include "cmd/copald/pidfile.h"
#include "cmd/copald/storage.h"
#include "cmd/copald/vault.h"
#include "cmd/std_files.h"
#include "copal/error.h"
#include "copal/version.h"
#include "server/clock.h"
#include "server/conf.h"
#include "server/heap.h"
#include "server/heir.h"
#include "server/keeping.h"
#include "server/log.h"
#include "server/roster.h"
#include "server/router.h"
#include "server/server.h"
#include "server/sessions.h"
#include "server/tickets.h"
#include "server/upgrade_wire.h"
#include "service/grouping.h"
#include "service/resources.h"
#include "service/wellknown.h"
#include "store/staging.h"

enum { ADDRESSES_SIZE = 2048 };

/* What lasts from the start of the process to its end, while servers may come and go: one that has
 * made way for a new process serves again when that one fails. */
typedef struct process {
  server_watcher hook; /* first */
  const args *args;
  conf *conf;
  logger *log;
  upgrade upgrade; /* the way out */
  heir heir;       /* the way in */
  listener_set sockets;
  vault vault;
  bool is_loopback_by_default;
} process;

/* Everything that is opened for serving. */
typedef struct parts {
  storage storage;
  store *store;        /* the storage's */
  staging_place place; /* of bodies that are not complete */
  service *resources;
  service *wellknown;
  roster *roster; /* NULL: no resource for memberships */
  service *grouping;
  router router;
} parts;

/* ------------------------------------------------------------------------------------------------
 * configuration */

static int use_loopback(conf *c)
{
  int rc = conf_strings_add(&c->listen, "coap://127.0.0.1");
  if (rc == COPAL_OK)
    rc = conf_strings_add(&c->listen, "coap://[::1]");
  if (rc == COPAL_OK && vault_is_wanted(c))
    rc = conf_strings_add(&c->listen, "coaps://127.0.0.1");
  if (rc == COPAL_OK && vault_is_wanted(c))
    rc = conf_strings_add(&c->listen, "coaps://[::1]");
  return rc;
}

/* A directory that nobody has named is the user's own. Resources in memory need none. */
static void find_data(conf *c, conf_errors *errors)
{
  const datadir_facts facts = datadir_facts_now();
  if (c->data[0] != '\0' || datadir_choose(&facts, c->data, sizeof c->data) == 0)
    return;
  c->data[0] = '\0';
  if (c->store != CONF_STORE_MEMORY)
    conf_error(errors, "data: no directory is named, and neither XDG_STATE_HOME nor HOME has one: "
                       "use --data DIR, or --store memory to keep nothing");
}

/* Defaults, then the file, then the command line. */
static int load_conf(const args *a, conf *c, conf_errors *errors)
{
  conf_init(c);
  int rc = a->config_file == NULL ? 0 : conf_read_file(c, a->config_file, errors);
  if (a->listen.count > 0) {
    conf_strings_wipe(&c->listen);
    if (conf_strings_copy(&c->listen, &a->listen) < 0)
      conf_error(errors, "out of memory");
  }
  if (a->store >= 0)
    c->store = (conf_store)a->store;
  else if (a->data_dir != NULL && c->store == CONF_STORE_MEMORY)
    c->store = CONF_STORE_DEFAULT;
  if (a->data_dir != NULL)
    memcpy(c->data, a->data_dir, strlen(a->data_dir) + 1);
  find_data(c, errors);
  if (a->psk_file != NULL)
    memcpy(c->psk_file, a->psk_file, strlen(a->psk_file) + 1);
  if (a->credentials != NULL)
    memcpy(c->credentials, a->credentials, strlen(a->credentials) + 1);
  if (a->access_file != NULL)
    memcpy(c->access_file, a->access_file, strlen(a->access_file) + 1);
  if (a->log_level >= 0)
    c->log_level = (log_level)a->log_level;
  if (a->log_format >= 0)
    c->log_format = (log_format)a->log_format;
  if (rc == 0)
    rc = conf_check(c, errors);
  if (conf_load_rules(c, errors) < 0)
    rc = COPAL_EINVAL;
  return errors->count > 0 ? COPAL_EINVAL : rc;
}

static int watcher_reload(server_watcher *w, conf *c, conf_errors *errors)
{
  process *p = (process *)w;
  const int rc = load_conf(p->args, c, errors);
  if (rc == 0)
    vault_reload(&p->vault, c, p->log);
  if (rc < 0 || c->listen.count > 0)
    return rc;
  return use_loopback(c);
}

static void watcher_notify(server_watcher *w, const char *state)
{
  (void)w;
  notify_send(state);
}

static int watcher_permit(server_watcher *w, char why[UPGRADE_WHY_SIZE])
{
  const process *p = (const process *)w;
  if (getpid() == 1) {
    snprintf(why, UPGRADE_WHY_SIZE,
             "nobody may take the place of process 1: start a new container");
    return -EPERM;
  }
  if (p->conf->store == CONF_STORE_MEMORY) {
    snprintf(why, UPGRADE_WHY_SIZE,
             "resources in memory end with this process: use a durable "
             "store, or restart");
    return -ENOTSUP;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * serving */

/* The resource for group memberships, off unless it is wanted. RFC 7390 section 2.6.2. */
static int open_grouping(parts *p, const conf *c, logger *log)
{
  if (c->has_membership == CONF_OFF)
    return COPAL_OK;
  p->roster = roster_open(c, log);
  if (p->roster != NULL)
    p->grouping = grouping_open(roster_memberships(p->roster));
  if (p->grouping == NULL)
    return COPAL_ENOSPC;
  return router_mount_at(&p->router, GROUPING_PATH, p->grouping);
}

static int open_parts(parts *p, const conf *c, logger *log, char why[SERVER_WHY_SIZE])
{
  const resources_cfg resources_conf = {
      .pending_max = c->pending,
      .uploads = {.count_max = c->uploads,
                  .per_client = c->uploads_per_client,
                  .byte_max = c->upload_bytes,
                  .lifetime = c->upload_lifetime,
                  .place = &p->place},
      .qbodies = {.params = c->qblock, .byte_max = c->upload_bytes, .place = &p->place},
      .questions = {.block = c->block},
  };
  p->place = (staging_place){.dir = c->upload_dir, .room = c->upload_memory};
  router_init(&p->router);
  const int opened = storage_open(&p->storage, c, log, why);
  if (opened < 0)
    return opened;
  p->store = p->storage.store;
  p->resources = resources_open(&resources_conf);
  const wellknown_cfg wellknown_conf = {.lists_obs = true,
                                        .lists_groups = c->has_membership == CONF_ON};
  p->wellknown = wellknown_open(p->store, &wellknown_conf);
  if (p->resources == NULL || p->wellknown == NULL)
    return COPAL_ENOSPC;
  int rc = router_mount_at(&p->router, "/", p->resources);
  if (rc == COPAL_OK)
    rc = router_mount_at(&p->router, "/.well-known/core", p->wellknown);
  return rc < 0 ? rc : open_grouping(p, c, log);
}

/* After the server: ports first, then the store, then what followed it. */
static void close_parts(parts *p)
{
  if (p->wellknown != NULL)
    wellknown_settle(p->wellknown);
  storage_close(&p->storage);
  if (p->resources != NULL)
    p->resources->close(p->resources);
  if (p->wellknown != NULL)
    p->wellknown->close(p->wellknown);
  if (p->grouping != NULL)
    p->grouping->close(p->grouping);
  roster_close(p->roster);
  staging_place_wipe(&p->place);
}

/* Tells everybody that requests are answered. A service manager believes the old process only,
 * which will tell it about the new one. */
static void announce(process *p, const server *s)
{
  char addresses[ADDRESSES_SIZE];
  const bool is_heir = p->heir.fd >= 0;
  server_addresses(s, addresses, sizeof addresses);
  if (p->is_loopback_by_default)
    LOG(p->log, LOG_LEVEL_INFO, "loopback_only", log_text("reason", "no address is configured"),
        log_text("hint", "serve others with --listen coap://0.0.0.0 --listen coap://[::]"));
  LOG(p->log, LOG_LEVEL_INFO, is_heir ? "taken_over" : "ready",
      log_text("version", copal_version()), log_text("addresses", addresses),
      log_text("store", storage_name(p->conf)));
  printf("copald %s ready: %s (store: %s)\n", copal_version(), addresses, storage_name(p->conf));
  fflush(stdout);
  const int rc = pidfile_write(p->conf->pid_file);
  if (rc < 0)
    LOG(p->log, LOG_LEVEL_WARN, "pid_file_failed", log_text("file", p->conf->pid_file),
        log_text("error", strerror(-rc)));
  heir_serves(&p->heir);
  heir_close(&p->heir);
  if (!is_heir)
    notify_send("READY=1");
}

/* What goes on beside serving, or outlives the server. */
typedef struct chores {
  keeping kept;
  sessions sessions;
  tickets tickets;
} chores;

/* In the order in which it is restored: sessions before what came through them. */
static server_section *list_chores(chores *all, process *p)
{
  const bool is_durable = p->conf->store != CONF_STORE_MEMORY;
  const sessions_parts with = {p->conf, &p->vault.shared, p->vault.identities, p->log};
  keeping_init(&all->kept, p->conf->data, p->log);
  server_section *first = is_durable ? &all->kept.hook : NULL;
  if (vault_secure(&p->vault) == NULL)
    return first;
  sessions_init(&all->sessions, &with);
  tickets_init(&all->tickets, p->conf, &p->vault.shared, p->log, clock_now());
  all->sessions.hook.next = first;
  all->tickets.hook.next = is_durable ? &all->sessions.hook : NULL;
  return &all->tickets.hook;
}

static void log_failure(process *p, const char *why, const char *advice)
{
  if (advice != NULL)
    LOG(p->log, LOG_LEVEL_ERROR, "start_failed", log_text("error", why), log_text("hint", advice));
  else
    LOG(p->log, LOG_LEVEL_ERROR, "start_failed", log_text("error", why));
}

/* Serves until a signal ends it, or a new process is to go on. Returns 0, SERVER_YIELDED, or what
 * is wrong, which has been said. */
static int serve_once(process *p)
{
  parts in_use = {.store = NULL};
  server *s = NULL;
  char why[SERVER_WHY_SIZE] = "out of memory";
  chores beside = {.kept = {.dir = NULL}};
  server_section *sections = list_chores(&beside, p);
  int rc = open_parts(&in_use, p->conf, p->log, why);
  if (rc == 0) {
    const server_parts with = {
        .conf = p->conf,
        .router = &in_use.router,
        .store = in_use.store,
        .log = p->log,
        .watcher = &p->hook,
        .roster = in_use.roster,
        .sockets = &p->sockets,
        .upgrade = &p->upgrade,
        .secure = vault_secure(&p->vault),
        .sections = sections,
    };
    rc = server_open(&with, &s, why);
  }
  if (rc < 0) {
    log_failure(p, why, in_use.store == NULL ? storage_advice(p->conf, rc) : NULL);
    heir_fails(&p->heir, why);
  } else {
    announce(p, s);
    rc = server_run(s);
  }
  server_close(s);
  sessions_wipe(&beside.sessions);
  close_parts(&in_use);
  return rc;
}

static void log_kept(const process *p, uint32_t wanted)
{
  for (size_t i = 0; i < p->sockets.count; i++) {
    const listener *l = &p->sockets.items[i];
    char uri[LISTENER_URI_SIZE];
    listener_uri(l, uri);
    if (l->count != wanted)
      LOG(p->log, LOG_LEVEL_WARN, "sockets_kept", log_text("address", uri),
          log_number("sockets", l->count), log_number("wanted", wanted),
          log_text("hint", "their number changes with a restart only"));
  }
}

/* Opens the addresses of the configuration; a new process has them from the old one. */
static int open_sockets(process *p, char why[LISTENER_WHY_SIZE])
{
  const conf *c = p->conf;
  const listener_cfg cfg = {.uris = c->listen.items,
                            .count = c->listen.count,
                            .sockets = conf_sockets(c),
                            .skips_missing = p->is_loopback_by_default};
  int rc = p->heir.fd >= 0 ? heir_take(&p->heir, why) : 0;
  if (rc == 0)
    rc = listener_set_open(&p->sockets, &cfg, &p->heir.offers, why);
  if (rc == 0)
    log_kept(p, cfg.sockets);
  return rc == 0 && p->heir.fd >= 0 ? heir_wait(&p->heir, why) : rc;
}

/* The new process serves: tells the service manager, and passes on what signals have come in
 * between. */
static void retire(process *p)
{
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
  char state[64];
  sigset_t pending;
  LOG(p->log, LOG_LEVEL_INFO, "handed_over", log_number("pid", (uint64_t)p->upgrade.pid));
  snprintf(state, sizeof state, "READY=1\nMAINPID=%ld", (long)p->upgrade.pid);
  notify_send(state);
  notify_settle();
  sigpending(&pending);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (sigismember(&pending, signals[i]))
      kill(p->upgrade.pid, signals[i]);
}

/* Returns whether this process is to serve again. */
static bool is_taken_back(process *p)
{
  static const struct timespec at_once = {0, 0};
  sigset_t set;
  if (upgrade_hand_over(&p->upgrade)) {
    retire(p);
    return false;
  }
  LOG(p->log, LOG_LEVEL_WARN, "upgrade_taken_back", log_text("version", copal_version()));
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2); /* one that came meanwhile meant this upgrade */
  while (sigtimedwait(&set, NULL, &at_once) > 0)
    continue;
  return true;
}

static int serve(process *p)
{
  char why[LISTENER_WHY_SIZE] = "out of memory";
  p->is_loopback_by_default = p->conf->listen.count == 0;
  if (p->is_loopback_by_default && use_loopback(p->conf) < 0)
    return EXIT_RUNTIME;
  int rc = vault_open(&p->vault, p->conf, p->log, why);
  if (rc == 0) {
    vault_report(&p->vault, p->log);
    rc = open_sockets(p, why);
  }
  if (rc < 0) {
    LOG(p->log, LOG_LEVEL_ERROR, "start_failed", log_text("error", why));
    heir_fails(&p->heir, why);
    return EXIT_RUNTIME;
  }
  do
    rc = serve_once(p);
  while (rc == SERVER_YIELDED && is_taken_back(p));
  if (rc < 0)
    return EXIT_RUNTIME;
  if (rc == 0)
    LOG(p->log, LOG_LEVEL_INFO, "stopped", log_text("version", copal_version()));
  return 0;
}

/* Small bodies do not need it. */
static void try_upload_dir(const conf *c, logger *log)
{
  const int rc = staging_try(c->upload_dir);
  if (rc < 0)
    LOG(log, LOG_LEVEL_WARN, "uploads_directory_unusable", log_text("directory", c->upload_dir),
        log_text("error", strerror(-rc)),
        log_text("hint",
                 "bodies beyond 64 KiB for which uploads.memory has no room are answered 5.03; see "
                 "uploads.directory"));
}

static int start(const args *a, conf *c, char *const *argv)
{
  logger log;
  log_init(&log, STDERR_FILENO, c->log_level, c->log_format);
  signal(SIGCHLD, SIG_DFL); /* who started us may ignore it, and we wait for programs of ours */
  process p = {
      .hook = {watcher_reload, watcher_notify, watcher_permit}, .args = a, .conf = c, .log = &log};
  upgrade_init(&p.upgrade, argv, &log);
  heap_settle();
  openfiles_raise(c, &log);
  try_upload_dir(c, &log);
  int rc = EXIT_RUNTIME;
  if (heir_open(&p.heir) == 0)
    rc = serve(&p);
  else
    LOG(&log, LOG_LEVEL_ERROR, "start_failed",
        log_text("error", UPGRADE_VARIABLE " is for the use of copald itself"));
  pidfile_remove(c->pid_file);
  listener_set_close(&p.sockets);
  vault_close(&p.vault);
  heir_close(&p.heir);
  upgrade_wipe(&p.upgrade);
  return rc;
}

/* The configuration is good; are the files of credentials that it names? */
static int check_credentials(const conf *c)
{
  logger log;
  vault v;
  char why[VAULT_WHY_SIZE];
  log_init(&log, STDERR_FILENO, c->log_level, c->log_format);
  const int rc = vault_open(&v, c, &log, why);
  if (rc < 0)
    fprintf(stderr, "%s\n", why);
  else
    vault_close(&v);
  return rc < 0 ? EXIT_CONFIG : 0;
}

static int run(const args *a, char *const *argv)
{
  conf c;
  conf_errors errors = {.count = 0};
  int rc = 0;
  if (load_conf(a, &c, &errors) < 0) {
    fputs(errors.text, stderr);
    rc = EXIT_CONFIG;
  } else if (a->action == ARGS_PRINT_CONFIG) {
    conf_print(&c, stdout);
  } else if (a->action == ARGS_EXPLAIN) {
    rc = explain(&c, a->question, stdout, stderr);
  } else if (a->action == ARGS_CHECK_CONFIG) {
    rc = check_credentials(&c);
  } else if (a->action == ARGS_SERVE) {
    rc = start(a, &c, argv);
  }
  conf_wipe(&c);
  return rc;
}

/* Within the limits of the configuration. */
static int load(const args *a)
{
  conf c;
  conf_errors errors = {.count = 0};
  int rc = EXIT_CONFIG;
  conf_init(&c);
  if (a->config_file != NULL && conf_read_file(&c, a->config_file, &errors) < 0) {
    fputs(errors.text, stderr);
  } else {
    const load_limits limits = {.resources = c.store_resources,
                                .path = c.limits.key_max,
                                .body = c.limits.body_max,
                                .disk = c.store_disk};
    rc = load_store(a->work_dir, a->merges, &limits, stdin, stdout, stderr);
  }
  conf_wipe(&c);
  return rc;
}

/* Works on a directory instead of serving. */
static int work(const args *a)
{
  storage_catch_damage();
  if (a->action == ARGS_DUMP)
    return dump_store(a->work_dir, stdout, stderr);
  if (a->action == ARGS_LOAD)
    return load(a);
  if (a->action == ARGS_BACKUP)
    return backup_store(a->work_dir, a->target, stdout, stderr);
  if (a->action == ARGS_DROP)
    return drop_journal(a->work_dir, stdout, stderr);
  return storage_check(a->work_dir, stdout, stderr) == 0 ? 0 : EXIT_RUNTIME;
}

/* What was asked for on standard output has got there. */
static int finish_output(void)
{
  if (fflush(stdout) == 0 && !ferror(stdout))
    return 0;
  fprintf(stderr, "copald: standard output cannot be written: %s\n", strerror(errno));
  return EXIT_RUNTIME;
}

int main(int argc, char **argv)
{
  std_files_reserve();
  args a;
  int rc = args_parse(&a, argc, argv, stderr);
  if (rc == 0 && a.action == ARGS_HELP)
    args_help(stdout);
  else if (rc == 0 && a.action == ARGS_VERSION)
    printf("copald %s\n", copal_version());
  else if (rc == 0 && a.work_dir != NULL)
    rc = work(&a);
  else if (rc == 0)
    rc = run(&a, argv);
  if (rc == 0 && a.action != ARGS_SERVE)
    rc = finish_output();
  args_wipe(&a);
  return rc;
}
