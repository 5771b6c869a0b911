/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of certificates and raw public keys from files, made on the spot. RFC 7252 sections 9.1.3.2
 * and 9.1.3.3, RFC 5280. */
#include "policy/certs.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "copal/error.h"
#include "policy/certs_inside.h"

enum { DAY = 86400, PATHS = 32, PATH_SIZE = 64 };

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char directory[] = "/tmp/certs_XXXXXX";
static identities *people;

/* ------------------------------------------------------------------------------------------------
 * keys, certificates, files */

static gnutls_x509_privkey_t ca_key, other_ca_key, own_key, peer_key;
static gnutls_x509_crt_t ca_crt, other_ca_crt;

static gnutls_x509_privkey_t make_key(gnutls_pk_algorithm_t kind, unsigned bits)
{
  gnutls_x509_privkey_t key;
  assert_int_equal(gnutls_x509_privkey_init(&key), 0);
  assert_int_equal(gnutls_x509_privkey_generate(key, kind, bits, 0), 0);
  return key;
}

static gnutls_x509_privkey_t make_p256(void)
{
  return make_key(GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
}

/* What a certificate is to be like; zeroed it is a good one of a peer. */
typedef struct wish {
  const char *cn;             /* NULL: "dev-1"; "": none */
  const char *dns, *uri, *ip; /* of the SubjectAltName; NULL: none */
  const char *purpose;        /* extended key usage; NULL: any */
  unsigned usage;             /* key usage; 0: digital signatures */
  int begins, ends;           /* days from now; 0: yesterday, in a month */
  gnutls_digest_algorithm_t digest;
  gnutls_x509_privkey_t key, signer; /* NULL: the peer's, the CA's */
  gnutls_x509_crt_t issuer;          /* NULL: the CA */
  bool is_ca;
  uint8_t serial;
} wish;

static void put_names(gnutls_x509_crt_t crt, const wish *w)
{
  uint8_t ip[4];
  if (w->dns != NULL)
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, w->dns, (unsigned)strlen(w->dns),
                                         GNUTLS_FSAN_APPEND);
  if (w->uri != NULL)
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI, w->uri, (unsigned)strlen(w->uri),
                                         GNUTLS_FSAN_APPEND);
  if (w->ip != NULL && inet_pton(AF_INET, w->ip, ip) == 1)
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, sizeof ip,
                                         GNUTLS_FSAN_APPEND);
}

/* The certificate as a peer has it: the library does not look into what it has just made. */
static gnutls_x509_crt_t reread(gnutls_x509_crt_t crt)
{
  gnutls_datum_t der;
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
  gnutls_x509_crt_deinit(crt);
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  assert_int_equal(gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER), 0);
  gnutls_free(der.data);
  return crt;
}

static gnutls_x509_crt_t make_crt(wish w)
{
  gnutls_x509_crt_t crt;
  const uint8_t serial = w.serial != 0 ? w.serial : 7;
  const char *cn = w.cn != NULL ? w.cn : "dev-1";
  const time_t now = time(NULL);
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  gnutls_x509_crt_set_version(crt, 3);
  gnutls_x509_crt_set_key(crt, w.key != NULL ? w.key : peer_key);
  gnutls_x509_crt_set_serial(crt, &serial, 1);
  gnutls_x509_crt_set_activation_time(crt, now + (w.begins != 0 ? w.begins : -1) * DAY);
  gnutls_x509_crt_set_expiration_time(crt, now + (w.ends != 0 ? w.ends : 30) * DAY);
  if (cn[0] != '\0')
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, cn, (unsigned)strlen(cn));
  put_names(crt, &w);
  if (w.purpose != NULL)
    gnutls_x509_crt_set_key_purpose_oid(crt, w.purpose, 0);
  gnutls_x509_crt_set_basic_constraints(crt, w.is_ca, -1);
  gnutls_x509_crt_set_key_usage(crt, w.is_ca        ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN
                                     : w.usage != 0 ? w.usage
                                                    : GNUTLS_KEY_DIGITAL_SIGNATURE);
  assert_int_equal(gnutls_x509_crt_sign2(crt,
                                         w.issuer != NULL ? w.issuer
                                         : w.is_ca        ? crt
                                                          : ca_crt,
                                         w.signer != NULL ? w.signer : ca_key,
                                         w.digest != 0 ? w.digest : GNUTLS_DIG_SHA256, 0),
                   0);
  return reread(crt);
}

static gnutls_x509_crl_t make_crl(gnutls_x509_crt_t issuer, gnutls_x509_privkey_t key,
                                  uint8_t revoked, int next)
{
  gnutls_x509_crl_t crl;
  const time_t now = time(NULL);
  const uint8_t number = 1;
  gnutls_x509_crl_init(&crl);
  gnutls_x509_crl_set_version(crl, 2);
  gnutls_x509_crl_set_this_update(crl, now - 40 * DAY);
  gnutls_x509_crl_set_next_update(crl, now + next * DAY);
  gnutls_x509_crl_set_number(crl, &number, 1);
  gnutls_x509_crl_set_crt_serial(crl, &revoked, 1, now - DAY);
  assert_int_equal(gnutls_x509_crl_sign2(crl, issuer, key, GNUTLS_DIG_SHA256, 0), 0);
  return crl;
}

/* Names of files in the directory; a few at a time. */
static const char *path_of(const char *name)
{
  static char paths[PATHS][PATH_SIZE];
  static unsigned next;
  char *path = paths[next++ % PATHS];
  snprintf(path, PATH_SIZE, "%s/%s", directory, name);
  return path;
}

static const char *put_bytes(const char *name, const void *bytes, size_t len, bool appends)
{
  const char *path = path_of(name);
  FILE *out = fopen(path, appends ? "a" : "w");
  assert_non_null(out);
  assert_int_equal(fwrite(bytes, 1, len, out), len);
  assert_int_equal(fclose(out), 0);
  chmod(path, 0600);
  return path;
}

static const char *put_text(const char *name, const char *text)
{
  return put_bytes(name, text, strlen(text), false);
}

static const char *put_datum(const char *name, gnutls_datum_t d, bool appends)
{
  const char *path = put_bytes(name, d.data, d.size, appends);
  gnutls_free(d.data);
  return path;
}

static const char *put_key(const char *name, gnutls_x509_privkey_t key)
{
  gnutls_datum_t out;
  assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &out), 0);
  return put_datum(name, out, false);
}

/* Takes the certificate. */
static const char *put_crt(const char *name, gnutls_x509_crt_t crt)
{
  gnutls_datum_t out;
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out), 0);
  gnutls_x509_crt_deinit(crt);
  return put_datum(name, out, false);
}

static const char *add_ca(const char *name, gnutls_x509_crt_t crt, bool appends)
{
  gnutls_datum_t out;
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &out), 0);
  return put_datum(name, out, appends);
}

static const char *put_ca(const char *name, gnutls_x509_crt_t crt)
{
  return add_ca(name, crt, false);
}

/* Takes the list. */
static const char *put_crl(const char *name, gnutls_x509_crl_t crl, bool appends)
{
  gnutls_datum_t out;
  assert_int_equal(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &out), 0);
  gnutls_x509_crl_deinit(crl);
  return put_datum(name, out, appends);
}

