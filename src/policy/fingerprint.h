/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints of public keys: SHA-256 of the SubjectPublicKeyInfo, whole or cut to 128 or 120
 * bits, in the forms people have them in. RFC 7252 section 9.1.3.2.1, RFC 6920, RFC 7469
 * section 2.4.
 *
 *   sha256:HEX, sha-256:HEX, HEX       64 digits, colons between bytes allowed
 *   sha-256-120:HEX                    30 digits; sha-256-128: 32
 *   ni:///sha-256;BASE64URL            and sha-256-120, sha-256-128
 *   nih:sha-256-120;HEX;C              dashes between digits allowed, and the check digit C missing
 *   pin-sha256:BASE64, sha256//BASE64  as GnuTLS and curl have it
 *
 * Thread: any. */
#ifndef POLICY_FINGERPRINT_H
#define POLICY_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  FINGERPRINT_SIZE = 32,    /* bytes of SHA-256 */
  FINGERPRINT_MIN = 15,     /* bytes: less is NOT RECOMMENDED */
  FINGERPRINT_TEXT = 8 + 65 /* "sha-256:" with all digits, and its end */
};

typedef struct fingerprint {
  uint8_t bytes[FINGERPRINT_SIZE];
  uint8_t len; /* FINGERPRINT_MIN, 16 or FINGERPRINT_SIZE */
} fingerprint;

/* Reads any of the forms. NULL when it is one, else what is wrong, in static storage. */
const char *fingerprint_read(const char *text, fingerprint *f);

/* That of a SubjectPublicKeyInfo in DER. False when there is no memory. */
bool fingerprint_of(copal_span spki, fingerprint *f);

/* True when a cut one, or a whole one, is that of the same key as the whole one. */
bool fingerprint_is_of(const fingerprint *f, const fingerprint *whole);

/* "sha-256:" and lower-case hex. `f` is a whole one. */
void fingerprint_write(const fingerprint *f, char text[FINGERPRINT_TEXT]);

#endif
