/* SPDX-License-Identifier: Apache-2.0 */
/* CoAP URIs: taken apart into options and put together from them. RFC 7252 section 6, RFC 8323
 * section 8, RFC 3986 for the generic syntax. No allocation; decoded text goes into storage of the
 * caller. */
#ifndef COPAL_URI_H
#define COPAL_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "copal/option.h"
#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

typedef enum copal_scheme {
  COPAL_SCHEME_COAP,
  COPAL_SCHEME_COAPS,
  COPAL_SCHEME_COAP_TCP,
  COPAL_SCHEME_COAPS_TCP,
  COPAL_SCHEME_COAP_WS,
  COPAL_SCHEME_COAPS_WS,
} copal_scheme;

/* What an absolute URI consists of. All spans point into the text that was parsed and are still
 * percent-encoded. */
typedef struct copal_uri {
  copal_scheme scheme;
  copal_span
      host; /* reg-name, IPv4 literal, or what stands between the brackets of an IPv6 literal */
  bool host_is_ipv6; /* host was a bracketed IPv6 literal; a zone id stands behind "%25" as in RFC
                        6874 */
  bool host_is_ipv4; /* host is a dotted IPv4 literal */
  uint16_t port;     /* given, or the scheme's default */
  copal_span path;   /* without the leading slash; empty for "" and "/" */
  bool has_query;
  copal_span query; /* without the "?" */
} copal_uri;

/* "coap", "coaps+tcp", ... Static storage. */
COPAL_API const char *copal_scheme_name(copal_scheme s);

/* 5683, 5684, 80 or 443. RFC 7252 section 6, RFC 8323 section 8. */
COPAL_API uint16_t copal_scheme_port(copal_scheme s);

/* True when the scheme demands DTLS or TLS. */
COPAL_API bool copal_scheme_is_secure(copal_scheme s);

/* Parses an absolute URI. Returns COPAL_OK, or COPAL_EURI: not absolute, unknown scheme, user info,
 * empty host, fragment, bad port, bad percent-encoding, or a character that RFC 3986 does not allow
 * at its place.
 * `*at` (may be NULL) receives the offset of the offending byte. RFC 7252 section 6.4 steps 1 to 4.
 */
COPAL_API int copal_uri_parse(copal_span text, copal_uri *uri, size_t *at);

/* Adds the Uri-Host, Uri-Port, Uri-Path and Uri-Query options of `uri` to `list`, decoded into
 * `scratch` (at least as long as the URI), without dot segments (RFC 3986 section 5.2.4). Uri-Host
 * is added unless the host is an IP literal or `omit_host`; Uri-Port is never needed when the
 * request goes to the URI's own port and is not added. Returns COPAL_OK, COPAL_ENOSPC, or
 * COPAL_EURI for a segment or argument longer than 255 bytes. RFC 7252 section 6.4 steps 5 to 9. */
COPAL_API int copal_uri_to_options(const copal_uri *uri, bool omit_host, copal_wr *scratch,
                                   copal_opt_list *list);

/* Where a request arrived or goes to; supplies the parts that its options leave out. */
typedef struct copal_uri_base {
  copal_scheme scheme;
  copal_span host; /* textual, IPv6 without brackets */
  bool host_is_ipv6;
  uint16_t port;
} copal_uri_base;

/* Writes the request URI of an option run, percent-encoded with upper-case digits and normalised.
 * Returns COPAL_OK, COPAL_ENOSPC, or COPAL_EURI when Uri-Host is not a valid host or
 * Uri-Port not a port. RFC 7252 section 6.5. */
COPAL_API int copal_uri_from_options(const copal_uri_base *base, copal_span options, copal_wr *w);

/* Writes only path and query of the option run: "/a/b?c=d". `path_opt` and `query_opt` are the
 * option numbers to read, Uri-Path and Uri-Query or Location-Path and Location-Query. */
COPAL_API int copal_uri_path_from_options(copal_span options, uint16_t path_opt, uint16_t query_opt,
                                          copal_wr *w);

/* Percent-encodes one decoded path segment (no "/"), or one query argument (no "&"), into `w`. */
COPAL_API void copal_uri_put_segment(copal_wr *w, copal_span segment);
COPAL_API void copal_uri_put_argument(copal_wr *w, copal_span argument);

/* Decodes percent-encoding into `w`. COPAL_EURI at a malformed triplet. */
COPAL_API int copal_uri_decode(copal_span text, copal_wr *w);

COPAL_END_DECLS

#endif