static gnutls_datum_t spki_of(gnutls_x509_privkey_t key)
{
  gnutls_datum_t out;
  gnutls_privkey_t abstract;
  gnutls_pubkey_t public;
  gnutls_privkey_init(&abstract);
  gnutls_pubkey_init(&public);
  gnutls_privkey_import_x509(abstract, key, 0);
  gnutls_pubkey_import_privkey(public, abstract, 0, 0);
  assert_int_equal(gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &out), 0);
  gnutls_pubkey_deinit(public);
  gnutls_privkey_deinit(abstract);
  return out;
}

static void print_of(gnutls_x509_privkey_t key, char text[FINGERPRINT_TEXT])
{
  fingerprint f;
  gnutls_datum_t spki = spki_of(key);
  assert_true(fingerprint_of(copal_span_of(spki.data, spki.size), &f));
  fingerprint_write(&f, text);
  gnutls_free(spki.data);
}

/* ------------------------------------------------------------------------------------------------
 * asking */

static certs *open_certs(certs_cfg cfg)
{
  char why[CERTS_WHY_SIZE];
  certs *c = NULL;
  cfg.all = cfg.is_client ? NULL : people;
  if (certs_open(&cfg, &c, why) != COPAL_OK)
    fail_msg("%s", why);
  return c;
}

static void refuse_to_open(certs_cfg cfg, const char *reason)
{
  char why[CERTS_WHY_SIZE];
  certs *c = NULL;
  cfg.all = people;
  assert_int_equal(certs_open(&cfg, &c, why), COPAL_EINVAL);
  if (strstr(why, reason) == NULL)
    fail_msg("'%s' instead of '%s'", why, reason);
}

static int vouch(certs *c, dtls_claim claim, dtls_objection *o, uint32_t *who)
{
  dtls_credentials *face = certs_credentials(c);
  *o = (dtls_objection){.kind = DTLS_REFUSAL_OTHER};
  *who = 0;
  claim.objection = o;
  return face->vouch(face, &claim, who);
}

static int vouch_crt(certs *c, gnutls_x509_crt_t crt, const char *server, dtls_objection *o,
                     uint32_t *who)
{
  gnutls_datum_t der;
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
  const int rc = vouch(
      c, (dtls_claim){.kind = DTLS_CLAIM_X509, .server_name = server, .count = 1, .items = &der}, o,
      who);
  gnutls_free(der.data);
  return rc;
}

/* Takes the certificate. */
static void assert_refused(certs *c, gnutls_x509_crt_t crt, const char *server, dtls_refusal kind,
                           const char *reason)
{
  dtls_objection o;
  uint32_t who;
  assert_true(vouch_crt(c, crt, server, &o, &who) < 0);
  gnutls_x509_crt_deinit(crt);
  assert_int_equal(who, 0);
  if (o.kind != kind || strstr(o.text, reason) == NULL)
    fail_msg("%d '%s' instead of %d '%s'", (int)o.kind, o.text, (int)kind, reason);
}

/* Takes the certificate. */
static void assert_identity(certs *c, gnutls_x509_crt_t crt, identity_kind kind, const char *name)
{
  dtls_credentials *face = certs_credentials(c);
  dtls_objection o;
  uint32_t who;
  if (vouch_crt(c, crt, NULL, &o, &who) != COPAL_OK)
    fail_msg("%s", o.text);
  gnutls_x509_crt_deinit(crt);
  const identity *is = identity_of(people, who);
  assert_int_equal(is->kind, kind);
  assert_int_equal(is->name.len, strlen(name));
  assert_memory_equal(is->name.ptr, name, is->name.len);
  face->release(face, who);
}

/* Takes the certificate. */
static bool is_believed(certs *c, gnutls_x509_crt_t crt, const char *server)
{
  dtls_objection o;
  uint32_t who;
  const int rc = vouch_crt(c, crt, server, &o, &who);
  gnutls_x509_crt_deinit(crt);
  return rc == COPAL_OK;
}

static int vouch_key(certs *c, gnutls_x509_privkey_t key, dtls_objection *o, uint32_t *who)
{
  gnutls_datum_t spki = spki_of(key);
  const int rc = vouch(c, (dtls_claim){.kind = DTLS_CLAIM_RPK, .count = 1, .items = &spki}, o, who);
  gnutls_free(spki.data);
  return rc;
}

/* The files of a server with that certificate of its own. */
static certs_cfg with_own(wish w)
{
  w.key = own_key;
  return (certs_cfg){.certificate = put_crt("own.pem", make_crt(w)),
                     .key = put_key("own.key", own_key),
                     .clients = CERTS_CLIENTS_REQUIRED};
}

static certs_cfg with_own_and_ca(const char *ca)
{
  certs_cfg cfg = with_own((wish){.cn = "server"});
  cfg.ca = ca;
  return cfg;
}

static certs *open_server(void)
{
  return open_certs(with_own_and_ca(put_ca("ca.pem", ca_crt)));
}

/* ------------------------------------------------------------------------------------------------
 * files */

static void files_are_refused_with_a_reason(void **state)
{
  const char *crt = put_crt("own.pem", make_crt((wish){.key = own_key}));
  const char *key = put_key("own.key", own_key);
  const char *ca = put_ca("ca.pem", ca_crt);
  const char *junk = put_text("junk", "not PEM at all\n");
  (void)state;
  refuse_to_open((certs_cfg){.certificate = crt}, "give both");
  refuse_to_open((certs_cfg){.key = key}, "give both");
  refuse_to_open((certs_cfg){.certificate = path_of("none"), .key = key}, "No such file");
  refuse_to_open((certs_cfg){.certificate = junk, .key = key}, "junk: ");
  refuse_to_open((certs_cfg){.certificate = crt, .key = junk}, "no private key in it");
  refuse_to_open((certs_cfg){.certificate = crt, .key = put_key("other.key", peer_key)},
                 "the key is that of another certificate");
  refuse_to_open((certs_cfg){.raw_key = junk}, "no private key in it");
  refuse_to_open((certs_cfg){.ca = junk}, "no certificate in it");
  refuse_to_open((certs_cfg){.ca = ca, .crl = junk}, "no revocation list in it");
  refuse_to_open((certs_cfg){.crl = junk}, "needs the CA");
  refuse_to_open((certs_cfg){.pin = "sha256:00"}, "'sha256:00' is no fingerprint");
}

static void rfc7252_9_1_3_2_key_is_for_ecdsa_on_p_256(void **state)
{
  gnutls_x509_privkey_t p384 =
      make_key(GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1));
  gnutls_x509_privkey_t rsa = make_key(GNUTLS_PK_RSA, 2048);
  const char *crt = put_crt("own.pem", make_crt((wish){.key = own_key}));
  (void)state;
  refuse_to_open((certs_cfg){.certificate = crt, .key = put_key("p384.key", p384)}, "P-256");
  refuse_to_open((certs_cfg){.raw_key = put_key("rsa.key", rsa)}, "P-256");
  certs_close(open_certs((certs_cfg){.raw_key = put_key("own.key", own_key)}));
  gnutls_x509_privkey_deinit(p384);
  gnutls_x509_privkey_deinit(rsa);
}

static void certificates_that_clients_would_refuse_are_not_served(void **state)
{
  const char *key = put_key("own.key", own_key);
  const wish client = {.key = own_key, .purpose = GNUTLS_KP_TLS_WWW_CLIENT};
  const wish sealing = {.key = own_key, .usage = GNUTLS_KEY_KEY_ENCIPHERMENT};
  (void)state;
  refuse_to_open((certs_cfg){.certificate = put_crt("own.pem", make_crt(client)), .key = key},
                 "extended key usage");
  refuse_to_open((certs_cfg){.certificate = put_crt("own.pem", make_crt(sealing)), .key = key},
                 "digital signatures");
}

