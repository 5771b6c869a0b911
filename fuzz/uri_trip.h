/* SPDX-License-Identifier: Apache-2.0 */
/* One way from a URI to options and back. RFC 7252 sections 6.4 and 6.5. */
#ifndef COPAL_FUZZ_URI_TRIP_H
#define COPAL_FUZZ_URI_TRIP_H

#include <string.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "require.h"

enum { URI_TRIP_TEXT_MAX = 1024, URI_TRIP_OPTS = 1100, URI_TRIP_ROOM = 8192 };

typedef struct uri_trip {
  copal_opt opts[URI_TRIP_OPTS];
  uint8_t uints[URI_TRIP_OPTS][4];
  uint8_t room[3][URI_TRIP_ROOM];
  copal_wr run;      /* the options of the URI */
  copal_wr composed; /* the URI of the options */
  int err;           /* of composing */
  bool has_encoded_host;
} uri_trip;

/* False when `text` is no URI or has options that cannot be sent. */
static inline bool uri_trip_run(copal_span text, uri_trip *t)
{
  copal_uri uri;
  size_t at = 0;
  const int err = copal_uri_parse(text, &uri, &at);
  REQUIRE(at <= text.len && (err == COPAL_OK || err == COPAL_EURI));
  copal_wr scratch = copal_wr_init((copal_mspan){t->room[0], URI_TRIP_ROOM});
  copal_opt_list list = copal_opt_list_init(t->opts, t->uints, URI_TRIP_OPTS);
  if (err != COPAL_OK || copal_uri_to_options(&uri, false, &scratch, &list) != COPAL_OK)
    return false;
  t->has_encoded_host = !uri.host_is_ipv6 && memchr(uri.host.ptr, '%', uri.host.len) != NULL;
  t->run = copal_wr_init((copal_mspan){t->room[1], URI_TRIP_ROOM});
  copal_opt_wr o = copal_opt_wr_init(&t->run);
  for (size_t i = 0; i < list.count; i++)
    copal_opt_put(&o, list.opts[i].number, list.opts[i].value);
  REQUIRE(t->run.err == COPAL_OK);
  const copal_uri_base base = {uri.scheme, uri.host, uri.host_is_ipv6, uri.port};
  t->composed = copal_wr_init((copal_mspan){t->room[2], URI_TRIP_ROOM});
  t->err = copal_uri_from_options(&base, copal_wr_done(&t->run), &t->composed);
  return true;
}

#endif
