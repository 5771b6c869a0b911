/* SPDX-License-Identifier: Apache-2.0 */
/* The listings of discovery that are kept. RFC 6690 section 4.1. */
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

/* The place of what was asked for longest ago; free ones never were. The lock is held. */
static linkmemo_entry *oldest(linkmemo *m)
{
  linkmemo_entry *e = &m->entries[0];
  for (int i = 1; i < LINKMEMO_MAX; i++)
    if (m->entries[i].asked < e->asked)
      e = &m->entries[i];
  return e;
}

void linkmemo_put(linkmemo *m, copal_span name, uint64_t generation, copal_span text)
{
  uint8_t *bytes = malloc(name.len + text.len);
  if (bytes == NULL)
    return;
  copal_wr w = copal_wr_init((copal_mspan){bytes, name.len + text.len});
  copal_wr_span(&w, name);
  copal_wr_span(&w, text);
  pthread_mutex_lock(&m->lock);
  linkmemo_entry *e = find(m, name);
  if (e == NULL)
    e = oldest(m);
  uint8_t *old = e->bytes;
  *e = (linkmemo_entry){.bytes = bytes,
                        .name_len = name.len,
                        .len = text.len,
                        .generation = generation,
                        .asked = ++m->questions};
  pthread_mutex_unlock(&m->lock);
  free(old);
}
