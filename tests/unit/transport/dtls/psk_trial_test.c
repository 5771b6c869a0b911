/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of telling a client's pre-shared key from its Finished, with keys derived by OpenSSL. RFC
 * 5246 sections 5, 6.3 and 8.1, RFC 4279 section 2, RFC 7627 section 4. */
#include "transport/dtls/psk_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "copal/error.h"

enum { MASTER_SIZE = 48, BLOCK_SIZE = 40, HELLO_SIZE = 2 + 32 + 1 + 2 + 1 + 2 + 4, FRAGMENTS = 3 };

static uint8_t client_hello[2 + 32 + 1 + 1 + 2 + 2 + 2];
static uint8_t server_hello[HELLO_SIZE];
static const uint8_t exchange[] = {0, 3, 'd', 'e', 'v'};

/* Hellos with their randoms; `is_extended`: with the extended master secret, RFC 7627 section 5.1
 */
static void make_hellos(bool is_extended)
{
  memset(client_hello, 0, sizeof client_hello);
  memset(client_hello + 2, 0xc1, 32);
  memset(server_hello, 0, sizeof server_hello);
  memset(server_hello + 2, 0x5e, 32);
  uint8_t *extensions = server_hello + 2 + 32 + 1 + 2 + 1;
  extensions[1] = 4;
  extensions[3] = is_extended ? 23 : 24;
}

static hello_message message(hello_type type, uint16_t seq, copal_span body)
{
  return (hello_message){.type = type, .size = (uint32_t)body.len, .seq = seq, .fragment = body};
}

/* The messages of a handshake up to the ClientKeyExchange, some of them twice and one in pieces. */
static void note_all(psk_trial *t)
{
  const hello_message client =
      message(HELLO_CLIENT_HELLO, 1, copal_span_of(client_hello, sizeof client_hello));
  const hello_message server =
      message(HELLO_SERVER_HELLO, 1, copal_span_of(server_hello, sizeof server_hello));
  static const uint8_t hint[] = {0, 4, 'h', 'i', 'n', 't'};
  psk_trial_note(t, false, &client);
  psk_trial_note(t, false, &client);
  psk_trial_note(t, true, &server);
  hello_message piece = message(HELLO_SERVER_KEY_EXCHANGE, 2, copal_span_of(hint, sizeof hint));
  for (uint32_t i = 0; i < FRAGMENTS; i++) {
    piece.offset = i * 2;
    piece.fragment = copal_span_of(hint + piece.offset, 2);
    psk_trial_note(t, true, &piece);
    psk_trial_note(t, true, &piece);
  }
  const hello_message done = message(HELLO_SERVER_DONE, 3, copal_span_none());
  psk_trial_note(t, true, &done);
  psk_trial_note(t, true, &server);
}

/* ------------------------------------------------------------------------------------------------
 * the same by OpenSSL */

static void prf(const uint8_t *secret, size_t secret_len, const char *label, const uint8_t *seed,
                size_t seed_len, uint8_t *out, size_t len)
{
  char digest[] = "SHA256";
  uint8_t whole[128];
  const size_t label_len = strlen(label);
  memcpy(whole, label, label_len);
  memcpy(whole + label_len, seed, seed_len);
  EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
  EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)(uintptr_t)secret,
                                        secret_len),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, whole, label_len + seed_len),
      OSSL_PARAM_construct_end()};
  assert_int_equal(EVP_KDF_derive(ctx, out, len, params), 1);
  EVP_KDF_CTX_free(ctx);
  EVP_KDF_free(kdf);
}

static void digest_message(EVP_MD_CTX *ctx, uint8_t type, uint16_t seq, const uint8_t *body,
                           size_t len)
{
  const uint8_t head[12] = {type, 0, 0, (uint8_t)len, (uint8_t)(seq >> 8), (uint8_t)seq, 0, 0,
                            0,    0, 0, (uint8_t)len};
  EVP_DigestUpdate(ctx, head, sizeof head);
  EVP_DigestUpdate(ctx, body, len);
}

/* The client's record keys. */
static dtls_keys expected_keys(const char *psk, bool is_extended)
{
  const size_t len = strlen(psk);
  uint8_t premaster[2 * (2 + DTLS_PSK_SIZE_MAX)] = {0}, master[MASTER_SIZE], block[BLOCK_SIZE];
  uint8_t randoms[64], session[32];
  unsigned size = 0;
  premaster[1] = premaster[3 + len] = (uint8_t)len;
  memcpy(premaster + 4 + len, psk, len);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
  digest_message(ctx, HELLO_CLIENT_HELLO, 1, client_hello, sizeof client_hello);
  digest_message(ctx, HELLO_SERVER_HELLO, 1, server_hello, sizeof server_hello);
  digest_message(ctx, HELLO_SERVER_KEY_EXCHANGE, 2, (const uint8_t *)"\0\4hint", 6);
  digest_message(ctx, HELLO_SERVER_DONE, 3, NULL, 0);
  digest_message(ctx, HELLO_CLIENT_KEY_EXCHANGE, 2, exchange, sizeof exchange);
  EVP_DigestFinal_ex(ctx, session, &size);
  EVP_MD_CTX_free(ctx);
  memset(randoms, 0xc1, 32);
  memset(randoms + 32, 0x5e, 32);
  if (is_extended)
    prf(premaster, 4 + 2 * len, "extended master secret", session, sizeof session, master,
        sizeof master);
  else
    prf(premaster, 4 + 2 * len, "master secret", randoms, sizeof randoms, master, sizeof master);
  memset(randoms, 0x5e, 32);
  memset(randoms + 32, 0xc1, 32);
  prf(master, sizeof master, "key expansion", randoms, sizeof randoms, block, sizeof block);
  dtls_keys keys;
  memcpy(keys.key, block, sizeof keys.key);
  memcpy(keys.salt, block + 32, sizeof keys.salt);
  return keys;
}

