/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's heap. */
#include "server/heap.h"

#include <malloc.h>

void heap_settle(void)
{
#ifdef M_MXFAST
  (void)mallopt(M_MXFAST, 0);
#endif
}
