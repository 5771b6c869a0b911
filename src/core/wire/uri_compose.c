/* SPDX-License-Identifier: Apache-2.0 */
/* The URI of a request, put together from its options. RFC 7252 section 6.5. */
#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "core/wire/decimal.h"
#include "core/wire/text.h"
#include "core/wire/uri_chars.h"

enum {
  ASCII_END = 0x80,
  TRIPLET_SIZE = 3,  /* "%41" */
  TRIPLETS_MAX = 16, /* written at once */
  PORT_MAX = 0xffff,
};

static void triplet_fill(uint8_t triplet[TRIPLET_SIZE], uint8_t c)
{
  static const char HEX[] = "0123456789ABCDEF";
  triplet[0] = '%';
  triplet[1] = (uint8_t)HEX[c >> 4];
  triplet[2] = (uint8_t)HEX[c & 15];
}

static void triplet_put(copal_wr *w, uint8_t c)
{
  uint8_t triplet[TRIPLET_SIZE];
  triplet_fill(triplet, c);
  copal_wr_span(w, copal_span_of(triplet, sizeof triplet));
}

/* Writes bytes at the start of `text` that are in none of the classes as triplets, many at once, so
 * that text without ASCII costs little more than with it. Returns how many bytes those were. */
static size_t triplets_put(copal_wr *w, copal_span text, unsigned classes)
{
  uint8_t triplets[TRIPLETS_MAX * TRIPLET_SIZE];
  size_t at = 0;
  for (; at < text.len && at < TRIPLETS_MAX && (uri_class(text.ptr[at]) & classes) == 0; at++)
    triplet_fill(triplets + at * TRIPLET_SIZE, text.ptr[at]);
  copal_wr_span(w, copal_span_of(triplets, at * TRIPLET_SIZE));
  return at;
}

static void text_put(copal_wr *w, copal_span text, unsigned classes)
{
  for (size_t at = 0; at < text.len;) {
    const size_t len = uri_stretch(copal_span_of(text.ptr + at, text.len - at), classes);
    copal_wr_span(w, copal_span_of(text.ptr + at, len));
    at += len;
    if (at < text.len)
      at += triplets_put(w, copal_span_of(text.ptr + at, text.len - at), classes);
  }
}

void copal_uri_put_segment(copal_wr *w, copal_span segment)
{
  text_put(w, segment, URI_SEGMENT);
}

void copal_uri_put_argument(copal_wr *w, copal_span argument)
{
  text_put(w, argument, URI_ARGUMENT);
}

static bool is_triplet(copal_span s)
{
  return s.len >= TRIPLET_SIZE && uri_run(copal_span_of(s.ptr, TRIPLET_SIZE), 0) == TRIPLET_SIZE;
}

/* Writes a host in normal form: lower case, but triplets in upper case. RFC 3986 section
 * 6.2.2.1. */
static void host_text_put(copal_wr *w, copal_span text)
{
  for (size_t i = 0; i < text.len; i++) {
    const copal_span rest = copal_span_of(text.ptr + i, text.len - i);
    if (is_triplet(rest)) {
      triplet_put(w, (uint8_t)(ascii_hex(rest.ptr[1]) << 4 | ascii_hex(rest.ptr[2])));
      i += TRIPLET_SIZE - 1;
    } else if (rest.ptr[0] >= ASCII_END) {
      triplet_put(w, rest.ptr[0]);
    } else {
      copal_wr_u8(w, (uint8_t)ascii_lower(rest.ptr[0]));
    }
  }
}

/* True when `host` is a reg-name once its non-ASCII bytes are percent-encoded. */
static bool is_reg_name(copal_span host)
{
  size_t at = 0;
  while (at < host.len) {
    at += uri_run(copal_span_of(host.ptr + at, host.len - at), URI_REG_NAME);
    if (at == host.len)
      return true;
    if (host.ptr[at] < ASCII_END)
      return false;
    at++;
  }
  return host.len > 0;
}

static bool is_ip_literal(copal_span host)
{
  return host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']' &&
         uri_is_ipv6(copal_span_of(host.ptr + 1, host.len - 2));
}

/* The address a request was sent to. A zone is written raw by the operating system and behind
 * "%25" in a URI, RFC 6874 section 2. */
static void base_host_put(copal_wr *w, const copal_uri_base *base)
{
  if (!base->host_is_ipv6) {
    host_text_put(w, base->host);
    return;
  }
  copal_wr_u8(w, '[');
  for (size_t i = 0; i < base->host.len; i++) {
    const copal_span rest = copal_span_of(base->host.ptr + i, base->host.len - i);
    copal_wr_u8(w, (uint8_t)ascii_lower(rest.ptr[0]));
    if (rest.ptr[0] == '%' && !copal_span_has_prefix(rest, copal_span_str("%25")))
      copal_wr_span(w, copal_span_str("25"));
  }
  copal_wr_u8(w, ']');
}

static int host_put(copal_wr *w, const copal_uri_base *base, copal_span options)
{
  copal_span host;
  if (!copal_opt_find(options, COPAL_OPT_URI_HOST, &host)) {
    base_host_put(w, base);
    return COPAL_OK;
  }
  if (!is_reg_name(host) && !is_ip_literal(host))
    return COPAL_EURI;
  host_text_put(w, host);
  return COPAL_OK;
}

int copal_uri_path_from_options(copal_span options, uint16_t path_opt, uint16_t query_opt,
                                copal_wr *w)
{
  copal_opt opt;
  bool has_path = false;
  for (copal_opt_iter it = copal_opt_iter_init(options); copal_opt_next(&it, &opt);) {
    if (opt.number != path_opt)
      continue;
    has_path = true;
    copal_wr_u8(w, '/');
    copal_uri_put_segment(w, opt.value);
  }
  if (!has_path)
    copal_wr_u8(w, '/');
  uint8_t mark = '?';
  for (copal_opt_iter it = copal_opt_iter_init(options); copal_opt_next(&it, &opt);) {
    if (opt.number != query_opt)
      continue;
    copal_wr_u8(w, mark);
    copal_uri_put_argument(w, opt.value);
    mark = '&';
  }
  return w->err;
}

int copal_uri_from_options(const copal_uri_base *base, copal_span options, copal_wr *w)
{
  copal_wr_span(w, copal_span_str(copal_scheme_name(base->scheme)));
  copal_wr_span(w, copal_span_str("://"));
  const int err = host_put(w, base, options);
  if (err != COPAL_OK)
    return err;
  const uint32_t port = copal_opt_uint_or(options, COPAL_OPT_URI_PORT, base->port);
  if (port > PORT_MAX)
    return COPAL_EURI;
  if (port != copal_scheme_port(base->scheme)) {
    copal_wr_u8(w, ':');
    copal_wr_decimal(w, port);
  }
  return copal_uri_path_from_options(options, COPAL_OPT_URI_PATH, COPAL_OPT_URI_QUERY, w);
}
