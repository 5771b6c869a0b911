/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of the daemon. */
#include "cmd/copald/vault.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/listener.h"
#include "transport/dtls/keylog.h"

enum {
  IDENTITIES_MAX = 1 << 22,
  WARN_DAYS = 14, /* before our certificate expires */
  DAY_SIZE = 24,
};

static bool has_secure_address(const conf *c)
{
  for (size_t i = 0; i < c->listen.count; i++)
    if (listener_is_secure(c->listen.items[i]))
      return true;
  return false;
}

static bool has_lookup(const conf *c)
{
  return c->lookup.command.count > 0 || c->lookup.url[0] != '\0';
}

bool vault_is_wanted(const conf *c)
{
  return c->psk_file[0] != '\0' || has_lookup(c) || c->credentials[0] != '\0' ||
         c->dtls_certificate[0] != '\0' || c->dtls_raw_key[0] != '\0';
}

/* The files of certificates and raw public keys: the configuration goes before the credentials
 * file. */
typedef struct sources {
  const char *files[CREDFILE_NAME_COUNT]; /* NULL: none */
  const char *raw_peers;
  bool has_certs;      /* there is something to show */
  bool knows_clients;  /* and somebody to believe */
  bool has_file_peers; /* raw public keys in the credentials file */
} sources;

static const char *or_null(const char *text)
{
  return text[0] != '\0' ? text : NULL;
}

static sources sources_of(const vault *v, const conf *c)
{
  sources s = {.files = {or_null(c->dtls_certificate), or_null(c->dtls_key), or_null(c->dtls_ca),
                         or_null(c->dtls_crl), or_null(c->dtls_raw_key)},
               .raw_peers = or_null(c->dtls_raw_peers)};
  for (size_t i = 0; v->file != NULL && i < CREDFILE_NAME_COUNT; i++)
    if (s.files[i] == NULL)
      s.files[i] = credfile_file(v->file, (credfile_name)i);
  s.has_file_peers = v->file != NULL && credfile_facts_now(v->file).raw_keys > 0;
  s.has_certs = s.files[CREDFILE_CERTIFICATE] != NULL || s.files[CREDFILE_RAW_KEY] != NULL;
  s.knows_clients = s.files[CREDFILE_CA] != NULL || s.raw_peers != NULL || s.has_file_peers;
  return s;
}

/* Says what is missing, or returns 0. */
static int check(const conf *c, const sources *s, char why[VAULT_WHY_SIZE])
{
  const char *wrong = NULL;
  if (!vault_is_wanted(c) && has_secure_address(c))
    wrong = "a coaps address needs credentials: give --psk-file or --credentials, or psk_file, "
            "credentials, certificate and key, or raw_key in the section dtls";
  else if (s->files[CREDFILE_KEY] != NULL && s->files[CREDFILE_CERTIFICATE] == NULL)
    wrong = "dtls.key needs the certificate that belongs to it: give dtls.certificate";
  else if (!s->has_certs && s->knows_clients)
    wrong = "dtls.ca, dtls.raw_peers and raw keys of clients need something to show to them: give "
            "dtls.certificate and dtls.key, or dtls.raw_key";
  else if (s->has_certs && c->dtls.clients != CONF_CLIENTS_NONE && !s->knows_clients)
    wrong = "nothing says which clients to believe: give dtls.ca or dtls.raw_peers, or make "
            "dtls.clients \"none\"";
  if (wrong != NULL)
    snprintf(why, VAULT_WHY_SIZE, "%s", wrong);
  return wrong != NULL ? -EINVAL : 0;
}

/* Who is asked for pre-shared keys that the credentials file does not have. */
static dtls_credentials *keys_of(vault *v)
{
  if (v->lookup != NULL)
    return lookup_credentials(v->lookup);
  return v->psks != NULL ? pskfile_credentials(v->psks) : NULL;
}

static void on_failure(lookup_watcher *w, const char *name, const char *why)
{
  vault *v = (vault *)((uint8_t *)w - offsetof(vault, watcher));
  const log_field fields[] = {log_text("identity", name), log_text("error", why)};
  log_limited(&v->lookup_log, LOG_LEVEL_WARN, "lookup_failed", "lookup", fields, 2, clock_now());
}

