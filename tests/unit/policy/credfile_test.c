/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the credentials file. RFC 7252 section 9.1. */
#include "policy/credfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/abstract.h>
#include <gnutls/x509.h>

#include "copal/error.h"
#include "policy/credbook.h"

enum { IDENTITIES = 64, LONG_LIST = 5000 };

#define PRINT "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char path[] = "/tmp/credfile_XXXXXX";
static identities *all;

static void write_file(const char *text)
{
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
}

static credfile *open_file(const char *text)
{
  mistakes m = {.count = 0};
  credfile *f = NULL;
  write_file(text);
  if (credfile_open(path, all, &f, &m) != COPAL_OK)
    fail_msg("%s", m.text);
  return f;
}

/* `where` is what the complaint begins with behind the file's name. */
static void refuse(const char *text, const char *where)
{
  mistakes m = {.count = 0};
  credfile *f = NULL;
  write_file(text);
  assert_int_equal(credfile_open(path, all, &f, &m), COPAL_EINVAL);
  assert_null(f);
  assert_int_equal(strncmp(m.text, path, strlen(path)), 0);
  if (strstr(m.text + strlen(path), where) != m.text + strlen(path))
    fail_msg("%s: %s", where, m.text);
}

static int find(credfile *f, copal_span id, dtls_psks *keys)
{
  dtls_credentials *c = credfile_credentials(f);
  return c->psk_find(c, id, NULL, keys);
}

static int vouch(credfile *f, dtls_claim_kind kind, copal_span item, identity_ref *who)
{
  const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)item.ptr, (unsigned)item.len};
  const dtls_claim claim = {.kind = kind, .count = 1, .items = &datum};
  dtls_credentials *c = credfile_credentials(f);
  return c->vouch(c, &claim, who);
}

static void assert_is(identity_ref who, identity_kind kind, const char *name, const char *groups)
{
  const identity *id = identity_of(all, who);
  assert_int_equal(id->kind, kind);
  assert_true(copal_span_is_equal(id->name, copal_span_str(name)));
  assert_true(copal_span_is_equal(id->groups, copal_span_str(groups)));
}

/* ------------------------------------------------------------------------------------------------
 * pre-shared keys */

static void rfc4279_5_keys_by_identity(void **state)
{
  (void)state;
  dtls_psks keys;
  identity_ref who;
  credfile *f =
      open_file("psk = (\n"
                "  { identity = \"b\"; keys = [ \"0102\", \"AbCd\" ];\n"
                "    groups = [ \"x\", \"y\" ]; },\n"
                "  { identity = \"a\"; key = \"ff\"; },\n"
                "  { identity = \"#0a00\"; key = \"01\"; name = \"lamp\"; groups = \"x\"; }\n"
                ");\n");
  assert_int_equal(find(f, copal_span_str("b"), &keys), COPAL_OK);
  assert_int_equal(keys.count, 2);
  assert_memory_equal(keys.keys[0].bytes, "\x01\x02", 2);
  assert_memory_equal(keys.keys[1].bytes, "\xab\xcd", 2);
  assert_int_equal(keys.keys[1].len, 2);
  assert_int_equal(find(f, copal_span_str("a"), &keys), COPAL_OK);
  assert_int_equal(keys.count, 1);
  assert_int_equal(find(f, copal_span_str("c"), &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(f, copal_span_str("#0a00"), &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(f, copal_span_of((const uint8_t *)"\n\0", 2), &keys), COPAL_OK);
  assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_str("b"), &who), COPAL_OK);
  assert_is(who, IDENTITY_PSK, "b", "x,y");
  assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_of((const uint8_t *)"\n\0", 2), &who),
                   COPAL_OK);
  assert_is(who, IDENTITY_PSK, "lamp", "x");
  assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_str("c"), &who), COPAL_ENOTFOUND);
  credfile_close(f);
}