static void private_keys_must_be_kept_from_others(void **state)
{
  const char *crt = put_crt("own.pem", make_crt((wish){.key = own_key}));
  const char *key = put_key("own.key", own_key);
  (void)state;
  chmod(key, 0644);
  refuse_to_open((certs_cfg){.certificate = crt, .key = key}, "others may read it");
  refuse_to_open((certs_cfg){.raw_key = key}, "others may read it");
  chmod(key, 0602);
  refuse_to_open((certs_cfg){.raw_key = key}, "others may read it");
  chmod(key, 0640);
  certs_close(open_certs((certs_cfg){.raw_key = key}));
}

static void files_that_others_may_change_are_refused(void **state)
{
  const char *ca = put_ca("ca.pem", ca_crt);
  const char *peers = put_text("peers", "# nobody\n");
  (void)state;
  chmod(ca, 0646);
  chmod(peers, 0662);
  refuse_to_open((certs_cfg){.ca = ca}, "others may change it (mode 0646)");
  refuse_to_open((certs_cfg){.raw_peers = peers}, "others may change it (mode 0662)");
}

static void raw_peers_are_refused_with_their_line(void **state)
{
  static const struct {
    const char *text, *reason;
  } wrongs[] = {
      {"lamp sha256:00\n", ":1: 'sha256:00' is no fingerprint"},
      {"\n# all lamps\nlamp\n", ":3: 'lamp' is no fingerprint"},
      {"lamp one two\n", ":1: 'one' is no fingerprint"},
      {"a* sha-256-120:000102030405060708090a0b0c0d0e\n", ":1: the name is not"},
      {"lamp sha-256-120:000102030405060708090a0b0c0d0e more\n", ":1: something follows"},
      {"a sha-256-120:000102030405060708090a0b0c0d0e\n"
       "b sha-256-128:000102030405060708090a0b0c0d0eff\n",
       ":2: this key stands in line 1 already"},
      {"\"lamp sha-256-120:000102030405060708090a0b0c0d0e\n", ":1: a quote is not closed"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(wrongs); i++)
    refuse_to_open((certs_cfg){.raw_peers = put_text("peers", wrongs[i].text)}, wrongs[i].reason);
}

static void facts_tell_what_was_read(void **state)
{
  const char *key = put_key("own.key", own_key);
  char text[FINGERPRINT_TEXT], line[128];
  certs_facts f;
  (void)state;
  print_of(own_key, text);
  snprintf(line, sizeof line, "lamp %s\n", text);
  certs *c = open_certs((certs_cfg){
      .certificate = put_crt("own.pem", make_crt((wish){.key = own_key, .cn = "server"})),
      .key = key,
      .ca = put_ca("ca.pem", ca_crt),
      .crl = put_crl("crl.pem", make_crl(ca_crt, ca_key, 9, -1), false),
      .raw_key = key,
      .raw_peers = put_text("peers", line)});
  certs_facts_now(c, &f);
  assert_string_equal(f.subject, "CN=server");
  assert_string_equal(f.raw_key, text);
  assert_int_equal(f.authorities, 1);
  assert_int_equal(f.revocation_lists, 1);
  assert_int_equal(f.peers, 1);
  assert_true(f.expires > time(NULL) + 29 * DAY && f.expires <= time(NULL) + 30 * DAY);
  assert_true(f.outdated > 0 && f.outdated < time(NULL));
  certs_close(c);
}

/* ------------------------------------------------------------------------------------------------
 * certificates */

static void rfc7252_9_1_3_3_certificate_of_the_ca_is_believed(void **state)
{
  certs *c = open_server();
  (void)state;
  assert_identity(c, make_crt((wish){.cn = "dev-1"}), IDENTITY_X509, "dev-1");
  assert_identity(c, make_crt((wish){.cn = "dev-2", .purpose = GNUTLS_KP_TLS_WWW_CLIENT}),
                  IDENTITY_X509, "dev-2");
  certs_close(c);
}

static void rfc5280_6_1_bad_certificates_are_refused_with_a_reason(void **state)
{
  certs *c = open_server();
  (void)state;
  assert_refused(c, make_crt((wish){.issuer = other_ca_crt, .signer = other_ca_key}), NULL,
                 DTLS_REFUSAL_ISSUER,
                 "no CA that is trusted has signed the certificate of 'dev-1'");
  assert_refused(c, make_crt((wish){.begins = -9, .ends = -2}), NULL, DTLS_REFUSAL_EXPIRED,
                 "expired at 20");
  assert_refused(c, make_crt((wish){.begins = 2}), NULL, DTLS_REFUSAL_EARLY, "not valid before 20");
  assert_refused(c, make_crt((wish){.purpose = GNUTLS_KP_TLS_WWW_SERVER}), NULL,
                 DTLS_REFUSAL_PURPOSE, "not for this purpose");
  assert_refused(c, make_crt((wish){.digest = GNUTLS_DIG_SHA1}), NULL, DTLS_REFUSAL_ALGORITHM,
                 "weak");
  assert_refused(c, make_crt((wish){.signer = other_ca_key}), NULL, DTLS_REFUSAL_BROKEN,
                 "not signed as it should be");
  certs_close(c);
}

static void weak_keys_are_refused(void **state)
{
  certs *c = open_server();
  gnutls_x509_privkey_t rsa = make_key(GNUTLS_PK_RSA, 1024);
  (void)state;
  assert_refused(c, make_crt((wish){.key = rsa}), NULL, DTLS_REFUSAL_ALGORITHM, "weak");
  gnutls_x509_privkey_deinit(rsa);
  certs_close(c);
}

static void what_is_no_certificate_is_refused(void **state)
{
  certs *c = open_server();
  dtls_objection o;
  uint32_t who;
  gnutls_datum_t junk[9];
  (void)state;
  for (size_t i = 0; i < COUNT(junk); i++)
    junk[i] = (gnutls_datum_t){(unsigned char *)"\x30\x03\x02\x01\x01", 5};
  assert_true(vouch(c, (dtls_claim){.kind = DTLS_CLAIM_X509, .count = 1, .items = junk}, &o, &who) <
              0);
  assert_int_equal(o.kind, DTLS_REFUSAL_BROKEN);
  assert_true(vouch(c, (dtls_claim){.kind = DTLS_CLAIM_X509, .count = 9, .items = junk}, &o, &who) <
              0);
  assert_int_equal(o.kind, DTLS_REFUSAL_BROKEN);
  certs_close(c);
}

static void rfc5280_6_1_chain_leads_to_the_ca(void **state)
{
  certs *c = open_server();
  gnutls_x509_privkey_t key = make_p256();
  gnutls_x509_crt_t middle =
      make_crt((wish){.cn = "middle", .key = key, .is_ca = true, .issuer = ca_crt});
  gnutls_x509_crt_t leaf = make_crt((wish){.issuer = middle, .signer = key});
  gnutls_datum_t chain[2];
  dtls_objection o;
  uint32_t who;
  (void)state;
  gnutls_x509_crt_export2(leaf, GNUTLS_X509_FMT_DER, &chain[0]);
  gnutls_x509_crt_export2(middle, GNUTLS_X509_FMT_DER, &chain[1]);
  const dtls_claim claim = {.kind = DTLS_CLAIM_X509, .count = 2, .items = chain};
  assert_int_equal(vouch(c, claim, &o, &who), COPAL_OK);
  certs_credentials(c)->release(certs_credentials(c), who);
  assert_refused(c, leaf, NULL, DTLS_REFUSAL_ISSUER, "no CA");
  gnutls_free(chain[0].data);
  gnutls_free(chain[1].data);
  gnutls_x509_crt_deinit(middle);
  gnutls_x509_privkey_deinit(key);
  certs_close(c);
}

static void rfc5280_5_revoked_certificates_are_refused(void **state)
{
  certs_cfg cfg = with_own_and_ca(put_ca("ca.pem", ca_crt));
  cfg.crl = put_crl("crl.pem", make_crl(ca_crt, ca_key, 9, -1), false);
  certs *c = open_certs(cfg);
  (void)state;
  assert_refused(c, make_crt((wish){.serial = 9}), NULL, DTLS_REFUSAL_REVOKED,
                 "the certificate of 'dev-1' is revoked");
  assert_identity(c, make_crt((wish){.serial = 10}), IDENTITY_X509, "dev-1");
  certs_close(c);
}

static void rfc5280_5_lists_of_strangers_are_refused(void **state)
{
  const char *ca = put_ca("ca.pem", ca_crt);
  (void)state;
  refuse_to_open(
      (certs_cfg){.ca = ca,
                  .crl = put_crl("crl.pem", make_crl(other_ca_crt, other_ca_key, 9, 9), false)},
      "has signed revocation list 1 in it");
  refuse_to_open(
      (certs_cfg){.ca = ca, .crl = put_crl("crl.pem", make_crl(ca_crt, other_ca_key, 9, 9), false)},
      "has signed revocation list 1 in it");
  put_crl("crl.pem", make_crl(ca_crt, ca_key, 9, 9), false);
  refuse_to_open(
      (certs_cfg){.ca = ca,
                  .crl = put_crl("crl.pem", make_crl(other_ca_crt, other_ca_key, 9, 9), true)},
      "has signed revocation list 2 in it");
}

static void identities_are_what_the_rule_selects(void **state)
{
  static const struct {
    certs_name name;
    const char *cn, *dns, *uri, *identity;
  } cases[] = {
      {CERTS_NAME_CN, "dev-1", "a.example", NULL, "dev-1"},
      {CERTS_NAME_CN, "", "a.example", NULL, "a.example"},
      {CERTS_NAME_CN, "", NULL, "urn:dev:1", "urn:dev:1"},
      {CERTS_NAME_SAN, "dev-1", NULL, "urn:dev:1", "urn:dev:1"},
      {CERTS_NAME_SUBJECT, "dev-1", "a.example", NULL, "CN=dev-1"},
  };
  char text[FINGERPRINT_TEXT];
  (void)state;
  certs_cfg cfg = with_own_and_ca(put_ca("ca.pem", ca_crt));
  for (size_t i = 0; i < COUNT(cases); i++) {
    cfg.name = cases[i].name;
    certs *c = open_certs(cfg);
    assert_identity(c,
                    make_crt((wish){.cn = cases[i].cn, .dns = cases[i].dns, .uri = cases[i].uri}),
                    IDENTITY_X509, cases[i].identity);
    certs_close(c);
  }
  cfg.name = CERTS_NAME_FINGERPRINT;
  certs *c = open_certs(cfg);
  print_of(peer_key, text);
  assert_identity(c, make_crt((wish){.cn = "dev-1"}), IDENTITY_X509, text);
  certs_close(c);
}

static void names_that_cannot_be_identities_are_refused(void **state)
{
  certs *c = open_server();
  (void)state;
  assert_refused(c, make_crt((wish){.cn = ""}), NULL, DTLS_REFUSAL_NAME, "no name");
  assert_refused(c, make_crt((wish){.cn = "dev\n1"}), NULL, DTLS_REFUSAL_NAME, "no name");
  certs_close(c);
}

/* ------------------------------------------------------------------------------------------------
 * the names of servers */

static bool is_for(wish w, const char *authority)
{
  gnutls_x509_crt_t crt = make_crt(w);
  const bool is = certs_is_for(crt, authority);
  gnutls_x509_crt_deinit(crt);
  return is;
}

static void rfc7252_9_1_3_3_authority_is_that_of_a_uri_in_the_certificate(void **state)
{
  const wish w = {.cn = "other.example", .uri = "coaps://Lamp.Example"};
  const wish on_port = {.uri = "coaps://lamp.example:7000"};
  const wish web = {.uri = "https://lamp.example"};
  (void)state;
  assert_true(is_for(w, "lamp.example"));
  assert_true(is_for(w, "LAMP.example"));
  assert_true(is_for(w, "lamp.example:5684"));
  assert_false(is_for(w, "lamp.example:7000"));
  assert_false(is_for(w, "other.example"));
  assert_true(is_for(on_port, "lamp.example:7000"));
  assert_false(is_for(on_port, "lamp.example"));
  assert_false(is_for(web, "lamp.example"));
  assert_true(is_for((wish){.uri = "coap://[2001:db8::1]/"}, "[2001:db8::1]"));
  assert_false(is_for((wish){.uri = "coap://[2001:db8::1]/"}, "[2001:db8::2]"));
}

static void rfc6125_6_4_authority_is_a_dns_name_or_address_in_the_certificate(void **state)
{
  const wish w = {.cn = "other.example", .dns = "lamp.example", .ip = "192.0.2.7"};
  (void)state;
  assert_true(is_for(w, "lamp.example"));
  assert_true(is_for(w, "lamp.example."));
  assert_true(is_for(w, "lamp.example:7000"));
  assert_true(is_for(w, "192.0.2.7"));
  assert_true(is_for(w, "192.0.2.7:7000"));
  assert_false(is_for(w, "192.0.2.8"));
  assert_false(is_for(w, "other.example"));
  assert_false(is_for(w, "example"));
  assert_false(is_for(w, "x.lamp.example"));
  assert_false(is_for((wish){.dns = "192.0.2.7"}, "192.0.2.7"));
}

static void rfc7252_9_1_3_3_common_name_counts_without_alternatives_only(void **state)
{
  (void)state;
  assert_true(is_for((wish){.cn = "lamp.example"}, "Lamp.Example"));
  assert_false(is_for((wish){.cn = "lamp.example", .dns = "a.example"}, "lamp.example"));
  assert_false(is_for((wish){.cn = "lamp.example", .ip = "192.0.2.7"}, "lamp.example"));
  assert_false(is_for((wish){.cn = ""}, "lamp.example"));
}

static void rfc7252_9_1_3_3_wildcards_are_not_allowed(void **state)
{
  (void)state;
  assert_false(is_for((wish){.cn = "*.example"}, "lamp.example"));
  assert_false(is_for((wish){.cn = "*.example"}, "*.example"));
  assert_false(is_for((wish){.dns = "*.example"}, "lamp.example"));
  assert_false(is_for((wish){.uri = "coaps://*.example"}, "lamp.example"));
}

/* Puts a NUL in the place of the first "@" of a certificate, whose signature then does not count.
 */
static gnutls_x509_crt_t cut(gnutls_x509_crt_t crt)
{
  gnutls_datum_t der;
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
  unsigned char *at = memchr(der.data, '@', der.size);
  assert_non_null(at);
  *at = '\0';
  gnutls_x509_crt_deinit(crt);
  assert_int_equal(gnutls_x509_crt_init(&crt), 0);
  assert_int_equal(gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER), 0);
  gnutls_free(der.data);
  return crt;
}

