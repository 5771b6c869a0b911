/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as RFC 3720 section 12.1 has it: what the journal tells torn and damaged
 * bytes by. */
#ifndef STORE_JOURNAL_CRC32C_H
#define STORE_JOURNAL_CRC32C_H

#include <stdint.h>

#include "copal/span.h"

/* The checksum of all bytes before, of which `crc` is the checksum, and these; 0 begins. From any
 * thread. */
uint32_t crc32c(uint32_t crc, copal_span bytes);

#endif
