/* SPDX-License-Identifier: Apache-2.0 */
/* Records of DTLS 1.2, against a second implementation on OpenSSL's EVP. RFC 6347 section 4.1, RFC
 * 9146 sections 3 to 5. */
#include "transport/dtls/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "copal/error.h"

enum { ROOM = 1 << 15, NONCE = 12, EXPLICIT = 8, TAG_MAX = 16, AAD_ROOM = 300 };

static const dtls_aead aeads[] = {DTLS_AES_128_CCM_8, DTLS_AES_128_CCM, DTLS_AES_128_GCM};
static const size_t cid_lens[] = {0, 1, 8, 20, 255};

static const dtls_keys keys = {{0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a,
                                0x4b, 0x4c, 0x4d, 0x4e, 0x4f},
                               {0x10, 0x11, 0x12, 0x13}};

static uint64_t seed = 1;

static uint32_t random_below(uint32_t n)
{
  seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (uint32_t)(seed >> 33) % n;
}

static void fill_random(uint8_t *p, size_t n)
{
  while (n-- > 0)
    *p++ = (uint8_t)random_below(256);
}

/* ------------------------------------------------------------------------ the second
 * implementation
 */

typedef struct evp_box {
  dtls_aead aead;
  const dtls_keys *keys;
  uint8_t nonce[NONCE];
  uint8_t aad[AAD_ROOM];
  size_t aad_len;
} evp_box;

static int evp_tag_size(dtls_aead aead)
{
  return aead == DTLS_AES_128_CCM_8 ? 8 : 16;
}

static EVP_CIPHER_CTX *evp_start(const evp_box *b, int is_sealing, const uint8_t *tag, int len)
{
  EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
  const bool is_gcm = b->aead == DTLS_AES_128_GCM;
  int n;
  assert_non_null(c);
  assert_int_equal(EVP_CipherInit_ex(c, is_gcm ? EVP_aes_128_gcm() : EVP_aes_128_ccm(), NULL, NULL,
                                     NULL, is_sealing),
                   1);
  assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, NONCE, NULL), 1);
  if (!is_gcm || !is_sealing)
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, evp_tag_size(b->aead),
                                         is_sealing ? NULL : (void *)(uintptr_t)tag),
                     1);
  assert_int_equal(EVP_CipherInit_ex(c, NULL, NULL, b->keys->key, b->nonce, is_sealing), 1);
  if (!is_gcm)
    assert_int_equal(EVP_CipherUpdate(c, NULL, &n, NULL, len), 1);
  assert_int_equal(EVP_CipherUpdate(c, NULL, &n, b->aad, (int)b->aad_len), 1);
  return c;
}

static void evp_seal(const evp_box *b, const uint8_t *in, size_t len, uint8_t *out)
{
  EVP_CIPHER_CTX *c = evp_start(b, 1, NULL, (int)len);
  int n;
  assert_int_equal(EVP_CipherUpdate(c, out, &n, in, (int)len), 1);
  assert_int_equal(EVP_CipherFinal_ex(c, out + n, &n), 1);
  assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, evp_tag_size(b->aead), out + len),
                   1);
  EVP_CIPHER_CTX_free(c);
}

/* `len` is the plaintext's. */
static bool evp_open(const evp_box *b, const uint8_t *in, size_t len, uint8_t *out)
{
  EVP_CIPHER_CTX *c = evp_start(b, 0, in + len, (int)len);
  int n;
  bool is_ok = EVP_CipherUpdate(c, out, &n, in, (int)len) == 1;
  if (b->aead == DTLS_AES_128_GCM) /* CCM says so at once */
    is_ok = is_ok && EVP_CipherFinal_ex(c, out + n, &n) == 1;
  EVP_CIPHER_CTX_free(c);
  return is_ok;
}

