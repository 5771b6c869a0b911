/* SPDX-License-Identifier: Apache-2.0 */
/* An immutable representation that is shared between the store and whom it is lent to.
 *
 * Threads: taken and given back from any thread. */
#ifndef STORE_REPRESENTATION_H
#define STORE_REPRESENTATION_H

#include <stdatomic.h>
#include <stddef.h>

#include "store/store.h"

typedef struct representation {
  atomic_uint refs;
  store_item item; /* its spans point behind this structure */
  uint8_t bytes[];
} representation;

/* Copies an item with its spans; the caller holds the one reference. NULL without memory. */
representation *representation_make(const store_item *item);

/* Bytes that a representation of this item takes. */
size_t representation_size(const store_item *item);

/* One more reference. */
void representation_take(representation *r);

/* One reference less; the last one frees. Safe on NULL. */
void representation_give(representation *r);

#endif
