/* SPDX-License-Identifier: Apache-2.0 */
/* POST: a new resource below the one that is named. RFC 7252 section 5.8.2. */
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "service/attrs.h"
#include "service/resources_inside.h"

enum {
  TRIES_MAX = 8,       /* of a name */
  NAME_LEN = 8,        /* characters of a name drawn, 5 bits each */
  SEGMENTS_MAX = 64,   /* of the location */
  LOCATION_MAX = 1024, /* bytes of it, decoded, so that the answer fits into a datagram */
};

static void draw_name(copal_entropy *entropy, uint8_t *name)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648 section 6 */
  uint8_t random[NAME_LEN];
  entropy->fill(entropy, (copal_mspan){random, sizeof random});
  for (size_t i = 0; i < NAME_LEN; i++)
    name[i] = (uint8_t)letters[random[i] & 31];
}

/* Decodes the segments of the new resource's path into Location-Path options. */
static int add_location(copal_opt_list *list, copal_wr *scratch, copal_span key)
{
  const uint8_t *end = key.ptr + key.len;
  for (const uint8_t *at = key.ptr + 1; at <= end;) {
    const uint8_t *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
    const uint8_t *stop = slash != NULL ? slash : end;
    const size_t before = scratch->len;
    const int err = copal_uri_decode(copal_span_of(at, (size_t)(stop - at)), scratch);
    if (err != COPAL_OK)
      return err;
    copal_opt_list_add(list, COPAL_OPT_LOCATION_PATH,
                       copal_span_of(scratch->buf + before, scratch->len - before));
    at = stop + 1;
  }
  return list->err;
}

void posting_finish_created(pending *p, const store_result *result)
{
  enum { OPT_COUNT = SEGMENTS_MAX + 1 };
  copal_opt opts[OPT_COUNT];
  uint8_t uints[OPT_COUNT][4];
  uint8_t room[STORE_KEY_MAX];
  copal_wr scratch = copal_wr_init((copal_mspan){room, sizeof room});
  copal_opt_list list = copal_opt_list_init(opts, uints, OPT_COUNT);
  copal_opt_list_add(&list, COPAL_OPT_ETAG, copal_span_of(result->etag.bytes, STORE_ETAG_SIZE));
  const copal_span key = result->is_repeat ? result->key : p->op.key;
  if (add_location(&list, &scratch, key) != COPAL_OK) {
    change_finish_failed(p, STORE_FAILED);
    return;
  }
  const copal_response response = {
      .code = COPAL_CODE_CREATED, .opts = list.opts, .opt_count = list.count};
  reply_send(&p->reply, &response);
  pending_give(p);
}

static void finish_post(pending *p, const store_result *result)
{
  if (result->status == STORE_OK) {
    posting_finish_created(p, result);
    return;
  }
  if (result->status != STORE_PRECONDITION) {
    change_finish_failed(p, result->status);
    return;
  }
  resources *s = p->service;
  resources_count_up(s, &s->counts.name_retries);
  if (++p->tries == TRIES_MAX) {
    problem why;
    problem_set_unavailable(&why, s->cfg.retry_s, "No free name was found; try again");
    change_answer_problem(p, &why);
    return;
  }
  draw_name(p->reply.env->entropy, p->key.ptr + p->key.len - NAME_LEN);
  change_resubmit(p);
}

static size_t count_of(copal_span key, char c)
{
  size_t n = 0;
  for (size_t i = 0; i < key.len; i++)
    n += key.ptr[i] == c;
  return n;
}

/* Whether a child's path is allowed, and the Location-Path options that name it can be sent. */
static bool has_room_for_child(const handler_req *req)
{
  const copal_span key = req->key;
  const size_t decoded = key.len - 2 * count_of(key, '%');
  return key.len + 1 + NAME_LEN <= req->env->limits->key_max &&
         decoded + 1 + NAME_LEN <= LOCATION_MAX && count_of(key, '/') < SEGMENTS_MAX;
}

/* The path of a new child, with a name drawn: the collection's path, a slash, the name. */
static bool keep_child_key(pending *p, const handler_req *req)
{
  copal_span parent = req->key;
  if (parent.ptr[parent.len - 1] == '/')
    parent.len--; /* "/" and "/a/" end in an empty segment, which the name fills */
  p->key.len = parent.len + 1 + NAME_LEN;
  p->key.ptr = malloc(p->key.len);
  if (p->key.ptr == NULL)
    return false;
  if (parent.len > 0)
    memcpy(p->key.ptr, parent.ptr, parent.len);
  p->key.ptr[parent.len] = '/';
  draw_name(req->env->entropy, p->key.ptr + parent.len + 1);
  p->op.key = copal_span_of(p->key.ptr, p->key.len);
  return true;
}

/* Another name may have to be tried with it. */
static bool keep_body(pending *p, const handler_req *req, const ask *a)
{
  p->op.body = req->coap->msg->payload;
  if (change_borrow(p, a))
    return true;
  if (!pending_keep(&p->body, p->op.body))
    return false;
  p->op.body = copal_span_of(p->body.ptr, p->body.len);
  return true;
}

int posting_on_request(resources *s, const handler_req *req, const ask *a)
{
  problem why;
  copal_span attrs;
  attrs_lifetime lt;
  store_item item;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found == STORE_FAILED)
    return resources_refuse_damaged(req);
  if (!ask_holds(a, found == STORE_OK ? &item : NULL)) {
    change_problem(s, &why, STORE_PRECONDITION);
    return change_refuse_unless_done(s, req, a, &why);
  }
  if (!has_room_for_child(req))
    return problem_reply(req, COPAL_CODE_BAD_REQUEST, "The path is too long for a child");
  if (!resources_query_attrs(req, &attrs, &why) ||
      !attrs_read_lifetime(req->coap->msg->options, &lt, &why))
    return resources_refuse(req, &why);
  pending *p = change_begin(s, req, a);
  if (p == NULL)
    return resources_refuse_busy(s, req);
  if (!keep_child_key(p, req) || !keep_body(p, req, a) || !pending_keep(&p->attrs, attrs)) {
    pending_give(p);
    return resources_refuse_busy(s, req);
  }
  p->finish = finish_post;
  p->op.verb = STORE_PUT;
  p->op.must_be_absent = true;
  p->op.lifetime_s = lt.seconds;
  p->op.attrs = copal_span_of(p->attrs.ptr, p->attrs.len);
  return change_submit(s, p, req);
}
