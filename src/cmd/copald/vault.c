/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of the daemon. */
#include "cmd/copald/vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"
#include "server/listener.h"

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

static bool has_certs(const conf *c)
{
  return c->dtls_certificate[0] != '\0' || c->dtls_raw_key[0] != '\0';
}

bool vault_is_wanted(const conf *c)
{
  return c->psk_file[0] != '\0' || has_certs(c);
}

/* Says what is missing, or returns 0. */
static int check(const conf *c, char why[VAULT_WHY_SIZE])
{
  const char *wrong = NULL;
  const bool knows_clients = c->dtls_ca[0] != '\0' || c->dtls_raw_peers[0] != '\0';
  if (!vault_is_wanted(c) && has_secure_address(c))
    wrong = "a coaps address needs credentials: give --psk-file, or psk_file, certificate and key, "
            "or raw_key in the section dtls";
  else if (c->dtls_key[0] != '\0' && c->dtls_certificate[0] == '\0')
    wrong = "dtls.key needs the certificate that belongs to it: give dtls.certificate";
  else if (!has_certs(c) && knows_clients)
    wrong = "dtls.ca and dtls.raw_peers need something to show to clients: give dtls.certificate "
            "and dtls.key, or dtls.raw_key";
  else if (has_certs(c) && c->dtls.clients != CONF_CLIENTS_NONE && !knows_clients)
    wrong = "nothing says which clients to believe: give dtls.ca or dtls.raw_peers, or make "
            "dtls.clients \"none\"";
  if (wrong != NULL)
    snprintf(why, VAULT_WHY_SIZE, "%s", wrong);
  return wrong != NULL ? -EINVAL : 0;
}

static int open_certs(vault *v, const conf *c, char why[VAULT_WHY_SIZE])
{
  static const certs_clients clients[] = {[CONF_CLIENTS_NONE] = CERTS_CLIENTS_NONE,
                                          [CONF_CLIENTS_OPTIONAL] = CERTS_CLIENTS_OPTIONAL,
                                          [CONF_CLIENTS_REQUIRED] = CERTS_CLIENTS_REQUIRED};
  static const certs_name names[] = {[CONF_NAME_CN] = CERTS_NAME_CN,
                                     [CONF_NAME_SAN] = CERTS_NAME_SAN,
                                     [CONF_NAME_SUBJECT] = CERTS_NAME_SUBJECT,
                                     [CONF_NAME_FINGERPRINT] = CERTS_NAME_FINGERPRINT};
  const certs_cfg cfg = {.certificate = c->dtls_certificate,
                         .key = c->dtls_key,
                         .ca = c->dtls_ca,
                         .crl = c->dtls_crl,
                         .raw_key = c->dtls_raw_key,
                         .raw_peers = c->dtls_raw_peers,
                         .clients = clients[c->dtls.clients],
                         .name = names[c->dtls.name],
                         .all = v->identities,
                         .psks = v->psks != NULL ? pskfile_credentials(v->psks) : NULL};
  return certs_open(&cfg, &v->certs, why) < 0 ? -EINVAL : 0;
}

int vault_open(vault *v, const conf *c, char why[VAULT_WHY_SIZE])
{
  *v = (vault){.identities = identities_open(IDENTITIES_MAX)};
  snprintf(why, VAULT_WHY_SIZE, "out of memory");
  if (v->identities == NULL)
    return -ENOMEM;
  int rc = check(c, why);
  if (rc == 0 && c->psk_file[0] != '\0')
    rc = pskfile_open(c->psk_file, v->identities, &v->psks, why) < 0 ? -EINVAL : 0;
  if (rc == 0 && has_certs(c))
    rc = open_certs(v, c, why);
  if (rc == 0 && vault_is_wanted(c))
    rc = secure_shared_init(
        &v->shared, v->certs != NULL ? certs_credentials(v->certs) : pskfile_credentials(v->psks),
        v->identities);
  if (rc < 0)
    vault_close(v);
  return rc;
}

void vault_close(vault *v)
{
  certs_close(v->certs);
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

void vault_report(const vault *v, logger *log)
{
  if (v->certs != NULL)
    report_certs(v->certs, log);
}

void vault_reload(vault *v, logger *log)
{
  char why[VAULT_WHY_SIZE];
  const int rc = secure_shared_rotate(&v->shared); /* who is out now must not resume a session */
  if (rc < 0)
    LOG(log, LOG_LEVEL_ERROR, "ticket_key_kept", log_text("error", strerror(-rc)));
  if (v->certs != NULL && certs_reload(v->certs, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else if (v->certs != NULL)
    report_certs(v->certs, log);
  if (v->psks == NULL)
    return;
  if (pskfile_reload(v->psks, why) < 0)
    LOG(log, LOG_LEVEL_ERROR, "credentials_refused", log_text("error", why));
  else
    LOG(log, LOG_LEVEL_INFO, "credentials_read", log_number("identities", pskfile_count(v->psks)));
}

const secure_shared *vault_secure(const vault *v)
{
  return v->psks != NULL || v->certs != NULL ? &v->shared : NULL;
}