static void names_cut_by_a_nul_are_not_believed(void **state)
{
  static const wish wishes[] = {{.uri = "coaps://lamp.example@.evil"},
                                {.dns = "lamp.example@.evil"},
                                {.cn = "lamp.example@.evil"}};
  (void)state;
  for (size_t i = 0; i < COUNT(wishes); i++) {
    gnutls_x509_crt_t crt = cut(make_crt(wishes[i]));
    if (certs_is_for(crt, "lamp.example"))
      fail_msg("case %zu", i);
    gnutls_x509_crt_deinit(crt);
  }
}

static void odd_authorities_match_nothing(void **state)
{
  const wish w = {.cn = "lamp.example"};
  (void)state;
  assert_false(is_for(w, ""));
  assert_false(is_for(w, "lamp.example/path"));
  assert_false(is_for(w, "user@lamp.example"));
  assert_false(is_for(w, "lamp example"));
  assert_false(is_for((wish){.uri = "coaps://lamp.example"}, ":5684"));
}

static void client_believes_the_server_it_wanted(void **state)
{
  certs *c = open_certs((certs_cfg){.ca = put_ca("ca.pem", ca_crt), .is_client = true});
  const wish w = {.dns = "lamp.example"};
  (void)state;
  assert_true(is_believed(c, make_crt(w), "lamp.example"));
  assert_refused(c, make_crt(w), NULL, DTLS_REFUSAL_NAME, "nothing says");
  assert_refused(c, make_crt(w), "door.example", DTLS_REFUSAL_NAME,
                 "that of 'lamp.example', not of 'door.example'");
  assert_refused(c, make_crt((wish){.dns = "lamp.example", .purpose = GNUTLS_KP_TLS_WWW_CLIENT}),
                 "lamp.example", DTLS_REFUSAL_PURPOSE, "purpose");
  certs_close(c);
}

