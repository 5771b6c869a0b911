/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request that a change may read until it is done, so that a large one, which is in a
 * file, is never copied into memory for that. */
#ifndef SERVICE_LENDER_H
#define SERVICE_LENDER_H

#include <stdbool.h>

typedef struct lender {
  /* The borrower is done; on its shard's thread, or when all shards have ended. */
  void (*release)(struct lender *l);
  bool is_taken; /* somebody calls release(); else the owner sees to the body when the request has
                    been handled */
} lender;

#endif
