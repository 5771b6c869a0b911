/* SPDX-License-Identifier: Apache-2.0 */
/* copald: the CoAP server. Puts configuration, store, services and server together. Thread: the
 * main thread only. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "cmd/copald/notify.h"
#include "cmd/copald/storage.h"
#include "copal/error.h"
#include "copal/version.h"
#include "server/conf.h"
#include "server/keeping.h"
#include "server/log.h"
#include "server/roster.h"
#include "server/router.h"
#include "server/server.h"
#include "service/grouping.h"
#include "service/resources.h"
#include "service/wellknown.h"

enum { ADDRESSES_SIZE = 2048 };

/* The daemon's side of the server: where its configuration comes from. */
typedef struct daemon_watcher {
  server_watcher hook; /* first */
  const args *args;
} daemon_watcher;

/* Everything that is opened for serving. */
typedef struct parts {
  storage storage;
  store *store; /* the storage's */
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
  const int rc = conf_strings_add(&c->listen, "coap://127.0.0.1");
  return rc < 0 ? rc : conf_strings_add(&c->listen, "coap://[::1]");
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
  if (a->store >= 0 || a->data_dir != NULL)
    c->store = a->data_dir != NULL ? CONF_STORE_LMDB : (conf_store)a->store;
  if (a->data_dir != NULL)
    memcpy(c->data, a->data_dir, strlen(a->data_dir) + 1);
  if (a->log_level >= 0)
    c->log_level = (log_level)a->log_level;
  if (a->log_format >= 0)
    c->log_format = (log_format)a->log_format;
  if (rc == 0)
    rc = conf_check(c, errors);
  return errors->count > 0 ? COPAL_EINVAL : rc;
}

static int watcher_reload(server_watcher *w, conf *c, conf_errors *errors)
{
  const int rc = load_conf(((daemon_watcher *)w)->args, c, errors);
  if (rc < 0 || c->listen.count > 0)
    return rc;
  return use_loopback(c);
}

static void watcher_notify(server_watcher *w, const char *state)
{
  (void)w;
  notify_send(state);
}

/* ------------------------------------------------------------------------------------------------
 * serving */

/* The resource for group memberships, off unless it is wanted. RFC 7390 section 2.6.2. */
static int open_grouping(parts *p, const conf *c)
{
  if (c->has_membership == CONF_OFF)
    return COPAL_OK;
  p->roster = roster_open(c);
  if (p->roster != NULL)
    p->grouping = grouping_open(roster_memberships(p->roster));
  if (p->grouping == NULL)
    return COPAL_ENOSPC;
  return router_mount_at(&p->router, GROUPING_PATH, p->grouping);
}

static int open_parts(parts *p, const conf *c, const logger *log, char why[SERVER_WHY_SIZE])
{
  const resources_cfg resources_conf = {
      .pending_max = c->pending,
      .uploads = {.count_max = c->uploads,
                  .per_client = c->uploads_per_client,
                  .byte_max = c->upload_bytes,
                  .lifetime = c->upload_lifetime,
                  .dir = c->upload_dir},
      .qbodies = {.params = c->qblock, .byte_max = c->upload_bytes, .dir = c->upload_dir},
  };
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
  return rc < 0 ? rc : open_grouping(p, c);
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
}

static void announce(const server *s, const conf *c, bool is_loopback_by_default, logger *log)
{
  char addresses[ADDRESSES_SIZE];
  server_addresses(s, addresses, sizeof addresses);
  if (is_loopback_by_default)
    LOG(log, LOG_LEVEL_INFO, "loopback_only", log_text("reason", "no address is configured"),
        log_text("hint", "serve others with --listen coap://0.0.0.0 --listen coap://[::]"));
  LOG(log, LOG_LEVEL_INFO, "ready", log_text("version", copal_version()),
      log_text("addresses", addresses), log_text("store", storage_name(c)));
  printf("copald %s ready: %s (store: %s)\n", copal_version(), addresses, storage_name(c));
  fflush(stdout);
  notify_send("READY=1");
}

static int serve(const args *a, conf *c, logger *log)
{
  const bool is_loopback_by_default = c->listen.count == 0;
  if (is_loopback_by_default && use_loopback(c) < 0)
    return EXIT_RUNTIME;
  parts p = {.store = NULL};
  server *s = NULL;
  char why[SERVER_WHY_SIZE] = "out of memory";
  daemon_watcher self = {{watcher_reload, watcher_notify}, a};
  keeping kept;
  keeping_init(&kept, c->data, log);
  int rc = open_parts(&p, c, log, why);
  if (rc == 0) {
    const server_parts with = {
        .conf = c,
        .router = &p.router,
        .store = p.store,
        .log = log,
        .watcher = &self.hook,
        .roster = p.roster,
        .skips_missing = is_loopback_by_default,
        .sections = c->store == CONF_STORE_MEMORY ? NULL : &kept.hook,
    };
    rc = server_open(&with, &s, why);
  }
  if (rc < 0) {
    LOG(log, LOG_LEVEL_ERROR, "start_failed", log_text("error", why));
  } else {
    announce(s, c, is_loopback_by_default, log);
    rc = server_run(s);
  }
  server_close(s);
  close_parts(&p);
  if (rc == 0)
    LOG(log, LOG_LEVEL_INFO, "stopped", log_text("version", copal_version()));
  return rc == 0 ? 0 : EXIT_RUNTIME;
}

static int run(const args *a)
{
  conf c;
  conf_errors errors = {.count = 0};
  int rc = 0;
  if (load_conf(a, &c, &errors) < 0) {
    fputs(errors.text, stderr);
    rc = EXIT_CONFIG;
  } else if (a->action == ARGS_PRINT_CONFIG) {
    conf_print(&c, stdout);
  } else if (a->action == ARGS_SERVE) {
    logger log;
    log_init(&log, STDERR_FILENO, c.log_level, c.log_format);
    rc = serve(a, &c, &log);
  }
  conf_wipe(&c);
  return rc;
}

int main(int argc, char **argv)
{
  args a;
  int rc = args_parse(&a, argc, argv, stderr);
  if (rc == 0 && a.action == ARGS_HELP)
    args_help(stdout);
  else if (rc == 0 && a.action == ARGS_VERSION)
    printf("copald %s\n", copal_version());
  else if (rc == 0 && a.action == ARGS_CHECK)
    rc = storage_check(a.check_dir, stdout, stderr) == 0 ? 0 : EXIT_RUNTIME;
  else if (rc == 0)
    rc = run(&a);
  args_wipe(&a);
  return rc;
}