static void an_identity_has_one_name_however_the_file_writes_it(void **state)
{
  static const struct {
    const char *written, *bytes, *name;
  } rows[] = {
      {"lamp", "lamp", "lamp"},
      {"#6c616D70", "lamp", "lamp"},
      {"#0AfF", "\n\xff", "#0aff"},
      {"#2330616666", "#0aff", "#2330616666"}, /* not those bytes */
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[128];
    identity_ref who;
    snprintf(text, sizeof text, "psk = ( { identity = \"%s\"; key = \"00\"; } );", rows[i].written);
    credfile *f = open_file(text);
    assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_str(rows[i].bytes), &who), COPAL_OK);
    assert_is(who, IDENTITY_PSK, rows[i].name, "");
    credfile_close(f);
  }
}

static void credfile_of_many_finds_each(void **state)
{
  (void)state;
  char *text = malloc(LONG_LIST * 100);
  char id[32];
  dtls_psks keys;
  size_t len = (size_t)sprintf(text, "psk = (");
  for (unsigned i = 0; i < LONG_LIST; i++)
    len += (size_t)sprintf(text + len, "%s\n{identity=\"dev-%u\";key=\"%08x\";}", i > 0 ? "," : "",
                           i * 7919 % LONG_LIST, i * 7919 % LONG_LIST);
  sprintf(text + len, ");");
  credfile *f = open_file(text);
  for (unsigned i = 0; i < LONG_LIST; i++) {
    sprintf(id, "dev-%u", i);
    assert_int_equal(find(f, copal_span_str(id), &keys), COPAL_OK);
    assert_int_equal(keys.keys[0].bytes[3], i & 0xff);
  }
  assert_int_equal(credfile_facts_now(f).psks, LONG_LIST);
  credfile_close(f);
  free(text);
}

/* ------------------------------------------------------------------------------------------------
 * raw public keys */

static void rfc7250_raw_keys_by_fingerprint(void **state)
{
  (void)state;
  char text[512], print[FINGERPRINT_TEXT];
  const copal_span spki = copal_span_str("any bytes will do");
  fingerprint f;
  identity_ref who;
  assert_true(fingerprint_of(spki, &f));
  fingerprint_write(&f, print);
  snprintf(text, sizeof text,
           "raw_keys = ( { fingerprint = \"%s\"; identity = \"meter\"; groups = [ \"m\" ]; },\n"
           "             { fingerprint = \"" PRINT "\"; } );",
           print);
  credfile *file = open_file(text);
  assert_int_equal(vouch(file, DTLS_CLAIM_RPK, spki, &who), COPAL_OK);
  assert_is(who, IDENTITY_RPK, "meter", "m");
  assert_int_equal(vouch(file, DTLS_CLAIM_RPK, copal_span_str("other"), &who), COPAL_ENOTFOUND);
  credfile_close(file);
  snprintf(text, sizeof text, "raw_keys = ( { fingerprint = \"%s\"; } );", print);
  file = open_file(text);
  assert_int_equal(vouch(file, DTLS_CLAIM_RPK, spki, &who), COPAL_OK);
  assert_is(who, IDENTITY_RPK, print, "");
  credfile_close(file);
}

/* ------------------------------------------------------------------------------------------------
 * certificates: those behind the file have verified them */

static int verified(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  (void)c, (void)claim;
  return identity_hold(all, IDENTITY_X509, copal_span_str("as verified"), who);
}

static void let_go(dtls_credentials *c, uint32_t who)
{
  (void)c;
  identity_release(all, who);
}

static dtls_credentials behind = {.vouch = verified, .release = let_go};

static void set_name(gnutls_x509_crt_t crt, const char *oid, const char *value)
{
  assert_true(gnutls_x509_crt_set_dn_by_oid(crt, oid, 0, value, (unsigned)strlen(value)) >= 0);
}

