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
  WARN_DAYS = 14,                        /* before our certificate expires */
  CERTIFICATES_MAX = CREDFILE_FILES_MAX, /* of ours */
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
         c->dtls_files.certificate.count > 0 || c->dtls_files.raw_key[0] != '\0';
}

/* The files of certificates and raw public keys: the configuration goes before the credentials
 * file. */
typedef struct sources {
  size_t certificate_count, key_count;
  certs_pair pairs[CERTIFICATES_MAX];
  const char *ca, *crl, *raw_key, *raw_peers; /* NULL: none */
  bool has_certs;                             /* there is something to show */
  bool knows_clients;                         /* and somebody to believe */
} sources;

static const char *or_null(const char *text)
{
  return text[0] != '\0' ? text : NULL;
}

static const char *file_of(const vault *v, const char *text, credfile_name what)
{
  if (text[0] != '\0' || v->file == NULL)
    return or_null(text);
  return credfile_file(v->file, what, 0);
}

static size_t fit(size_t count)
{
  return count < CERTIFICATES_MAX ? count : CERTIFICATES_MAX + 1;
}

/* Both lists come from the same place. */
static void find_pairs(const vault *v, const conf_dtls_files *c, sources *s)
{
  const bool is_in_file = c->certificate.count == 0 && c->key.count == 0 && v->file != NULL;
  s->certificate_count =
      fit(is_in_file ? credfile_file_count(v->file, CREDFILE_CERTIFICATE) : c->certificate.count);
  s->key_count = fit(is_in_file ? credfile_file_count(v->file, CREDFILE_KEY) : c->key.count);
  for (size_t i = 0; i < CERTIFICATES_MAX; i++) {
    if (i < s->certificate_count)
      s->pairs[i].certificate =
          is_in_file ? credfile_file(v->file, CREDFILE_CERTIFICATE, i) : c->certificate.items[i];
    if (i < s->key_count)
      s->pairs[i].key = is_in_file ? credfile_file(v->file, CREDFILE_KEY, i) : c->key.items[i];
  }
}

static void find_sources(const vault *v, const conf *c, sources *s)
{
  const conf_dtls_files *files = &c->dtls_files;
  *s = (sources){.ca = file_of(v, files->ca, CREDFILE_CA),
                 .crl = file_of(v, files->crl, CREDFILE_CRL),
                 .raw_key = file_of(v, files->raw_key, CREDFILE_RAW_KEY),
                 .raw_peers = or_null(files->raw_peers)};
  find_pairs(v, files, s);
  s->has_certs = s->certificate_count > 0 || s->raw_key != NULL;
  s->knows_clients = s->ca != NULL || s->raw_peers != NULL ||
                     (v->file != NULL && credfile_facts_now(v->file).raw_keys > 0);
}

/* Says what is missing, or returns 0. */
static int check_sources(const sources *s, conf_clients clients, char why[VAULT_WHY_SIZE])
{
  const char *wrong = NULL;
  if (s->certificate_count > CERTIFICATES_MAX)
    wrong = "dtls.certificate has more than 256 files";
  else if (s->key_count > 0 && s->certificate_count == 0)
    wrong = "dtls.key needs the certificate that belongs to it: give dtls.certificate";
  else if (s->certificate_count != s->key_count)
    wrong = "a certificate and its key belong together: dtls.certificate and dtls.key need as many "
            "files, in the same order";
  else if (!s->has_certs && s->knows_clients)
    wrong = "dtls.ca, dtls.raw_peers and raw keys of clients need something to show to them: give "
            "dtls.certificate and dtls.key, or dtls.raw_key";
  else if (s->has_certs && clients != CONF_CLIENTS_NONE && !s->knows_clients)
    wrong = "nothing says which clients to believe: give dtls.ca or dtls.raw_peers, or make "
            "dtls.clients \"none\"";
  if (wrong != NULL)
    snprintf(why, VAULT_WHY_SIZE, "%s", wrong);
  return wrong != NULL ? -EINVAL : 0;
}

