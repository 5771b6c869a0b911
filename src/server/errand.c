/* SPDX-License-Identifier: Apache-2.0 */
/* What each shard is to be told. */
#include "server/errand.h"

#include <stdlib.h>

#include "copal/error.h"

int errand_init(errand *e, uint32_t count)
{
  e->is_due = calloc(count, sizeof *e->is_due);
  e->count = count;
  e->next = COPAL_NEVER;
  return e->is_due != NULL ? COPAL_OK : COPAL_ENOSPC;
}

void errand_wipe(errand *e)
{
  free(e->is_due);
  *e = (errand){.next = COPAL_NEVER};
}

static uint32_t try_all(errand *e, copal_time now)
{
  e->attempts++;
  for (uint32_t i = 0; i < e->count; i++) {
    if (!e->is_due[i] || e->tell(e, i) < 0)
      continue;
    e->is_due[i] = false;
    e->left--;
  }
  e->next = e->left > 0 ? now + ERRAND_PAUSE : COPAL_NEVER;
  return e->left;
}

uint32_t errand_begin(errand *e, copal_time now)
{
  for (uint32_t i = 0; i < e->count; i++)
    e->is_due[i] = true;
  e->left = e->count;
  e->attempts = 0;
  return try_all(e, now);
}

uint32_t errand_run(errand *e, copal_time now)
{
  return e->next <= now ? try_all(e, now) : e->left;
}

void errand_drop(errand *e)
{
  e->left = 0;
  e->next = COPAL_NEVER;
}
