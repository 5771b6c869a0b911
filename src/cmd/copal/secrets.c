/* SPDX-License-Identifier: Apache-2.0 */
/* What the client shows to a server of coaps. */
#include "cmd/copal/secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/profile.h"
#include "copal/error.h"
#include "policy/certs.h"
#include "policy/pskfile.h"

static pskfile *keys; /* the program has one identity at a time */
static certs *chains;
static char *server;

static profile chosen;
static bool has_chosen;

static const char *or_environment(const char *given, const char *name)
{
  const char *value = given ? given : getenv(name);
  return value && *value ? value : NULL;
}

/* The command line goes before the environment, and that before the profile. */
static const char *pick(const char *given, const char *name, profile_key key)
{
  const char *value = or_environment(given, name);
  return value ? value : chosen.values[key];
}

status secrets_choose(const args *a, const char *host, buf *err)
{
  const char *name = or_environment(a->profile, "COPAL_PROFILE");
  buf bare = {0};
  if (has_chosen)
    return STATUS_OK;
  buf_put(&bare, host, strcspn(host, "%"));
  const status s = profile_find(&chosen, name, buf_str(&bare), err);
  has_chosen = s == STATUS_OK;
  buf_wipe(&bare);
  return s;
}

/* The key that stands in the profile itself. */
static status open_own_key(const char *name, buf *err)
{
  char why[PSKFILE_WHY_SIZE];
  if (keys || pskfile_of(name, chosen.values[PROFILE_PSK], &keys, why) == COPAL_OK)
    return STATUS_OK;
  buf_print(err, "profile '%s': %s", chosen.name, why);
  return STATUS_USAGE;
}

static status open_keys(const args *a, buf *err)
{
  const char *file = pick(a->psk_file, "COPAL_PSK_FILE", PROFILE_PSK_FILE);
  const bool is_own = !file && chosen.values[PROFILE_PSK];
  const bool is_foreign = file && file != chosen.values[PROFILE_PSK_FILE];
  const char *name = is_foreign ? or_environment(a->identity, "COPAL_IDENTITY")
                                : pick(a->identity, "COPAL_IDENTITY", PROFILE_IDENTITY);
  char why[PSKFILE_WHY_SIZE];
  if (is_own)
    return open_own_key(name, err);
  if (!file)
    return STATUS_OK;
  if (!keys && pskfile_open(file, NULL, &keys, why) != COPAL_OK) {
    buf_print(err, "--psk-file: %s", why);
    return STATUS_USAGE;
  }
  if (name && pskfile_choose(keys, name) != COPAL_OK) {
    buf_print(err, "--identity: '%s' is not in %s", name, file);
    return STATUS_USAGE;
  }
  return STATUS_OK;
}

/* Who does not look whom it talks to is told so each time. */
static void warn(const args *a)
{
  static bool is_warned;
  if (!a->is_insecure || is_warned)
    return;
  is_warned = true;
  fputs("copal: WARNING: --insecure: the server may be anybody, and read and change everything\n",
        stderr);
}

static status open_chains(const args *a, buf *err)
{
  char why[CERTS_WHY_SIZE];
  const certs_cfg cfg = {.certificate = pick(a->cert, "COPAL_CERT", PROFILE_CERT),
                         .key = pick(a->key, "COPAL_KEY", PROFILE_KEY),
                         .ca = pick(a->ca, "COPAL_CA", PROFILE_CA),
                         .crl = pick(a->crl, "COPAL_CRL", PROFILE_CRL),
                         .raw_key = pick(a->raw_key, "COPAL_RAW_KEY", PROFILE_RAW_KEY),
                         .pin = pick(a->pin, "COPAL_PIN", PROFILE_PIN),
                         .is_client = true,
                         .is_gullible = a->is_insecure,
                         .psks = keys ? pskfile_credentials(keys) : NULL};
  const bool has_own = cfg.certificate || cfg.key || cfg.raw_key;
  const bool has_trust = cfg.ca || cfg.pin || cfg.is_gullible;
  if (chains || (!has_own && !has_trust && !cfg.crl))
    return STATUS_OK;
  if (!has_trust) {
    buf_text(err, "nothing says who the server is: give --ca FILE or --pin FINGERPRINT");
    return STATUS_USAGE;
  }
  warn(a);
  if (certs_open(&cfg, &chains, why) != COPAL_OK) {
    buf_text(err, why);
    return STATUS_USAGE;
  }
  return STATUS_OK;
}

status secrets_open(const args *a, dtls_credentials **c, buf *err)
{
  status s = open_keys(a, err);
  if (s == STATUS_OK)
    s = open_chains(a, err);
  *c = NULL;
  if (s == STATUS_OK && chains)
    *c = certs_credentials(chains);
  else if (s == STATUS_OK && keys)
    *c = pskfile_credentials(keys);
  return s;
}

bool secrets_set_server(const char *authority)
{
  if (server)
    return strcmp(server, authority) == 0;
  server = mem_text(copal_span_str(authority));
  return true;
}

const char *secrets_server(void)
{
  return server;
}

void secrets_close(void)
{
  certs_close(chains);
  pskfile_close(keys);
  free(server);
  profile_wipe(&chosen);
  has_chosen = false;
  chains = NULL;
  keys = NULL;
  server = NULL;
}
