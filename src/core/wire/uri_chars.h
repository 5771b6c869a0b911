/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes of URIs. RFC 3986 sections 2 and 3. */
#ifndef COPAL_CORE_WIRE_URI_CHARS_H
#define COPAL_CORE_WIRE_URI_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"

/* Where a character may stand as itself; a set of these is an unsigned. */
enum {
  URI_UNRESERVED = 1, /* RFC 3986 section 2.3 */
  URI_SUB_DELIM = 2,  /* RFC 3986 section 2.2, without the ampersand */
  URI_AMPERSAND = 4,  /* the sub-delim that separates arguments */
  URI_COLON_AT = 8,
  URI_SLASH = 16,
  URI_QUESTION = 32,
  URI_GEN_REST = 64, /* the gen-delims "[", "]" and "#" */

  URI_REG_NAME = URI_UNRESERVED | URI_SUB_DELIM | URI_AMPERSAND,
  URI_SEGMENT = URI_REG_NAME | URI_COLON_AT,
  URI_PATH = URI_SEGMENT | URI_SLASH,
  URI_QUERY = URI_PATH | URI_QUESTION,
  URI_ARGUMENT = URI_QUERY & ~URI_AMPERSAND,
  URI_ANY = URI_QUERY | URI_GEN_REST,
};

/* The class of a character, or 0 when it always is percent-encoded. */
unsigned uri_class(uint8_t c);

/* Length of the longest prefix of `s` that consists of characters of the set `classes`. */
size_t uri_stretch(copal_span s, unsigned classes);

/* Length of the longest prefix of `s` that consists of characters of the set `classes` and of
 * percent-encoded triplets. */
size_t uri_run(copal_span s, unsigned classes);

/* True for an IPv4address, RFC 3986 section 3.2.2. */
bool uri_is_ipv4(copal_span s);

/* True for an IPv6address, RFC 3986 section 3.2.2, with or without a zone behind "%25", RFC 6874
 * section 2. */
bool uri_is_ipv6(copal_span s);

#endif