/* The subject O=Home, CN=`cn`, with two names of hosts and a URI beside it. */
static gnutls_datum_t certificate(const char *cn)
{
  static gnutls_x509_privkey_t key;
  gnutls_x509_crt_t crt;
  gnutls_datum_t der;
  const uint8_t serial = 1;
  if (key == NULL) {
    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  }
  gnutls_x509_crt_init(&crt);
  gnutls_x509_crt_set_version(crt, 3);
  gnutls_x509_crt_set_key(crt, key);
  gnutls_x509_crt_set_serial(crt, &serial, 1);
  gnutls_x509_crt_set_activation_time(crt, 0);
  gnutls_x509_crt_set_expiration_time(crt, 2000000000);
  set_name(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, "Home");
  if (cn != NULL)
    set_name(crt, GNUTLS_OID_X520_COMMON_NAME, cn);
  gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "Other.example", 13,
                                       GNUTLS_FSAN_SET);
  gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "a.Lamps.example", 15,
                                       GNUTLS_FSAN_APPEND);
  gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_URI, "urn:dev:1", 9, GNUTLS_FSAN_APPEND);
  assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
  assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
  gnutls_x509_crt_deinit(crt);
  return der;
}

/* Whom a rule makes of the owner; NULL: it does not take him. */
static void assert_named(const char *rule, const char *cn, const char *name)
{
  char text[512];
  dtls_objection o = {.text = ""};
  identity_ref who = 77;
  gnutls_datum_t der = certificate(cn);
  const uint32_t before = identities_count(all);
  const dtls_claim claim = {.kind = DTLS_CLAIM_X509, .count = 1, .items = &der, .objection = &o};
  snprintf(text, sizeof text, "subjects = ( { %s } );", rule);
  credfile *f = open_file(text);
  credfile_set_next(f, &behind);
  dtls_credentials *c = credfile_credentials(f);
  const int rc = c->vouch(c, &claim, &who);
  if (name != NULL) {
    assert_int_equal(rc, COPAL_OK);
    assert_is(who, IDENTITY_X509, name, "");
    c->release(c, who);
  } else {
    assert_int_equal(rc, COPAL_EINVAL);
    assert_int_equal(o.kind, DTLS_REFUSAL_NAME);
    assert_true(strlen(o.text) > 0);
  }
  assert_int_equal(identities_count(all), before);
  credfile_close(f);
  gnutls_free(der.data);
}

static void rfc5280_subject_rules_name_who_comes(void **state)
{
  (void)state;
  assert_named("match = \"CN=lamp-*\";", "lamp-7", "lamp-7");
  assert_named("match = \"CN=lamp-*\";", "pump-7", NULL);
  assert_named("match = \"CN=lamp-*\";", "LAMP-7", NULL);
  assert_named("match = \"CN=lamp-*\"; identity = \"x/{CN}/{O}\";", "lamp-7", "x/lamp-7/Home");
  assert_named("match = [ \"O=Home\", \"CN=*7\" ];", "lamp-7", "lamp-7");
  assert_named("match = [ \"O=Away\", \"CN=*7\" ];", "lamp-7", NULL);
  assert_named("match = \"O=Home\"; identity = \"guest\";", NULL, "guest");
  assert_named("match = \"O=Home\";", NULL, NULL); /* {CN} of nothing */
  assert_named("match = \"DNS=*.lamps.EXAMPLE\"; identity = \"{DNS}\";", "x", "a.lamps.example");
  assert_named("match = \"O=Home\"; identity = \"{DNS}\";", "x", "other.example");
  assert_named("match = \"URI=urn:dev:*\"; identity = \"{URI}\";", "x", "urn:dev:1");
  assert_named("match = \"email=*\";", "x", NULL);
  assert_named("match = \"CN=*\"; identity = \"{what}{CN}{\";", "x", "{what}x{");
}

static void subjects_without_rules_are_named_as_verified(void **state)
{
  (void)state;
  gnutls_datum_t der = certificate("lamp");
  identity_ref who;
  credfile *f = open_file("psk = ();");
  assert_int_equal(vouch(f, DTLS_CLAIM_X509, copal_span_of(der.data, der.size), &who),
                   COPAL_ENOTFOUND); /* nobody has verified it */
  credfile_set_next(f, &behind);
  assert_int_equal(vouch(f, DTLS_CLAIM_X509, copal_span_of(der.data, der.size), &who), COPAL_OK);
  assert_is(who, IDENTITY_X509, "as verified", "");
  credfile_close(f);
  f = open_file("subjects = ();"); /* a list of nobody */
  credfile_set_next(f, &behind);
  assert_int_equal(vouch(f, DTLS_CLAIM_X509, copal_span_of(der.data, der.size), &who),
                   COPAL_EINVAL);
  credfile_close(f);
  gnutls_free(der.data);
}

