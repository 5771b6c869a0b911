/* SPDX-License-Identifier: Apache-2.0 */
/* Records of DTLS 1.2 on nettle's AES-CCM and AES-GCM. RFC 6347 section 4.1, RFC 6655 section 3,
 * RFC 9146 sections 4 and 5.3. */
#include "transport/dtls/record.h"

#include <string.h>

#include <nettle/ccm.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

#include "copal/error.h"

enum {
  VERSION_1_0 = 0xfeff,
  VERSION_1_2 = 0xfefd,
  EPOCH_SIZE = 2,
  SEQ_SIZE = 6,
  LENGTH_SIZE = 2,
  EXPANSION_MAX = 2048, /* RFC 5246 section 6.2.3 */
  EXPLICIT_SIZE = 8,    /* RFC 6655 section 3: nonce_explicit, in front of the ciphertext */
  NONCE_SIZE = DTLS_SALT_SIZE + EXPLICIT_SIZE,
  TAG_SIZE = 16,
  TAG_SIZE_CCM_8 = 8,
  TYPE_SIZE = 1,        /* real_type, RFC 9146 section 4 */
  PLACEHOLDER_SIZE = 8, /* seq_num_placeholder, RFC 9146 section 5 */
  CID_LENGTH_SIZE = 1,
  VERSION_SIZE = 2,
  AAD_MAX = PLACEHOLDER_SIZE + TYPE_SIZE + CID_LENGTH_SIZE + TYPE_SIZE + VERSION_SIZE + EPOCH_SIZE +
            SEQ_SIZE + DTLS_CID_MAX + LENGTH_SIZE,
};

/* What an AEAD is called with; the same for both directions. */
typedef struct box {
  dtls_aead aead;
  const dtls_keys *keys;
  uint8_t nonce[NONCE_SIZE];
  copal_span aad;
} box;

/* -------------------------------------------------------------------------------------- suites */

bool dtls_aead_is_known(unsigned aead)
{
  return aead == DTLS_AES_128_CCM_8 || aead == DTLS_AES_128_CCM || aead == DTLS_AES_128_GCM;
}

dtls_aead dtls_aead_of_suite(uint16_t suite)
{
  switch (suite) {
  case 0xc0a8: /* TLS_PSK_WITH_AES_128_CCM_8 */
  case 0xc0ae: /* TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 */ return DTLS_AES_128_CCM_8;
  case 0xc0a4: /* TLS_PSK_WITH_AES_128_CCM */
  case 0xc0ac: /* TLS_ECDHE_ECDSA_WITH_AES_128_CCM */ return DTLS_AES_128_CCM;
  case 0x00a8: /* TLS_PSK_WITH_AES_128_GCM_SHA256 */
  case 0xc02b: /* TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 */ return DTLS_AES_128_GCM;
  default: return DTLS_AEAD_NONE;
  }
}

static size_t tag_size(dtls_aead aead)
{
  return aead == DTLS_AES_128_CCM_8 ? TAG_SIZE_CCM_8 : TAG_SIZE;
}

/* ----------------------------------------------------------------------------------------- AEAD */

/* `out` takes the tag behind the ciphertext; it is `in` or lies apart. */
static void box_close(const box *b, copal_span in, uint8_t *out)
{
  const size_t tag = tag_size(b->aead);
  if (b->aead == DTLS_AES_128_GCM) {
    struct gcm_aes128_ctx gcm;
    gcm_aes128_set_key(&gcm, b->keys->key);
    gcm_aes128_set_iv(&gcm, NONCE_SIZE, b->nonce);
    gcm_aes128_update(&gcm, b->aad.len, b->aad.ptr);
    gcm_aes128_encrypt(&gcm, in.len, out, in.ptr);
    gcm_aes128_digest(&gcm, tag, out + in.len);
    explicit_bzero(&gcm, sizeof gcm);
  } else {
    struct ccm_aes128_ctx ccm;
    ccm_aes128_set_key(&ccm, b->keys->key);
    ccm_aes128_encrypt_message(&ccm, NONCE_SIZE, b->nonce, b->aad.len, b->aad.ptr, tag,
                               in.len + tag, out, in.ptr);
    explicit_bzero(&ccm, sizeof ccm);
  }
}