static void pin_is_for_certificates_too(void **state)
{
  char pin[FINGERPRINT_TEXT], other[FINGERPRINT_TEXT];
  const char *ca = put_ca("ca.pem", ca_crt);
  const wish strange = {.issuer = other_ca_crt, .signer = other_ca_key};
  (void)state;
  print_of(peer_key, pin);
  print_of(own_key, other);
  certs *c = open_certs((certs_cfg){.pin = pin, .is_client = true});
  assert_true(is_believed(c, make_crt(strange), "lamp.example"));
  assert_false(certs_credentials(c)->refuses_certificates(certs_credentials(c)));
  certs_close(c);
  c = open_certs((certs_cfg){.pin = other, .is_client = true});
  assert_refused(c, make_crt(strange), "lamp.example", DTLS_REFUSAL_UNKNOWN, "not the pinned one");
  certs_close(c);
  c = open_certs((certs_cfg){.pin = pin, .ca = ca, .is_client = true});
  assert_false(is_believed(c, make_crt(strange), NULL));
  assert_true(is_believed(c, make_crt((wish){.cn = "lamp.example"}), "lamp.example"));
  assert_refused(c, make_crt((wish){.key = own_key, .cn = "lamp.example"}), "lamp.example",
                 DTLS_REFUSAL_UNKNOWN, "not the pinned one");
  certs_close(c);
}

static void gullible_client_believes_anybody_who_shows_something(void **state)
{
  certs *c = open_certs((certs_cfg){.is_client = true, .is_gullible = true});
  dtls_objection o;
  uint32_t who;
  (void)state;
  assert_true(is_believed(c, make_crt((wish){.ends = -1, .begins = -2}), "lamp.example"));
  assert_int_equal(vouch_key(c, own_key, &o, &who), COPAL_OK);
  assert_true(vouch(c, (dtls_claim){.kind = DTLS_CLAIM_NONE}, &o, &who) < 0);
  assert_true(vouch(c, (dtls_claim){.kind = DTLS_CLAIM_PSK}, &o, &who) < 0);
  certs_close(c);
}

/* ------------------------------------------------------------------------------------------------
 * raw public keys */

static void rfc7252_9_1_3_2_1_known_raw_keys_are_believed(void **state)
{
  char text[FINGERPRINT_TEXT], content[256];
  dtls_objection o;
  uint32_t who;
  (void)state;
  print_of(peer_key, text);
  snprintf(content, sizeof content,
           "# fleet\nlamp sha-256-120:000102030405060708090a0b0c0d0e\n"
           "\"the door\" sha-256-120:%.30s\n",
           text + strlen("sha-256:"));
  certs *c = open_certs(
      (certs_cfg){.raw_key = put_key("own.key", own_key), .raw_peers = put_text("peers", content)});
  dtls_credentials *face = certs_credentials(c);
  assert_int_equal(vouch_key(c, peer_key, &o, &who), COPAL_OK);
  const identity *is = identity_of(people, who);
  assert_int_equal(is->kind, IDENTITY_RPK);
  assert_memory_equal(is->name.ptr, "the door", is->name.len);
  face->release(face, who);
  assert_int_equal(vouch_key(c, own_key, &o, &who), COPAL_ENOTFOUND);
  assert_int_equal(o.kind, DTLS_REFUSAL_UNKNOWN);
  assert_non_null(strstr(o.text, "sha-256:"));
  assert_true(face->refuses_certificates(face));
  assert_false(face->refuses_raw_keys(face));
  certs_close(c);
}

static void raw_keys_without_a_name_are_their_fingerprint(void **state)
{
  char text[FINGERPRINT_TEXT];
  dtls_objection o;
  uint32_t who;
  (void)state;
  print_of(peer_key, text);
  certs *c = open_certs(
      (certs_cfg){.raw_key = put_key("own.key", own_key), .raw_peers = put_text("peers", text)});
  assert_int_equal(vouch_key(c, peer_key, &o, &who), COPAL_OK);
  const identity *is = identity_of(people, who);
  assert_int_equal(is->name.len, strlen(text));
  assert_memory_equal(is->name.ptr, text, is->name.len);
  certs_credentials(c)->release(certs_credentials(c), who);
  certs_close(c);
}

static void many_raw_keys_are_found(void **state)
{
  enum { KEYS = 1000 };
  char *text = malloc(KEYS * 64);
  size_t len = 0;
  dtls_objection o;
  uint32_t who;
  char print[FINGERPRINT_TEXT];
  (void)state;
  assert_non_null(text);
  for (unsigned i = 0; i < KEYS; i++)
    len += (size_t)sprintf(text + len, "dev-%u sha-256-120:%08x%022x\n", i, i * 2654435761u, i);
  print_of(peer_key, print);
  sprintf(text + len, "mine %s\n", print);
  certs *c = open_certs((certs_cfg){.raw_peers = put_text("peers", text)});
  assert_int_equal(vouch_key(c, peer_key, &o, &who), COPAL_OK);
  assert_memory_equal(identity_of(people, who)->name.ptr, "mine", 4);
  certs_credentials(c)->release(certs_credentials(c), who);
  assert_int_equal(vouch_key(c, own_key, &o, &who), COPAL_ENOTFOUND);
  certs_close(c);
  free(text);
}

/* ------------------------------------------------------------------------------------------------
 * clients that show nothing, pre-shared keys, reloads */

