/* SPDX-License-Identifier: Apache-2.0 */
/* The response that shows a stored representation: ETag, Content-Format, Max-Age, body.
 * RFC 7252 sections 5.9.1.3, 5.9.1.5 and 5.10.5. */
#ifndef SERVICE_REPRESENTATION_H
#define SERVICE_REPRESENTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "server/handler.h"

enum { REPRESENTATION_OPTS = 3 };

/* A response and the storage its options live in; must not be moved while it is in use. */
typedef struct representation {
  copal_response response;
  copal_opt opts[REPRESENTATION_OPTS];
  uint8_t format[4]; /* values of options, see RFC 7252 section 3.2 */
  uint8_t max_age[4];
  store_etag etag;
} representation;

/* The seconds that a representation stays fresh: what is left of the writer's Max-Age, or the
 * default from now on; not longer than what is left of its lifetime. RFC 7252 section 5.10.5. */
uint32_t representation_max_age(const handler_env *env, const store_item *item, copal_time now);

/* The instant from which on another Max-Age is shown; COPAL_NEVER: it stays. */
copal_time representation_max_age_until(const store_item *item, copal_time now);

/* Fills in 2.05 with `body` in `format` (or STORE_NO_FORMAT), and the ETag and remaining Max-Age of
 * `item`. The body is borrowed. */
void representation_show(representation *r, const handler_env *env, const store_item *item,
                         uint16_t format, copal_span body, copal_time now);

/* Fills in 2.03: the client's copy, which has the ETag of `item`, is still valid. */
void representation_confirm(representation *r, const handler_env *env, const store_item *item,
                            copal_time now);

#endif
