/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered index of links and of their attribute values, from which any stretch of a listing is
 * read in O(depth + stretch). RFC 6690 sections 2 and 4.1.
 *
 * Threads: any; a lock of its own. */
#ifndef SERVICE_LINKINDEX_H
#define SERVICE_LINKINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum { LINKINDEX_FILTER_MAX = 8 };

typedef struct linkindex linkindex;

/* One condition on links: "name=value" with a trailing "*" for prefixes; a name alone asks for the
 * attribute's presence. */
typedef struct linkindex_filter {
  copal_span name;
  copal_span value; /* without the "*" */
  bool is_prefix;
} linkindex_filter;

/* A stretch of a listing. */
typedef struct linkindex_slice {
  uint64_t total;      /* bytes of the whole listing */
  size_t len;          /* bytes written */
  uint64_t generation; /* equal for equal listings of the same filters */
} linkindex_slice;

/* Reads a filter from a query argument. */
linkindex_filter linkindex_filter_of(copal_span argument);

/* An empty index; `seed` is unpredictable. NULL without memory. */
linkindex *linkindex_open(uint64_t seed);
void linkindex_close(linkindex *x);

/* Adds or replaces the link of a key. `link` is "<key>" with its attributes, well formed; copied.
 * Returns 0, or COPAL_ENOSPC without memory: the key has no link then. */
int linkindex_put(linkindex *x, copal_span key, copal_span link);

/* Removes the link of a key, if there is one. */
void linkindex_remove(linkindex *x, copal_span key);

/* Writes the stretch of the listing that begins at `offset` into `room`: links that pass all
 * filters, separated by commas. Each link stands once, except under a prefix filter that selects
 * more than `merge_max` bytes: there a link stands once for each of its words that match. Returns
 * 0, or COPAL_ETOOBIG for several filters of which each selects more than `merge_max` bytes. */
int linkindex_read(linkindex *x, const linkindex_filter *filters, size_t filter_count,
                   uint64_t merge_max, uint64_t offset, copal_mspan room, linkindex_slice *slice);

/* Number of links, and bytes of the unfiltered listing. */
size_t linkindex_count(linkindex *x);
uint64_t linkindex_bytes(linkindex *x);

#endif
