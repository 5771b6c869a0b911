/* SPDX-License-Identifier: Apache-2.0 */
/* Stateless cookies of the DTLS handshake: a client shows that it receives what is sent to its
 * address before anything is remembered of it. A cookie is a MAC over the address and what must not
 * change between the two ClientHellos. RFC 6347 section 4.2.1.
 *
 * The period goes into the MAC, so that each has a key of its own: a cookie is good for one to two
 * periods. Thread: the owner's only. */
#ifndef TRANSPORT_DTLS_COOKIE_H
#define TRANSPORT_DTLS_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/path.h"
#include "copal/time.h"
#include "crypto/mac.h"
#include "transport/dtls/hello.h"

enum {
  COOKIE_SIZE = 16, /* bytes: the key's number, and a MAC of 15 */
  COOKIE_PERIOD_S = 60,
};

typedef struct cookies {
  uint8_t key[MAC_KEY_SIZE];
} cookies;

/* Draws the key. Returns 0 or -errno. */
int cookies_init(cookies *c);
void cookies_wipe(cookies *c);

/* The cookie for a client that sends `h` from `from`. */
void cookie_make(const cookies *c, const copal_addr *from, const hello_client *h, copal_time now,
                 uint8_t out[COOKIE_SIZE]);

/* True when the ClientHello carries a cookie made for it in this period or the one before. Constant
 * time in the cookie. */
bool cookie_is_good(const cookies *c, const copal_addr *from, const hello_client *h,
                    copal_time now);

#endif
