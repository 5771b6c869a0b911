/* SPDX-License-Identifier: Apache-2.0 */
/* Message authentication codes on nettle. */
#include "crypto/mac.h"

#include <nettle/hmac.h>

void mac_make(const uint8_t key[MAC_KEY_SIZE], copal_span bytes, copal_mspan out)
{
  struct hmac_sha256_ctx ctx;
  hmac_sha256_set_key(&ctx, MAC_KEY_SIZE, key);
  hmac_sha256_update(&ctx, bytes.len, bytes.ptr);
  hmac_sha256_digest(&ctx, out.len, out.ptr);
}
