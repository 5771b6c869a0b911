/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Formats by the names people use. RFC 7252 section 12.3. */
#ifndef COPAL_CMD_MEDIA_H
#define COPAL_CMD_MEDIA_H

#include <stdint.h>

#include "cmd/copal/buf.h"
#include "copal/span.h"

/* What a payload is, whatever its exact media type. */
typedef enum media_kind {
  MEDIA_BINARY,
  MEDIA_TEXT,
  MEDIA_JSON,
  MEDIA_CBOR,
  MEDIA_CBOR_SEQ,
  MEDIA_LINKS,
  MEDIA_SENML_JSON,
  MEDIA_SENML_CBOR,
  MEDIA_PROBLEM,
} media_kind;

enum { MEDIA_NONE = -1 }; /* no Content-Format option */

/* The Content-Format of a number ("50"), a short name ("json", "text", "link", "octets", "problem")
 * or a media type ("application/senml+json"). COPAL_ENOTFOUND otherwise. */
int media_parse(const char *text);

/* "application/json", or "65000" when it is not registered. */
void media_name(uint32_t cf, buf *out);

/* The name without "application/" and parameters, as tables show it: "json", "text/plain". */
void media_short_name(uint32_t cf, buf *out);

/* What a payload of this Content-Format is; with MEDIA_NONE the bytes decide between text, JSON and
 * binary. */
media_kind media_kind_of(int32_t cf, copal_span payload);

#endif
