/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request goes: the URI as people type it, and the addresses behind it. RFC 7252
 * section 6. */
#ifndef COPAL_CMD_TARGET_H
#define COPAL_CMD_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/copal/args.h"
#include "cmd/copal/buf.h"
#include "cmd/copal/optset.h"
#include "cmd/copal/status.h"
#include "copal/path.h"
#include "copal/uri.h"

typedef struct target {
  char *text;        /* the absolute URI, owned */
  copal_uri uri;     /* points into `text` */
  char *host;        /* decoded, with zone, as it is looked up; owned */
  uint16_t port;     /* where it goes */
  copal_path *paths; /* addresses in the order to try, owned */
  size_t path_count;
} target;

/* Completes what people type to an absolute URI: "coap://" when there is no scheme, a zone written
 * "%eth0" in an IPv6 literal, characters that must be percent-encoded. */
void target_tidy(const char *text, buf *out);

/* Parses the URI. Returns STATUS_OK or STATUS_URI, then with a message. Wipe in both cases. */
status target_parse(target *t, const char *text, buf *err);
void target_wipe(target *t);

/* Finds the addresses of the URI's host, or of --connect-to. Returns STATUS_OK, STATUS_RESOLVE,
 * STATUS_USAGE or, for a group by DTLS, STATUS_URI, then with a message. RFC 7252 section 9.1.2. */
status target_resolve(target *t, const args *a, buf *err);

/* True when the host is a group; after target_resolve(). */
bool target_is_group(const target *t);

/* Adds the options that the URI, --host and --option stand for. Returns STATUS_OK or STATUS_URI,
 * then with a message. RFC 7252 section 6.4. */
status target_options(const target *t, const args *a, optset *options, buf *err);

/* Adds Uri-Host and Uri-Port to a request that --connect-to sends elsewhere, for their defaults are
 * the destination's; call it behind target_resolve(). RFC 7252 section 5.10.1. */
void target_authority(const target *t, const args *a, optset *options);

#endif
