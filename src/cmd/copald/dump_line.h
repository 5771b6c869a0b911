/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a dump: one JSON object each, described in docs/store-format.md. The first says what
 * follows, the last that nothing is missing. Thread: any. */
#ifndef COPALD_DUMP_LINE_H
#define COPALD_DUMP_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"
#include "store/lmdb/record.h"

enum {
  DUMP_FORMAT = 1,
  DUMP_WHY_SIZE = 200,
};

/* The first line. */
typedef struct dump_head {
  store_rev rev;      /* last one given out by the store */
  uint64_t resources; /* in the store when it was dumped; for progress only */
} dump_head;

/* One resource as it was read. */
typedef struct dump_item {
  record rec; /* `path` is the resource's; spans point into the JSON object or to `body`, `attrs` */
  bool has_rev, has_etag, has_wall;
  uint8_t *body, *attrs; /* decoded, the object's own; NULL: none */
} dump_item;

/* Return a new object, or NULL when memory is short. `now` is microseconds since 1970. */
json_t *dump_head_make(const dump_head *head, uint64_t now);
json_t *dump_item_make(copal_span path, const record *r, uint64_t now);
json_t *dump_end_make(uint64_t resources);

/* Read a line. Return false with a sentence in `why`. */
bool dump_head_read(const json_t *line, dump_head *head, char why[DUMP_WHY_SIZE]);
bool dump_item_read(const json_t *line, dump_item *item, char why[DUMP_WHY_SIZE]);

/* True for a last line; `resources` that it counts. */
bool dump_end_read(const json_t *line, uint64_t *resources);

/* Safe on a zeroed object. */
void dump_item_wipe(dump_item *item);

#endif