static int check(const conf *c, char why[VAULT_WHY_SIZE])
{
  if (vault_is_wanted(c) || !has_secure_address(c))
    return 0;
  snprintf(why, VAULT_WHY_SIZE,
           "a coaps address needs credentials: give --psk-file or --credentials, or psk_file, "
           "credentials, certificate and key, or raw_key in the section dtls");
  return -EINVAL;
}

/* The names of files in the form that certificates are read from; lends from `s`. */
static certs_cfg cfg_of(const sources *s)
{
  return (certs_cfg){.certificate = s->pairs[0].certificate,
                     .key = s->pairs[0].key,
                     .more_count = s->certificate_count > 1 ? s->certificate_count - 1 : 0,
                     .more = s->pairs + 1,
                     .ca = s->ca,
                     .crl = s->crl,
                     .raw_key = s->raw_key,
                     .raw_peers = s->raw_peers};
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
  certs_cfg cfg = cfg_of(s);
  cfg.clients = clients[c->dtls.clients];
  cfg.name = names[c->dtls.name];
  cfg.all = v->identities;
  cfg.psks = keys_of(v);
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
  if (v->file == NULL)
    return certs_credentials(v->certs);
  credfile_set_next(v->file, certs_credentials(v->certs));
  return credfile_credentials(v->file);
}

int vault_open(vault *v, const conf *c, const logger *log, char why[VAULT_WHY_SIZE])
{
  sources s;
  *v = (vault){.identities = identities_open(IDENTITIES_MAX),
               .lookup_log = *log,
               .clients = c->dtls.clients};
  snprintf(why, VAULT_WHY_SIZE, "out of memory");
  if (v->identities == NULL)
    return -ENOMEM;
  int rc = c->credentials[0] != '\0' ? open_file(v, c, why) : 0;
  if (rc == 0)
    rc = check(c, why);
  find_sources(v, c, &s);
  if (rc == 0)
    rc = check_sources(&s, v->clients, why);
  if (rc == 0 && c->psk_file[0] != '\0')
    rc = pskfile_open(c->psk_file, v->identities, &v->psks, why) < 0 ? -EINVAL : 0;
  if (rc == 0 && has_lookup(c))
    rc = open_lookup(v, c, why);
  if (rc == 0 && vault_is_wanted(c)) /* with nothing to show, too: a reload may change that */
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
  if (f.certificates == 0 && f.raw_key[0] == '\0')
    return; /* pre-shared keys only */
  LOG(log, LOG_LEVEL_INFO, "certificates_read", log_text("subject", f.subject),
      log_number("certificates", f.certificates), log_text("raw_key", f.raw_key),
      log_number("authorities", f.authorities), log_number("revocation_lists", f.revocation_lists),
      log_number("raw_peers", f.peers));
  if (f.certificates > 0 && f.expires < now + WARN_DAYS * 86400)
    LOG(log, LOG_LEVEL_WARN, f.expires < now ? "certificate_expired" : "certificate_expires",
        log_text("subject", f.expiring), log_text("at", day(f.expires, when)));
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

static void reload_certs(vault *v, const conf *c, logger *log)
{
  char why[VAULT_WHY_SIZE];
  sources s;
  find_sources(v, c, &s);
  const certs_cfg names = cfg_of(&s);
  if (check_sources(&s, v->clients, why) < 0 || certs_reload(v->certs, &names, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else
    report_certs(v->certs, log);
}

void vault_reload(vault *v, const conf *c, logger *log)
{
  char why[VAULT_WHY_SIZE];
  const int rc = secure_shared_rotate(&v->shared); /* who is out now must not resume a session */
  v->shared.reloads++;
  if (rc < 0)
    LOG(log, LOG_LEVEL_ERROR, "ticket_key_kept", log_text("error", strerror(-rc)));
  if (v->file != NULL)
    reload_file(v->file, log);
  if (v->certs != NULL)
    reload_certs(v, c, log);
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