static void clients_that_show_nothing_are_judged_by_the_rule(void **state)
{
  static const struct {
    certs_clients clients;
    bool is_admitted, is_asked;
  } rules[] = {{CERTS_CLIENTS_NONE, true, false},
               {CERTS_CLIENTS_OPTIONAL, true, true},
               {CERTS_CLIENTS_REQUIRED, false, true}};
  const char *key = put_key("own.key", own_key);
  (void)state;
  for (size_t i = 0; i < COUNT(rules); i++) {
    certs *c = open_certs((certs_cfg){.raw_key = key, .clients = rules[i].clients});
    dtls_credentials *face = certs_credentials(c);
    dtls_objection o;
    uint32_t who;
    const int rc = vouch(c, (dtls_claim){.kind = DTLS_CLAIM_NONE}, &o, &who);
    assert_int_equal(rc == COPAL_OK, rules[i].is_admitted);
    assert_int_equal(who, 0);
    assert_int_equal(face->admits_nobody(face), rules[i].is_admitted);
    assert_int_equal(!face->asks_nobody(face), rules[i].is_asked);
    certs_close(c);
  }
}

static int psk_vouch(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  (void)c;
  assert_int_equal(claim->kind, DTLS_CLAIM_PSK);
  *who = 77;
  return COPAL_OK;
}

static int psk_find(dtls_credentials *c, copal_span name, dtls_psk_wait *w, dtls_psks *keys)
{
  (void)c, (void)w;
  keys->count = name.len;
  return COPAL_OK;
}

static void pre_shared_keys_are_asked_for_elsewhere(void **state)
{
  dtls_credentials psks = {.psk_find = psk_find, .vouch = psk_vouch, .psk_hint = "hint"};
  dtls_psks keys;
  dtls_objection o;
  uint32_t who;
  (void)state;
  certs *c = open_certs((certs_cfg){.raw_key = put_key("own.key", own_key), .psks = &psks});
  dtls_credentials *face = certs_credentials(c);
  assert_int_equal(face->psk_find(face, copal_span_str("ab"), NULL, &keys), COPAL_OK);
  assert_int_equal(keys.count, 2);
  assert_string_equal(face->psk_hint, "hint");
  assert_null(face->psk_own);
  assert_int_equal(vouch(c, (dtls_claim){.kind = DTLS_CLAIM_PSK}, &o, &who), COPAL_OK);
  assert_int_equal(who, 77);
  certs_close(c);
}

static void further_certificates_belong_to_their_keys(void **state)
{
  const char *crt = put_crt("own.pem", make_crt((wish){.key = own_key, .cn = "server"}));
  const char *key = put_key("own.key", own_key);
  const char *other = put_crt("other.pem", make_crt((wish){.cn = "other", .ends = 3}));
  const char *other_key = put_key("other.key", peer_key);
  const certs_pair good = {other, other_key}, swapped = {other, key}, half = {other, NULL};
  certs_facts f;
  certs_cfg cfg = {.certificate = crt,
                   .key = key,
                   .more_count = 1,
                   .more = &swapped,
                   .clients = CERTS_CLIENTS_NONE};
  (void)state;
  refuse_to_open(cfg, "other.pem: the key is that of another certificate: ");
  cfg.more = &half;
  refuse_to_open(cfg, "give both");
  cfg.more = &good;
  certs *c = open_certs(cfg);
  certs_facts_now(c, &f);
  assert_int_equal(f.certificates, 2);
  assert_string_equal(f.subject, "CN=server");
  assert_string_equal(f.expiring, "CN=other");
  assert_true(f.expires < time(NULL) + 4 * DAY);
  certs_close(c);
}

static bool is_shown(certs *c, const char *name, gnutls_certificate_credentials_t wanted)
{
  dtls_credentials *face = certs_credentials(c);
  gnutls_certificate_credentials_t own = face->certificates_take(face, copal_span_str(name));
  face->certificates_give(face, own);
  return own == wanted;
}

static void rfc6066_3_name_in_any_case_chooses_the_certificate(void **state)
{
  const certs_pair lamp = {put_crt("other.pem", make_crt((wish){.cn = "x", .dns = "Lamp.example"})),
                           put_key("other.key", peer_key)};
  certs_cfg cfg = with_own((wish){.cn = "server.example"});
  (void)state;
  cfg.more_count = 1;
  cfg.more = &lamp;
  cfg.raw_key = put_key("own.key", own_key);
  certs *c = open_certs(cfg);
  dtls_credentials *face = certs_credentials(c);
  gnutls_certificate_credentials_t all = face->certificates_take(face, copal_span_none());
  gnutls_certificate_credentials_t own =
      face->certificates_take(face, copal_span_str("lamp.example"));
  face->certificates_give(face, all);
  face->certificates_give(face, own);
  assert_ptr_not_equal(all, own);
  assert_true(is_shown(c, "LAMP.EXAMPLE", own));
  assert_true(is_shown(c, "lAMP.eXAMPLE", own));
  assert_false(is_shown(c, "SERVER.example", own));
  assert_false(is_shown(c, "Server.Example", all)); /* that of its own, alone */
  assert_true(is_shown(c, "lamp.example.", all));
  assert_true(is_shown(c, "lamp.exampl", all));
  assert_true(is_shown(c, "", all));
  assert_true(is_shown(c, "x", all)); /* a Common Name beside a SubjectAltName */
  certs_close(c);
}

static void names_that_are_none_of_hosts_do_no_harm(void **state)
{
  static const char *const names[] = {"B\xc3\xbcro Server", "*.example", "a b", "", "x'\"\\"};
  (void)state;
  for (size_t i = 0; i < COUNT(names); i++) {
    certs *c = open_certs(with_own((wish){.cn = names[i]}));
    certs_close(c);
  }
  certs_close(open_certs(with_own((wish){.dns = "*.Example", .uri = "coaps://[::1]:5684"})));
}

static void reload_takes_other_names_of_files(void **state)
{
  char why[CERTS_WHY_SIZE];
  dtls_objection o;
  uint32_t who;
  certs_facts f;
  (void)state;
  certs *c = open_certs((certs_cfg){.clients = CERTS_CLIENTS_REQUIRED});
  dtls_credentials *face = certs_credentials(c);
  assert_null(face->certificates_take(face, copal_span_none()));
  assert_true(face->refuses_raw_keys(face));
  char print[FINGERPRINT_TEXT];
  print_of(peer_key, print);
  certs_cfg names = with_own_and_ca(put_ca("ca.pem", ca_crt));
  names.raw_peers = put_text("peers", print);
  assert_int_equal(certs_reload(c, &names, why), COPAL_OK);
  gnutls_certificate_credentials_t own = face->certificates_take(face, copal_span_none());
  assert_non_null(own);
  face->certificates_give(face, own);
  assert_false(face->refuses_raw_keys(face));
  assert_identity(c, make_crt((wish){.cn = "dev-1"}), IDENTITY_X509, "dev-1");
  names.ca = path_of("nowhere.pem");
  assert_int_equal(certs_reload(c, &names, why), COPAL_EINVAL);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK); /* the names from before */
  certs_facts_now(c, &f);
  assert_int_equal(f.authorities, 1);
  names.ca = NULL;
  assert_int_equal(certs_reload(c, &names, why), COPAL_OK);
  gnutls_x509_crt_t crt = make_crt((wish){.cn = "dev-1"});
  assert_true(vouch_crt(c, crt, NULL, &o, &who) < 0);
  gnutls_x509_crt_deinit(crt);
  assert_int_equal(o.kind, DTLS_REFUSAL_ISSUER);
  certs_close(c);
}

static void reload_judges_by_the_new_files(void **state)
{
  char why[CERTS_WHY_SIZE];
  certs *c = open_server();
  (void)state;
  assert_identity(c, make_crt((wish){.cn = "dev-1"}), IDENTITY_X509, "dev-1");
  put_ca("ca.pem", other_ca_crt);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_refused(c, make_crt((wish){.cn = "dev-1"}), NULL, DTLS_REFUSAL_ISSUER, "no CA");
  certs_close(c);
}

