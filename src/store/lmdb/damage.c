/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that failed are told to the operator, not all of them. */
#include <stdio.h>
#include <time.h>

#include "store/lmdb/apply.h"
#include "store/lmdb/lmdb.h"

enum { TELL_EVERY = 60, /* seconds */ SHOWN_MAX = 120, TEXT_SIZE = 256 };

static uint64_t now_s(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec + 1;
}

/* One of several threads gets the turn. */
static bool takes_turn(lmdb_damage *d)
{
  const uint64_t now = now_s();
  uint64_t told = atomic_load(&d->told);
  return (told == 0 || now >= told + TELL_EVERY) &&
         atomic_compare_exchange_strong(&d->told, &told, now);
}

static const char *reason_of(int rc)
{
  return rc == RECORD_DAMAGED ? "its record is damaged" : mdb_strerror(rc);
}

/* Keys of the server's own records may have any bytes. */
static size_t put_key(char *out, copal_span key)
{
  const size_t shown = key.len < SHOWN_MAX ? key.len : SHOWN_MAX;
  for (size_t i = 0; i < shown; i++)
    out[i] = key.ptr[i] > 0x20 && key.ptr[i] < 0x7f ? (char)key.ptr[i] : '?';
  return shown;
}

void lmdb_damage_tell(lmdb_damage *d, copal_span key, int rc)
{
  char text[TEXT_SIZE];
  if (d->listener == NULL || !takes_turn(d))
    return;
  const size_t len = put_key(text, key);
  snprintf(text + len, sizeof text - len, "%s%s%s", key.len > len ? "..." : "", len > 0 ? ": " : "",
           reason_of(rc));
  d->listener->on_event(d->listener, LMDB_EVENT_DAMAGED, text);
}