static bool gcm_open(const box *b, copal_span in, size_t len, uint8_t *out)
{
  struct gcm_aes128_ctx gcm;
  uint8_t tag[TAG_SIZE];
  gcm_aes128_set_key(&gcm, b->keys->key);
  gcm_aes128_set_iv(&gcm, NONCE_SIZE, b->nonce);
  gcm_aes128_update(&gcm, b->aad.len, b->aad.ptr);
  gcm_aes128_decrypt(&gcm, len, out, in.ptr);
  gcm_aes128_digest(&gcm, sizeof tag, tag);
  explicit_bzero(&gcm, sizeof gcm);
  return memeql_sec(tag, in.ptr + len, sizeof tag) != 0;
}

/* nettle compares the tag in constant time. */
static bool ccm_open(const box *b, copal_span in, size_t len, uint8_t *out)
{
  struct ccm_aes128_ctx ccm;
  ccm_aes128_set_key(&ccm, b->keys->key);
  const int is_authentic = ccm_aes128_decrypt_message(&ccm, NONCE_SIZE, b->nonce, b->aad.len,
                                                      b->aad.ptr, in.len - len, len, out, in.ptr);
  explicit_bzero(&ccm, sizeof ccm);
  return is_authentic != 0;
}

/* `in` is ciphertext and tag; `out` takes the plaintext, and is `in` or lies apart. */
static bool box_open(const box *b, copal_span in, uint8_t *out)
{
  const size_t len = in.len - tag_size(b->aead);
  const bool is_authentic =
      b->aead == DTLS_AES_128_GCM ? gcm_open(b, in, len, out) : ccm_open(b, in, len, out);
  if (!is_authentic)
    explicit_bzero(out, len); /* what came out of a forged record is nobody's to see */
  return is_authentic;
}

static void put_epoch_and_seq(copal_wr *w, uint16_t epoch, uint64_t seq)
{
  copal_wr_u16(w, epoch);
  copal_wr_u16(w, (uint16_t)(seq >> 32));
  copal_wr_be(w, (uint32_t)seq, 4);
}

/* Writes the additional data of a record with that header whose plaintext, or DTLSInnerPlaintext,
 * has `len` bytes. RFC 5246 section 6.2.3.3, RFC 9146 section 5.3. */
static copal_span put_aad(copal_mspan room, const dtls_record *header, size_t len)
{
  copal_wr w = copal_wr_init(room);
  if (header->type == DTLS_TLS12_CID) {
    memset(w.buf + copal_wr_mark(&w, PLACEHOLDER_SIZE), 0xff, PLACEHOLDER_SIZE);
    copal_wr_u8(&w, DTLS_TLS12_CID);
    copal_wr_u8(&w, (uint8_t)header->cid.len);
    copal_wr_u8(&w, DTLS_TLS12_CID);
    copal_wr_u16(&w, header->version);
    put_epoch_and_seq(&w, header->epoch, header->seq);
    copal_wr_span(&w, header->cid);
  } else {
    put_epoch_and_seq(&w, header->epoch, header->seq);
    copal_wr_u8(&w, (uint8_t)header->type);
    copal_wr_u16(&w, header->version);
  }
  copal_wr_u16(&w, (uint16_t)len);
  return copal_wr_done(&w);
}

/* --------------------------------------------------------------------------------------- framing
 */

static bool is_type_known(unsigned type)
{
  return (type >= DTLS_CHANGE_CIPHER_SPEC && type <= DTLS_APPLICATION_DATA) ||
         type == DTLS_TLS12_CID;
}

/* The version is not taken from the wire into the additional data of a copy of ours alone: a record
 * of another version must not get that far. */
static bool is_header_valid(const dtls_record *rec)
{
  if (!is_type_known(rec->type))
    return false;
  if (rec->epoch > 0)
    return rec->version == VERSION_1_2;
  return (rec->version == VERSION_1_2 || rec->version == VERSION_1_0) &&
         rec->type != DTLS_TLS12_CID && rec->type != DTLS_APPLICATION_DATA;
}

