/* SPDX-License-Identifier: Apache-2.0 */
/* Which service answers for a path. Thread: any, once filled. */
#include "server/router.h"

#include <stdbool.h>
#include <string.h>

#include "copal/error.h"

static bool is_prefix_of(copal_span prefix, copal_span key)
{
  if (prefix.len == 1)
    return true; /* "/" */
  /* A segment has to end there, which few do. */
  if (key.len < prefix.len || (key.len > prefix.len && key.ptr[prefix.len] != '/'))
    return false;
  return copal_span_has_prefix(key, prefix);
}

void router_init(router *r)
{
  memset(r, 0, sizeof *r);
}

int router_mount_at(router *r, const char *prefix, service *s)
{
  const copal_span p = copal_span_str(prefix);
  if (p.len == 0 || p.ptr[0] != '/' || (p.len > 1 && p.ptr[p.len - 1] == '/'))
    return COPAL_EINVAL;
  if (r->count == ROUTER_MOUNT_MAX)
    return COPAL_ENOSPC;
  size_t at = 0;
  while (at < r->count && r->mounts[at].prefix.len >= p.len) {
    if (copal_span_is_equal(r->mounts[at].prefix, p))
      return COPAL_EINVAL;
    at++;
  }
  memmove(&r->mounts[at + 1], &r->mounts[at], (r->count - at) * sizeof r->mounts[0]);
  r->mounts[at] = (router_mount){p, s};
  r->count++;
  return COPAL_OK;
}

service *router_find(const router *r, copal_span key)
{
  for (size_t i = 0; i < r->count; i++)
    if (is_prefix_of(r->mounts[i].prefix, key))
      return r->mounts[i].service;
  return NULL;
}