/* ------------------------------------------------------------------------------------------------
 * the file */

static void credfile_mistakes_are_named_with_their_line(void **state)
{
  (void)state;
  refuse("psk = (\n{ identity = \"a\"; }\n);", ":2: there is no key");
  refuse("psk = (\n{ key = \"00\"; }\n);", ":2: there is no identity");
  refuse("psk = ( { identity = \"a\";\nkey = \"0\"; } );", ":2: a key has 1 to 64 bytes");
  refuse("psk = ( { identity = \"a\";\nkeys = [ \"00\", \"01\", \"02\" ]; } );",
         ":2: an identity has");
  refuse("psk = ( { identity = \"a\";\nkey = 17; } );", ":2: a text in quotes is expected");
  refuse("psk = ( { identity =\n\"#0g\"; key = \"00\"; } );", ":");
  refuse("psk = ( { identity = \"a\"; key = \"00\";\nsalt = 1; } );", ":2: unknown key \"salt\"");
  refuse("psk = ( { identity = \"a\"; key = \"00\";\ngroups = [ \"b c\" ]; } );",
         ":2: a group's name");
  refuse("psk = (\n{ identity = \"a\"; key = \"00\"; },\n{ identity = \"a\"; key = \"01\"; }\n);",
         ":3: this identity stands in line 2 already");
  refuse("psk = ( \"a:00\" );", ":1: expected is { identity");
  refuse("psk = { };", ":1: expected is a list in parentheses");
  refuse("\n\nkeys = 3;", ":3: unknown key \"keys\"");
  refuse("raw_keys = (\n{ identity = \"a\"; }\n);", ":2: there is no fingerprint");
  refuse("raw_keys = ( { fingerprint =\n\"abc\"; } );", ":");
  refuse("raw_keys = ( { fingerprint = \"" PRINT "\"; },\n{ fingerprint = \"" PRINT "\"; } );",
         ":2: this key stands in line 1 already");
  refuse("subjects = (\n{ identity = \"a\"; } );", ":2: there is nothing to match");
  refuse("subjects = (\n{ match = \"lamp\"; } );", ":2: expected is CN=");
  refuse("subjects = (\n{ match = \"X=lamp\"; } );", ":2: expected is CN=");
  refuse("psk = (\n\n", ":3: syntax error");
  refuse("psk = ();\n  @include \"/etc/shadow\"\n", ":2: a credentials file includes no other");
}

static void credfile_tells_all_mistakes_at_once(void **state)
{
  (void)state;
  mistakes m = {.count = 0};
  credfile *f;
  write_file("psk = ( { identity = \"a\"; },\n { key = \"0\"; } );\nx = 1;");
  assert_int_equal(credfile_open(path, all, &f, &m), COPAL_EINVAL);
  assert_int_equal(m.count, 4);
}

static void credfile_must_not_be_read_by_others(void **state)
{
  static const mode_t modes[] = {0604, 0644, 0606, 0602};
  (void)state;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    write_file("psk = ();");
    chmod(path, modes[i]);
    refuse("psk = ();", ": others may read it");
  }
  chmod(path, 0600);
  credfile_close(open_file("psk = ();"));
}

static void credfile_may_be_read_by_our_groups_only(void **state)
{
  enum { FOREIGN = 54321 };
  (void)state;
  write_file("psk = ();");
  chmod(path, 0640);
  credfile_close(open_file("psk = ();"));
  if (chown(path, (uid_t)-1, FOREIGN) == 0) { /* as root only */
    refuse("psk = ();", ": others may read it");
    assert_int_equal(chown(path, (uid_t)-1, getegid()), 0);
  }
  chmod(path, 0600);
}