/* The additional data spelt out byte by byte, from the first bytes of a record on the wire. */
static void evp_init(evp_box *b, dtls_aead aead, const uint8_t *wire, size_t cid_len, size_t inner)
{
  uint8_t *p = b->aad;
  b->aead = aead;
  b->keys = &keys;
  memcpy(b->nonce, keys.salt, 4);
  memcpy(b->nonce + 4, wire + 13 + cid_len, EXPLICIT);
  if (cid_len > 0) {
    memset(p, 0xff, 8); /* seq_num_placeholder */
    p[8] = 25;          /* tls12_cid */
    p[9] = (uint8_t)cid_len;
    p[10] = 25;
    memcpy(p + 11, wire + 1, 2);        /* version */
    memcpy(p + 13, wire + 3, 8);        /* epoch, sequence_number */
    memcpy(p + 21, wire + 11, cid_len); /* cid */
    p += 21 + cid_len;
  } else {
    memcpy(p, wire + 3, 8); /* epoch, sequence_number */
    memcpy(p + 8, wire, 3); /* type, version */
    p += 11;
  }
  p[0] = (uint8_t)(inner >> 8);
  p[1] = (uint8_t)inner;
  b->aad_len = (size_t)(p + 2 - b->aad);
}

/* ------------------------------------------------------------------------------------------
 * helpers
 */

typedef struct sample {
  uint8_t cid[DTLS_CID_MAX];
  uint8_t content[512];
  dtls_draft draft;
  uint8_t wire[ROOM];
  size_t size;
} sample;

static void make_sample(sample *s, dtls_aead aead, size_t cid_len, size_t len)
{
  fill_random(s->cid, sizeof s->cid);
  fill_random(s->content, sizeof s->content);
  s->draft = (dtls_draft){.type = DTLS_APPLICATION_DATA,
                          .epoch = 1,
                          .seq = (uint64_t)random_below(1 << 16) << 32 | random_below(1u << 31),
                          .cid = copal_span_of(s->cid, cid_len),
                          .content = copal_span_of(s->content, len),
                          .padding = cid_len > 0 ? random_below(40) : 0};
  const int size = dtls_record_seal(&keys, aead, &s->draft, (copal_mspan){s->wire, sizeof s->wire});
  assert_true(size > 0);
  s->size = (size_t)size;
}

/* The only record of a datagram. */
static bool parse(const uint8_t *wire, size_t size, size_t cid_len, dtls_record *rec)
{
  copal_rd r = copal_rd_init(copal_span_of(wire, size));
  return dtls_record_next(&r, cid_len, rec) && r.left == 0;
}

static bool opens(const uint8_t *wire, size_t size, size_t cid_len, dtls_aead aead,
                  dtls_content *content)
{
  static uint8_t room[ROOM];
  dtls_record rec;
  return parse(wire, size, cid_len, &rec) &&
         dtls_record_open(&keys, aead, &rec, (copal_mspan){room, sizeof room}, content) == COPAL_OK;
}

/* -------------------------------------------------------------------------------------------- AEAD
 */

static void rfc9146_5_3_second_implementation_opens_our_records(void **state)
{
  (void)state;
  static sample s;
  uint8_t plain[1024];
  evp_box b;
  for (int round = 0; round < 300; round++) {
    const dtls_aead aead = aeads[round % 3];
    const size_t cid_len = cid_lens[round / 3 % 5], len = random_below(sizeof s.content);
    make_sample(&s, aead, cid_len, len);
    const size_t inner = len + (cid_len > 0 ? 1 + s.draft.padding : 0);
    const size_t head = 13 + cid_len + EXPLICIT;
    assert_int_equal(s.size, head + inner + (size_t)evp_tag_size(aead));
    evp_init(&b, aead, s.wire, cid_len, inner);
    assert_true(evp_open(&b, s.wire + head, inner, plain));
    assert_memory_equal(plain, s.content, len);
    if (cid_len > 0) {
      assert_int_equal(plain[len], DTLS_APPLICATION_DATA);
      for (size_t i = len + 1; i < inner; i++)
        assert_int_equal(plain[i], 0);
    }
  }
}

