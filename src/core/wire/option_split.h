/* SPDX-License-Identifier: Apache-2.0 */
/* Where the options of a message end. RFC 7252 section 3. */
#ifndef COPAL_CORE_WIRE_OPTION_SPLIT_H
#define COPAL_CORE_WIRE_OPTION_SPLIT_H

#include "copal/msg.h"

/* Reads the value of a nibble with its extension bytes. COPAL_EFORMAT sticks to the reader for
 * nibble 15 and for missing bytes. */
uint32_t copal_ext_get(copal_rd *r, unsigned nibble);

/* Divides what is left of `r`, the bytes behind the token, into `m->options` and `m->payload` and
 * checks the options.
 * Returns COPAL_OK or COPAL_EFORMAT: an option that does not fit, a reserved nibble, a number above
 * 65535, or a payload marker with nothing behind it. RFC 7252 sections 3 and 3.1. */
int copal_opt_split(const copal_rd *r, copal_msg *m);

#endif