static void credfile_reload_takes_all_or_nothing(void **state)
{
  (void)state;
  dtls_psks keys;
  mistakes m = {.count = 0};
  credfile *f = open_file("psk = ( { identity = \"a\"; key = \"01\"; } );");
  write_file("psk = ( { identity = \"b\"; key = \"02\"; }, { } );");
  assert_int_equal(credfile_reload(f, &m), COPAL_EINVAL);
  assert_int_equal(find(f, copal_span_str("a"), &keys), COPAL_OK);
  assert_int_equal(find(f, copal_span_str("b"), &keys), COPAL_ENOTFOUND);
  write_file("psk = ( { identity = \"b\"; key = \"02\"; } );");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_int_equal(find(f, copal_span_str("a"), &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(f, copal_span_str("b"), &keys), COPAL_OK);
  unlink(path);
  assert_int_equal(credfile_reload(f, &m), COPAL_EINVAL);
  assert_int_equal(find(f, copal_span_str("b"), &keys), COPAL_OK);
  credfile_close(f);
  const int fd = mkstemp(strcpy(path, "/tmp/credfile_XXXXXX")); /* for the next tests */
  assert_true(fd >= 0);
  close(fd);
}

static int readmit(credfile *f, identity_ref who, identity_ref *now)
{
  dtls_credentials *c = credfile_credentials(f);
  *now = 0;
  return c->readmit(c, who, now);
}

static void credfile_admits_again_who_is_still_in_it(void **state)
{
  (void)state;
  mistakes m = {.count = 0};
  identity_ref a, b, now;
  credfile *f = open_file("psk = ( { identity = \"a\"; key = \"01\"; groups = \"x\"; },\n"
                          "        { identity = \"#00\"; key = \"02\"; name = \"b\"; } );");
  assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_str("a"), &a), COPAL_OK);
  assert_int_equal(vouch(f, DTLS_CLAIM_PSK, copal_span_of((const uint8_t *)"", 1), &b), COPAL_OK);
  assert_int_equal(readmit(f, a, &now), COPAL_OK);
  assert_int_equal(now, a);
  write_file("psk = ( { identity = \"a\"; key = \"09\"; groups = \"y\"; },\n"
             "        { identity = \"b\"; key = \"02\"; } );");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_int_equal(readmit(f, a, &now), COPAL_OK);
  assert_int_not_equal(now, a);
  assert_is(now, IDENTITY_PSK, "a", "y");
  assert_int_equal(readmit(f, b, &a), COPAL_ENOTFOUND); /* of that name, but another identity */
  const identity_ref other = now;
  assert_int_equal(readmit(f, other, &now), COPAL_OK);
  assert_int_equal(now, other);
  credfile_close(f);
}

static int still_verified(dtls_credentials *c, uint32_t who, uint32_t *now)
{
  (void)c;
  *now = who;
  return COPAL_OK;
}

static int verified_with_proof(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  const identity id = {
      .kind = IDENTITY_X509, .name = copal_span_str("as verified"), .proof = copal_span_str("C1")};
  (void)c, (void)claim;
  return identity_hold_as(all, &id, who);
}

static void credfile_admits_certificates_by_the_same_rule_only(void **state)
{
  (void)state;
  mistakes m = {.count = 0};
  dtls_credentials next = {
      .vouch = verified_with_proof, .readmit = still_verified, .release = let_go};
  gnutls_datum_t der = certificate("lamp-7");
  identity_ref who, now;
  credfile *f = open_file("subjects = ( { match = \"CN=lamp-*\"; groups = \"x\"; } );");
  credfile_set_next(f, &next);
  assert_int_equal(vouch(f, DTLS_CLAIM_X509, copal_span_of(der.data, der.size), &who), COPAL_OK);
  assert_int_equal(readmit(f, who, &now), COPAL_OK);
  assert_int_equal(now, who);
  write_file("subjects = ( { match = \"O=Away\"; },\n"
             "             { match = \"CN=lamp-*\"; groups = \"y\"; } );");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_int_equal(readmit(f, who, &now), COPAL_OK);
  assert_is(now, IDENTITY_X509, "lamp-7", "y");
  identity_release(all, now);
  write_file("subjects = ( { match = \"CN=lamp-*\"; identity = \"x{CN}\"; } );");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_int_equal(readmit(f, who, &now), COPAL_ENOTFOUND);
  write_file("psk = ();");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_int_equal(readmit(f, who, &now), COPAL_ENOTFOUND);
  identity_release(all, who);
  gnutls_free(der.data);
  credfile_close(f);
}