static bool is_length_valid(const dtls_record *rec, size_t len)
{
  if (rec->epoch > 0)
    return len <= DTLS_CONTENT_MAX + EXPANSION_MAX;
  return len > 0 && len <= DTLS_CONTENT_MAX;
}

/* Fails the reader when what it read cannot be. */
static void require(copal_rd *r, bool is_valid)
{
  if (is_valid)
    return;
  r->left = 0;
  r->err = COPAL_EFORMAT;
}

bool dtls_record_next(copal_rd *datagram, size_t own_cid_len, dtls_record *rec)
{
  const uint8_t *start = datagram->ptr;
  copal_rd *r = datagram;
  if (r->left == 0)
    return false;
  rec->type = (dtls_type)copal_rd_u8(r);
  rec->version = copal_rd_u16(r);
  rec->epoch = copal_rd_u16(r);
  rec->seq = (uint64_t)copal_rd_u16(r) << 32;
  rec->seq |= copal_rd_be(r, 4);
  require(r, is_header_valid(rec));
  const bool has_cid = rec->type == DTLS_TLS12_CID;
  require(r, !has_cid || own_cid_len > 0);
  rec->cid = copal_rd_span(r, has_cid ? own_cid_len : 0);
  const size_t len = copal_rd_u16(r);
  require(r, is_length_valid(rec, len));
  rec->fragment = copal_rd_span(r, len);
  rec->whole = copal_span_of(start, (size_t)(r->ptr - start));
  return r->err == COPAL_OK;
}

size_t dtls_record_head(size_t cid_len)
{
  return DTLS_HEADER_SIZE + cid_len + EXPLICIT_SIZE;
}

size_t dtls_record_overhead(dtls_aead aead, size_t cid_len)
{
  return dtls_record_head(cid_len) + (cid_len > 0 ? TYPE_SIZE : 0) + tag_size(aead);
}

/* --------------------------------------------------------------------------------------- opening
 */

/* Strips padding and type. The scan's time depends on plaintext, which is authentic by now. */
static dtls_content unwrap(copal_span inner)
{
  size_t len = inner.len;
  while (len > 0 && inner.ptr[len - 1] == 0)
    len--;
  if (len == 0)
    return (dtls_content){DTLS_NO_TYPE, copal_span_of(inner.ptr, 0)};
  return (dtls_content){(dtls_type)inner.ptr[len - 1], copal_span_of(inner.ptr, len - 1)};
}

int dtls_record_open(const dtls_keys *keys, dtls_aead aead, const dtls_record *rec,
                     copal_mspan room, dtls_content *out)
{
  uint8_t aad[AAD_MAX];
  const bool has_cid = rec->type == DTLS_TLS12_CID;
  if (!dtls_aead_is_known(aead) || rec->epoch == 0 || rec->cid.len > DTLS_CID_MAX ||
      rec->fragment.len < EXPLICIT_SIZE + tag_size(aead) || room.len < rec->fragment.len)
    return COPAL_EFORMAT;
  const copal_span sealed =
      copal_span_of(rec->fragment.ptr + EXPLICIT_SIZE, rec->fragment.len - EXPLICIT_SIZE);
  const size_t len = sealed.len - tag_size(aead);
  if (len > DTLS_CONTENT_MAX)
    return COPAL_EFORMAT;
  box b = {.aead = aead, .keys = keys};
  memcpy(b.nonce, keys->salt, DTLS_SALT_SIZE);
  memcpy(b.nonce + DTLS_SALT_SIZE, rec->fragment.ptr, EXPLICIT_SIZE);
  b.aad = put_aad((copal_mspan){aad, sizeof aad}, rec, len);
  uint8_t *plain = room.ptr == rec->fragment.ptr ? room.ptr + EXPLICIT_SIZE : room.ptr;
  if (!box_open(&b, sealed, plain))
    return COPAL_EFORMAT;
  const copal_span inner = copal_span_of(plain, len);
  *out = has_cid ? unwrap(inner) : (dtls_content){rec->type, inner};
  return COPAL_OK;
}

