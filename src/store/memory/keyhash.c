/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash with one round per word and three at the end (Aumasson, Bernstein 2012). */
#include "store/memory/keyhash.h"

#include <endian.h>
#include <string.h>

typedef struct sip {
  uint64_t v0, v1, v2, v3;
} sip;

static uint64_t rotate(uint64_t x, unsigned bits)
{
  return x << bits | x >> (64 - bits);
}

static void sip_round(sip *s)
{
  s->v0 += s->v1;
  s->v1 = rotate(s->v1, 13) ^ s->v0;
  s->v0 = rotate(s->v0, 32);
  s->v2 += s->v3;
  s->v3 = rotate(s->v3, 16) ^ s->v2;
  s->v0 += s->v3;
  s->v3 = rotate(s->v3, 21) ^ s->v0;
  s->v2 += s->v1;
  s->v1 = rotate(s->v1, 17) ^ s->v2;
  s->v2 = rotate(s->v2, 32);
}

static void sip_word(sip *s, uint64_t word)
{
  s->v3 ^= word;
  sip_round(s);
  s->v0 ^= word;
}

/* Eight bytes, or four, little-endian. */
static uint64_t load(const uint8_t *p)
{
  uint64_t word;
  memcpy(&word, p, sizeof word);
  return le64toh(word);
}

static uint64_t load_half(const uint8_t *p)
{
  uint32_t half;
  memcpy(&half, p, sizeof half);
  return le32toh(half);
}

/* The last bytes, fewer than eight, that fill no word. Where they can be had with loads that
 * overlap they are. */
static uint64_t load_tail(copal_span bytes)
{
  const size_t n = bytes.len & 7;
  const uint8_t *end = bytes.ptr + bytes.len;
  if (n == 0)
    return 0;
  if (bytes.len >= 8)
    return load(end - 8) >> (64 - 8 * n);
  if (n >= 4)
    return load_half(bytes.ptr) | load_half(end - 4) << (8 * n - 32);
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++)
    word |= (uint64_t)bytes.ptr[i] << (8 * i);
  return word;
}

uint64_t keyhash(const keyhash_secret *secret, copal_span bytes)
{
  sip s = {
      .v0 = secret->word[0] ^ 0x736f6d6570736575ull,
      .v1 = secret->word[1] ^ 0x646f72616e646f6dull,
      .v2 = secret->word[0] ^ 0x6c7967656e657261ull,
      .v3 = secret->word[1] ^ 0x7465646279746573ull,
  };
  const size_t whole = bytes.len & ~(size_t)7;
  for (size_t at = 0; at < whole; at += 8)
    sip_word(&s, load(bytes.ptr + at));
  sip_word(&s, (uint64_t)bytes.len << 56 | load_tail(bytes));
  s.v2 ^= 0xff;
  for (int i = 0; i < 3; i++)
    sip_round(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
