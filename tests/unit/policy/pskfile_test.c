/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of keys in a text file. RFC 4279 section 5. */
#include "policy/pskfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "copal/error.h"

static char path[] = "/tmp/pskfile_XXXXXX";

static void write_file(const char *text)
{
  FILE *out = fopen(path, "w");
  assert_non_null(out);
  fputs(text, out);
  fclose(out);
}

static void refuse(const char *text, const char *reason)
{
  char why[PSKFILE_WHY_SIZE];
  pskfile *f = NULL;
  write_file(text);
  assert_int_equal(pskfile_open(path, NULL, &f, why), COPAL_EINVAL);
  assert_non_null(strstr(why, reason));
}

static int find(pskfile *f, const char *name, dtls_psks *keys)
{
  dtls_credentials *c = pskfile_credentials(f);
  return c->psk_find(c, copal_span_str(name), NULL, keys);
}

static void pskfile_mistakes_are_named_with_their_line(void **state)
{
  (void)state;
  refuse("a:00\nb\n", ":2: expected is identity:hexkey");
  refuse("a:0\n", ":1: the key is not hexadecimal");
  refuse("a:\n", ":1: there is no key");
  refuse(":00\n", ":1: there is no identity");
  refuse("#zz:00\n", "not an identity in hexadecimal");
  refuse("a:00\na:01\na:02\n", ":3: an identity can have two keys");
  refuse("# nothing\n\n", "there is no identity in it");
}

static void pskfile_must_not_be_read_by_everybody(void **state)
{
  (void)state;
  chmod(path, 0644);
  refuse("a:00\n", "everybody can read or change");
  chmod(path, 0600);
}

static void rfc4279_5_identities_are_found_with_the_later_key_in_front(void **state)
{
  char why[PSKFILE_WHY_SIZE];
  pskfile *f;
  dtls_psks keys;
  (void)state;
  write_file("# keys\nurn:dev:1:00ff\nother:1234\nurn:dev:1:aa\n#00ff:55\n");
  assert_int_equal(pskfile_open(path, NULL, &f, why), COPAL_OK);
  assert_int_equal(pskfile_count(f), 3);
  assert_int_equal(find(f, "urn:dev:1", &keys), COPAL_OK);
  assert_int_equal(keys.count, 2);
  assert_int_equal(keys.keys[0].len, 1);
  assert_int_equal(keys.keys[0].bytes[0], 0xaa);
  assert_int_equal(keys.keys[1].bytes[1], 0xff);
  assert_int_equal(find(f, "urn:dev", &keys), COPAL_ENOTFOUND);
  dtls_credentials *c = pskfile_credentials(f);
  assert_int_equal(c->psk_find(c, copal_span_of("\0\xff", 2), NULL, &keys), COPAL_OK);
  pskfile_close(f);
}

