/* SPDX-License-Identifier: Apache-2.0 */
/* The two messages by which codecs are compared, and one turn of parsing or writing them. The bench
 * counts the instructions of it on the host, tools/gates on Cortex-M. RFC 7252 section 3. */
#ifndef COPAL_BENCH_REFERENCE_H
#define COPAL_BENCH_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

enum { REFERENCE_RESPONSE_SIZE = 51 };

/* Parses the request of 34 bytes and visits its options. False when that yields anything else than
 * was written into it. */
bool reference_parse(void);

/* Writes the response into REFERENCE_RESPONSE_SIZE bytes. False when it does not fit exactly. */
bool reference_serialise(uint8_t *out);

/* Whether `out` holds the response, byte for byte. */
bool reference_is_response(const uint8_t *out);

#endif
