/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a link's attributes as filters of discovery name them: word lists taken apart,
 * escapes resolved. RFC 6690 sections 2 and 4.1.
 *
 * Threads: any; nothing is shared. */
#ifndef SERVICE_LINKVALUES_H
#define SERVICE_LINKVALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/link.h"
#include "copal/span.h"

enum { LINKVALUES_KEPT = 16 };

typedef struct linkvalue {
  copal_span name, value;
} linkvalue;

/* The values of a link: all are counted, the first ones kept, so that few links are read twice. */
typedef struct linkvalues {
  uint32_t count;
  linkvalue first[LINKVALUES_KEPT];
} linkvalues;

/* Called for each value of each attribute of a link. Returns false to stop. */
typedef bool linkvalues_see(void *ctx, copal_span name, copal_span value);

/* Sees the values of all attributes, which lie in the link or in `scratch`; that has room for as
 * many bytes as the link has. Returns false when it was stopped. */
bool linkvalues_each(const copal_link *l, uint8_t *scratch, linkvalues_see *see, void *ctx);

/* Counts and keeps them; they live as long as the link and `scratch`. */
void linkvalues_read(linkvalues *v, const copal_link *l, uint8_t *scratch);

#endif