static size_t count_lookups(secure_counter *c, store_count *counts)
{
  const vault *v = (const vault *)((uint8_t *)c - offsetof(vault, counter));
  const lookup_stats s = lookup_stats_now(v->lookup);
  const store_count all[] = {
      {"lookups", s.asked},
      {"lookups_found", s.found},
      {"lookups_unknown", s.unknown},
      {"lookups_failed", s.failed},
      {"lookups_timed_out", s.timed_out},
      {"lookup_fallbacks", s.fallbacks},
      {"lookup_hits", s.hits},
      {"lookup_refusals", s.refusals},
      {"lookup_waits", s.waits},
      {"lookup_overflown", s.overflown},
      {"lookup_malformed", s.malformed},
      {"lookup_evicted", s.evicted},
      {"lookup_known", s.known},
      {"lookup_outstanding", s.outstanding},
  };
  _Static_assert(sizeof all / sizeof *all <= SECURE_COUNT_MAX, "there is room for all");
  memcpy(counts, all, sizeof all);
  return sizeof all / sizeof *all;
}

static int open_lookup(vault *v, const conf *c, char why[VAULT_WHY_SIZE])
{
  const conf_lookup *from = &c->lookup;
  const lookup_cfg cfg = {.command = (const char *const *)from->command.items,
                          .command_count = from->command.count,
                          .url = or_null(from->url),
                          .ca = or_null(from->ca),
                          .token_file = or_null(from->token_file),
                          .timeout_ms = from->timeout / COPAL_MILLISECOND,
                          .ttl_s = from->ttl_s,
                          .negative_ttl_s = from->negative_ttl_s,
                          .fallback_s = from->fallback_s,
                          .cache = from->cache,
                          .concurrency = from->concurrency,
                          .queue = from->queue,
                          .all = v->identities,
                          .first = keys_of(v),
                          .watcher = &v->watcher};
  char text[LOOKUP_WHY_SIZE];
  v->watcher.on_failure = on_failure;
  v->counter.count = count_lookups;
  if (lookup_open(&cfg, &v->lookup, text) == COPAL_OK)
    return 0;
  snprintf(why, VAULT_WHY_SIZE, "lookup: %.*s", VAULT_WHY_SIZE - 16, text);
  return -EINVAL;
}

static int open_certs(vault *v, const conf *c, const sources *s, char why[VAULT_WHY_SIZE])
{
  static const certs_clients clients[] = {[CONF_CLIENTS_NONE] = CERTS_CLIENTS_NONE,
                                          [CONF_CLIENTS_OPTIONAL] = CERTS_CLIENTS_OPTIONAL,
                                          [CONF_CLIENTS_REQUIRED] = CERTS_CLIENTS_REQUIRED};
  static const certs_name names[] = {[CONF_NAME_CN] = CERTS_NAME_CN,
                                     [CONF_NAME_SAN] = CERTS_NAME_SAN,
                                     [CONF_NAME_SUBJECT] = CERTS_NAME_SUBJECT,
                                     [CONF_NAME_FINGERPRINT] = CERTS_NAME_FINGERPRINT};
  const certs_cfg cfg = {.certificate = s->files[CREDFILE_CERTIFICATE],
                         .key = s->files[CREDFILE_KEY],
                         .ca = s->files[CREDFILE_CA],
                         .crl = s->files[CREDFILE_CRL],
                         .raw_key = s->files[CREDFILE_RAW_KEY],
                         .raw_peers = s->raw_peers,
                         .clients = clients[c->dtls.clients],
                         .name = names[c->dtls.name],
                         .all = v->identities,
                         .psks = keys_of(v)};
  return certs_open(&cfg, &v->certs, why) < 0 ? -EINVAL : 0;
}

/* The first of the mistakes. */
static void first_mistake(const mistakes *m, char why[VAULT_WHY_SIZE])
{
  snprintf(why, VAULT_WHY_SIZE, "%.*s", (int)strcspn(m->text, "\n"), m->text);
}

static int open_file(vault *v, const conf *c, char why[VAULT_WHY_SIZE])
{
  mistakes m = {.count = 0};
  if (credfile_open(c->credentials, v->identities, &v->file, &m) == COPAL_OK)
    return 0;
  first_mistake(&m, why);
  return -EINVAL;
}

/* Who is asked first, and passes on what it does not know: the file, certificates, the file of
 * keys, the lookup. */
static dtls_credentials *first_of(vault *v)
{
  dtls_credentials *first = NULL;
  if (v->certs != NULL)
    first = certs_credentials(v->certs);
  else
    first = keys_of(v);
  if (v->file == NULL)
    return first;
  credfile_set_next(v->file, first);
  return credfile_credentials(v->file);
}