static void credfile_names_other_files(void **state)
{
  (void)state;
  credfile *f = open_file("ca = \"ca.pem\"; crl = \"/x/crl.pem\";");
  mistakes m = {.count = 0};
  assert_string_equal(credfile_file(f, CREDFILE_CA, 0), "/tmp/ca.pem");
  assert_string_equal(credfile_file(f, CREDFILE_CRL, 0), "/x/crl.pem");
  assert_null(credfile_file(f, CREDFILE_CRL, 1));
  assert_int_equal(credfile_file_count(f, CREDFILE_KEY), 0);
  assert_null(credfile_file(f, CREDFILE_KEY, 0));
  write_file("ca = \"other.pem\"; certificate = [ \"a.pem\", \"/b.pem\" ]; key = \"a.key\";");
  assert_int_equal(credfile_reload(f, &m), COPAL_OK);
  assert_string_equal(credfile_file(f, CREDFILE_CA, 0), "/tmp/other.pem");
  assert_null(credfile_file(f, CREDFILE_CRL, 0));
  assert_int_equal(credfile_file_count(f, CREDFILE_CERTIFICATE), 2);
  assert_string_equal(credfile_file(f, CREDFILE_CERTIFICATE, 1), "/b.pem");
  assert_int_equal(credfile_file_count(f, CREDFILE_KEY), 1);
  write_file("ca = [ \"a.pem\", \"b.pem\" ];");
  assert_int_equal(credfile_reload(f, &m), COPAL_EINVAL);
  assert_string_equal(credfile_file(f, CREDFILE_CA, 0), "/tmp/other.pem");
  credfile_close(f);
}

static void credfile_knows_groups_by_name(void **state)
{
  (void)state;
  char groups[IDENTITY_GROUPS_MAX + 1];
  credfile *f =
      open_file("psk = ( { identity = \"a\"; key = \"01\"; groups = [ \"x\", \"y\" ]; } );\n"
                "raw_keys = ( { fingerprint = \"" PRINT "\"; identity = \"b\"; } );");
  assert_true(credfile_groups(f, IDENTITY_PSK, copal_span_str("a"), groups));
  assert_string_equal(groups, "x,y");
  assert_true(credfile_groups(f, IDENTITY_RPK, copal_span_str("b"), groups));
  assert_string_equal(groups, "");
  assert_false(credfile_groups(f, IDENTITY_PSK, copal_span_str("b"), groups));
  credfile_close(f);
}

/* ------------------------------------------------------------------------------------------------
 */

static int set_up(void **state)
{
  (void)state;
  const int fd = mkstemp(path);
  all = identities_open(IDENTITIES);
  return fd < 0 || close(fd) != 0 || all == NULL;
}

static int tear_down(void **state)
{
  (void)state;
  identities_close(all);
  return unlink(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc4279_5_keys_by_identity),
      cmocka_unit_test(an_identity_has_one_name_however_the_file_writes_it),
      cmocka_unit_test(credfile_of_many_finds_each),
      cmocka_unit_test(rfc7250_raw_keys_by_fingerprint),
      cmocka_unit_test(rfc5280_subject_rules_name_who_comes),
      cmocka_unit_test(subjects_without_rules_are_named_as_verified),
      cmocka_unit_test(credfile_mistakes_are_named_with_their_line),
      cmocka_unit_test(credfile_tells_all_mistakes_at_once),
      cmocka_unit_test(credfile_must_not_be_read_by_others),
      cmocka_unit_test(credfile_may_be_read_by_our_groups_only),
      cmocka_unit_test(credfile_reload_takes_all_or_nothing),
      cmocka_unit_test(credfile_admits_again_who_is_still_in_it),
      cmocka_unit_test(credfile_admits_certificates_by_the_same_rule_only),
      cmocka_unit_test(credfile_names_other_files),
      cmocka_unit_test(credfile_knows_groups_by_name),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
