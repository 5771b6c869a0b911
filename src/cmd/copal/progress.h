/* SPDX-License-Identifier: Apache-2.0 */
/* A bar on the terminal that shows how far a block-wise transfer is. */
#ifndef COPAL_CMD_PROGRESS_H
#define COPAL_CMD_PROGRESS_H

#include "cmd/copal/args.h"
#include "cmd/copal/transfer.h"
#include "copal/time.h"

typedef struct progress {
  transfer_monitor monitor;
  bool is_on; /* standard error is a terminal and may be written to */
  bool is_shown;
  bool has_begun;
  size_t width; /* columns */
  size_t first; /* bytes that were there when the transfer began */
  copal_time start, drawn;
} progress;

/* Draws nothing unless standard error is a terminal and the transfer takes half a second. */
void progress_init(progress *p, const args *a);

/* Takes the bar off the terminal. */
void progress_clear(progress *p);

/* The bar as text of at most `width` columns, without line break: share, bytes, rate, time left.
 * `elapsed` in microseconds for the `done - first` bytes; `total` 0: unknown. */
void progress_put(const progress *p, size_t done, size_t total, copal_time elapsed, buf *out);

#endif