/* Somebody was believed: is he still? Lets go of the number. */
static int readmit_once(certs *c, uint32_t who)
{
  dtls_credentials *face = certs_credentials(c);
  uint32_t now = 0;
  const int rc = face->readmit(face, who, &now);
  if (rc == COPAL_OK)
    assert_int_equal(now, who);
  return rc;
}

static void rfc5280_5_a_reload_ends_what_is_revoked_or_not_trusted(void **state)
{
  char why[CERTS_WHY_SIZE];
  dtls_objection o;
  uint32_t good, bad;
  (void)state;
  certs_cfg cfg = with_own_and_ca(put_ca("ca.pem", ca_crt));
  cfg.crl = put_crl("crl.pem", make_crl(ca_crt, ca_key, 99, 10), false);
  certs *c = open_certs(cfg);
  gnutls_x509_crt_t crt = make_crt((wish){.serial = 20}), other = make_crt((wish){.serial = 21});
  assert_int_equal(vouch_crt(c, crt, NULL, &o, &good), COPAL_OK);
  assert_int_equal(vouch_crt(c, other, NULL, &o, &bad), COPAL_OK);
  assert_int_not_equal(good, bad); /* of one name, by different certificates */
  assert_int_equal(readmit_once(c, good), COPAL_OK);
  assert_int_equal(readmit_once(c, bad), COPAL_OK);
  (void)put_crl("crl.pem", make_crl(ca_crt, ca_key, 21, 10), false);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(readmit_once(c, good), COPAL_OK);
  assert_int_equal(readmit_once(c, bad), COPAL_ENOTFOUND);
  cfg.crl = NULL;
  assert_int_equal(certs_reload(c, &cfg, why), COPAL_OK);
  assert_int_equal(readmit_once(c, bad), COPAL_OK);
  (void)put_ca("ca.pem", other_ca_crt);
  assert_int_equal(certs_reload(c, &cfg, why), COPAL_OK);
  assert_int_equal(readmit_once(c, good), COPAL_ENOTFOUND);
  cfg.ca = NULL;
  cfg.raw_peers = put_text("peers", "");
  assert_int_equal(certs_reload(c, &cfg, why), COPAL_OK);
  assert_int_equal(readmit_once(c, good), COPAL_ENOTFOUND);
  identity_release(people, good);
  identity_release(people, bad);
  gnutls_x509_crt_deinit(crt);
  gnutls_x509_crt_deinit(other);
  certs_close(c);
}

/* The next one of a CA has the same name, and another key. */
static void rfc5280_6_1_an_authority_is_told_from_its_namesake(void **state)
{
  char why[CERTS_WHY_SIZE];
  dtls_objection o;
  uint32_t who;
  (void)state;
  gnutls_x509_crt_t next =
      make_crt((wish){.cn = "ca", .key = other_ca_key, .signer = other_ca_key, .is_ca = true});
  gnutls_x509_crt_t crt = make_crt((wish){.serial = 20});
  (void)put_ca("ca.pem", next);
  certs *c = open_certs(with_own_and_ca(add_ca("ca.pem", ca_crt, true)));
  assert_int_equal(vouch_crt(c, crt, NULL, &o, &who), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_OK);
  (void)put_ca("ca.pem", next);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_ENOTFOUND);
  identity_release(people, who);
  gnutls_x509_crt_deinit(crt);
  gnutls_x509_crt_deinit(next);
  certs_close(c);
}

static void certificate_that_is_trusted_itself_stays(void **state)
{
  char why[CERTS_WHY_SIZE];
  dtls_objection o;
  uint32_t who;
  (void)state;
  gnutls_x509_crt_t crt =
      make_crt((wish){.is_ca = true, .key = peer_key, .signer = peer_key, .cn = "alone"});
  certs *c = open_certs(with_own_and_ca(put_ca("ca.pem", crt)));
  assert_int_equal(vouch_crt(c, crt, NULL, &o, &who), COPAL_OK);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_OK);
  (void)put_ca("ca.pem", ca_crt);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_ENOTFOUND);
  identity_release(people, who);
  gnutls_x509_crt_deinit(crt);
  certs_close(c);
}

static void rfc5280_6_1_a_reload_ends_what_has_expired(void **state)
{
  dtls_objection o;
  uint32_t who;
  (void)state;
  certs *c = open_server();
  gnutls_x509_crt_t crt = make_crt((wish){.serial = 22});
  assert_int_equal(vouch_crt(c, crt, NULL, &o, &who), COPAL_OK);
  identity id = *identity_of(people, who);
  proof p = {.len = id.proof.len};
  memcpy(p.bytes, id.proof.ptr, p.len);
  memset(p.bytes + 1, 0, 6); /* the same, and it ended in 1970 */
  id.proof = proof_span(&p);
  identity_ref expired, cut;
  assert_int_equal(identity_hold_as(people, &id, &expired), COPAL_OK);
  assert_int_equal(readmit_once(c, expired), COPAL_ENOTFOUND);
  memcpy(p.bytes, identity_of(people, who)->proof.ptr, p.len--);
  id.proof = proof_span(&p);
  assert_int_equal(identity_hold_as(people, &id, &cut), COPAL_OK);
  assert_int_equal(readmit_once(c, cut), COPAL_ENOTFOUND);
  assert_int_equal(readmit_once(c, who), COPAL_OK);
  identity_release(people, who);
  identity_release(people, expired);
  identity_release(people, cut);
  gnutls_x509_crt_deinit(crt);
  certs_close(c);
}

static void raw_keys_go_by_another_name_or_not_at_all_after_a_reload(void **state)
{
  char why[CERTS_WHY_SIZE], print[FINGERPRINT_TEXT], text[FINGERPRINT_TEXT + 16];
  dtls_objection o;
  uint32_t who, now;
  (void)state;
  print_of(peer_key, print);
  snprintf(text, sizeof text, "lamp %s", print);
  const certs_cfg cfg = {.raw_key = put_key("own.key", own_key),
                         .raw_peers = put_text("peers", text),
                         .clients = CERTS_CLIENTS_REQUIRED};
  certs *c = open_certs(cfg);
  dtls_credentials *face = certs_credentials(c);
  assert_int_equal(vouch_key(c, peer_key, &o, &who), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_OK);
  (void)put_text("peers", print); /* without a name */
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(face->readmit(face, who, &now), COPAL_OK);
  assert_int_not_equal(now, who);
  assert_true(copal_span_is_equal(identity_of(people, now)->name, copal_span_str(print)));
  assert_int_equal(readmit_once(c, now), COPAL_OK);
  identity_release(people, now);
  (void)put_text("peers", "");
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(readmit_once(c, who), COPAL_ENOTFOUND);
  identity_release(people, who);
  certs_close(c);
}

static void refused_files_leave_all_as_it_was(void **state)
{
  char why[CERTS_WHY_SIZE];
  certs *c = open_server();
  (void)state;
  put_ca("ca.pem", other_ca_crt);
  put_text("own.key", "nothing\n");
  assert_int_equal(certs_reload(c, NULL, why), COPAL_EINVAL);
  assert_non_null(strstr(why, "own.key: there is no private key"));
  assert_identity(c, make_crt((wish){.cn = "dev-1"}), IDENTITY_X509, "dev-1");
  certs_close(c);
}

