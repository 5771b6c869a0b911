/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two pre-shared keys a client has. RFC 5246 sections 5, 6.3 and 8.1. */
#include "transport/dtls/psk_trial.h"

#include <string.h>

#include <nettle/hmac.h>

#include "copal/cursor.h"
#include "copal/error.h"

enum {
  MASTER_SIZE = 48, /* RFC 5246 section 8.1 */
  SEED_MAX = 32 + 2 * PSK_TRIAL_RANDOM_SIZE,
  PREMASTER_MAX = 2 * (2 + DTLS_PSK_SIZE_MAX),
  KEY_BLOCK_SIZE = 2 * (DTLS_KEY_SIZE + DTLS_SALT_SIZE),
  EXT_EMS = 23,         /* RFC 7627 section 5.1 */
  FINISHED_ROOM = 2048, /* more than any first record of a client */
};

/* ------------------------------------------------------------------------------------------------
 * what went by */

static void absorb(psk_trial *t, const hello_message *m)
{
  uint8_t head[HELLO_HEAD_SIZE];
  if (m->offset == 0) { /* hashed as if it were in one piece. RFC 6347 section 4.2.6 */
    copal_wr w = copal_wr_init((copal_mspan){head, sizeof head});
    copal_wr_u8(&w, (uint8_t)m->type);
    copal_wr_be(&w, m->size, 3);
    copal_wr_u16(&w, m->seq);
    copal_wr_be(&w, 0, 3);
    copal_wr_be(&w, m->size, 3);
    sha256_update(&t->transcript, sizeof head, head);
  }
  if (m->fragment.len > 0)
    sha256_update(&t->transcript, m->fragment.len, m->fragment.ptr);
}

/* What both hellos begin with. */
static bool read_random(copal_rd *rd, uint8_t random[PSK_TRIAL_RANDOM_SIZE])
{
  (void)copal_rd_u16(rd); /* version */
  const copal_span bytes = copal_rd_span(rd, PSK_TRIAL_RANDOM_SIZE);
  if (rd->err != COPAL_OK)
    return false;
  memcpy(random, bytes.ptr, PSK_TRIAL_RANDOM_SIZE);
  return true;
}

static void read_server_hello(psk_trial *t, copal_span body)
{
  copal_span none;
  copal_rd rd = copal_rd_init(body);
  t->has_hello = read_random(&rd, t->server_random);
  (void)copal_rd_span(&rd, copal_rd_u8(&rd)); /* session_id */
  (void)copal_rd_span(&rd, 3);                /* cipher_suite, compression_method */
  const copal_span extensions = copal_rd_span(&rd, rd.left > 0 ? copal_rd_u16(&rd) : 0);
  t->has_hello = t->has_hello && rd.err == COPAL_OK;
  t->is_extended = t->has_hello && hello_extension_find(extensions, EXT_EMS, &none);
}

static void look_at(psk_trial *t, const hello_message *m)
{
  const bool is_whole = m->fragment.len == m->size;
  copal_rd rd = copal_rd_init(m->fragment);
  if (m->type == HELLO_CLIENT_HELLO && is_whole)
    (void)read_random(&rd, t->client_random);
  else if (m->type == HELLO_SERVER_HELLO && is_whole)
    read_server_hello(t, m->fragment);
}

void psk_trial_note(psk_trial *t, bool is_ours, const hello_message *m)
{
  struct psk_trial_place *place = &t->places[is_ours];
  if (!t->places[0].is_begun && !t->places[1].is_begun)
    sha256_init(&t->transcript);
  if (!place->is_begun)
    *place = (struct psk_trial_place){.is_begun = true, .seq = m->seq};
  if (m->seq != place->seq || m->offset != place->offset)
    return;
  absorb(t, m);
  look_at(t, m);
  place->offset += (uint32_t)m->fragment.len;
  if (place->offset == m->size)
    *place = (struct psk_trial_place){.is_begun = true, .seq = (uint16_t)(m->seq + 1)};
}

/* ------------------------------------------------------------------------------------------------
 * keys */

