/* SPDX-License-Identifier: Apache-2.0 */
/* Our connection IDs: a keyed permutation of slot and generation. RFC 9146 section 3. */
#include "transport/dtls/cid.h"

#include <string.h>

#include "copal/cursor.h"

enum {
  ROUNDS = 6,
  HALF_BITS = 28,
  HALF_MASK = (1 << HALF_BITS) - 1,
};

/* 56 bits in two halves. */
typedef struct halves {
  uint32_t left, right;
} halves;

/* The round function: AES-128 of lane, round and half, cut to 28 bits. */
static uint32_t mix(const dtls_cid_key *key, uint8_t lane, uint8_t round, uint32_t half)
{
  uint8_t block[AES_BLOCK_SIZE] = {
      lane,         round, (uint8_t)(half >> 24), (uint8_t)(half >> 16), (uint8_t)(half >> 8),
      (uint8_t)half};
  aes128_encrypt(&key->aes, sizeof block, block, block);
  return ((uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 |
          block[3]) &
         HALF_MASK;
}

static halves permute(const dtls_cid_key *key, uint8_t lane, halves h)
{
  for (uint8_t round = 0; round < ROUNDS; round++)
    h = (halves){h.right, h.left ^ mix(key, lane, round, h.right)};
  return h;
}

static halves restore(const dtls_cid_key *key, uint8_t lane, halves h)
{
  for (uint8_t round = ROUNDS; round-- > 0;)
    h = (halves){h.right ^ mix(key, lane, round, h.left), h.left};
  return h;
}

static halves split(uint64_t v)
{
  return (halves){(uint32_t)(v >> HALF_BITS) & HALF_MASK, (uint32_t)v & HALF_MASK};
}

static uint64_t join(halves h)
{
  return (uint64_t)h.left << HALF_BITS | h.right;
}

void dtls_cid_key_init(dtls_cid_key *key, const uint8_t secret[DTLS_CID_KEY_SIZE])
{
  aes128_set_encrypt_key(&key->aes, secret);
}

void dtls_cid_key_wipe(dtls_cid_key *key)
{
  explicit_bzero(key, sizeof *key);
}

void dtls_cid_make(const dtls_cid_key *key, const dtls_cid *cid, uint8_t out[DTLS_CID_SIZE])
{
  const uint64_t plain = (uint64_t)cid->slot << 32 | cid->generation;
  const uint64_t v = join(permute(key, cid->lane, split(plain)));
  copal_wr w = copal_wr_init((copal_mspan){out, DTLS_CID_SIZE});
  copal_wr_u8(&w, cid->lane);
  copal_wr_be(&w, (uint32_t)(v >> 32), 3);
  copal_wr_be(&w, (uint32_t)v, 4);
}

bool dtls_cid_read(const dtls_cid_key *key, copal_span bytes, dtls_cid *cid)
{
  if (bytes.len != DTLS_CID_SIZE)
    return false;
  copal_rd r = copal_rd_init(bytes);
  cid->lane = copal_rd_u8(&r);
  uint64_t v = (uint64_t)copal_rd_be(&r, 3) << 32;
  v |= copal_rd_be(&r, 4);
  v = join(restore(key, cid->lane, split(v)));
  cid->slot = (uint32_t)(v >> 32);
  cid->generation = (uint32_t)v;
  return true;
}