static size_t evp_record(dtls_aead aead, const sample *s, uint8_t *wire)
{
  const size_t cid_len = s->draft.cid.len, len = s->draft.content.len;
  const size_t inner = len + (cid_len > 0 ? 1 + s->draft.padding : 0);
  const size_t fragment = EXPLICIT + inner + (size_t)evp_tag_size(aead);
  uint8_t plain[1024] = {0};
  evp_box b;
  memcpy(wire, (uint8_t[]){cid_len > 0 ? 25 : 23, 0xfe, 0xfd, 0, 1}, 5);
  for (int i = 0; i < 6; i++)
    wire[5 + i] = (uint8_t)(s->draft.seq >> 8 * (5 - i));
  memcpy(wire + 11, s->cid, cid_len);
  wire[11 + cid_len] = (uint8_t)(fragment >> 8);
  wire[12 + cid_len] = (uint8_t)fragment;
  fill_random(wire + 13 + cid_len, EXPLICIT); /* a peer's explicit nonce need not be its number */
  memcpy(plain, s->content, len);
  plain[len] = 23;
  evp_init(&b, aead, wire, cid_len, inner);
  evp_seal(&b, plain, inner, wire + 13 + cid_len + EXPLICIT);
  return 13 + cid_len + fragment;
}

static void rfc9146_5_3_we_open_records_of_the_second_implementation(void **state)
{
  (void)state;
  static sample s;
  static uint8_t wire[ROOM];
  dtls_content content;
  for (int round = 0; round < 300; round++) {
    const dtls_aead aead = aeads[round % 3];
    const size_t cid_len = cid_lens[round / 3 % 5];
    make_sample(&s, aead, cid_len, random_below(sizeof s.content));
    const size_t size = evp_record(aead, &s, wire);
    assert_true(opens(wire, size, cid_len, aead, &content));
    assert_int_equal(content.type, DTLS_APPLICATION_DATA);
    assert_true(copal_span_is_equal(content.bytes, s.draft.content));
  }
}

/* Made once with OpenSSL's EVP; they keep both implementations from changing together. */
static void rfc6655_3_and_rfc9146_5_3_vectors(void **state)
{
  (void)state;
  static const struct {
    dtls_aead aead;
    size_t cid_len;
    size_t size;
    uint8_t wire[64];
  } vectors[] = {
      {DTLS_AES_128_CCM_8, 0, 34, {0x17, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03,
                                   0x04, 0x05, 0x00, 0x15, 0x00, 0x01, 0x00, 0x01, 0x02,
                                   0x03, 0x04, 0x05, 0x9c, 0x1a, 0x9b, 0xbf, 0x6b, 0xcd,
                                   0xd1, 0x9b, 0x7c, 0xdd, 0xa0, 0x87, 0x81}},
      {DTLS_AES_128_CCM_8, 3, 40, {0x19, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04,
                                   0x05, 0x01, 0x02, 0x03, 0x00, 0x18, 0x00, 0x01, 0x00, 0x01,
                                   0x02, 0x03, 0x04, 0x05, 0x9c, 0x1a, 0x9b, 0xbf, 0x6b, 0xce,
                                   0x07, 0x59, 0x42, 0xcc, 0x1f, 0x74, 0x5d, 0x35, 0xe6, 0x71}},
      {DTLS_AES_128_CCM, 0, 42, {0x17, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05,
                                 0x00, 0x1d, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x9c,
                                 0x1a, 0x9b, 0xbf, 0x6b, 0x1e, 0xaf, 0x8f, 0x63, 0xa8, 0x16, 0x72,
                                 0x27, 0x00, 0xf1, 0x99, 0x70, 0x3c, 0xb0, 0xdd, 0x6a}},
      {DTLS_AES_128_CCM, 3, 48, {0x19, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04,
                                 0x05, 0x01, 0x02, 0x03, 0x00, 0x20, 0x00, 0x01, 0x00, 0x01,
                                 0x02, 0x03, 0x04, 0x05, 0x9c, 0x1a, 0x9b, 0xbf, 0x6b, 0xce,
                                 0x07, 0x59, 0xfa, 0x8b, 0xc4, 0xfa, 0x05, 0x12, 0xec, 0x70,
                                 0x9b, 0x19, 0x00, 0xe1, 0x08, 0xd4, 0x94, 0x53}},
      {DTLS_AES_128_GCM, 0, 42, {0x17, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05,
                                 0x00, 0x1d, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0xa4,
                                 0x5c, 0xfc, 0x50, 0x86, 0x72, 0x03, 0x24, 0x45, 0x1a, 0x15, 0x1c,
                                 0x08, 0xae, 0xe3, 0x13, 0xea, 0x1c, 0x16, 0x93, 0x58}},
      {DTLS_AES_128_GCM, 3, 48, {0x19, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x01, 0x02, 0x03, 0x04,
                                 0x05, 0x01, 0x02, 0x03, 0x00, 0x20, 0x00, 0x01, 0x00, 0x01,
                                 0x02, 0x03, 0x04, 0x05, 0xa4, 0x5c, 0xfc, 0x50, 0x86, 0x1a,
                                 0x93, 0x33, 0xbd, 0xeb, 0x1b, 0xe2, 0x3f, 0x9a, 0x7b, 0x6c,
                                 0xb5, 0xff, 0x9e, 0xd8, 0x0f, 0x09, 0x83, 0x31}},
  };
  static const uint8_t cid[] = {1, 2, 3};
  uint8_t room[64];
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    const dtls_draft draft = {.type = DTLS_APPLICATION_DATA,
                              .epoch = 1,
                              .seq = UINT64_C(0x0102030405),
                              .cid = copal_span_of(cid, vectors[i].cid_len),
                              .content = copal_span_str("hello"),
                              .padding = vectors[i].cid_len > 0 ? 2 : 0};
    const int size =
        dtls_record_seal(&keys, vectors[i].aead, &draft, (copal_mspan){room, sizeof room});
    assert_int_equal(size, vectors[i].size);
    assert_memory_equal(room, vectors[i].wire, vectors[i].size);
  }
}

