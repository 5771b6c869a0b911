/* SPDX-License-Identifier: Apache-2.0 */
/* Stateless cookies of the DTLS handshake. RFC 6347 section 4.2.1. */
#include "transport/dtls/cookie.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <nettle/hmac.h>
#include <nettle/memops.h>

#include <gnutls/crypto.h>

static uint64_t period_of(copal_time now)
{
  return now / ((uint64_t)COOKIE_PERIOD_S * COPAL_SECOND);
}

int cookies_init(cookies *c)
{
  if (getrandom(c->key, sizeof c->key, 0) != (ssize_t)sizeof c->key)
    return -errno;
  return 0;
}

void cookies_wipe(cookies *c)
{
  gnutls_memset(c, 0, sizeof *c);
}

static void make(const cookies *c, const copal_addr *from, const hello_client *h, uint64_t period,
                 uint8_t out[COOKIE_SIZE])
{
  struct hmac_sha256_ctx mac;
  const uint8_t sizes[2] = {(uint8_t)h->parameters.len, (uint8_t)(h->choices.len >> 8)};
  hmac_sha256_set_key(&mac, sizeof c->key, c->key);
  hmac_sha256_update(&mac, sizeof period, (const uint8_t *)&period);
  hmac_sha256_update(&mac, sizeof from->ip, from->ip);
  hmac_sha256_update(&mac, sizeof from->port, (const uint8_t *)&from->port);
  hmac_sha256_update(&mac, sizeof from->zone, (const uint8_t *)&from->zone);
  hmac_sha256_update(&mac, sizeof sizes, sizes);
  hmac_sha256_update(&mac, h->parameters.len, h->parameters.ptr);
  hmac_sha256_update(&mac, h->choices.len, h->choices.ptr);
  hmac_sha256_digest(&mac, COOKIE_SIZE, out);
  out[0] = (uint8_t)period;
}

void cookie_make(const cookies *c, const copal_addr *from, const hello_client *h, copal_time now,
                 uint8_t out[COOKIE_SIZE])
{
  make(c, from, h, period_of(now), out);
}

bool cookie_is_good(const cookies *c, const copal_addr *from, const hello_client *h, copal_time now)
{
  uint8_t wanted[COOKIE_SIZE];
  uint64_t period = period_of(now);
  if (h->cookie.len != COOKIE_SIZE)
    return false;
  if (h->cookie.ptr[0] != (uint8_t)period)
    period--;
  make(c, from, h, period, wanted);
  return nettle_memeql_sec(wanted, h->cookie.ptr, COOKIE_SIZE) != 0;
}
