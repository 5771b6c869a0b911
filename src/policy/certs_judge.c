/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts on certificates and raw public keys of peers. RFC 7252 sections 9.1.3.2.1 and 9.1.3.3,
 * RFC 5280 section 6, RFC 6125. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <gnutls/abstract.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "policy/certs_inside.h"

enum {
  NAMES_TOLD = 3,  /* of a certificate that has the wrong ones */
  NAME_SIZE = 256, /* of a name in a certificate, with its end */
  TITLE_MAX = 100, /* bytes of a name in a message */
  TIME_SIZE = 24,
};

/* P-256 and SHA-256, or as strong; SHA-1 and RSA below 2048 bits are not. RFC 7925 section 4.4 */
#define STRENGTH GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM)

__attribute__((format(printf, 3, 4))) static int object(dtls_objection *o, dtls_refusal kind,
                                                        const char *format, ...)
{
  va_list args;
  va_start(args, format);
  o->kind = kind;
  vsnprintf(o->text, sizeof o->text, format, args);
  va_end(args);
  return kind == DTLS_REFUSAL_UNKNOWN || kind == DTLS_REFUSAL_ISSUER || kind == DTLS_REFUSAL_MISSING
             ? COPAL_ENOTFOUND
             : COPAL_EINVAL;
}

/* ------------------------------------------------------------------------------------------------
 * names in certificates */

/* One of the names of a certificate; false when it cannot be shown to people. `*type` is negative
 * behind the last one. */
static bool alternative(gnutls_x509_crt_t crt, unsigned i, char name[NAME_SIZE], int *type)
{
  size_t len = NAME_SIZE - 1;
  *type = gnutls_x509_crt_get_subject_alt_name(crt, i, name, &len, NULL);
  if (*type == GNUTLS_E_SHORT_MEMORY_BUFFER) {
    *type = GNUTLS_SAN_OTHERNAME;
    return false;
  }
  if (*type != GNUTLS_SAN_URI && *type != GNUTLS_SAN_DNSNAME && *type != GNUTLS_SAN_RFC822NAME)
    return false;
  name[len] = '\0';
  return strlen(name) == len && identity_name_is_valid(copal_span_of(name, len));
}

static bool common_name(gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  size_t len = NAME_SIZE;
  return gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) >= 0 &&
         strlen(name) == len && identity_name_is_valid(copal_span_of(name, len));
}

static bool first_alternative(gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  int type = 0;
  for (unsigned i = 0; type >= 0; i++)
    if (alternative(crt, i, name, &type))
      return true;
  return false;
}

static bool key_print(gnutls_x509_crt_t crt, fingerprint *print)
{
  gnutls_pubkey_t key = NULL;
  gnutls_datum_t spki = {NULL, 0};
  const bool is_done = gnutls_pubkey_init(&key) >= 0 &&
                       gnutls_pubkey_import_x509(key, crt, 0) >= 0 &&
                       gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki) >= 0 &&
                       fingerprint_of(copal_span_of(spki.data, spki.size), print);
  gnutls_free(spki.data);
  if (key != NULL)
    gnutls_pubkey_deinit(key);
  return is_done;
}

static bool key_name(gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  fingerprint print;
  if (!key_print(crt, &print))
    return false;
  fingerprint_write(&print, name);
  return true;
}

static bool subject(gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  size_t len = NAME_SIZE;
  return gnutls_x509_crt_get_dn(crt, name, &len) >= 0 &&
         identity_name_is_valid(copal_span_str(name));
}

static bool name_of(const certs_cfg *cfg, gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  switch (cfg->name) {
  case CERTS_NAME_CN: return common_name(crt, name) || first_alternative(crt, name);
  case CERTS_NAME_SAN: return first_alternative(crt, name);
  case CERTS_NAME_SUBJECT: return subject(crt, name);
  case CERTS_NAME_FINGERPRINT: return key_name(crt, name);
  }
  return false;
}