static void editions_live_as_long_as_handshakes_use_them(void **state)
{
  char why[CERTS_WHY_SIZE];
  certs *c = open_server();
  dtls_credentials *face = certs_credentials(c);
  gnutls_x509_crt_t *chain = NULL;
  unsigned count = 0;
  (void)state;
  gnutls_certificate_credentials_t old = face->certificates_take(face, copal_span_none());
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  gnutls_certificate_credentials_t new = face->certificates_take(face, copal_span_none());
  assert_ptr_not_equal(old, new);
  assert_int_equal(gnutls_certificate_get_x509_crt(old, 0, &chain, &count), 0);
  assert_int_equal(count, 1);
  gnutls_x509_crt_deinit(chain[0]);
  gnutls_free(chain);
  face->certificates_give(face, old);
  face->certificates_give(face, new);
  certs_close(c);
}

enum { THREADS = 3, RELOADS = 20 };

typedef struct visitor {
  pthread_t thread;
  certs *certs;
  gnutls_datum_t der;
  atomic_bool *is_over;
  unsigned believed, refused;
} visitor;

/* A handshake after the other, as far as credentials see them. */
static void *visit(void *arg)
{
  visitor *v = arg;
  dtls_credentials *face = certs_credentials(v->certs);
  const dtls_claim claim = {.kind = DTLS_CLAIM_X509, .count = 1, .items = &v->der};
  while (!atomic_load(v->is_over)) {
    uint32_t who, now;
    gnutls_certificate_credentials_t own = face->certificates_take(face, copal_span_none());
    if (face->vouch(face, &claim, &who) == COPAL_OK) {
      v->refused += face->readmit(face, who, &now) != COPAL_OK;
      face->release(face, who);
      v->believed++;
    } else {
      v->refused++;
    }
    face->certificates_give(face, own);
  }
  return NULL;
}

static void reloads_and_handshakes_go_on_side_by_side(void **state)
{
  char why[CERTS_WHY_SIZE];
  certs *c = open_server();
  gnutls_x509_crt_t crt = make_crt((wish){.cn = "dev-1"});
  visitor visitors[THREADS];
  atomic_bool is_over = false;
  (void)state;
  for (size_t i = 0; i < THREADS; i++) {
    visitors[i] = (visitor){.certs = c, .is_over = &is_over};
    gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &visitors[i].der);
    assert_int_equal(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
  }
  for (int i = 0; i < RELOADS; i++)
    assert_int_equal(certs_reload(c, NULL, why), COPAL_OK);
  atomic_store(&is_over, true);
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(visitors[i].thread, NULL);
    assert_int_equal(visitors[i].refused, 0);
    gnutls_free(visitors[i].der.data);
  }
  gnutls_x509_crt_deinit(crt);
  certs_close(c);
}

/* ------------------------------------------------------------------------------------------------
 * all of it */

static int set_up(void **state)
{
  (void)state;
  assert_non_null(mkdtemp(directory));
  people = identities_open(64);
  ca_key = make_p256();
  other_ca_key = make_p256();
  own_key = make_p256();
  peer_key = make_p256();
  ca_crt = make_crt((wish){.cn = "ca", .key = ca_key, .is_ca = true});
  other_ca_crt = make_crt(
      (wish){.cn = "other ca", .key = other_ca_key, .signer = other_ca_key, .is_ca = true});
  return 0;
}

static int tear_down(void **state)
{
  static const char *const names[] = {"own.pem", "own.key",   "ca.pem",   "crl.pem", "junk",
                                      "peers",   "other.key", "p384.key", "rsa.key", "other.pem"};
  (void)state;
  for (size_t i = 0; i < COUNT(names); i++)
    unlink(path_of(names[i]));
  assert_int_equal(rmdir(directory), 0);
  assert_int_equal(identities_count(people), 0);
  identities_close(people);
  gnutls_x509_crt_deinit(ca_crt);
  gnutls_x509_crt_deinit(other_ca_crt);
  gnutls_x509_privkey_deinit(ca_key);
  gnutls_x509_privkey_deinit(other_ca_key);
  gnutls_x509_privkey_deinit(own_key);
  gnutls_x509_privkey_deinit(peer_key);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_are_refused_with_a_reason),
      cmocka_unit_test(rfc7252_9_1_3_2_key_is_for_ecdsa_on_p_256),
      cmocka_unit_test(certificates_that_clients_would_refuse_are_not_served),
      cmocka_unit_test(private_keys_must_be_kept_from_others),
      cmocka_unit_test(files_that_others_may_change_are_refused),
      cmocka_unit_test(raw_peers_are_refused_with_their_line),
      cmocka_unit_test(facts_tell_what_was_read),
      cmocka_unit_test(rfc7252_9_1_3_3_certificate_of_the_ca_is_believed),
      cmocka_unit_test(rfc5280_6_1_bad_certificates_are_refused_with_a_reason),
      cmocka_unit_test(weak_keys_are_refused),
      cmocka_unit_test(what_is_no_certificate_is_refused),
      cmocka_unit_test(rfc5280_6_1_chain_leads_to_the_ca),
      cmocka_unit_test(rfc5280_5_revoked_certificates_are_refused),
      cmocka_unit_test(rfc5280_5_lists_of_strangers_are_refused),
      cmocka_unit_test(identities_are_what_the_rule_selects),
      cmocka_unit_test(names_that_cannot_be_identities_are_refused),
      cmocka_unit_test(rfc7252_9_1_3_3_authority_is_that_of_a_uri_in_the_certificate),
      cmocka_unit_test(rfc6125_6_4_authority_is_a_dns_name_or_address_in_the_certificate),
      cmocka_unit_test(rfc7252_9_1_3_3_common_name_counts_without_alternatives_only),
      cmocka_unit_test(rfc7252_9_1_3_3_wildcards_are_not_allowed),
      cmocka_unit_test(names_cut_by_a_nul_are_not_believed),
      cmocka_unit_test(odd_authorities_match_nothing),
      cmocka_unit_test(client_believes_the_server_it_wanted),
      cmocka_unit_test(pin_is_for_certificates_too),
      cmocka_unit_test(gullible_client_believes_anybody_who_shows_something),
      cmocka_unit_test(rfc7252_9_1_3_2_1_known_raw_keys_are_believed),
      cmocka_unit_test(raw_keys_without_a_name_are_their_fingerprint),
      cmocka_unit_test(many_raw_keys_are_found),
      cmocka_unit_test(clients_that_show_nothing_are_judged_by_the_rule),
      cmocka_unit_test(pre_shared_keys_are_asked_for_elsewhere),
      cmocka_unit_test(further_certificates_belong_to_their_keys),
      cmocka_unit_test(rfc6066_3_name_in_any_case_chooses_the_certificate),
      cmocka_unit_test(names_that_are_none_of_hosts_do_no_harm),
      cmocka_unit_test(reload_takes_other_names_of_files),
      cmocka_unit_test(reload_judges_by_the_new_files),
      cmocka_unit_test(rfc5280_5_a_reload_ends_what_is_revoked_or_not_trusted),
      cmocka_unit_test(certificate_that_is_trusted_itself_stays),
      cmocka_unit_test(rfc5280_6_1_an_authority_is_told_from_its_namesake),
      cmocka_unit_test(rfc5280_6_1_a_reload_ends_what_has_expired),
      cmocka_unit_test(raw_keys_go_by_another_name_or_not_at_all_after_a_reload),
      cmocka_unit_test(refused_files_leave_all_as_it_was),
      cmocka_unit_test(editions_live_as_long_as_handshakes_use_them),
      cmocka_unit_test(reloads_and_handshakes_go_on_side_by_side),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
