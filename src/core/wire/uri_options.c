/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a URI. RFC 7252 section 6.4, RFC 3986 sections 2.1 and 5.2.4. */
#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "core/wire/text.h"

enum {
  TRIPLET_SIZE = 3,      /* "%41" */
  OPTION_VALUE_MAX = 255 /* Uri-Host, Uri-Path and Uri-Query, RFC 7252 section 5.10 */
};

/* With `to_lower`, characters that are not encoded become lower case. */
static int decode(copal_span text, bool to_lower, copal_wr *w)
{
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] != '%') {
      copal_wr_u8(w, to_lower ? (uint8_t)ascii_lower(text.ptr[i]) : text.ptr[i]);
      continue;
    }
    const int high = text.len - i >= TRIPLET_SIZE ? ascii_hex(text.ptr[i + 1]) : -1;
    const int low = text.len - i >= TRIPLET_SIZE ? ascii_hex(text.ptr[i + 2]) : -1;
    if (high < 0 || low < 0)
      return COPAL_EURI;
    copal_wr_u8(w, (uint8_t)(high << 4 | low));
    i += TRIPLET_SIZE - 1;
  }
  return w->err;
}

int copal_uri_decode(copal_span text, copal_wr *w)
{
  return decode(text, false, w);
}

/* Where decoded values and options go. */
typedef struct sink {
  copal_wr *scratch;
  copal_opt_list *list;
} sink;

/* Adds one option. The host becomes lower case before it is decoded, so that an encoded capital
 * stays one: RFC 7252 section 6.4 step 5. */
static int option_add(const sink *to, uint16_t number, copal_span text)
{
  copal_wr *w = to->scratch;
  const size_t start = w->len;
  const int err = decode(text, number == COPAL_OPT_URI_HOST, w);
  if (err != COPAL_OK)
    return err;
  if (w->len - start > OPTION_VALUE_MAX)
    return COPAL_EURI;
  copal_opt_list_add(to->list, number, copal_span_of(w->buf + start, w->len - start));
  return to->list->err;
}

/* The parts of a text between delimiters. */
typedef struct parts {
  copal_span rest;
  char delimiter;
  bool is_done;
} parts;

/* Steps to the next part. Returns false behind the last; a trailing delimiter is followed by an
 * empty part. */
static bool part_next(parts *p, copal_span *part)
{
  if (p->is_done)
    return false;
  size_t n = 0;
  while (n < p->rest.len && p->rest.ptr[n] != (uint8_t)p->delimiter)
    n++;
  *part = copal_span_of(p->rest.ptr, n);
  p->is_done = n == p->rest.len;
  if (!p->is_done)
    p->rest = copal_span_of(p->rest.ptr + n + 1, p->rest.len - n - 1);
  return true;
}

/* Number of dots in a segment that consists of one or two, perhaps encoded, else 0. */
static unsigned dots(copal_span segment)
{
  unsigned n = 0;
  for (size_t i = 0; i < segment.len; n++) {
    const bool is_encoded = segment.len - i >= TRIPLET_SIZE && segment.ptr[i] == '%' &&
                            segment.ptr[i + 1] == '2' && ascii_lower(segment.ptr[i + 2]) == 'e';
    if (!is_encoded && segment.ptr[i] != '.')
      return 0;
    i += is_encoded ? TRIPLET_SIZE : 1;
  }
  return n <= 2 ? n : 0;
}

/* True when a later ".." takes the segment before `behind` away. RFC 3986 section 5.2.4. */
static bool is_taken_back(parts behind)
{
  unsigned depth = 0;
  copal_span segment;
  while (part_next(&behind, &segment)) {
    const unsigned n = dots(segment);
    if (n == 0)
      depth++;
    else if (n == 2 && depth-- == 0)
      return true;
  }
  return false;
}

static int path_add(const sink *to, copal_span path)
{
  parts p = {.rest = path, .delimiter = '/'};
  copal_span segment;
  bool is_first = true;
  while (part_next(&p, &segment)) {
    if (dots(segment) > 0) {
      if (!p.is_done)
        continue;
      segment = copal_span_none(); /* "/a/." is "/a/" */
    } else if (is_taken_back(p)) {
      continue;
    }
    /* A path of a single slash has no options. */
    if (segment.len == 0 && is_first && p.is_done)
      break;
    is_first = false;
    const int err = option_add(to, COPAL_OPT_URI_PATH, segment);
    if (err != COPAL_OK)
      return err;
  }
  return COPAL_OK;
}

static int query_add(const sink *to, copal_span query)
{
  parts p = {.rest = query, .delimiter = '&'};
  copal_span argument;
  while (part_next(&p, &argument)) {
    const int err = option_add(to, COPAL_OPT_URI_QUERY, argument);
    if (err != COPAL_OK)
      return err;
  }
  return COPAL_OK;
}

int copal_uri_to_options(const copal_uri *uri, bool omit_host, copal_wr *scratch,
                         copal_opt_list *list)
{
  const sink to = {.scratch = scratch, .list = list};
  int err = COPAL_OK;
  if (!omit_host && !uri->host_is_ipv4 && !uri->host_is_ipv6)
    err = option_add(&to, COPAL_OPT_URI_HOST, uri->host);
  if (err == COPAL_OK)
    err = path_add(&to, uri->path);
  if (err == COPAL_OK && uri->has_query)
    err = query_add(&to, uri->query);
  return err;
}
