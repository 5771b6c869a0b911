/* SPDX-License-Identifier: Apache-2.0 */
/* Reading from a port of the journal engine: what the overlay shows, else what the database has.
 * The functions are those of store_engine. */
#ifndef STORE_JOURNAL_READ_H
#define STORE_JOURNAL_READ_H

#include "store/journal/engine.h"

store_status read_get(store_port *base, store_space space, copal_span key, store_item *item,
                      copal_time now);

uint32_t read_where(store_port *base, copal_span key);
uint64_t read_state(store_port *base, uint32_t where);

int read_list(store_port *base, const store_range *range, store_each *each, void *ctx,
              copal_time now);

int read_history(store_port *base, copal_span key, size_t max, store_each *each, void *ctx,
                 copal_time now);

#endif
