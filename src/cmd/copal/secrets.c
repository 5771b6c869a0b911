/* SPDX-License-Identifier: Apache-2.0 */
/* What the client shows to a server of coaps. */
#include "cmd/copal/secrets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/certs.h"
#include "policy/pskfile.h"

static pskfile *keys; /* the program has one identity at a time */
static certs *chains;
static char *server;

static const char *or_environment(const char *given, const char *name)
{
  const char *value = given ? given : getenv(name);
  return value && *value ? value : NULL;
}

static status open_keys(const args *a, buf *err)
{
  const char *file = or_environment(a->psk_file, "COPAL_PSK_FILE");
  const char *name = or_environment(a->identity, "COPAL_IDENTITY");
  char why[PSKFILE_WHY_SIZE];
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
  const certs_cfg cfg = {.certificate = or_environment(a->cert, "COPAL_CERT"),
                         .key = or_environment(a->key, "COPAL_KEY"),
                         .ca = or_environment(a->ca, "COPAL_CA"),
                         .crl = or_environment(a->crl, "COPAL_CRL"),
                         .raw_key = or_environment(a->raw_key, "COPAL_RAW_KEY"),
                         .pin = or_environment(a->pin, "COPAL_PIN"),
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
  chains = NULL;
  keys = NULL;
  server = NULL;
}