int vault_open(vault *v, const conf *c, const logger *log, char why[VAULT_WHY_SIZE])
{
  *v = (vault){.identities = identities_open(IDENTITIES_MAX), .lookup_log = *log};
  snprintf(why, VAULT_WHY_SIZE, "out of memory");
  if (v->identities == NULL)
    return -ENOMEM;
  int rc = c->credentials[0] != '\0' ? open_file(v, c, why) : 0;
  const sources s = sources_of(v, c);
  if (rc == 0)
    rc = check(c, &s, why);
  if (rc == 0 && c->psk_file[0] != '\0')
    rc = pskfile_open(c->psk_file, v->identities, &v->psks, why) < 0 ? -EINVAL : 0;
  if (rc == 0 && has_lookup(c))
    rc = open_lookup(v, c, why);
  if (rc == 0 && s.has_certs)
    rc = open_certs(v, c, &s, why);
  if (rc == 0 && vault_is_wanted(c))
    rc = secure_shared_init(&v->shared, first_of(v), v->identities);
  v->shared.counter = v->lookup != NULL ? &v->counter : NULL;
  if (rc < 0)
    vault_close(v);
  return rc;
}

void vault_close(vault *v)
{
  credfile_close(v->file);
  certs_close(v->certs);
  lookup_close(v->lookup);
  pskfile_close(v->psks);
  if (v->identities != NULL)
    identities_close(v->identities);
  secure_shared_wipe(&v->shared);
  *v = (vault){.psks = NULL};
}

static const char *day(int64_t when, char text[DAY_SIZE])
{
  const time_t t = (time_t)when;
  struct tm utc;
  if (gmtime_r(&t, &utc) == NULL || strftime(text, DAY_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
    text[0] = '\0';
  return text;
}

static void report_certs(certs *c, logger *log)
{
  certs_facts f;
  char when[DAY_SIZE];
  const int64_t now = (int64_t)time(NULL);
  certs_facts_now(c, &f);
  LOG(log, LOG_LEVEL_INFO, "certificates_read", log_text("subject", f.subject),
      log_text("raw_key", f.raw_key), log_number("authorities", f.authorities),
      log_number("revocation_lists", f.revocation_lists), log_number("raw_peers", f.peers));
  if (f.subject[0] != '\0' && f.expires < now + WARN_DAYS * 86400)
    LOG(log, LOG_LEVEL_WARN, f.expires < now ? "certificate_expired" : "certificate_expires",
        log_text("subject", f.subject), log_text("at", day(f.expires, when)));
  if (f.outdated != 0 && f.outdated < now)
    LOG(log, LOG_LEVEL_WARN, "revocation_list_outdated", log_text("since", day(f.outdated, when)));
}

static void report_file(credfile *f, logger *log)
{
  const credfile_facts facts = credfile_facts_now(f);
  LOG(log, LOG_LEVEL_INFO, "credentials_read", log_number("psks", facts.psks),
      log_number("raw_keys", facts.raw_keys), log_number("subjects", facts.subjects));
}

static void reload_file(credfile *f, logger *log)
{
  mistakes m = {.count = 0};
  if (credfile_reload(f, &m) == COPAL_OK) {
    report_file(f, log);
    if (credfile_needs_restart(f))
      LOG(log, LOG_LEVEL_WARN, "credentials_need_restart",
          log_text("hint", "names of other files, and the first of the raw keys, count from the "
                           "next start on"));
    return;
  }
  for (const char *at = m.text; *at != '\0'; at += strspn(at, "\n")) {
    char line[VAULT_WHY_SIZE];
    const size_t len = strcspn(at, "\n");
    snprintf(line, sizeof line, "%.*s", (int)len, at);
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", line));
    at += len;
  }
}

void vault_report(const vault *v, logger *log)
{
  if (v->file != NULL)
    report_file(v->file, log);
  if (vault_secure(v) != NULL && keylog_file() != NULL)
    LOG(log, LOG_LEVEL_WARN, "key_log", log_text("file", keylog_file()),
        log_text("hint", "whoever reads it can read all sessions: for debugging only"));
  if (v->certs != NULL)
    report_certs(v->certs, log);
}

void vault_reload(vault *v, logger *log)
{
  char why[VAULT_WHY_SIZE];
  const int rc = secure_shared_rotate(&v->shared); /* who is out now must not resume a session */
  if (rc < 0)
    LOG(log, LOG_LEVEL_ERROR, "ticket_key_kept", log_text("error", strerror(-rc)));
  if (v->file != NULL)
    reload_file(v->file, log);
  if (v->certs != NULL && certs_reload(v->certs, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else if (v->certs != NULL)
    report_certs(v->certs, log);
  if (v->lookup != NULL)
    lookup_flush(v->lookup);
  if (v->psks == NULL)
    return;
  if (pskfile_reload(v->psks, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else
    LOG(log, LOG_LEVEL_INFO, "credentials_read", log_number("identities", pskfile_count(v->psks)));
}

const secure_shared *vault_secure(const vault *v)
{
  return v->shared.credentials != NULL ? &v->shared : NULL;
}
