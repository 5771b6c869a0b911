/* SPDX-License-Identifier: Apache-2.0 */
/* The state file: what a server that ends in order hands to the one that starts next, and what is
 * no part of the store because a crash may lose it. Written beside the store, with mode 0600,
 * complete or not at all; removed when it has been read, so that nothing is restored twice.
 *
 *   offset  size
 *   0       8     "copalSTF"
 *   8       4     version of the format, 1
 *   12      4     sections
 *   16      8     wall clock when it was written, microseconds since 1970
 *   24            the sections: name (4 bytes), version of the section (4), length (8), bytes
 *   end-32  32    SHA-256 of all before it
 *
 * All numbers are big-endian. Thread: the main thread, while no shard runs. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  STATE_NAME_SIZE = 4,
  STATE_WHY_SIZE = 256,
};

/* Bytes being collected. Grows; after a failure all later writes do nothing. */
typedef struct state_writer {
  uint8_t *bytes;
  size_t len, cap;
  int err; /* 0 or -ENOMEM */
} state_writer;

/* Appends bytes, or the low `n` bytes (1 to 8) of a number. */
void state_put(state_writer *w, copal_span bytes);
void state_put_uint(state_writer *w, uint64_t v, size_t n);

/* Makes room for so many bytes more, which spares copying what is there when it grows. */
void state_reserve(state_writer *w, size_t len);

/* Wipes and frees what was collected; the writer is empty then. Safe on a zeroed object. */
void state_writer_wipe(state_writer *w);

/* A part of the state. Whoever has something to hand over embeds one. */
typedef struct state_section {
  char name[STATE_NAME_SIZE + 1]; /* unique */
  uint32_t version;               /* that save() writes */

  /* Writes the section. What it cannot write it leaves out. */
  void (*save)(struct state_section *s, state_writer *w);

  /* Takes the bytes of a section in; `age` is how long ago they were written, microseconds. Never
   * called for another version than it knows: `version` is at most its own. Judges every byte:
   * the sum only tells that they are those which were written. */
  void (*load)(struct state_section *s, uint32_t version, copal_span bytes, uint64_t age);
  struct state_section *next; /* the registry's */
} state_section;

/* The sections of a server, in the order in which they are saved and loaded. All zero: none. */
typedef struct state_registry {
  state_section *first, *last;
} state_registry;

/* Adds a section, lent for the registry's life. */
void state_register(state_registry *r, state_section *s);

/* Writes the state of all sections to the directory. Returns the bytes written, or -errno with a
 * sentence in `why`; then there is no state file. */
int64_t state_save(const state_registry *r, const char *dir, char why[STATE_WHY_SIZE]);

/* Reads the state file of the directory, removes it, and hands the sections out. Sections that
 * nobody knows, or knows only in an older version, are passed over. Returns the bytes read, 0 when
 * there is no file, or -errno with a sentence in `why`: -EBADMSG when it is damaged or of a version
 * that is not known, in which case nothing has been handed out. */
int64_t state_load(const state_registry *r, const char *dir, char why[STATE_WHY_SIZE]);

/* Reads the state file and leaves it where it is. Returns as state_load(). */
int64_t state_check(const char *dir, char why[STATE_WHY_SIZE]);

#endif