static void rfc9146_6_no_flipped_bit_is_accepted(void **state)
{
  (void)state;
  static sample s;
  dtls_content content;
  unsigned tried = 0;
  for (size_t a = 0; a < 3; a++)
    for (size_t c = 0; c < 4; c++) {
      make_sample(&s, aeads[a], cid_lens[c], 40);
      assert_true(opens(s.wire, s.size, cid_lens[c], aeads[a], &content));
      for (size_t bit = 0; bit < s.size * 8; bit++, tried++) {
        s.wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(opens(s.wire, s.size, cid_lens[c], aeads[a], &content));
        s.wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
      }
    }
  assert_true(tried > 8000);
}

static void rfc6347_4_1_2_7_cut_records_are_discarded(void **state)
{
  (void)state;
  static sample s;
  static uint8_t room[ROOM];
  dtls_content content;
  for (size_t a = 0; a < 3; a++)
    for (size_t c = 0; c < 3; c++) {
      make_sample(&s, aeads[a], cid_lens[c], 20);
      dtls_record rec;
      for (size_t size = 0; size < s.size; size++)
        assert_false(parse(s.wire, size, cid_lens[c], &rec));
      assert_true(parse(s.wire, s.size, cid_lens[c], &rec));
      for (size_t len = rec.fragment.len; len-- > 0;) {
        dtls_record cut = rec;
        cut.fragment.len = len; /* as if the length had said so */
        assert_int_equal(
            dtls_record_open(&keys, aeads[a], &cut, (copal_mspan){room, sizeof room}, &content),
            COPAL_EFORMAT);
      }
    }
}