/* What to call a certificate in a message, which must not end within a character. */
static const char *title(gnutls_x509_crt_t crt, char name[NAME_SIZE])
{
  if (!common_name(crt, name) && !first_alternative(crt, name))
    snprintf(name, NAME_SIZE, "nobody");
  size_t len = strlen(name);
  if (len > TITLE_MAX)
    for (len = TITLE_MAX; ((uint8_t)name[len] & 0xc0) == 0x80; len--)
      continue;
  name[len] = '\0';
  return name;
}

/* ------------------------------------------------------------------------------------------------
 * the authority of a URI */

static bool is_same_text(copal_span a, copal_span b)
{
  return a.len == b.len && strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0;
}

static uint16_t port_of(const copal_uri *u)
{
  return u->port == copal_scheme_port(u->scheme) ? copal_scheme_port(COPAL_SCHEME_COAPS) : u->port;
}

/* A CoAP URI with the same authority. */
static bool is_uri_of(const char *text, const copal_uri *wanted)
{
  copal_uri u;
  return copal_uri_parse(copal_span_str(text), &u, NULL) == COPAL_OK &&
         u.host_is_ipv6 == wanted->host_is_ipv6 && is_same_text(u.host, wanted->host) &&
         port_of(&u) == port_of(wanted);
}

/* The root at the end of a name is not written in certificates. */
static copal_span without_root(copal_span host)
{
  if (host.len > 1 && host.ptr[host.len - 1] == '.')
    host.len--;
  return host;
}

static bool is_address_of(gnutls_x509_crt_t crt, const copal_uri *wanted)
{
  char host[INET6_ADDRSTRLEN];
  uint8_t ip[16];
  const int family = wanted->host_is_ipv6 ? AF_INET6 : AF_INET;
  if ((!wanted->host_is_ipv6 && !wanted->host_is_ipv4) || wanted->host.len >= sizeof host)
    return false;
  memcpy(host, wanted->host.ptr, wanted->host.len);
  host[wanted->host.len] = '\0';
  return inet_pton(family, host, ip) == 1 &&
         gnutls_x509_crt_check_ip(crt, ip, wanted->host_is_ipv6 ? 16 : 4, 0) != 0;
}

bool certs_is_for(gnutls_x509_crt_t crt, const char *authority)
{
  char uri[NAME_SIZE + 16], name[NAME_SIZE];
  copal_uri wanted;
  bool has_alternatives = false;
  int type = 0;
  const int len = snprintf(uri, sizeof uri, "coaps://%s", authority);
  if (len < 0 || (size_t)len >= sizeof uri ||
      copal_uri_parse(copal_span_str(uri), &wanted, NULL) != COPAL_OK || wanted.path.len > 0 ||
      wanted.has_query || strchr(authority, '*') != NULL)
    return false;
  const copal_span host = without_root(wanted.host);
  const bool is_name = !wanted.host_is_ipv4 && !wanted.host_is_ipv6;
  for (unsigned i = 0; type >= 0; i++) {
    const bool is_shown = alternative(crt, i, name, &type);
    has_alternatives = has_alternatives || type >= 0;
    if (is_shown && type == GNUTLS_SAN_URI && is_uri_of(name, &wanted))
      return true;
    if (is_shown && type == GNUTLS_SAN_DNSNAME && is_name &&
        is_same_text(copal_span_str(name), host))
      return true;
  }
  if (has_alternatives)
    return is_address_of(crt, &wanted);
  return common_name(crt, name) && is_same_text(copal_span_str(name), host);
}

/* ------------------------------------------------------------------------------------------------
 * certificates */

static int object_to_name(gnutls_x509_crt_t crt, const char *authority, dtls_objection *o)
{
  char names[DTLS_OBJECTION_SIZE] = "", name[NAME_SIZE];
  size_t len = 0, told = 0;
  int type = 0;
  for (unsigned i = 0; type >= 0 && told < NAMES_TOLD; i++) {
    if (!alternative(crt, i, name, &type) || len + strlen(name) + 8 > sizeof names / 2)
      continue;
    len += (size_t)snprintf(names + len, sizeof names - len, "%s'%s'", told > 0 ? ", " : "", name);
    told++;
  }
  if (told == 0)
    snprintf(names, sizeof names, "'%s'", title(crt, name));
  return object(o, DTLS_REFUSAL_NAME, "the certificate is that of %s, not of '%s'", names,
                authority);
}

