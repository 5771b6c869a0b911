/* SPDX-License-Identifier: Apache-2.0 */
/* Where the options of a message end. RFC 7252 section 3. */
#ifndef COPAL_CORE_WIRE_OPTION_SPLIT_H
#define COPAL_CORE_WIRE_OPTION_SPLIT_H

#include "copal/option.h"

/* Reads the value of a nibble with its extension bytes. COPAL_EFORMAT sticks to the reader for
 * nibble 15 and for missing bytes. */
uint32_t copal_ext_get(copal_rd *r, unsigned nibble);

/* Divides what stands behind the token into the option run and the payload, and checks the run.
 * Returns COPAL_OK or COPAL_EFORMAT: an option that does not fit, a reserved nibble, a number above
 * 65535, or a payload marker with nothing behind it. RFC 7252 sections 3 and 3.1. */
int copal_opt_split(copal_span body, copal_span *options, copal_span *payload);

#endif