/* --------------------------------------------------------------------------------------- sealing
 */

static bool can_be_sent(dtls_aead aead, const dtls_draft *d)
{
  const bool has_cid = d->cid.len > 0;
  const size_t more = has_cid ? TYPE_SIZE : 0;
  return dtls_aead_is_known(aead) && d->epoch > 0 && d->seq <= DTLS_SEQ_MAX &&
         d->cid.len <= DTLS_CID_MAX && (has_cid || d->padding == 0) &&
         d->content.len <= DTLS_CONTENT_MAX - more &&
         d->padding <= DTLS_CONTENT_MAX - more - d->content.len;
}

/* The plaintext at its place behind the head; returns its length. */
static size_t put_inner(const dtls_draft *d, uint8_t *at)
{
  if (d->content.len > 0 && d->content.ptr != at)
    memcpy(at, d->content.ptr, d->content.len);
  if (d->cid.len == 0)
    return d->content.len;
  at[d->content.len] = (uint8_t)d->type;
  memset(at + d->content.len + TYPE_SIZE, 0, d->padding);
  return d->content.len + TYPE_SIZE + d->padding;
}

int dtls_record_seal(const dtls_keys *keys, dtls_aead aead, const dtls_draft *draft,
                     copal_mspan room)
{
  uint8_t aad[AAD_MAX];
  if (!can_be_sent(aead, draft))
    return COPAL_EINVAL;
  const size_t size =
      dtls_record_overhead(aead, draft->cid.len) + draft->content.len + draft->padding;
  if (room.len < size)
    return COPAL_ENOSPC;
  const bool has_cid = draft->cid.len > 0;
  const size_t head = dtls_record_head(draft->cid.len);
  const size_t inner = put_inner(draft, room.ptr + head);
  const dtls_record header = {.type = has_cid ? DTLS_TLS12_CID : draft->type,
                              .version = VERSION_1_2,
                              .epoch = draft->epoch,
                              .seq = draft->seq,
                              .cid = draft->cid};
  copal_wr w = copal_wr_init((copal_mspan){room.ptr, head});
  copal_wr_u8(&w, (uint8_t)header.type);
  copal_wr_u16(&w, header.version);
  put_epoch_and_seq(&w, header.epoch, header.seq);
  copal_wr_span(&w, header.cid);
  copal_wr_u16(&w, (uint16_t)(size - DTLS_HEADER_SIZE - header.cid.len));
  const size_t explicit_at = w.len;
  put_epoch_and_seq(&w, header.epoch, header.seq); /* distinct by the number's uniqueness */
  box b = {.aead = aead, .keys = keys};
  memcpy(b.nonce, keys->salt, DTLS_SALT_SIZE);
  memcpy(b.nonce + DTLS_SALT_SIZE, room.ptr + explicit_at, EXPLICIT_SIZE);
  b.aad = put_aad((copal_mspan){aad, sizeof aad}, &header, inner);
  box_close(&b, copal_span_of(room.ptr + head, inner), room.ptr + head);
  return (int)size;
}

/* ---------------------------------------------------------------------------------------- window
 */

bool dtls_window_is_newest(const dtls_window *w, uint64_t seq)
{
  return seq >= w->top;
}

bool dtls_window_is_new(const dtls_window *w, uint64_t seq)
{
  if (seq >= w->top)
    return true;
  const uint64_t age = w->top - 1 - seq;
  return age < DTLS_WINDOW && (w->bits >> age & 1) == 0;
}

void dtls_window_accept(dtls_window *w, uint64_t seq)
{
  if (seq >= w->top) {
    const uint64_t by = seq + 1 - w->top;
    w->bits = by < DTLS_WINDOW ? w->bits << by | 1 : 1;
    w->top = seq + 1;
    return;
  }
  const uint64_t age = w->top - 1 - seq;
  if (age < DTLS_WINDOW)
    w->bits |= UINT64_C(1) << age;
}

void dtls_window_shut(dtls_window *w)
{
  w->bits = UINT64_MAX;
}