static void other_keys_and_other_forms_open_nothing(void **state)
{
  (void)state;
  static sample s;
  static uint8_t room[ROOM];
  dtls_content content;
  dtls_record rec;
  dtls_keys other = keys;
  other.salt[3] ^= 1;
  make_sample(&s, DTLS_AES_128_CCM_8, 8, 20);
  assert_true(parse(s.wire, s.size, 8, &rec));
  const copal_mspan out = {room, sizeof room};
  assert_int_equal(dtls_record_open(&other, DTLS_AES_128_CCM_8, &rec, out, &content),
                   COPAL_EFORMAT);
  assert_int_equal(dtls_record_open(&keys, DTLS_AES_128_CCM, &rec, out, &content), COPAL_EFORMAT);
  assert_int_equal(dtls_record_open(&keys, DTLS_AES_128_GCM, &rec, out, &content), COPAL_EFORMAT);
  assert_int_equal(dtls_record_open(&keys, DTLS_AEAD_NONE, &rec, out, &content), COPAL_EFORMAT);
  /* The same bytes read as a record without CID. RFC 9146 section 5. */
  dtls_record plain = rec;
  plain.type = DTLS_APPLICATION_DATA;
  plain.cid = copal_span_none();
  assert_int_equal(dtls_record_open(&keys, DTLS_AES_128_CCM_8, &plain, out, &content),
                   COPAL_EFORMAT);
  const copal_mspan small = {room, rec.fragment.len - 1};
  assert_int_equal(dtls_record_open(&keys, DTLS_AES_128_CCM_8, &rec, small, &content),
                   COPAL_EFORMAT);
  assert_int_equal(dtls_record_open(&keys, DTLS_AES_128_CCM_8, &rec, out, &content), COPAL_OK);
}

static void forged_record_leaves_no_plaintext(void **state)
{
  (void)state;
  static sample s;
  dtls_record rec;
  dtls_content content;
  uint8_t room[256];
  for (size_t a = 0; a < 3; a++) {
    make_sample(&s, aeads[a], 8, 64);
    s.wire[s.size - 1] ^= 1;
    assert_true(parse(s.wire, s.size, 8, &rec));
    memset(room, 0xaa, sizeof room);
    assert_int_equal(
        dtls_record_open(&keys, aeads[a], &rec, (copal_mspan){room, sizeof room}, &content),
        COPAL_EFORMAT);
    for (size_t i = 0; i < sizeof room; i++)
      assert_true(room[i] == 0 || room[i] == 0xaa);
  }
}

static void records_are_opened_and_sealed_in_place(void **state)
{
  (void)state;
  static sample s;
  dtls_record rec;
  dtls_content content;
  static uint8_t wire[ROOM];
  for (size_t a = 0; a < 3; a++)
    for (size_t c = 0; c < 5; c++) {
      make_sample(&s, aeads[a], cid_lens[c], 100);
      uint8_t *at = wire + dtls_record_head(cid_lens[c]);
      memcpy(at, s.content, 100);
      dtls_draft draft = s.draft;
      draft.content.ptr = at;
      const copal_mspan room = {wire, s.size};
      assert_int_equal(dtls_record_seal(&keys, aeads[a], &draft, room), s.size);
      assert_memory_equal(wire, s.wire, s.size);
      assert_true(parse(wire, s.size, cid_lens[c], &rec));
      const copal_mspan fragment = {wire + (rec.fragment.ptr - wire), rec.fragment.len};
      assert_int_equal(dtls_record_open(&keys, aeads[a], &rec, fragment, &content), COPAL_OK);
      assert_true(copal_span_is_equal(content.bytes, s.draft.content));
      assert_ptr_equal(content.bytes.ptr, at);
    }
}

static void rfc9146_4_inner_type_is_behind_the_content(void **state)
{
  (void)state;
  static sample s;
  static uint8_t wire[ROOM];
  dtls_content content;
  make_sample(&s, DTLS_AES_128_CCM_8, 8, 0);
  dtls_draft d = s.draft;
  const copal_mspan room = {wire, sizeof wire};
  /* Any type, even none of DTLS's; zeros at the end of the content are not padding. */
  d.type = (dtls_type)99;
  d.content = copal_span_of("\1\0\0", 3);
  d.padding = 300;
  int size = dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room);
  assert_true(opens(wire, (size_t)size, 8, DTLS_AES_128_CCM_8, &content));
  assert_int_equal(content.type, 99);
  assert_true(copal_span_is_equal(content.bytes, d.content));
  /* Zeros only: authentic, but of no type. RFC 8446 section 5.4. */
  d.type = DTLS_NO_TYPE;
  d.content = copal_span_of("\0\0", 2);
  size = dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room);
  assert_true(opens(wire, (size_t)size, 8, DTLS_AES_128_CCM_8, &content));
  assert_int_equal(content.type, DTLS_NO_TYPE);
  assert_int_equal(content.bytes.len, 0);
}

