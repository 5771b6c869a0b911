/* SPDX-License-Identifier: Apache-2.0 */
/* Taking CoAP URIs apart. RFC 7252 sections 6.1, 6.2 and 6.4, RFC 8323 section 8, RFC 3986
 * sections 3 and 4.3. */
#include "copal/uri.h"
#include "copal/error.h"
#include "core/wire/text.h"
#include "core/wire/uri_chars.h"

enum { PORT_MAX = 0xffff };

typedef struct scheme_row {
  char name[10];
  uint16_t port;
  bool is_secure;
} scheme_row;

/* Indexed by copal_scheme. RFC 7252 sections 6.1 and 6.2, RFC 8323 section 8. */
static const scheme_row SCHEMES[] = {
    {"coap", 5683, false},     {"coaps", 5684, true},  {"coap+tcp", 5683, false},
    {"coaps+tcp", 5684, true}, {"coap+ws", 80, false}, {"coaps+ws", 443, true},
};

enum { SCHEME_COUNT = sizeof SCHEMES / sizeof SCHEMES[0] };

const char *copal_scheme_name(copal_scheme s)
{
  return SCHEMES[s].name;
}

uint16_t copal_scheme_port(copal_scheme s)
{
  return SCHEMES[s].port;
}

bool copal_scheme_is_secure(copal_scheme s)
{
  return SCHEMES[s].is_secure;
}

/* Compares with lower-case text, ignoring the case of `s`. */
static bool is_word(copal_span s, const char *lower)
{
  for (size_t i = 0; i < s.len; i++) {
    if (lower[i] == '\0' || ascii_lower(s.ptr[i]) != lower[i])
      return false;
  }
  return lower[s.len] == '\0';
}

static bool next_is(const copal_rd *r, char c)
{
  return r->left > 0 && *r->ptr == (uint8_t)c;
}

static bool skip(copal_rd *r, char c)
{
  if (!next_is(r, c))
    return false;
  (void)copal_rd_span(r, 1);
  return true;
}

/* scheme "://" */
static int scheme_parse(copal_rd *r, copal_uri *uri)
{
  const copal_span rest = copal_rd_rest(r);
  const uint8_t *colon = span_find(rest, ':');
  if (colon == NULL)
    return COPAL_EURI;
  const copal_span name = copal_span_of(rest.ptr, (size_t)(colon - rest.ptr));
  int i = 0;
  while (i < SCHEME_COUNT && !is_word(name, SCHEMES[i].name))
    i++;
  if (i == SCHEME_COUNT)
    return COPAL_EURI;
  uri->scheme = (copal_scheme)i;
  (void)copal_rd_span(r, name.len + 1);
  return skip(r, '/') && skip(r, '/') ? COPAL_OK : COPAL_EURI;
}

/* A literal in brackets. IPvFuture has no meaning for CoAP and is refused. */
static int literal_parse(copal_rd *r, copal_uri *uri)
{
  const copal_span rest = copal_rd_rest(r);
  const uint8_t *end = span_find(rest, ']');
  if (end == NULL)
    return COPAL_EURI;
  const copal_span host = copal_span_of(rest.ptr, (size_t)(end - rest.ptr));
  if (!uri_is_ipv6(host))
    return COPAL_EURI;
  uri->host = copal_rd_span(r, host.len);
  uri->host_is_ipv6 = true;
  (void)copal_rd_span(r, 1);
  return COPAL_OK;
}

static int host_parse(copal_rd *r, copal_uri *uri)
{
  if (skip(r, '['))
    return r->left > 0 ? literal_parse(r, uri) : COPAL_EURI;
  uri->host = copal_rd_span(r, uri_run(copal_rd_rest(r), URI_REG_NAME));
  uri->host_is_ipv4 = uri_is_ipv4(uri->host);
  return uri->host.len > 0 ? COPAL_OK : COPAL_EURI;
}

/* ":" and digits; an empty port means the default one, RFC 3986 section 3.2.3. */
static int port_parse(copal_rd *r, copal_uri *uri)
{
  uri->port = copal_scheme_port(uri->scheme);
  if (!skip(r, ':') || r->left == 0 || !ascii_is_digit(*r->ptr))
    return COPAL_OK;
  uint32_t port = 0;
  while (r->left > 0 && ascii_is_digit(*r->ptr)) {
    port = port * 10 + (uint32_t)(*r->ptr - '0');
    if (port > PORT_MAX)
      return COPAL_EURI;
    (void)copal_rd_span(r, 1);
  }
  uri->port = (uint16_t)port;
  return port > 0 ? COPAL_OK : COPAL_EURI;
}

/* Path and query; nothing may follow them, not even a fragment. */
static int tail_parse(copal_rd *r, copal_uri *uri)
{
  if (skip(r, '/'))
    uri->path = copal_rd_span(r, uri_run(copal_rd_rest(r), URI_PATH));
  uri->has_query = skip(r, '?');
  if (uri->has_query)
    uri->query = copal_rd_span(r, uri_run(copal_rd_rest(r), URI_QUERY));
  return r->left == 0 ? COPAL_OK : COPAL_EURI;
}

int copal_uri_parse(copal_span text, copal_uri *uri, size_t *at)
{
  *uri = (copal_uri){0};
  copal_rd r = copal_rd_init(text);
  int err = scheme_parse(&r, uri);
  if (err == COPAL_OK)
    err = host_parse(&r, uri);
  if (err == COPAL_OK)
    err = port_parse(&r, uri);
  if (err == COPAL_OK)
    err = tail_parse(&r, uri);
  if (at != NULL)
    *at = text.len - r.left;
  return err;
}
