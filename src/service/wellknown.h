/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery at /.well-known/core from an index that follows the store. RFC 6690; RFC 7252
 * section 7.
 *
 * Threads: one object serves all shards; the index is read and updated under a lock of its own. */
#ifndef SERVICE_WELLKNOWN_H
#define SERVICE_WELLKNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "server/handler.h"

/* Fields that are zero take the default named. */
typedef struct wellknown_cfg {
  bool lists_obs;     /* resources carry "obs", RFC 7641 section 6; default no */
  bool lists_groups;  /* the resource for group memberships, RFC 7390 section 2.6.2.1 */
  uint32_t merge_max; /* bytes of a listing in which links that match a filter twice are told apart,
                         and of one under several filters; default 256 KiB */
} wellknown_cfg;

/* What the index holds. */
typedef struct wellknown_usage {
  uint64_t links;
  uint64_t bytes;   /* of the unfiltered listing */
  uint64_t dropped; /* links left out since the start because there was no memory */
} wellknown_usage;

/* Opens the service, lists what the store holds and follows it from there; before the first commit
 * only (store_follow()). When the store holds much, that goes on behind the return, and discovery
 * is answered 5.03 until it is done. `cfg` is copied; NULL means all defaults. Returns NULL without
 * memory, and then the store must be closed without a commit. Closed with service->close() after
 * the store. */
service *wellknown_open(store *s, const wellknown_cfg *cfg);

/* Ends what goes on behind wellknown_open(): before the store is closed. */
void wellknown_settle(service *s);

/* Reads the usage of a service that wellknown_open() made. From any thread. */
wellknown_usage wellknown_usage_now(service *s);

#endif