static void rfc9146_5_inner_plaintext_is_at_most_2_to_14(void **state)
{
  (void)state;
  static uint8_t content[DTLS_CONTENT_MAX + 1], wire[ROOM];
  const uint8_t cid[] = {1};
  dtls_draft d = {.type = DTLS_APPLICATION_DATA,
                  .epoch = 1,
                  .cid = copal_span_of(cid, 1),
                  .content = copal_span_of(content, DTLS_CONTENT_MAX - 1)};
  const copal_mspan room = {wire, sizeof wire};
  dtls_content out;
  const int size = dtls_record_seal(&keys, DTLS_AES_128_GCM, &d, room);
  assert_true(size > DTLS_CONTENT_MAX);
  assert_true(opens(wire, (size_t)size, 1, DTLS_AES_128_GCM, &out));
  d.padding = 1;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_GCM, &d, room), COPAL_EINVAL);
  d.padding = 0;
  d.content.len++;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_GCM, &d, room), COPAL_EINVAL);
  d.cid.len = 0;
  assert_true(dtls_record_seal(&keys, DTLS_AES_128_GCM, &d, room) > 0);
  d.content.len++;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_GCM, &d, room), COPAL_EINVAL);
}

static void rfc6347_4_1_what_cannot_be_sent_is_refused(void **state)
{
  (void)state;
  static sample s;
  uint8_t wire[128];
  make_sample(&s, DTLS_AES_128_CCM_8, 8, 20);
  s.draft.padding = 0;
  const size_t size = 20 + dtls_record_overhead(DTLS_AES_128_CCM_8, 8);
  assert_int_equal(size, 13 + 8 + 8 + 20 + 1 + 8);
  copal_mspan room = {wire, size};
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &s.draft, room), size);
  room.len--;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &s.draft, room), COPAL_ENOSPC);
  room.len++;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AEAD_NONE, &s.draft, room), COPAL_EINVAL);
  dtls_draft d = s.draft;
  d.epoch = 0;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room), COPAL_EINVAL);
  d = s.draft;
  d.seq = DTLS_SEQ_MAX;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room), size);
  d.seq++;
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room), COPAL_EINVAL);
  d = s.draft;
  d.cid.len = 0;
  d.padding = 1; /* there is no padding without CID */
  assert_int_equal(dtls_record_seal(&keys, DTLS_AES_128_CCM_8, &d, room), COPAL_EINVAL);
}

