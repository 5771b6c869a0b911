/* SPDX-License-Identifier: Apache-2.0 */
/* Short message authentication codes for values that come back to us: HMAC-SHA-256, cut. */
#ifndef CRYPTO_MAC_H
#define CRYPTO_MAC_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  MAC_KEY_SIZE = 32, /* bytes */
  MAC_SIZE_MAX = 32,
};

/* Writes the first `out.len` bytes (at most MAC_SIZE_MAX) of the HMAC of `bytes`. RFC 2104. */
void mac_make(const uint8_t key[MAC_KEY_SIZE], copal_span bytes, copal_mspan out);

#endif
