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

#include "copal/cursor.h"
#include "copal/span.h"

enum {
  LINKINDEX_FILTER_MAX = 8,
  LINKINDEX_STRETCH_MAX = 16384, /* stretches of a view that are gone through for one reading */
};

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

/* What one asker sees of the links. */
typedef struct linkindex_view {
  /* Whether links of keys from `key` on are seen, which holds up to `until`, not one of them;
   * nothing in it means the end of all keys. Called with the index's lock held for reading. */
  bool (*shows)(struct linkindex_view *v, copal_span key, copal_wr *until);
  size_t until_max; /* bytes that `until` has room for */
  copal_span name;  /* equal for views that show the same only; empty: nothing of it is kept */
} linkindex_view;

/* Reads a filter from a query argument. */
linkindex_filter linkindex_filter_of(copal_span argument);

/* Writes filters so that what is written is equal for equal ones only. */
void linkindex_filters_put(copal_wr *w, const linkindex_filter *filters, size_t count);

/* An empty index. NULL without memory. */
linkindex *linkindex_open(void);
void linkindex_close(linkindex *x);

/* Adds or replaces the link of a key. `link` is "<key>" with its attributes, well formed; copied.
 * Returns 0, or COPAL_ENOSPC without memory: the key has no link then. */
int linkindex_put(linkindex *x, copal_span key, copal_span link);

/* Removes the link of a key, if there is one. */
void linkindex_remove(linkindex *x, copal_span key);

/* Writes the stretch of the listing that begins at `offset` into `room`: links that pass all
 * filters and that `view` shows (NULL: all), separated by commas. Each link stands once, except
 * under a prefix filter that selects more than `merge_max` bytes: there a link stands once for each
 * of its words that match. Returns 0, COPAL_ENOSPC without memory, or COPAL_ETOOBIG when it would
 * be too much work: links that select more than `merge_max` bytes must be looked at one by one,
 * which is so with several filters and with a filter for an attribute under a view, or the view has
 * more than LINKINDEX_STRETCH_MAX stretches. A view that shows all of the range costs nothing. What
 * is seen of links looked at one by one, by everybody or in a view with a name, is kept for the
 * blocks that follow, as long as no link changes. */
int linkindex_read(linkindex *x, const linkindex_filter *filters, size_t filter_count,
                   linkindex_view *view, uint64_t merge_max, uint64_t offset, copal_mspan room,
                   linkindex_slice *slice);

/* Number of links, and bytes of the unfiltered listing. */
size_t linkindex_count(linkindex *x);
uint64_t linkindex_bytes(linkindex *x);

/* How many links were looked at one by one for listings so far. */
uint64_t linkindex_judged(linkindex *x);

#endif
