/* SPDX-License-Identifier: Apache-2.0 */
/* Whether CBOR is well formed. RFC 8949 section 5.3.1 and appendix C. */
#ifndef COPAL_CMD_CBOR_CHECK_H
#define COPAL_CMD_CBOR_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "copal/span.h"

enum { CBOR_CHECK_DEPTH_MAX = 64 };

/* True when `bytes` begin with a well-formed data item nested at most CBOR_CHECK_DEPTH_MAX levels
 * deep; `*size` receives its bytes. Lengths and counts that exceed the bytes there are refused, so
 * that whoever decodes the item need not fear what they claim. */
bool cbor_check_item(copal_span bytes, size_t *size);

#endif
