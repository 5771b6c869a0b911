/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind copal_path.local. Thread: the owner's only. */
#include "transport/udp_local.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Local addresses are the machine's own, so a plain hash suffices. */
static uint32_t local_hash(const udp_local *l)
{
  uint32_t h = 2166136261u ^ l->socket ^ l->ifindex << 8;
  for (size_t i = 0; i < sizeof l->ip; i++)
    h = (h ^ l->ip[i]) * 16777619u;
  return h ^ h >> 15;
}

bool udp_local_is_equal(const udp_local *a, const udp_local *b)
{
  return a->socket == b->socket && a->ifindex == b->ifindex &&
         memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

void udp_locals_init(udp_locals *t)
{
  memset(t, 0, sizeof *t);
  t->count = 1;
}

uint16_t udp_locals_intern(udp_locals *t, const udp_local *l)
{
  uint32_t at = local_hash(l) % UDP_LOCAL_SLOTS;
  while (t->slots[at] != 0) {
    if (udp_local_is_equal(&t->entries[t->slots[at]], l))
      return t->slots[at];
    at = (at + 1) % UDP_LOCAL_SLOTS;
  }
  if (t->count == UDP_LOCAL_MAX)
    return 0;
  t->entries[t->count] = *l;
  t->slots[at] = t->count;
  return t->count++;
}

const udp_local *udp_locals_at(const udp_locals *t, uint16_t index)
{
  return index != 0 && index < t->count ? &t->entries[index] : NULL;
}
