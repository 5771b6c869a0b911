/* SPDX-License-Identifier: Apache-2.0 */
/* What clients say about resources beside their representation: link attributes, in query arguments
 * or as a link document (RFC 6690 section 2), and lifetimes, in the query (named after RFC 9176
 * section 5). Documented in docs/resources.md. */
#ifndef SERVICE_ATTRS_H
#define SERVICE_ATTRS_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "copal/span.h"
#include "service/problem.h"

/* The query argument of a PUT whose body is a link document and describes the resource. */
#define ATTRS_QUERY "attrs"

/* The query argument of a PUT or POST that gives the resource a lifetime; it is no link attribute.
 */
#define ATTRS_LIFETIME "lt"

/* What a PUT or POST says about the resource's lifetime. */
typedef struct attrs_lifetime {
  bool is_given;
  uint32_t seconds; /* 0: none, from now on */
} attrs_lifetime;

/* Reads ATTRS_LIFETIME from the Uri-Query options. Returns false and the reason when it is there
 * more than once, or no number of seconds below 2^32. */
bool attrs_read_lifetime(copal_span options, attrs_lifetime *lt, problem *why);

/* Room that attrs_from_query() needs at most for the option run. */
size_t attrs_room(copal_span options);

/* True when a Uri-Query option is exactly ATTRS_QUERY. */
bool attrs_is_document(copal_span options);

/* Writes the attributes that the Uri-Query options name: ";rt=\"a\";if=\"b\"", nothing when there
 * are none. Returns false and the reason when an argument is no attribute that can be set, or when
 * they take more than `max` bytes. */
bool attrs_from_query(copal_wr *w, copal_span options, uint32_t max, problem *why);

/* Finds the attributes in a document of one link "<>" or "<key>"; `attrs` points into it. Returns
 * false and the reason when there are several links, another target, an attribute that cannot be
 * set or more than `max` bytes. */
bool attrs_from_document(copal_span document, copal_span key, uint32_t max, copal_span *attrs,
                         problem *why);

#endif
