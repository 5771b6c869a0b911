/* SPDX-License-Identifier: Apache-2.0 */
/* CoRE link-format: a strict parser, a writer and the filter of /.well-known/core. RFC 6690.
 *
 * Parsed links are views into the document. Nothing is allocated. */
#ifndef COPAL_LINK_H
#define COPAL_LINK_H

#include <stdbool.h>
#include <stddef.h>

#include "copal/cursor.h"
#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

/* One link: "<target>" and the attributes behind it, verbatim. */
typedef struct copal_link {
  copal_span target; /* between the angle brackets */
  copal_span attrs;  /* ";rt=\"a\";ct=40", empty when there are none; known to be well formed */
} copal_link;

/* One attribute of a link. */
typedef struct copal_link_attr {
  copal_span name;
  copal_span value; /* without quotes, escapes still in place; empty for a flag such as "obs" */
  bool has_value;
  bool is_quoted;
} copal_link_attr;

typedef struct copal_link_iter {
  copal_rd rd;
} copal_link_iter;

/* Begins with the first link of `document`, which is borrowed as long as its links are used. */
COPAL_API copal_link_iter copal_link_iter_init(copal_span document);

/* Steps to the next link. Returns false at the end or at a syntax error: then `it->rd.err` is
 * COPAL_ELINK and `it->rd.ptr` stands near the offending byte. RFC 6690 section 2. */
COPAL_API bool copal_link_next(copal_link_iter *it, copal_link *link);

/* Steps through `link->attrs`; `*pos` starts at 0. Returns false behind the last attribute. */
COPAL_API bool copal_link_attr_next(const copal_link *link, size_t *pos, copal_link_attr *attr);

/* First attribute of that name. Returns false when there is none. */
COPAL_API bool copal_link_attr_find(const copal_link *link, copal_span name, copal_link_attr *attr);

/* True when the attribute value, escapes resolved, equals `text`; with `is_prefix` when it begins
 * with it. */
COPAL_API bool copal_link_value_is(copal_span value, copal_span text, bool is_prefix);

/* True when a link passes the filter "name=value" of a discovery query: a trailing "*" matches a
 * prefix, "href" is compared with the target, and the attributes "rt", "if", "rel", "rev" and "ct"
 * are matched word by word. A name without "=" asks for the attribute to be there. An empty filter
 * passes. The filter is percent-decoded already. RFC 6690 section 4.1. */
COPAL_API bool copal_link_is_match(const copal_link *link, copal_span filter);

/* Writer. Begin a link, add its attributes, begin the next; separators are put as needed. */
typedef struct copal_link_wr {
  copal_wr *w; /* borrowed */
  bool is_first;
} copal_link_wr;

/* Begins a document where `w`, which is lent, stands. Errors are those of `w`. */
COPAL_API copal_link_wr copal_link_wr_init(copal_wr *w);

/* `target` must be percent-encoded already. */
COPAL_API void copal_link_put(copal_link_wr *l, copal_span target);

/* ";name=\"value\"" with quotes, backslashes and control characters escaped. */
COPAL_API void copal_link_put_text(copal_link_wr *l, copal_span name, copal_span value);

/* ";name=123" */
COPAL_API void copal_link_put_uint(copal_link_wr *l, copal_span name, uint32_t value);

/* ";name" */
COPAL_API void copal_link_put_flag(copal_link_wr *l, copal_span name);

COPAL_END_DECLS

#endif
