/* SPDX-License-Identifier: Apache-2.0 */
/* Responses that show stored representations. */
#include "service/representation.h"

#include "copal/registry.h"

enum { MAX_AGE_DEFAULT_S = 60 }; /* RFC 7252 section 5.10.5 */

/* Whole seconds since it was written. */
static copal_time age_of(const store_item *item, copal_time now)
{
  return now > item->written ? (now - item->written) / COPAL_SECOND : 0;
}

/* What is left of `seconds` at that age. */
static uint32_t left_of(uint32_t seconds, copal_time age_s)
{
  return age_s < seconds ? seconds - (uint32_t)age_s : 0;
}

uint32_t representation_max_age(const handler_env *env, const store_item *item, copal_time now)
{
  const copal_time age_s = age_of(item, now);
  const uint32_t fresh_s = item->max_age_s == STORE_NO_MAX_AGE ? env->limits->default_max_age_s
                                                               : left_of(item->max_age_s, age_s);
  if (item->lifetime_s == 0)
    return fresh_s;
  const uint32_t life_s = left_of(item->lifetime_s, age_s);
  return fresh_s < life_s ? fresh_s : life_s;
}

copal_time representation_max_age_until(const store_item *item, copal_time now)
{
  if (item->max_age_s == STORE_NO_MAX_AGE && item->lifetime_s == 0)
    return COPAL_NEVER;
  return item->written + (age_of(item, now) + 1) * COPAL_SECOND;
}

/* The value of a uint option, as the tail of `bytes`. RFC 7252 section 3.2. */
static copal_span uint_value(uint8_t bytes[4], uint32_t value)
{
  size_t at = 4;
  for (; value != 0; value >>= 8)
    bytes[--at] = (uint8_t)value;
  return copal_span_of(bytes + at, 4 - at);
}

/* The options are written in the order of their numbers. */
static void fill(representation *r, copal_code code, uint16_t format, uint32_t max_age_s,
                 copal_span body)
{
  size_t count = 0;

  r->opts[count++] = (copal_opt){COPAL_OPT_ETAG, copal_span_of(r->etag.bytes, STORE_ETAG_SIZE)};
  if (format != STORE_NO_FORMAT)
    r->opts[count++] = (copal_opt){COPAL_OPT_CONTENT_FORMAT, uint_value(r->format, format)};
  if (max_age_s != MAX_AGE_DEFAULT_S) /* RFC 7252 section 5.4.4 */
    r->opts[count++] = (copal_opt){COPAL_OPT_MAX_AGE, uint_value(r->max_age, max_age_s)};
  r->response =
      (copal_response){.code = code, .opts = r->opts, .opt_count = count, .payload = body};
}

void representation_show(representation *r, const handler_env *env, const store_item *item,
                         uint16_t format, copal_span body, copal_time now)
{
  r->etag = item->etag;
  fill(r, COPAL_CODE_CONTENT, format, representation_max_age(env, item, now), body);
}

void representation_confirm(representation *r, const handler_env *env, const store_item *item,
                            copal_time now)
{
  r->etag = item->etag;
  fill(r, COPAL_CODE_VALID, STORE_NO_FORMAT, representation_max_age(env, item, now),
       copal_span_none());
}
