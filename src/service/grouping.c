/* SPDX-License-Identifier: Apache-2.0 */
/* Group memberships as a resource. RFC 7390 section 2.6.2. */
#include "service/grouping.h"

#include <ctype.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/option.h"
#include "copal/registry.h"
#include "service/ask.h"
#include "service/json_text.h"
#include "service/problem.h"

enum {
  INDEX_SIZE = 3, /* two characters and the NUL, RFC 7390 section 2.6.2.2 */
  NAME_MAX_LEN = 253,
  LABEL_MAX_LEN = 63,  /* RFC 1035 section 2.3.4 */
  BODY_MAX = 64 * 512, /* bytes of all memberships: twice what the longest names need */
  UPLOAD_MAX = 1024,   /* bytes of a request: one datagram */
  FIRST_INDEX = 1,     /* of those that the server draws */
  LAST_INDEX = 99,
};

typedef struct grouping {
  service base;
  memberships *memberships;
  uint64_t epoch; /* of entity-tags */
  pthread_mutex_t lock;
  store_rev generation;
  json_t *all; /* objects by index, RFC 7390 section 2.6.2.4 */
} grouping;

/* A set of groups. */
typedef struct group_set {
  size_t count;
  copal_addr items[GROUPING_MAX];
} group_set;

/* ------------------------------------------------------------------------------------------------
 * validation */

static bool is_bad(problem *why, const char *text)
{
  problem_set(why, COPAL_CODE_BAD_REQUEST, "%s", text);
  return false;
}

/* A port of decimal digits, or nothing at all. */
static bool is_port(const char *text)
{
  if (*text == '\0')
    return true;
  const size_t digits = strspn(text + 1, "0123456789");
  return *text == ':' && digits >= 1 && digits <= 5 && text[digits + 1] == '\0' &&
         strtoul(text + 1, NULL, 10) <= UINT16_MAX && strtoul(text + 1, NULL, 10) > 0;
}

/* host [ ":" port ], RFC 7390 section 2.6.2.1. */
static bool is_group_name(const char *text)
{
  size_t label = 0;
  const char *at = text;
  for (; *at != '\0' && *at != ':'; at++) {
    const bool is_dot = *at == '.';
    if (!is_dot && !isalnum((unsigned char)*at) && *at != '-' && *at != '_')
      return false;
    if (is_dot ? label == 0 : label == LABEL_MAX_LEN)
      return false;
    label = is_dot ? 0 : label + 1;
  }
  return at > text && at - text <= NAME_MAX_LEN && is_port(at);
}

/* NULL when it is no string, or has a NUL within. */
static const char *text_of(const json_t *value)
{
  const char *text = json_string_value(value);
  return text != NULL && strlen(text) == json_string_length(value) ? text : NULL;
}

/* One membership; its address goes to `set`, which has room. */
static bool take_membership(const grouping *g, const json_t *object, group_set *set, problem *why)
{
  const char *name = text_of(json_object_get(object, "n"));
  const char *address = text_of(json_object_get(object, "a"));
  const size_t count = (name != NULL) + (size_t)(address != NULL);
  if (!json_is_object(object) || count == 0 || json_object_size(object) != count)
    return is_bad(why, "A membership is an object with the strings \"n\", \"a\" or both");
  if (name != NULL && !is_group_name(name))
    return is_bad(why, "\"n\" is not a host name with an optional port");
  if (address == NULL)
    return true; /* names are not looked up: there is no address to join */
  copal_addr group;
  if (g->memberships->parse(g->memberships, address, &group) != COPAL_OK)
    return is_bad(why, "\"a\" is not a multicast address such as \"224.0.2.1\" or "
                       "\"[ff15::1]:5683\"");
  for (size_t i = 0; i < set->count; i++)
    if (memcmp(&set->items[i], &group, sizeof group) == 0)
      return true;
  set->items[set->count++] = group;
  return true;
}

