/* SPDX-License-Identifier: Apache-2.0 */
/* Options of requests, read once. RFC 7252 section 5.10. */
#include "service/ask.h"

#include <string.h>

#include "copal/option.h"
#include "copal/registry.h"

/* Adds a tag unless there is no room left. */
static bool tag_add(store_etag *tags, size_t *count, copal_span value)
{
  if (*count == STORE_ETAG_MAX)
    return false;
  memcpy(tags[(*count)++].bytes, value.ptr, STORE_ETAG_SIZE);
  return true;
}

/* Tags of another length than ours match nothing and need not be kept. */
static bool take_if_match(ask *a, copal_span value)
{
  a->if_match = true;
  if (value.len == 0)
    a->if_match_exists = true;
  return value.len != STORE_ETAG_SIZE || tag_add(a->if_match_tags, &a->if_match_count, value);
}

static bool take_format(ask *a, copal_span value, problem *why)
{
  uint32_t format;
  if (value.len > sizeof a->content_format || copal_opt_uint(value, &format) != COPAL_OK)
    return true; /* ill-sized and elective: as if it were not there, RFC 7252 section 5.4.3 */
  if (format == STORE_NO_FORMAT) {
    problem_set(why, COPAL_CODE_BAD_REQUEST, "Content-Format 65535 is reserved");
    return false;
  }
  a->content_format = (uint16_t)format;
  return true;
}

static void take_max_age(ask *a, copal_span value)
{
  uint32_t max_age_s;
  if (copal_opt_uint(value, &max_age_s) == COPAL_OK)
    a->max_age_s = max_age_s < STORE_NO_MAX_AGE ? max_age_s : STORE_NO_MAX_AGE - 1;
}

/* Tags beyond their counts are never looked at. */
static void begin(ask *a)
{
  a->content_format = STORE_NO_FORMAT;
  a->max_age_s = STORE_NO_MAX_AGE;
  a->if_none_match = a->if_match = a->if_match_exists = false;
  a->if_match_count = a->etag_count = 0;
  a->body = NULL;
  a->id = (store_opid){0};
}

static bool asks_nothing(const copal_req *req)
{
  return copal_req_lacks(req, COPAL_OPT_IF_MATCH) && copal_req_lacks(req, COPAL_OPT_ETAG) &&
         copal_req_lacks(req, COPAL_OPT_IF_NONE_MATCH) &&
         copal_req_lacks(req, COPAL_OPT_CONTENT_FORMAT) && copal_req_lacks(req, COPAL_OPT_MAX_AGE);
}

bool ask_parse(ask *a, const copal_req *req, problem *why)
{
  begin(a);
  if (asks_nothing(req))
    return true;
  copal_opt_iter it = copal_opt_iter_init(req->msg->options);
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (opt.number == COPAL_OPT_IF_NONE_MATCH)
      a->if_none_match = true;
    if (opt.number == COPAL_OPT_ETAG && opt.value.len == STORE_ETAG_SIZE)
      tag_add(a->etags, &a->etag_count, opt.value);
    if (opt.number == COPAL_OPT_MAX_AGE && a->max_age_s == STORE_NO_MAX_AGE)
      take_max_age(a, opt.value);
    if (opt.number == COPAL_OPT_CONTENT_FORMAT && a->content_format == STORE_NO_FORMAT &&
        !take_format(a, opt.value, why))
      return false;
    if (opt.number == COPAL_OPT_IF_MATCH && !take_if_match(a, opt.value)) {
      problem_set(why, COPAL_CODE_BAD_REQUEST, "More than %d If-Match options", STORE_ETAG_MAX);
      return false;
    }
  }
  return true;
}

void ask_condition(const ask *a, store_op *op)
{
  op->must_be_absent = a->if_none_match;
  op->must_be_present = a->if_match;
  op->etag_count = a->if_match_exists ? 0 : a->if_match_count;
  memcpy(op->etags, a->if_match_tags, op->etag_count * sizeof op->etags[0]);
}

bool ask_is_hopeless(const ask *a)
{
  if (a->if_match && a->if_none_match)
    return true;
  return a->if_match && !a->if_match_exists && a->if_match_count == 0;
}

bool ask_holds(const ask *a, const store_item *item)
{
  if (!a->if_match && !a->if_none_match)
    return true;
  store_op op = {0};
  ask_condition(a, &op);
  return !ask_is_hopeless(a) && store_conditions_hold(&op, item);
}

bool ask_has_valid(const ask *a, const store_item *item)
{
  for (size_t i = 0; i < a->etag_count; i++)
    if (memcmp(a->etags[i].bytes, item->etag.bytes, STORE_ETAG_SIZE) == 0)
      return true;
  return false;
}