/* ------------------------------------------------------------------------------------------------
 */

static dtls_psks two_keys(const char *first, const char *second)
{
  dtls_psks p = {.count = 2};
  p.keys[0].len = strlen(first);
  memcpy(p.keys[0].bytes, first, p.keys[0].len);
  p.keys[1].len = strlen(second);
  memcpy(p.keys[1].bytes, second, p.keys[1].len);
  return p;
}

static psk_trial derived(bool is_extended)
{
  const dtls_psks psks = two_keys("a new key", "an old key, a little longer");
  const hello_message e =
      message(HELLO_CLIENT_KEY_EXCHANGE, 2, copal_span_of(exchange, sizeof exchange));
  psk_trial t = {.count = 0};
  make_hellos(is_extended);
  note_all(&t);
  psk_trial_derive(&t, &e, &psks);
  return t;
}

static void rfc5246_8_1_keys_are_those_of_another_implementation(void **state)
{
  (void)state;
  for (int is_extended = 0; is_extended <= 1; is_extended++) {
    const psk_trial t = derived(is_extended);
    const dtls_keys first = expected_keys("a new key", is_extended);
    const dtls_keys second = expected_keys("an old key, a little longer", is_extended);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.is_extended, is_extended);
    assert_memory_equal(&t.rx[0], &first, sizeof first);
    assert_memory_equal(&t.rx[1], &second, sizeof second);
  }
}

/* A record of epoch 1 with these keys. */
static int find_sealed(const psk_trial *t, const dtls_keys *keys, dtls_aead aead)
{
  uint8_t bytes[256];
  const dtls_draft draft = {
      .type = DTLS_HANDSHAKE, .epoch = 1, .content = copal_span_str("a Finished")};
  dtls_record rec;
  const int len = dtls_record_seal(keys, aead, &draft, (copal_mspan){bytes, sizeof bytes});
  assert_true(len > 0);
  copal_rd rd = copal_rd_init(copal_span_of(bytes, (size_t)len));
  assert_true(dtls_record_next(&rd, 0, &rec));
  return psk_trial_find(t, aead, &rec);
}

static void the_key_that_opens_the_finished_is_found(void **state)
{
  static const dtls_aead aeads[] = {DTLS_AES_128_CCM_8, DTLS_AES_128_CCM, DTLS_AES_128_GCM};
  (void)state;
  const psk_trial t = derived(true);
  const dtls_keys third = expected_keys("a third key", true);
  const psk_trial none = {.count = 0};
  for (size_t i = 0; i < sizeof aeads / sizeof *aeads; i++) {
    assert_int_equal(find_sealed(&t, &t.rx[0], aeads[i]), 0);
    assert_int_equal(find_sealed(&t, &t.rx[1], aeads[i]), 1);
    assert_int_equal(find_sealed(&t, &third, aeads[i]), -1);
    assert_int_equal(find_sealed(&none, &t.rx[0], aeads[i]), -1);
  }
}

static void without_the_whole_of_it_there_are_no_keys(void **state)
{
  (void)state;
  const dtls_psks psks = two_keys("a", "b");
  hello_message e = message(HELLO_CLIENT_KEY_EXCHANGE, 2, copal_span_of(exchange, sizeof exchange));
  psk_trial t = {.count = 0};
  psk_trial_derive(&t, &e, &psks); /* no ServerHello */
  assert_int_equal(t.count, 0);
  make_hellos(true);
  note_all(&t);
  e.size++; /* a fragment */
  psk_trial_derive(&t, &e, &psks);
  assert_int_equal(t.count, 0);
  for (size_t len = 0; len < sizeof server_hello; len++) {
    psk_trial cut = {.count = 0};
    const hello_message server = message(HELLO_SERVER_HELLO, 1, copal_span_of(server_hello, len));
    psk_trial_note(&cut, true, &server);
    assert_true(!cut.is_extended);
    assert_int_equal(cut.has_hello, len == 38); /* a hello without extensions is a whole one */
  }
  psk_trial_wipe(&t);
  assert_false(t.has_hello);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc5246_8_1_keys_are_those_of_another_implementation),
      cmocka_unit_test(the_key_that_opens_the_finished_is_found),
      cmocka_unit_test(without_the_whole_of_it_there_are_no_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
