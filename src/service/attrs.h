/* SPDX-License-Identifier: Apache-2.0 */
/* Link attributes that clients give to resources, in query arguments or as a link document. RFC
 * 6690 section 2; documented in docs/resources.md. */
#ifndef SERVICE_ATTRS_H
#define SERVICE_ATTRS_H

#include <stdbool.h>

#include "copal/cursor.h"
#include "copal/span.h"
#include "service/problem.h"

/* The query argument of a PUT whose body is a link document and describes the resource. */
#define ATTRS_QUERY "attrs"

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
