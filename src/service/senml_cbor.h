/* SPDX-License-Identifier: Apache-2.0 */
/* SenML in CBOR, to and from the JSON form. RFC 8428 section 6, RFC 8949. */
#ifndef SERVICE_SENML_CBOR_H
#define SERVICE_SENML_CBOR_H

#include <jansson.h>
#include <stddef.h>

#include "copal/span.h"

/* Nesting accepted. */
enum { SENML_CBOR_DEPTH_MAX = 16 };

/* Reads one data item. Integer labels become the names of RFC 8428 table 4, data values base64url
 * text. Returns NULL with `*err` COPAL_EFORMAT (not well-formed CBOR), COPAL_EINVAL (CBOR that JSON
 * cannot express) or COPAL_ENOSPC. */
json_t *senml_cbor_read(copal_span bytes, int *err);

/* Writes a value the other way. Returns 0 and bytes that the caller frees, COPAL_ETOOBIG beyond
 * `max`, COPAL_EINVAL for data values that are not base64url, or COPAL_ENOSPC. */
int senml_cbor_write(const json_t *value, size_t max, copal_mspan *bytes);

#endif
