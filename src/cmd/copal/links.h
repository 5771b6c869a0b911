/* SPDX-License-Identifier: Apache-2.0 */
/* Link-format documents as aligned text, as a discovery table and as JSON. RFC 6690 section 2. */
#ifndef COPAL_CMD_LINKS_H
#define COPAL_CMD_LINKS_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "cmd/copal/table.h"
#include "copal/span.h"

/* All return false, with nothing written, when the document is malformed. */

/* One link on a line: the target, then its attributes as they stand. */
bool links_print(copal_span document, const style *s, buf *b);

/* A table: path, Content-Formats by name, rt, if, title, sz, obs; with heading. */
bool links_table(copal_span document, const style *s, buf *b);

/* Adds a row for each link to a table of LINKS_MERGED_COLUMNS columns: server, path,
 * Content-Formats, rt, if, title. */
enum { LINKS_MERGED_COLUMNS = 6 };
bool links_merge(copal_span document, const char *server, table *t);
void links_merge_head(table *t);

/* An array of objects with "href" and the attributes; "ct" and "sz" are numbers where they are one,
 * "obs" and other flags are true, a repeated attribute is an array. */
bool links_json(copal_span document, buf *b);

#endif
