/* SPDX-License-Identifier: Apache-2.0 */
/* Files of an operator that are read line by line: words, lists with commas, quotes, comments, and
 * complaints that say where. Thread: any; an object is its owner's only. */
#ifndef POLICY_LINES_H
#define POLICY_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "copal/span.h"

enum {
  MISTAKES_SIZE = 4096,
  LINES_FILE_MAX = 64 << 20, /* bytes of a file */
  LINES_ITEM_MAX = 1024,     /* bytes of a word */
  LINES_STAR = 1,            /* stands in an item for a "*" that was neither quoted nor escaped */
};

/* What is wrong: lines of text, each with its place. What does not fit is only counted. */
typedef struct mistakes {
  size_t count;
  size_t len;
  char text[MISTAKES_SIZE];
} mistakes;

/* Adds "file:line: text"; line 0: "file: text". */
void mistakes_add(mistakes *m, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A text being read. Zeroed but for `file`, `left` and `mistakes`. */
typedef struct lines {
  const char *file;   /* for complaints; lent */
  copal_span left;    /* lines not yet looked at; lent */
  mistakes *mistakes; /* lent */
  unsigned number;    /* of the present line, from 1 */
  copal_span rest;    /* of the present line */
  bool is_bad;        /* the present line has a mistake already */
  size_t len;
  char item[LINES_ITEM_MAX + 1];
} lines;

/* Who may be allowed to read a file. */
typedef enum lines_secrecy {
  LINES_OPEN,   /* others may read it, but not write it */
  LINES_SECRET, /* neither others nor a foreign group may read or write it */
} lines_secrecy;

/* Reads a whole file into memory that the caller frees. Returns 0, or COPAL_EINVAL with the reason
 * in `m`. */
int lines_load(const char *path, lines_secrecy secrecy, copal_mspan *text, mistakes *m);

/* The first line in which libconfig would include another file, which nobody would look at for who
 * may read it; 0: none. */
unsigned lines_include(const char *text);

/* Goes to the next line that has something beside a comment; false at the end. */
bool lines_next(lines *l);

/* True when nothing is left of the present line. */
bool lines_is_over(lines *l);

/* Reads an item: up to a blank, the end, or one of `stops`, whichever comes first outside of
 * quotes. Within "..." and behind a backslash every character stands for itself. The text is in
 * `item`, NUL-terminated, `len` bytes, until the next call. Returns false at the end of the line,
 * and after a mistake. */
bool lines_item(lines *l, const char *stops);

/* Skips blanks, and then `c` when it is next; tells whether it was. */
bool lines_skip(lines *l, char c);

/* Complains of the present line: only the first mistake of a line is told. */
void lines_wrong(lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
