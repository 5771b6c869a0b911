/* SPDX-License-Identifier: Apache-2.0 */
/* The resource through which a commissioning tool tells the server which multicast groups to join.
 * RFC 7390 section 2.6.2; documented in docs/groups.md.
 *
 * Memberships given in the configuration are not shown here and cannot be ended here. What has been
 * set here is gone when the server ends. Threads: one object serves all shards; the memberships are
 * under a lock of their own. */
#ifndef SERVICE_GROUPING_H
#define SERVICE_GROUPING_H

#include "server/handler.h"

#define GROUPING_PATH "/coap-group"

enum { GROUPING_MAX = 64 }; /* memberships; beyond that 4.13 for PUT, 5.03 for POST */

/* Opens the service, to be mounted at GROUPING_PATH; `m` is lent for its life. Returns NULL without
 * memory. */
service *grouping_open(memberships *m);

#endif
