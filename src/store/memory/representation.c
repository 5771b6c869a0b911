/* SPDX-License-Identifier: Apache-2.0 */
/* Shared immutable representations. */
#include "store/memory/representation.h"

#include <stdlib.h>
#include <string.h>

size_t representation_size(const store_item *item)
{
  return sizeof(representation) + item->body.len + item->attrs.len;
}

static copal_span keep(uint8_t **at, copal_span s)
{
  const copal_span kept = copal_span_of(*at, s.len);
  if (s.len > 0)
    memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return kept;
}

representation *representation_make(const store_item *item)
{
  representation *r = malloc(representation_size(item));
  if (r == NULL)
    return NULL;
  atomic_init(&r->refs, 1);
  r->item = *item;
  uint8_t *at = r->bytes;
  r->item.body = keep(&at, item->body);
  r->item.attrs = keep(&at, item->attrs);
  return r;
}

void representation_take(representation *r)
{
  atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
}

void representation_give(representation *r)
{
  /* The last holder must see all reads of the others done before it frees. */
  if (r != NULL && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
    free(r);
}
