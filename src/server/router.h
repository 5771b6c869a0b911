/* SPDX-License-Identifier: Apache-2.0 */
/* Which service answers for a path: the one mounted on the longest prefix of whole segments. Filled
 * before the shards start and only read afterwards. */
#ifndef SERVER_ROUTER_H
#define SERVER_ROUTER_H

#include <stddef.h>

#include "copal/span.h"
#include "server/handler.h"

enum { ROUTER_MOUNT_MAX = 32 };

typedef struct router_mount {
  copal_span prefix; /* canonical path; "/" for everything */
  service *service;
} router_mount;

typedef struct router {
  size_t count;
  router_mount mounts[ROUTER_MOUNT_MAX]; /* longest prefix first */
} router;

void router_init(router *r);

/* Mounts a service; `prefix` and `s` are lent for the router's life. Returns 0, COPAL_EINVAL (not a
 * canonical path, or mounted already) or COPAL_ENOSPC. */
int router_mount_at(router *r, const char *prefix, service *s);

/* The service for a canonical path, or NULL. */
service *router_find(const router *r, copal_span key);

#endif