static void rfc7251_2_suites_have_their_aead(void **state)
{
  (void)state;
  static const struct {
    uint16_t suite;
    dtls_aead aead;
  } rows[] = {{0xc0a8, DTLS_AES_128_CCM_8}, {0xc0ae, DTLS_AES_128_CCM_8},
              {0xc0a4, DTLS_AES_128_CCM},   {0xc0ac, DTLS_AES_128_CCM},
              {0x00a8, DTLS_AES_128_GCM},   {0xc02b, DTLS_AES_128_GCM},
              {0xc0a9, DTLS_AEAD_NONE},     {0xc0ad, DTLS_AEAD_NONE},
              {0x00ae, DTLS_AEAD_NONE},     {0, DTLS_AEAD_NONE}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_int_equal(dtls_aead_of_suite(rows[i].suite), rows[i].aead);
  assert_false(dtls_aead_is_known(0));
  assert_true(dtls_aead_is_known(1) && dtls_aead_is_known(2) && dtls_aead_is_known(3));
  assert_false(dtls_aead_is_known(4));
}

/* ----------------------------------------------------------------------------------------- framing
 */

static void rfc6347_4_1_records_of_a_datagram_are_taken_one_by_one(void **state)
{
  (void)state;
  static const uint8_t datagram[] = {
      22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 7, 0,   2,   'a', 'b',             /* */
      20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 8, 0,   1,   1,                    /* */
      25, 0xfe, 0xfd, 0, 1, 1, 2, 3, 4, 5, 6, 'C', 'I', 'D', 0,   3, 9, 9, 9, /* */
      23, 0xfe, 0xfd, 0, 2, 0, 0, 0, 0, 0, 0, 0,   0};
  copal_rd r = copal_rd_init(copal_span_of(datagram, sizeof datagram));
  dtls_record rec;
  assert_true(dtls_record_next(&r, 3, &rec));
  assert_int_equal(rec.type, DTLS_HANDSHAKE);
  assert_int_equal(rec.version, 0xfeff);
  assert_int_equal(rec.seq, 7);
  assert_true(copal_span_is_equal(rec.fragment, copal_span_str("ab")));
  assert_ptr_equal(rec.whole.ptr, datagram);
  assert_int_equal(rec.whole.len, 15);
  assert_true(dtls_record_next(&r, 3, &rec));
  assert_int_equal(rec.type, DTLS_CHANGE_CIPHER_SPEC);
  assert_true(dtls_record_next(&r, 3, &rec));
  assert_int_equal(rec.type, DTLS_TLS12_CID);
  assert_int_equal(rec.epoch, 1);
  assert_true(rec.seq == UINT64_C(0x010203040506));
  assert_true(copal_span_is_equal(rec.cid, copal_span_str("CID")));
  assert_int_equal(rec.fragment.len, 3);
  assert_int_equal(rec.whole.len, 19);
  assert_true(dtls_record_next(&r, 3, &rec));
  assert_int_equal(rec.epoch, 2);
  assert_int_equal(rec.cid.len + rec.fragment.len, 0);
  assert_false(dtls_record_next(&r, 3, &rec));
  assert_int_equal(r.err, COPAL_OK);
}

static void rfc6347_4_1_2_7_what_is_no_record_ends_the_datagram(void **state)
{
  (void)state;
  static const uint8_t bad[][16] = {
      {24, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3},   /* heartbeat */
      {26, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3},   /* ACK of DTLS 1.3 */
      {0x2c, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3}, /* its unified header */
      {19, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3},
      {23, 0xfe, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3}, /* DTLS 1.0 behind epoch 0 */
      {23, 0xfe, 0xfc, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3},
      {22, 0x03, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3},          /* TLS */
      {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3},          /* data in the clear */
      {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},          /* nothing in the clear */
      {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4},          /* longer than the datagram */
      {25, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 1}, /* CID in epoch 0 */
      {25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 9, 0, 9, 1, 1},
  };
  dtls_record rec;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    copal_rd r = copal_rd_init(copal_span_of(bad[i], sizeof bad[i]));
    assert_false(dtls_record_next(&r, 1, &rec));
    assert_int_equal(r.err, COPAL_EFORMAT);
    assert_false(dtls_record_next(&r, 1, &rec));
  }
  /* Nobody was given a CID: RFC 9146 section 3. */
  static const uint8_t cid[16] = {25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3};
  copal_rd r = copal_rd_init(copal_span_of(cid, sizeof cid));
  assert_false(dtls_record_next(&r, 0, &rec));
  assert_int_equal(r.err, COPAL_EFORMAT);
}

static void rfc5246_6_2_3_longer_than_2_to_14_and_2048_is_no_record(void **state)
{
  (void)state;
  static uint8_t wire[13 + DTLS_CONTENT_MAX + 2049] = {23, 0xfe, 0xfd, 0, 1};
  dtls_record rec;
  wire[11] = (DTLS_CONTENT_MAX + 2048) >> 8;
  assert_true(parse(wire, sizeof wire - 1, 0, &rec));
  wire[12] = 1;
  assert_false(parse(wire, sizeof wire, 0, &rec));
  wire[0] = 22;
  wire[4] = 0; /* in the clear, 2^14 */
  wire[11] = DTLS_CONTENT_MAX >> 8;
  wire[12] = 0;
  assert_true(parse(wire, 13 + DTLS_CONTENT_MAX, 0, &rec));
  wire[12] = 1;
  assert_false(parse(wire, 13 + DTLS_CONTENT_MAX + 1, 0, &rec));
}