static void pskfile_reload_keeps_the_keys_when_it_fails(void **state)
{
  char why[PSKFILE_WHY_SIZE];
  pskfile *f;
  dtls_psks keys;
  (void)state;
  write_file("a:00\n");
  assert_int_equal(pskfile_open(path, NULL, &f, why), COPAL_OK);
  write_file("b:xx\n");
  assert_int_equal(pskfile_reload(f, why), COPAL_EINVAL);
  assert_int_equal(find(f, "a", &keys), COPAL_OK);
  write_file("b:01\n");
  assert_int_equal(pskfile_reload(f, why), COPAL_OK);
  assert_int_equal(find(f, "a", &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(f, "b", &keys), COPAL_OK);
  pskfile_close(f);
}

static void pskfile_vouches_for_its_identities_only(void **state)
{
  char why[PSKFILE_WHY_SIZE];
  identities *all = identities_open(8);
  pskfile *f;
  uint32_t who = 0;
  (void)state;
  write_file("a:00\n");
  assert_int_equal(pskfile_open(path, all, &f, why), COPAL_OK);
  dtls_credentials *c = pskfile_credentials(f);
  gnutls_datum_t item = {(unsigned char *)"a", 1};
  dtls_claim claim = {.kind = DTLS_CLAIM_PSK, .count = 1, .items = &item};
  assert_int_equal(c->vouch(c, &claim, &who), COPAL_OK);
  assert_int_equal(identity_of(all, who)->kind, IDENTITY_PSK);
  c->release(c, who);
  assert_int_equal(identities_count(all), 0);
  item.data = (unsigned char *)"b";
  assert_int_equal(c->vouch(c, &claim, &who), COPAL_ENOTFOUND);
  claim.kind = DTLS_CLAIM_X509;
  assert_int_equal(c->vouch(c, &claim, &who), COPAL_ENOTFOUND);
  pskfile_close(f);
  identities_close(all);
}

static void pskfile_admits_again_who_is_still_in_it(void **state)
{
  char why[PSKFILE_WHY_SIZE];
  identities *all = identities_open(8);
  pskfile *f;
  uint32_t text = 0, bytes = 0, now = 0;
  (void)state;
  write_file("a:00\n#0001:01\n");
  assert_int_equal(pskfile_open(path, all, &f, why), COPAL_OK);
  dtls_credentials *c = pskfile_credentials(f);
  gnutls_datum_t item = {(unsigned char *)"a", 1};
  const dtls_claim claim = {.kind = DTLS_CLAIM_PSK, .count = 1, .items = &item};
  assert_int_equal(c->vouch(c, &claim, &text), COPAL_OK);
  item = (gnutls_datum_t){(unsigned char *)"\x00\x01", 2};
  assert_int_equal(c->vouch(c, &claim, &bytes), COPAL_OK);
  write_file("#0001:02\n"); /* with another key */
  assert_int_equal(pskfile_reload(f, why), COPAL_OK);
  assert_int_equal(c->readmit(c, bytes, &now), COPAL_OK);
  assert_int_equal(now, bytes);
  assert_int_equal(c->readmit(c, text, &now), COPAL_ENOTFOUND);
  identity_release(all, text);
  identity_release(all, bytes);
  pskfile_close(f);
  identities_close(all);
}

/* What an identity is called once it has come in. */
static void assert_called(const char *line, copal_span bytes, const char *name)
{
  char why[PSKFILE_WHY_SIZE];
  identities *all = identities_open(8);
  pskfile *f;
  uint32_t who = 0;
  write_file(line);
  assert_int_equal(pskfile_open(path, all, &f, why), COPAL_OK);
  dtls_credentials *c = pskfile_credentials(f);
  gnutls_datum_t item = {(unsigned char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len};
  const dtls_claim claim = {.kind = DTLS_CLAIM_PSK, .count = 1, .items = &item};
  assert_int_equal(c->vouch(c, &claim, &who), COPAL_OK);
  assert_true(copal_span_is_equal(identity_of(all, who)->name, copal_span_str(name)));
  identity_release(all, who);
  pskfile_close(f);
  identities_close(all);
}

static void an_identity_has_one_name_however_the_file_writes_it(void **state)
{
  char why[PSKFILE_WHY_SIZE];
  pskfile *f;
  (void)state;
  assert_called("dev-1:00\n", copal_span_str("dev-1"), "dev-1");
  assert_called("#6465762d31:00\n", copal_span_str("dev-1"), "dev-1");
  assert_called("#6465762D31:00\n", copal_span_str("dev-1"), "dev-1");
  assert_called("#00FF:00\n", copal_span_of("\0\xff", 2), "#00ff");
  assert_called("#2330306666:00\n", copal_span_str("#00ff"), "#2330306666"); /* not those bytes */
  write_file("a:00\n#62:01\n");
  assert_int_equal(pskfile_open(path, NULL, &f, why), COPAL_OK);
  assert_int_equal(pskfile_choose(f, "b"), COPAL_OK);
  assert_int_equal(pskfile_choose(f, "#61"), COPAL_OK);
  assert_int_equal(pskfile_choose(f, "#63"), COPAL_ENOTFOUND);
  pskfile_close(f);
}

static void identities_whose_names_are_too_long_are_refused(void **state)
{
  char line[400] = "#";
  (void)state;
  for (size_t i = 0; i < 128; i++)
    strcat(line, "ff");
  strcat(line, ":00\n");
  refuse(line, ":1: an identity that is not UTF-8 text has up to 127 bytes");
}

static int make_file(void **state)
{
  (void)state;
  const int fd = mkstemp(path);
  return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
  (void)state;
  return unlink(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pskfile_mistakes_are_named_with_their_line),
      cmocka_unit_test(pskfile_must_not_be_read_by_everybody),
      cmocka_unit_test(rfc4279_5_identities_are_found_with_the_later_key_in_front),
      cmocka_unit_test(pskfile_reload_keeps_the_keys_when_it_fails),
      cmocka_unit_test(pskfile_vouches_for_its_identities_only),
      cmocka_unit_test(pskfile_admits_again_who_is_still_in_it),
      cmocka_unit_test(an_identity_has_one_name_however_the_file_writes_it),
      cmocka_unit_test(identities_whose_names_are_too_long_are_refused),
  };
  return cmocka_run_group_tests(tests, make_file, remove_file);
}