/* P_SHA256 of a secret and a seed that has its label in front. RFC 5246 section 5. */
static void expand(copal_span secret, copal_span seed, copal_mspan out)
{
  struct hmac_sha256_ctx hmac;
  uint8_t a[SHA256_DIGEST_SIZE];
  hmac_sha256_set_key(&hmac, secret.len, secret.ptr);
  hmac_sha256_update(&hmac, seed.len, seed.ptr);
  hmac_sha256_digest(&hmac, sizeof a, a);
  while (out.len > 0) {
    const size_t n = out.len < sizeof a ? out.len : sizeof a;
    hmac_sha256_update(&hmac, sizeof a, a);
    hmac_sha256_update(&hmac, seed.len, seed.ptr);
    hmac_sha256_digest(&hmac, n, out.ptr);
    out = (copal_mspan){out.ptr + n, out.len - n};
    hmac_sha256_update(&hmac, sizeof a, a);
    hmac_sha256_digest(&hmac, sizeof a, a);
  }
  explicit_bzero(&hmac, sizeof hmac);
  explicit_bzero(a, sizeof a);
}

/* Writes a label and what follows it; returns the bytes written. */
static copal_span seed_of(const char *label, copal_span first, copal_span second,
                          uint8_t room[SEED_MAX])
{
  copal_wr w = copal_wr_init((copal_mspan){room, SEED_MAX});
  copal_wr_span(&w, copal_span_str(label));
  copal_wr_span(&w, first);
  copal_wr_span(&w, second);
  return copal_span_of(room, w.len);
}

/* RFC 4279 section 2: as many zeros as the key has bytes, and the key. */
static copal_span premaster_of(copal_span key, uint8_t room[PREMASTER_MAX])
{
  copal_wr w = copal_wr_init((copal_mspan){room, PREMASTER_MAX});
  copal_wr_u16(&w, (uint16_t)key.len);
  for (size_t i = 0; i < key.len; i++)
    copal_wr_u8(&w, 0);
  copal_wr_u16(&w, (uint16_t)key.len);
  copal_wr_span(&w, key);
  return copal_span_of(room, w.len);
}

/* `session` is the hash of all messages up to the ClientKeyExchange. RFC 7627 section 4. */
static dtls_keys keys_of(const psk_trial *t, copal_span psk, copal_span session)
{
  uint8_t premaster[PREMASTER_MAX], master[MASTER_SIZE], block[KEY_BLOCK_SIZE], seed[SEED_MAX];
  const copal_span client = copal_span_of(t->client_random, sizeof t->client_random);
  const copal_span server = copal_span_of(t->server_random, sizeof t->server_random);
  dtls_keys keys;
  expand(premaster_of(psk, premaster),
         t->is_extended ? seed_of("extended master secret", session, copal_span_of(NULL, 0), seed)
                        : seed_of("master secret", client, server, seed),
         (copal_mspan){master, sizeof master});
  expand(copal_span_of(master, sizeof master), seed_of("key expansion", server, client, seed),
         (copal_mspan){block, sizeof block});
  /* The client's key, the server's, the client's salt, the server's. RFC 5246 section 6.3 */
  memcpy(keys.key, block, DTLS_KEY_SIZE);
  memcpy(keys.salt, block + 2 * DTLS_KEY_SIZE, DTLS_SALT_SIZE);
  explicit_bzero(premaster, sizeof premaster);
  explicit_bzero(master, sizeof master);
  explicit_bzero(block, sizeof block);
  return keys;
}

void psk_trial_derive(psk_trial *t, const hello_message *exchange, const dtls_psks *psks)
{
  uint8_t session[SHA256_DIGEST_SIZE];
  psk_trial with = *t;
  t->count = 0;
  if (!t->has_hello || exchange->fragment.len != exchange->size)
    return;
  absorb(&with, exchange);
  sha256_digest(&with.transcript, sizeof session, session);
  for (; t->count < psks->count; t->count++)
    t->rx[t->count] =
        keys_of(t, copal_span_of(psks->keys[t->count].bytes, psks->keys[t->count].len),
                copal_span_of(session, sizeof session));
  psk_trial_wipe(&with);
}

int psk_trial_find(const psk_trial *t, dtls_aead aead, const dtls_record *rec)
{
  uint8_t room[FINISHED_ROOM];
  dtls_content content;
  int found = -1;
  if (rec->fragment.len > sizeof room)
    return -1;
  for (size_t i = 0; found < 0 && i < t->count; i++)
    if (dtls_record_open(&t->rx[i], aead, rec, (copal_mspan){room, sizeof room}, &content) ==
        COPAL_OK)
      found = (int)i;
  explicit_bzero(room, rec->fragment.len);
  return found;
}

void psk_trial_wipe(psk_trial *t)
{
  explicit_bzero(t, sizeof *t);
}
