/* SPDX-License-Identifier: Apache-2.0 */
/* A keyed hash of resource paths that who chooses the paths cannot steer: SipHash-1-3. */
#ifndef STORE_KEYHASH_H
#define STORE_KEYHASH_H

#include <stdint.h>

#include "copal/span.h"

typedef struct keyhash_secret {
  uint64_t word[2];
} keyhash_secret;

uint64_t keyhash(const keyhash_secret *secret, copal_span bytes);

#endif
