/* SPDX-License-Identifier: Apache-2.0 */
/* The past of a resource as JSON (RFC 8259), bodies that are no text in base64 (RFC 4648
 * section 4). */
#include "service/history.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/option.h"
#include "copal/registry.h"
#include "service/problem.h"
#include "service/representation.h"

enum {
  COUNT_MAX = 65535,
  TAG_TEXT_SIZE = 2 * STORE_ETAG_SIZE + 1,
  TIME_TEXT_SIZE = 32,
};

/* An answer being made. */
typedef struct telling {
  const handler_req *req;
  json_t *list;   /* of representations */
  size_t room;    /* bytes of bodies that may still be told */
  bool is_cut;    /* there was no room for one */
  bool is_broken; /* there was no memory */
} telling;

/* How often the argument is there, and the value of the last one. */
static size_t find_argument(copal_span options, copal_span *value)
{
  const copal_span name = copal_span_str(HISTORY_QUERY);
  copal_opt_iter it = copal_opt_iter_init(options);
  size_t count = 0;
  *value = copal_span_none();
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (opt.number != COPAL_OPT_URI_QUERY || !copal_span_has_prefix(opt.value, name))
      continue;
    const copal_span rest = copal_span_of(opt.value.ptr + name.len, opt.value.len - name.len);
    if (rest.len > 0 && rest.ptr[0] != '=')
      continue;
    count++;
    *value = rest.len > 0 ? copal_span_of(rest.ptr + 1, rest.len - 1) : rest;
  }
  return count;
}

bool history_is_asked(copal_span options)
{
  copal_span value;
  return find_argument(options, &value) > 0;
}

/* How many are wanted; false when the argument is no such number. */
static bool read_count(copal_span value, size_t *count)
{
  *count = value.len == 0 ? COUNT_MAX : 0;
  for (size_t i = 0; i < value.len; i++) {
    if (value.ptr[i] < '0' || value.ptr[i] > '9')
      return false;
    *count = *count * 10 + (size_t)(value.ptr[i] - '0');
    if (*count > COUNT_MAX)
      return false;
  }
  return *count > 0;
}

/* ------------------------------------------------------------------------------------------------
 * representations */

static json_t *hex_of(const store_etag *tag)
{
  static const char digits[] = "0123456789abcdef";
  char text[TAG_TEXT_SIZE];
  for (size_t i = 0; i < STORE_ETAG_SIZE; i++) {
    text[2 * i] = digits[tag->bytes[i] >> 4];
    text[2 * i + 1] = digits[tag->bytes[i] & 15];
  }
  return json_stringn(text, TAG_TEXT_SIZE - 1);
}

/* The instant on the calendar, RFC 3339. */
static json_t *instant_of(const store_port *p, copal_time written)
{
  struct tm parts;
  char text[TIME_TEXT_SIZE];
  const time_t at = (time_t)(store_wall_of(p->store, written) / COPAL_SECOND);
  if (gmtime_r(&at, &parts) == NULL)
    return json_null();
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return json_string(text);
}

static json_t *base64_of(copal_span s)
{
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char *text = malloc(s.len / 3 * 4 + 5);
  char *at = text;
  if (text == NULL)
    return NULL;
  for (size_t i = 0; i < s.len; i += 3) {
    const size_t n = s.len - i < 3 ? s.len - i : 3;
    const uint32_t group = (uint32_t)s.ptr[i] << 16 | (n > 1 ? (uint32_t)s.ptr[i + 1] << 8 : 0) |
                           (n > 2 ? s.ptr[i + 2] : 0);
    *at++ = letters[group >> 18];
    *at++ = letters[group >> 12 & 63];
    *at++ = n > 1 ? letters[group >> 6 & 63] : '=';
    *at++ = n > 2 ? letters[group & 63] : '=';
  }
  json_t *value = json_stringn(text, (size_t)(at - text));
  free(text);
  return value;
}

/* Fails harmlessly on what is no UTF-8. */
static void add_body(json_t *o, copal_span body)
{
  json_t *text = json_stringn(body.len > 0 ? (const char *)body.ptr : "", body.len);
  if (text != NULL)
    json_object_set_new(o, "text", text);
  else
    json_object_set_new(o, "base64", base64_of(body));
}

static json_t *describe(const store_port *p, const store_item *item)
{
  json_t *o = json_object();
  json_object_set_new(o, "etag", hex_of(&item->etag));
  json_object_set_new(o, "written", instant_of(p, item->written));
  if (item->content_format != STORE_NO_FORMAT)
    json_object_set_new(o, "ct", json_integer(item->content_format));
  if (item->max_age_s != STORE_NO_MAX_AGE)
    json_object_set_new(o, "max-age", json_integer(item->max_age_s));
  if (item->lifetime_s != 0)
    json_object_set_new(o, "lt", json_integer(item->lifetime_s));
  json_object_set_new(o, "size", json_integer((json_int_t)item->body.len));
  return o;
}

static int tell(void *ctx, copal_span key, const store_item *item)
{
  telling *t = ctx;
  (void)key;
  if (item->body.len > t->room) {
    t->is_cut = true;
    return 1;
  }
  t->room -= item->body.len;
  json_t *o = describe(t->req->env->store, item);
  add_body(o, item->body);
  const bool has_body = json_object_get(o, "text") != NULL || json_object_get(o, "base64") != NULL;
  t->is_broken = json_array_append_new(t->list, o) != 0 || !has_body;
  return t->is_broken ? 1 : 0;
}

/* ------------------------------------------------------------------------------------------------
 * the answer */

/* The document, to be freed; NULL without memory. */
static char *make_document(const handler_req *req, size_t count)
{
  telling t = {.req = req, .list = json_array(), .room = req->env->limits->body_max};
  store_history(req->env->store, req->key, count, tell, &t, req->now);
  json_t *top = json_object();
  json_object_set_new(top, "representations", t.list);
  json_object_set_new(top, "complete", json_boolean(!t.is_cut));
  char *text = t.is_broken ? NULL : json_dumps(top, JSON_COMPACT);
  json_decref(top);
  return text;
}

static bool accepts_json(const reply *r)
{
  return r->accept == REPLY_ANY_FORMAT || r->accept == COPAL_CF_JSON;
}

int history_answer(const handler_req *req, const store_item *item, bool is_valid)
{
  representation shown;
  copal_span value;
  size_t count;
  const reply r = reply_to(req);
  if (find_argument(req->coap->msg->options, &value) != 1 || !read_count(value, &count))
    return problem_reply(req, COPAL_CODE_BAD_REQUEST,
                         "history takes one number of representations, 1 to %d", COUNT_MAX);
  if (!accepts_json(&r))
    return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE, "The history is in Content-Format %d",
                         COPAL_CF_JSON);
  if (is_valid) {
    representation_confirm(&shown, req->env, item, req->now);
    return reply_send(&r, &shown.response);
  }
  char *text = make_document(req, count);
  if (text == NULL) {
    problem why;
    problem_set_unavailable(&why, 1, "No memory for the history; try again");
    return problem_send(&why, &r);
  }
  representation_show(&shown, req->env, item, COPAL_CF_JSON, copal_span_str(text), req->now);
  const int err = reply_send(&r, &shown.response);
  free(text);
  return err;
}
