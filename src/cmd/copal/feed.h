/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange that yields several replies, taken one by one: an observation (RFC 7641 section 3) or
 * a request to a group (RFC 7252 section 8). */
#ifndef COPAL_CMD_FEED_H
#define COPAL_CMD_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/copal/session.h"

typedef struct feed feed;

/* Sends the request; `request->client` is set here. Up to `cap` replies wait to be taken, beyond
 * that the oldest gives way. Returns COPAL_OK and the feed, or what copal_ep_request() returned. */
int feed_open(session *s, copal_request *request, size_t cap, feed **f);

/* Ends the exchange without a word to the server. Safe on NULL. */
void feed_close(feed *f);

/* Takes the next reply, waiting for it until `limit`: a COPAL_EVENT_RESPONSE, COPAL_EVENT_STALE or
 * a last event. Returns false when none came, when interrupted, or when the feed is over. Wipe `r`
 * afterwards. */
bool feed_next(feed *f, copal_time limit, reply *r);

/* Takes a reply that is there already. */
bool feed_take(feed *f, reply *r);

/* True when the last event has been delivered. */
bool feed_is_over(const feed *f);

/* Replies that gave way since the last call. */
size_t feed_take_dropped(feed *f);

#endif