/* ------------------------------------------------------------------------------------------ window
 */

/* The window as a list of all numbers seen. */
static void rfc6347_4_1_2_6_window_agrees_with_a_list(void **state)
{
  (void)state;
  enum { SPAN = 1 << 20, STEPS = 200000 };
  uint8_t *seen = calloc(SPAN, 1);
  dtls_window w = {0, 0};
  int64_t top = -1;
  uint32_t at = 0;
  assert_non_null(seen);
  for (int i = 0; i < STEPS; i++) {
    const uint32_t kind = random_below(100);
    if (kind < 60)
      at += random_below(4);
    else if (kind < 62)
      at += random_below(200);
    const uint32_t back = random_below(90);
    const uint32_t seq = kind < 40 || back > at ? at : at - back;
    assert_true(seq < SPAN);
    const bool is_new = (int64_t)seq > top || (top - seq < DTLS_WINDOW && !seen[seq]);
    assert_int_equal(dtls_window_is_new(&w, seq), is_new);
    assert_int_equal(dtls_window_is_newest(&w, seq), (int64_t)seq > top);
    if (!is_new || random_below(10) == 0)
      continue; /* the others fail their tag, and are not noted */
    dtls_window_accept(&w, seq);
    seen[seq] = 1;
    top = (int64_t)seq > top ? (int64_t)seq : top;
    assert_false(dtls_window_is_new(&w, seq));
  }
  free(seen);
}

static void rfc6347_4_1_2_6_window_has_an_end(void **state)
{
  (void)state;
  dtls_window w = {0, 0};
  assert_true(dtls_window_is_new(&w, 0));
  assert_true(dtls_window_is_newest(&w, 0));
  dtls_window_accept(&w, DTLS_SEQ_MAX);
  assert_false(dtls_window_is_new(&w, DTLS_SEQ_MAX));
  assert_false(dtls_window_is_new(&w, 0));
  assert_true(dtls_window_is_new(&w, DTLS_SEQ_MAX - 63));
  assert_false(dtls_window_is_new(&w, DTLS_SEQ_MAX - 64));
  dtls_window_accept(&w, DTLS_SEQ_MAX - 63);
  assert_false(dtls_window_is_new(&w, DTLS_SEQ_MAX - 63));
  w = (dtls_window){0, 0};
  dtls_window_accept(&w, 100);
  dtls_window_shut(&w);
  for (uint64_t seq = 0; seq <= 100; seq++)
    assert_false(dtls_window_is_new(&w, seq));
  assert_true(dtls_window_is_new(&w, 101));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc9146_5_3_second_implementation_opens_our_records),
      cmocka_unit_test(rfc9146_5_3_we_open_records_of_the_second_implementation),
      cmocka_unit_test(rfc6655_3_and_rfc9146_5_3_vectors),
      cmocka_unit_test(rfc9146_6_no_flipped_bit_is_accepted),
      cmocka_unit_test(rfc6347_4_1_2_7_cut_records_are_discarded),
      cmocka_unit_test(other_keys_and_other_forms_open_nothing),
      cmocka_unit_test(forged_record_leaves_no_plaintext),
      cmocka_unit_test(records_are_opened_and_sealed_in_place),
      cmocka_unit_test(rfc9146_4_inner_type_is_behind_the_content),
      cmocka_unit_test(rfc9146_5_inner_plaintext_is_at_most_2_to_14),
      cmocka_unit_test(rfc6347_4_1_what_cannot_be_sent_is_refused),
      cmocka_unit_test(rfc7251_2_suites_have_their_aead),
      cmocka_unit_test(rfc6347_4_1_records_of_a_datagram_are_taken_one_by_one),
      cmocka_unit_test(rfc6347_4_1_2_7_what_is_no_record_ends_the_datagram),
      cmocka_unit_test(rfc5246_6_2_3_longer_than_2_to_14_and_2048_is_no_record),
      cmocka_unit_test(rfc6347_4_1_2_6_window_agrees_with_a_list),
      cmocka_unit_test(rfc6347_4_1_2_6_window_has_an_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