/* The index of a membership in lower case. RFC 7390 section 2.6.2.2. */
static bool read_index(copal_span text, char index[INDEX_SIZE])
{
  if (text.len == 0 || text.len >= INDEX_SIZE)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!isalnum(text.ptr[i]))
      return false;
    index[i] = (char)tolower(text.ptr[i]);
  }
  index[text.len] = '\0';
  return true;
}

/* All memberships; their addresses go to `set`. */
static bool take_all(const grouping *g, const json_t *all, group_set *set, problem *why)
{
  const char *index;
  json_t *object;
  set->count = 0;
  if (json_object_size(all) > GROUPING_MAX) {
    problem_set(why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "At most %d memberships", GROUPING_MAX);
    return false;
  }
  json_object_foreach((json_t *)all, index, object)
  {
    if (!take_membership(g, object, set, why))
      return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * joining and leaving */

static bool contains(const group_set *set, const copal_addr *group)
{
  for (size_t i = 0; i < set->count; i++)
    if (memcmp(&set->items[i], group, sizeof *group) == 0)
      return true;
  return false;
}

/* Leaves the groups of `set`, up to `end`, that are not in `kept`. */
static void leave(grouping *g, const group_set *set, size_t end, const group_set *kept)
{
  for (size_t i = 0; i < end; i++)
    if (!contains(kept, &set->items[i]))
      g->memberships->leave(g->memberships, &set->items[i]);
}

static bool join(grouping *g, const group_set *before, const group_set *after, problem *why)
{
  for (size_t i = 0; i < after->count; i++) {
    if (contains(before, &after->items[i]))
      continue;
    const int err = g->memberships->join(g->memberships, &after->items[i]);
    if (err == COPAL_OK)
      continue;
    leave(g, after, i, before);
    if (err == COPAL_ENOTFOUND)
      return is_bad(why, "The server does not listen on all addresses at the port of \"a\" (5683 "
                         "when it has none)");
    problem_set(why, COPAL_CODE_INTERNAL_SERVER_ERROR,
                "The system does not join the group on any interface");
    return false;
  }
  return true;
}

/* Puts the memberships `next`, which is given, in the place of those in force: all or nothing. */
static bool replace(grouping *g, json_t *next, problem *why)
{
  group_set before, after;
  problem ignored;
  if (!take_all(g, next, &after, why) || !take_all(g, g->all, &before, &ignored) ||
      !join(g, &before, &after, why)) {
    json_decref(next);
    return false;
  }
  leave(g, &before, before.count, &after);
  json_decref(g->all);
  g->all = next;
  g->generation++;
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * methods; under the lock */

typedef struct call {
  const handler_req *req;
  ask ask;
  bool is_member;         /* one membership, else all */
  char index[INDEX_SIZE]; /* of the membership */
} call;

static int refuse(const call *c, const problem *why)
{
  const reply r = reply_to(c->req);
  return problem_send(why, &r);
}

static int answer(const call *c, copal_code code)
{
  const reply r = reply_to(c->req);
  return reply_send(&r, &(copal_response){.code = code});
}

static int on_get(grouping *g, const call *c, const store_item *tagged)
{
  enum { OPT_COUNT = 2 };
  copal_opt opts[OPT_COUNT];
  uint8_t uints[OPT_COUNT][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, OPT_COUNT);
  copal_mspan text = {NULL, 0};
  const bool is_valid = ask_has_valid(&c->ask, tagged);
  const json_t *shown = c->is_member ? json_object_get(g->all, c->index) : g->all;
  if (!is_valid && json_text_write(shown, BODY_MAX, &text) != COPAL_OK)
    return COPAL_ENOSPC;
  copal_opt_list_add(&list, COPAL_OPT_ETAG, copal_span_of(tagged->etag.bytes, STORE_ETAG_SIZE));
  if (!is_valid)
    copal_opt_list_add_uint(&list, COPAL_OPT_CONTENT_FORMAT, COPAL_CF_COAP_GROUP_JSON);
  const copal_response response = {.code = is_valid ? COPAL_CODE_VALID : COPAL_CODE_CONTENT,
                                   .opts = list.opts,
                                   .opt_count = list.count,
                                   .payload = copal_span_of(text.ptr, text.len)};
  const reply r = reply_to(c->req);
  const int err = reply_send(&r, &response);
  free(text.ptr);
  return err;
}

/* The body of the request as an object. */
static json_t *read_body(const call *c, problem *why)
{
  if (c->ask.content_format != COPAL_CF_COAP_GROUP_JSON) {
    problem_set(why, COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT,
                "Memberships have Content-Format 256 (application/coap-group+json)");
    return NULL;
  }
  json_t *body = json_text_read(c->req->coap->msg->payload, NULL);
  if (json_is_object(body))
    return body;
  json_decref(body);
  is_bad(why, "The body is not a JSON object");
  return NULL;
}

/* An index that is free; there are more than memberships. */
static void draw_index(const grouping *g, char index[INDEX_SIZE])
{
  unsigned i = FIRST_INDEX;
  do
    snprintf(index, INDEX_SIZE, "%u", i);
  while (json_object_get(g->all, index) != NULL && ++i <= LAST_INDEX);
}

static int answer_created(const call *c, const char *index)
{
  const copal_opt where[] = {{COPAL_OPT_LOCATION_PATH, copal_span_str(&GROUPING_PATH[1])},
                             {COPAL_OPT_LOCATION_PATH, copal_span_str(index)}};
  const reply r = reply_to(c->req);
  return reply_send(&r,
                    &(copal_response){.code = COPAL_CODE_CREATED, .opts = where, .opt_count = 2});
}

/* RFC 7390 section 2.6.2.2. */
static int on_post(grouping *g, const call *c)
{
  problem why;
  char index[INDEX_SIZE];
  if (json_object_size(g->all) == GROUPING_MAX) {
    problem_set_unavailable(&why, 60, "At most %d memberships; delete one first", GROUPING_MAX);
    return refuse(c, &why);
  }
  json_t *body = read_body(c, &why);
  if (body == NULL)
    return refuse(c, &why);
  draw_index(g, index);
  json_t *next = json_copy(g->all);
  if (json_object_set_new(next, index, body) != 0) {
    json_decref(next);
    return COPAL_ENOSLOT;
  }
  return replace(g, next, &why) ? answer_created(c, index) : refuse(c, &why);
}

/* Copies memberships with their indices in lower case. Returns NULL and the problem when they are
 * no indices, or twice the same. */
static json_t *with_plain_indices(const json_t *body, problem *why)
{
  char index[INDEX_SIZE];
  const char *key;
  json_t *object;
  json_t *all = json_object();
  json_object_foreach((json_t *)body, key, object)
  {
    if (!read_index(copal_span_str(key), index) || json_object_get(all, index) != NULL) {
      json_decref(all);
      is_bad(why, "The members of the body are named by one or two letters or digits, each once");
      return NULL;
    }
    json_object_set(all, index, object);
  }
  return all;
}

/* RFC 7390 sections 2.6.2.6 and 2.6.2.7. */
static int on_put(grouping *g, const call *c)
{
  problem why;
  json_t *body = read_body(c, &why);
  if (body == NULL)
    return refuse(c, &why);
  json_t *next = c->is_member ? json_copy(g->all) : with_plain_indices(body, &why);
  if (next != NULL && c->is_member)
    json_object_set(next, c->index, body);
  json_decref(body);
  return next != NULL && replace(g, next, &why) ? answer(c, COPAL_CODE_CHANGED) : refuse(c, &why);
}

/* RFC 7390 section 2.6.2.3. */
static int on_delete(grouping *g, const call *c)
{
  problem why;
  json_t *next = json_copy(g->all);
  if (json_object_del(next, c->index) != 0) {
    json_decref(next); /* nothing to delete: RFC 7252 section 5.8.4 */
    return answer(c, COPAL_CODE_DELETED);
  }
  return replace(g, next, &why) ? answer(c, COPAL_CODE_DELETED) : refuse(c, &why);
}

/* ------------------------------------------------------------------------------------------------
 * requests */

/* What the path names. Returns false when it is nothing of ours. */
static bool read_path(call *c)
{
  const copal_span path = copal_span_str(GROUPING_PATH);
  const copal_span key = c->req->key;
  if (key.len == path.len)
    return true;
  c->is_member = true;
  return read_index(copal_span_of(key.ptr + path.len + 1, key.len - path.len - 1), c->index);
}

static bool is_allowed(const call *c, problem *why)
{
  const copal_code code = c->req->coap->msg->code;
  if ((c->req->coap->path->flags & COPAL_PATH_GROUP) != 0)
    problem_set(why, COPAL_CODE_METHOD_NOT_ALLOWED, "Memberships are read and set by unicast");
  else if (code != COPAL_CODE_GET && code != COPAL_CODE_PUT &&
           code != (c->is_member ? COPAL_CODE_DELETE : COPAL_CODE_POST))
    problem_set(why, COPAL_CODE_METHOD_NOT_ALLOWED, "Methods here: GET, PUT, %s",
                c->is_member ? "DELETE" : "POST");
  else
    return true;
  return false;
}

static bool is_acceptable(const call *c, problem *why)
{
  const copal_req *coap = c->req->coap;
  const uint32_t accept = reply_to(c->req).accept;
  if (coap->msg->payload.len > UPLOAD_MAX || (coap->has_block1 && coap->block1.more) ||
      (coap->has_block1 && coap->block1.num > 0))
    problem_set_too_large(why, UPLOAD_MAX);
  else if (accept != REPLY_ANY_FORMAT && accept != COPAL_CF_COAP_GROUP_JSON)
    problem_set(why, COPAL_CODE_NOT_ACCEPTABLE, "Only Content-Format 256 is available");
  else
    return true;
  return false;
}

static int dispatch(grouping *g, const call *c)
{
  const store_item tagged = {.rev = 1, .etag = store_etag_of(g->generation, g->epoch)};
  const copal_code code = c->req->coap->msg->code;
  const bool is_there = !c->is_member || json_object_get(g->all, c->index) != NULL;
  if (!ask_holds(&c->ask, is_there ? &tagged : NULL))
    return problem_reply(c->req, COPAL_CODE_PRECONDITION_FAILED,
                         "If-Match or If-None-Match does not hold for the present state");
  if (!is_there && code != COPAL_CODE_DELETE)
    return problem_reply(c->req, COPAL_CODE_NOT_FOUND, "No such membership; POST makes one");
  switch (code) {
  case COPAL_CODE_GET: return on_get(g, c, &tagged);
  case COPAL_CODE_POST: return on_post(g, c);
  case COPAL_CODE_PUT: return on_put(g, c);
  default: return on_delete(g, c);
  }
}

static int grouping_on_request(service *base, const handler_req *req)
{
  grouping *g = (grouping *)base;
  call c = {.req = req};
  problem why;
  if (!read_path(&c))
    return problem_reply(req, COPAL_CODE_NOT_FOUND, "No such membership");
  if (!is_allowed(&c, &why) || !is_acceptable(&c, &why) || !ask_parse(&c.ask, req->coap, &why))
    return refuse(&c, &why);
  pthread_mutex_lock(&g->lock);
  const int err = dispatch(g, &c);
  pthread_mutex_unlock(&g->lock);
  return err;
}

static void grouping_close(service *base)
{
  grouping *g = (grouping *)base;
  json_decref(g->all);
  pthread_mutex_destroy(&g->lock);
  free(g);
}

service *grouping_open(memberships *m)
{
  uint64_t epoch;
  if (!store_random((copal_mspan){(uint8_t *)&epoch, sizeof epoch}))
    return NULL;
  grouping *g = calloc(1, sizeof *g);
  if (g == NULL)
    return NULL;
  g->base =
      (service){.name = "grouping", .on_request = grouping_on_request, .close = grouping_close};
  g->memberships = m;
  g->epoch = epoch;
  g->generation = 1;
  pthread_mutex_init(&g->lock, NULL);
  g->all = json_object();
  if (g->all != NULL)
    return &g->base;
  grouping_close(&g->base);
  return NULL;
}
