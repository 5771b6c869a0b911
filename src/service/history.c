/* SPDX-License-Identifier: Apache-2.0 */
/* The past of a resource as JSON (RFC 8259), bodies that are no text in base64 (RFC 4648
 * section 4). */
#include "service/history.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/cursor.h"
#include "copal/option.h"
#include "copal/registry.h"
#include "service/problem.h"
#include "service/representation.h"

enum {
  COUNT_MAX = 65535,
  TAG_TEXT_SIZE = 2 * STORE_ETAG_SIZE + 1,
  TIME_TEXT_SIZE = 32,
  NAME_HEAD_SIZE = 8,
  BLOCK_DEFAULT = 1024, /* when the client names no size, RFC 7959 section 2.2 */
};

/* An answer being made. */
typedef struct telling {
  const handler_req *req;
  store_item *present; /* the first that is told */
  json_t *list;        /* of representations */
  size_t room;         /* bytes of bodies that may still be told */
  bool is_cut;         /* there was no room for one */
  bool is_broken;      /* there was no memory */
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
  if (json_array_size(t->list) == 0)
    *t->present = *item;
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

/* The document, to be freed, and what was present when it was made: others write meanwhile. NULL
 * without memory, or when the resource has gone. */
static char *make_document(const handler_req *req, size_t count, store_item *present)
{
  telling t = {
      .req = req, .present = present, .list = json_array(), .room = req->env->limits->body_max};
  t.is_broken =
      store_history(req->env->store, req->key, count, tell, &t, req->now) <= 0 || t.is_broken;
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

/* What tells histories from each other, in the request's arena: of which resource, how much of it.
 * Nothing of it without memory. */
static copal_span name_of(const handler_req *req, size_t count)
{
  const size_t size = NAME_HEAD_SIZE + req->key.len;
  copal_wr w = copal_wr_init((copal_mspan){arena_take(req->arena, size), size});
  if (w.buf == NULL)
    return copal_span_none();
  copal_wr_be(&w, (uint32_t)count, 4);
  copal_wr_be(&w, req->env->limits->body_max, 4);
  copal_wr_span(&w, req->key);
  return copal_wr_done(&w);
}

static size_t block_size_of(const handler_req *req)
{
  return req->coap->has_block2 ? copal_block_size(req->coap->block2.szx) : (size_t)BLOCK_DEFAULT;
}

/* Answers with a block of the document that was made for one before. Returns false when it is not
 * kept. */
static bool answer_kept(linkmemo *kept, copal_span name, const handler_req *req,
                        const store_item *item, int *err)
{
  representation shown;
  copal_mspan block = {.len = block_size_of(req)};
  const uint32_t offset = req->coap->has_block2 ? copal_block_offset(req->coap->block2) : 0;
  size_t len;
  uint64_t total;
  block.ptr = name.len > 0 ? arena_take(req->arena, block.len) : NULL;
  if (block.ptr == NULL || !linkmemo_get(kept, name, item->rev, offset, block, &len, &total))
    return false;
  representation_show(&shown, req->env, item, COPAL_CF_JSON, copal_span_of(block.ptr, len),
                      req->now);
  shown.response.offset = offset;
  shown.response.total = (uint32_t)total;
  const reply r = reply_to(req);
  *err = reply_send(&r, &shown.response);
  return true;
}

/* Makes the document, which is kept for the blocks that follow when it takes more than one. */
static int answer_anew(linkmemo *kept, copal_span name, const handler_req *req, size_t count)
{
  representation shown;
  store_item present;
  const reply r = reply_to(req);
  char *text = make_document(req, count, &present);
  if (text == NULL) {
    problem why;
    problem_set_unavailable(&why, 1, "The history cannot be told now; try again");
    return problem_send(&why, &r);
  }
  const copal_span document = copal_span_str(text);
  if (name.len > 0 && document.len > block_size_of(req))
    linkmemo_put(kept, name, present.rev, document);
  representation_show(&shown, req->env, &present, COPAL_CF_JSON, document, req->now);
  const int err = reply_send(&r, &shown.response);
  free(text);
  return err;
}

int history_answer(linkmemo *kept, const handler_req *req, const store_item *item, bool is_valid)
{
  representation shown;
  copal_span value;
  size_t count;
  int err;
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
  const copal_span name = name_of(req, count);
  if (answer_kept(kept, name, req, item, &err))
    return err;
  return answer_anew(kept, name, req, count);
}