static const char *day(time_t t, char text[TIME_SIZE])
{
  struct tm utc;
  if (gmtime_r(&t, &utc) == NULL || strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
    snprintf(text, TIME_SIZE, "an unknown time");
  return text;
}

/* Says what is wrong with the chain; `status` is not 0. */
static int object_to_chain(gnutls_x509_crt_t crt, unsigned status, dtls_objection *o)
{
  char name[NAME_SIZE], when[TIME_SIZE];
  title(crt, name);
  const time_t end = gnutls_x509_crt_get_expiration_time(crt);
  const time_t begin = gnutls_x509_crt_get_activation_time(crt);
  const time_t now = time(NULL);
  if ((status & GNUTLS_CERT_REVOKED) != 0)
    return object(o, DTLS_REFUSAL_REVOKED, "the certificate of '%s' is revoked", name);
  if ((status & GNUTLS_CERT_EXPIRED) != 0 && end < now)
    return object(o, DTLS_REFUSAL_EXPIRED, "the certificate of '%s' expired at %s", name,
                  day(end, when));
  if ((status & GNUTLS_CERT_EXPIRED) != 0)
    return object(o, DTLS_REFUSAL_EXPIRED, "the CA of the certificate of '%s' has expired", name);
  if ((status & GNUTLS_CERT_NOT_ACTIVATED) != 0 && begin > now)
    return object(o, DTLS_REFUSAL_EARLY, "the certificate of '%s' is not valid before %s", name,
                  day(begin, when));
  if ((status & GNUTLS_CERT_NOT_ACTIVATED) != 0)
    return object(o, DTLS_REFUSAL_EARLY, "the CA of the certificate of '%s' is not valid yet",
                  name);
  if ((status & GNUTLS_CERT_INSECURE_ALGORITHM) != 0)
    return object(o, DTLS_REFUSAL_ALGORITHM,
                  "the certificate of '%s', or its CA, has a weak signature or key", name);
  if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0)
    return object(o, DTLS_REFUSAL_ISSUER,
                  "no CA that is trusted has signed the certificate of '%s'", name);
  if ((status & GNUTLS_CERT_PURPOSE_MISMATCH) != 0)
    return object(o, DTLS_REFUSAL_PURPOSE,
                  "the certificate of '%s' is not for this purpose (extended key usage)", name);
  return object(o, DTLS_REFUSAL_BROKEN, "the certificate of '%s' is not signed as it should be",
                name);
}

static int verify(const certs_cfg *cfg, const edition *e, gnutls_x509_crt_t *chain, unsigned count,
                  dtls_objection *o)
{
  unsigned status = 0;
  const char *purpose = cfg->is_client ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;
  gnutls_typed_vdata_st wanted = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                  .data = (unsigned char *)purpose};
  if (gnutls_x509_trust_list_verify_crt2(e->trusted, chain, count, &wanted, 1, STRENGTH, &status,
                                         NULL) < 0)
    return object(o, DTLS_REFUSAL_BROKEN, "the certificate cannot be verified");
  return status == 0 ? COPAL_OK : object_to_chain(chain[0], status, o);
}

/* True when the key in the certificate is one that is known: the pin of a client. */
static bool has_known_key(const edition *e, gnutls_x509_crt_t crt)
{
  fingerprint print;
  return key_print(crt, &print) && edition_find(e, &print) != NULL;
}

/* Without a CA a pin says all there is to say; with one it must fit, too. */
static int judge_server(const certs_cfg *cfg, const edition *e, gnutls_x509_crt_t *chain,
                        unsigned count, const char *authority, dtls_objection *o)
{
  if (e->key_count > 0 && !has_known_key(e, chain[0]))
    return object(o, DTLS_REFUSAL_UNKNOWN,
                  "the key in the server's certificate is not the pinned one");
  if (e->trusted == NULL)
    return e->key_count > 0 ? COPAL_OK
                            : object(o, DTLS_REFUSAL_ISSUER, "no CA is trusted for certificates");
  const int rc = verify(cfg, e, chain, count, o);
  if (rc < 0)
    return rc;
  if (authority == NULL)
    return object(o, DTLS_REFUSAL_NAME, "nothing says which server is wanted");
  if (certs_is_for(chain[0], authority))
    return COPAL_OK;
  return object_to_name(chain[0], authority, o);
}

