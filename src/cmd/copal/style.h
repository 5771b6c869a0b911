/* SPDX-License-Identifier: Apache-2.0 */
/* How text looks on a terminal: colours, width, and text from the network made harmless. */
#ifndef COPAL_CMD_STYLE_H
#define COPAL_CMD_STYLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/copal/buf.h"
#include "copal/span.h"

typedef struct style {
  bool color;
  size_t width; /* columns */
} style;

typedef enum style_color { STYLE_COLOR_AUTO, STYLE_COLOR_ALWAYS, STYLE_COLOR_NEVER } style_color;

typedef enum ink { INK_KEY, INK_STRING, INK_NUMBER, INK_WORD, INK_DIM, INK_GOOD, INK_BAD } ink;

/* The style for a file descriptor. Colours are used with ALWAYS, or with AUTO when `fd` is a
 * terminal, TERM is not "dumb" and NO_COLOR is unset or empty. */
style style_for(int fd, style_color color);

/* Writes `text` in a colour, or as it is. */
void style_put(const style *s, buf *b, ink i, copal_span text);
void style_text(const style *s, buf *b, ink i, const char *text);

/* Text that cannot drive a terminal: control characters and bidirectional overrides become escapes,
 * bytes that are not UTF-8 become \xNN. Line breaks and tabs stay. */
void safe_text(buf *b, copal_span text);

/* The same on one line: line breaks and tabs become \n and \t. */
void safe_line(buf *b, copal_span text);

/* True for valid UTF-8 without control characters other than line breaks and tabs. */
bool safe_is_text(copal_span text);

/* Length in bytes (1 to 4) of the UTF-8 character that begins `text`, its value in `*cp`; 0 when it
 * is malformed. RFC 3629 section 4. */
size_t utf8_next(copal_span text, uint32_t *cp);

/* Columns that safe text takes, one for each character. */
size_t utf8_width(copal_span text);

#endif
