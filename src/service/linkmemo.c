/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that are kept for their further blocks. RFC 7959 section 2.4. */
#include "service/linkmemo.h"

#include <stdlib.h>
#include <string.h>

#include "copal/cursor.h"

void linkmemo_init(linkmemo *m)
{
  *m = (linkmemo){0};
  pthread_mutex_init(&m->lock, NULL);
}

void linkmemo_wipe(linkmemo *m)
{
  for (int i = 0; i < LINKMEMO_MAX; i++)
    free(m->entries[i].bytes);
  pthread_mutex_destroy(&m->lock);
}

/* The lock is held. */
static linkmemo_entry *find(linkmemo *m, copal_span name)
{
  for (int i = 0; i < LINKMEMO_MAX; i++) {
    linkmemo_entry *e = &m->entries[i];
    if (e->bytes != NULL && copal_span_is_equal(copal_span_of(e->bytes, e->name_len), name))
      return e;
  }
  return NULL;
}

bool linkmemo_get(linkmemo *m, copal_span name, uint64_t generation, uint64_t offset,
                  copal_mspan room, size_t *len, uint64_t *total)
{
  pthread_mutex_lock(&m->lock);
  linkmemo_entry *e = find(m, name);
  const bool is_kept = e != NULL && e->generation == generation;
  if (is_kept) {
    const size_t from = offset < e->len ? (size_t)offset : e->len;
    const size_t left = e->len - from;
    *total = e->len;
    *len = left < room.len ? left : room.len;
    if (*len > 0)
      memcpy(room.ptr, e->bytes + e->name_len + from, *len);
    e->asked = ++m->questions;
  }
  pthread_mutex_unlock(&m->lock);
  return is_kept;
}

/* Of two places the one that gives way first: what was asked for longest ago. */
static linkmemo_entry *older(linkmemo_entry *a, linkmemo_entry *b)
{
  return b->asked < a->asked ? b : a;
}

/* Free places were never asked for. The lock is held. */
static linkmemo_entry *oldest(linkmemo *m)
{
  linkmemo_entry *e = &m->entries[0];
  for (int i = 1; i < LINKMEMO_MAX; i++)
    e = older(e, &m->entries[i]);
  return e;
}

/* There is one. The lock is held. */
static linkmemo_entry *oldest_kept(linkmemo *m)
{
  linkmemo_entry *e = NULL;
  for (int i = 0; i < LINKMEMO_MAX; i++)
    if (m->entries[i].bytes != NULL)
      e = e != NULL ? older(e, &m->entries[i]) : &m->entries[i];
  return e;
}

static size_t size_of(const linkmemo_entry *e)
{
  return e->bytes != NULL ? e->name_len + e->len : 0;
}

/* The lock is held. */
static void drop(linkmemo *m, linkmemo_entry *e)
{
  m->size -= size_of(e);
  free(e->bytes);
  *e = (linkmemo_entry){0};
}

/* The place for a text of that size. The lock is held. */
static linkmemo_entry *make_place(linkmemo *m, copal_span name, size_t size)
{
  linkmemo_entry *e = find(m, name);
  if (e == NULL)
    e = oldest(m);
  drop(m, e);
  while (m->size > LINKMEMO_BYTES_MAX - size)
    drop(m, oldest_kept(m));
  return e;
}

void linkmemo_put(linkmemo *m, copal_span name, uint64_t generation, copal_span text)
{
  const size_t size = name.len + text.len;
  uint8_t *bytes = size <= LINKMEMO_BYTES_MAX ? malloc(size) : NULL;
  if (bytes == NULL)
    return;
  copal_wr w = copal_wr_init((copal_mspan){bytes, size});
  copal_wr_span(&w, name);
  copal_wr_span(&w, text);
  pthread_mutex_lock(&m->lock);
  *make_place(m, name, size) = (linkmemo_entry){.bytes = bytes,
                                                .name_len = name.len,
                                                .len = text.len,
                                                .generation = generation,
                                                .asked = ++m->questions};
  m->size += size;
  pthread_mutex_unlock(&m->lock);
}