static int judge_client(const certs_cfg *cfg, const edition *e, gnutls_x509_crt_t *chain,
                        unsigned count, uint32_t *who, dtls_objection *o)
{
  char name[NAME_SIZE];
  if (e->trusted == NULL)
    return object(o, DTLS_REFUSAL_ISSUER, "no CA is configured for certificates of clients");
  const int rc = verify(cfg, e, chain, count, o);
  if (rc < 0)
    return rc;
  if (!name_of(cfg, chain[0], name))
    return object(o, DTLS_REFUSAL_NAME, "the certificate has no name that can be an identity");
  proof p = {.len = 0};
  (void)certs_prove(e, chain, count, &p); /* without one it is out with the next reload */
  const identity id = {
      .kind = IDENTITY_X509, .name = copal_span_str(name), .proof = proof_span(&p)};
  return identity_hold_as(cfg->all, &id, who);
}

static int judge_chain(const certs_cfg *cfg, const edition *e, const dtls_claim *claim,
                       uint32_t *who, dtls_objection *o)
{
  gnutls_x509_crt_t chain[CERTS_CHAIN_MAX];
  unsigned count = 0;
  int rc = COPAL_OK;
  if (claim->count == 0 || claim->count > CERTS_CHAIN_MAX)
    return object(o, DTLS_REFUSAL_BROKEN, "a chain of more than %d certificates", CERTS_CHAIN_MAX);
  while (rc == COPAL_OK && count < claim->count) {
    if (gnutls_x509_crt_init(&chain[count]) < 0) {
      rc = COPAL_ENOSLOT;
      break;
    }
    count++;
    if (gnutls_x509_crt_import(chain[count - 1], &claim->items[count - 1], GNUTLS_X509_FMT_DER) < 0)
      rc = object(o, DTLS_REFUSAL_BROKEN, "what the peer shows is no certificate");
  }
  if (rc == COPAL_OK)
    rc = cfg->is_client ? judge_server(cfg, e, chain, count, claim->server_name, o)
                        : judge_client(cfg, e, chain, count, who, o);
  while (count > 0)
    gnutls_x509_crt_deinit(chain[--count]);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * raw public keys, and nothing */

static int judge_raw_key(const certs_cfg *cfg, const edition *e, const dtls_claim *claim,
                         uint32_t *who, dtls_objection *o)
{
  char text[FINGERPRINT_TEXT];
  fingerprint print;
  if (!fingerprint_of(copal_span_of(claim->items[0].data, claim->items[0].size), &print))
    return COPAL_ENOSLOT;
  fingerprint_write(&print, text);
  const known_key *k = edition_find(e, &print);
  if (k == NULL)
    return object(o, DTLS_REFUSAL_UNKNOWN, "the raw public key %s is not known", text);
  if (cfg->all == NULL)
    return COPAL_OK;
  const proof p = proof_of_raw_key(&print);
  const identity id = {.kind = IDENTITY_RPK,
                       .name = copal_span_str(k->name[0] != '\0' ? k->name : text),
                       .proof = proof_span(&p)};
  return identity_hold_as(cfg->all, &id, who);
}

int certs_judge(const certs_cfg *cfg, const edition *e, const dtls_claim *claim, uint32_t *who,
                dtls_objection *o)
{
  const bool must_show = cfg->is_client || cfg->clients == CERTS_CLIENTS_REQUIRED;
  *who = 0;
  switch (claim->kind) {
  case DTLS_CLAIM_NONE:
    return must_show ? object(o, DTLS_REFUSAL_MISSING, "the peer shows no certificate") : COPAL_OK;
  case DTLS_CLAIM_RPK: return cfg->is_gullible ? COPAL_OK : judge_raw_key(cfg, e, claim, who, o);
  case DTLS_CLAIM_X509: return cfg->is_gullible ? COPAL_OK : judge_chain(cfg, e, claim, who, o);
  case DTLS_CLAIM_PSK: break;
  }
  return COPAL_ENOTFOUND;
}
