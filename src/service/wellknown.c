/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery: answers GET /.well-known/core and keeps the index up with the store. RFC 6690
 * section 4, RFC 7252 section 7.2. */
#include "service/wellknown.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/link.h"
#include "copal/registry.h"
#include "policy/access_gate.h"
#include "service/ask.h"
#include "service/backfill.h"
#include "service/grouping.h"
#include "service/linkindex.h"
#include "service/problem.h"

#define WELLKNOWN_CORE "/.well-known/core"

enum {
  MERGE_MAX_DEFAULT = 256 << 10,
  LINK_ROOM = 64,       /* of a link beside its path and the resource's attributes */
  TEXT_NEAR = 512,      /* bytes of a link that lie on the stack */
  SLICE_DEFAULT = 1024, /* when the client names no block size, RFC 7959 section 2.2 */
  FILLING_RETRY_S = 1,  /* Max-Age of the answer while the index is being filled */
};

typedef struct wellknown {
  service base;
  store_follower follower;
  wellknown_cfg cfg;
  linkindex *index;
  backfill backfill; /* what the store held when it was opened */
  uint64_t epoch;    /* of entity-tags */
  pthread_mutex_t dropped_lock;
  uint64_t dropped;
} wellknown;

/* ------------------------------------------------------------------------------------------------
 * following the store */

/* Writes the link of a resource: what its clients said of it, and what the server knows. */
static void put_link(copal_wr *w, const wellknown *k, copal_span key, const store_item *item)
{
  copal_link_wr l = copal_link_wr_init(w);
  copal_link_put(&l, key);
  copal_wr_span(w, item->attrs);
  if (item->content_format != STORE_NO_FORMAT)
    copal_link_put_uint(&l, copal_span_str("ct"), item->content_format);
  if (item->body.len > STORE_SIZE_LISTED)
    copal_link_put_uint(&l, copal_span_str("sz"), (uint32_t)item->body.len);
  if (k->cfg.lists_obs)
    copal_link_put_flag(&l, copal_span_str("obs"));
}

static void count_dropped(wellknown *k)
{
  pthread_mutex_lock(&k->dropped_lock);
  k->dropped++;
  pthread_mutex_unlock(&k->dropped_lock);
}

static void add_resource(wellknown *k, copal_span key, const store_item *item)
{
  uint8_t near[TEXT_NEAR];
  const size_t room = key.len + item->attrs.len + LINK_ROOM;
  uint8_t *text = room <= sizeof near ? near : malloc(room);
  copal_wr w = copal_wr_init((copal_mspan){text, text != NULL ? room : 0});
  if (text != NULL)
    put_link(&w, k, key, item);
  if (text == NULL || w.err != COPAL_OK ||
      linkindex_put(k->index, key, copal_wr_done(&w)) != COPAL_OK) {
    linkindex_remove(k->index, key); /* better no link than a wrong one */
    count_dropped(k);
  }
  if (text != near)
    free(text);
}

/* A path with an empty segment in front ("//host/a") would name another host as link target. RFC
 * 3986 section 4.2. */
static bool can_be_target(copal_span key)
{
  return key.len < 2 || key.ptr[1] != '/';
}

static void on_change(store_follower *f, const store_change *change)
{
  wellknown *k = (wellknown *)((char *)f - offsetof(wellknown, follower));
  if (!change->links_changed || !can_be_target(change->key))
    return;
  const bool is_shown = backfill_enter(&k->backfill, change->key);
  if (is_shown && change->item != NULL)
    add_resource(k, change->key, change->item);
  else if (is_shown)
    linkindex_remove(k->index, change->key);
  backfill_leave(&k->backfill);
}

static void show(backfill *b, copal_span key, const store_item *item)
{
  wellknown *k = (wellknown *)((char *)b - offsetof(wellknown, backfill));
  if (can_be_target(key))
    add_resource(k, key, item);
}

/* ------------------------------------------------------------------------------------------------
 * requests */

static const identity *asker_of(const handler_req *req)
{
  static const identity nobody = {.kind = IDENTITY_ANONYMOUS};
  return req->who != NULL ? req->who : &nobody;
}

/* Reads the filters in the query. */
static bool read_filters(const handler_req *req, linkindex_filter *filters, size_t *count,
                         problem *why)
{
  copal_opt_iter it = copal_opt_iter_init(req->coap->msg->options);
  *count = 0;
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (opt.number != COPAL_OPT_URI_QUERY || opt.value.len == 0)
      continue;
    if (*count == LINKINDEX_FILTER_MAX) {
      problem_set(why, COPAL_CODE_BAD_REQUEST, "At most %d filters", LINKINDEX_FILTER_MAX);
      return false;
    }
    filters[(*count)++] = linkindex_filter_of(opt.value);
  }
  return true;
}

/* What the asker may GET is what discovery shows. */
typedef struct sight {
  linkindex_view view; /* first */
  uint8_t name[4 + ACCESS_GATE_NAME_MAX];
  const access_rules *rules;
  const access_profile *who;
} sight;

static bool may_get(linkindex_view *v, copal_span key, copal_wr *until)
{
  const sight *s = (const sight *)v;
  return access_stretch(s->rules, s->who, ACCESS_GET, key, until).is_allowed;
}

/* The view of who asks; NULL: there are no rules. `s` has room for it. */
static linkindex_view *view_of(const handler_req *req, sight *s)
{
  access_gate *gate = req->env->gate;
  if (gate == NULL || access_gate_rules(gate) == NULL)
    return NULL;
  *s = (sight){.view = {.shows = may_get, .until_max = ACCESS_UNTIL_MAX},
               .rules = access_gate_rules(gate),
               .who = access_gate_profile(gate, asker_of(req), req->over)};
  copal_wr name = copal_wr_init((copal_mspan){s->name, sizeof s->name});
  copal_wr_be(&name, req->env->shard, 4); /* whose gate it is */
  access_gate_name(gate, asker_of(req), req->over, &name);
  s->view.name = copal_wr_done(&name);
  return &s->view;
}

/* What tells listings from each other that different askers see. */
static uint64_t mark_of(const handler_req *req)
{
  const access_gate *gate = req->env->gate;
  return gate != NULL ? access_gate_mark(gate, asker_of(req), req->over) : 0;
}

/* The stretch of the listing that the client wants. RFC 7959 section 2.4. */
static bool read_slice(wellknown *k, const handler_req *req, copal_mspan room,
                       linkindex_slice *slice, problem *why)
{
  linkindex_filter filters[LINKINDEX_FILTER_MAX];
  size_t count;
  if (!read_filters(req, filters, &count, why))
    return false;
  const uint32_t offset = req->coap->has_block2 ? copal_block_offset(req->coap->block2) : 0;
  sight seen;
  const int err = linkindex_read(k->index, filters, count, view_of(req, &seen), k->cfg.merge_max,
                                 offset, room, slice);
  if (err == COPAL_ETOOBIG)
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "Too many links to look at one by one; give one filter, or a narrower one such as "
                "href=/path*");
  else if (err != COPAL_OK)
    problem_set_unavailable(why, 1, "No memory for the request; try again");
  else if (slice->total > UINT32_MAX)
    problem_set(why, COPAL_CODE_INTERNAL_SERVER_ERROR, "The listing exceeds 4 GiB; use a filter");
  else if (offset > 0 && offset >= slice->total)
    problem_set(why, COPAL_CODE_BAD_REQUEST, "Block2 lies beyond the end of the listing");
  else
    return true;
  return false;
}

static int answer(const handler_req *req, const store_item *tagged, bool is_valid, copal_span text,
                  uint32_t total)
{
  enum { OPT_COUNT = 2 };
  copal_opt opts[OPT_COUNT];
  uint8_t uints[OPT_COUNT][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, OPT_COUNT);
  copal_opt_list_add(&list, COPAL_OPT_ETAG, copal_span_of(tagged->etag.bytes, STORE_ETAG_SIZE));
  copal_response response = {.code = COPAL_CODE_VALID};
  if (!is_valid) {
    copal_opt_list_add_uint(&list, COPAL_OPT_CONTENT_FORMAT, COPAL_CF_LINK_FORMAT);
    response.code = COPAL_CODE_CONTENT;
    response.payload = text;
    if (text.len < total) {
      response.offset = req->coap->has_block2 ? copal_block_offset(req->coap->block2) : 0;
      response.total = total;
    }
  }
  response.opts = list.opts;
  response.opt_count = list.count;
  const reply r = reply_to(req);
  return reply_send(&r, &response);
}

static int on_get(wellknown *k, const handler_req *req)
{
  problem why;
  ask a;
  linkindex_slice slice;
  const reply r = reply_to(req);
  const size_t room =
      req->coap->has_block2 ? copal_block_size(req->coap->block2.szx) : (size_t)SLICE_DEFAULT;
  uint8_t *text = arena_take(req->arena, room);
  if (text == NULL) {
    problem_set_unavailable(&why, 1, "No memory for the request; try again");
    return problem_send(&why, &r);
  }
  if (!ask_parse(&a, req->coap, &why) ||
      !read_slice(k, req, (copal_mspan){text, room}, &slice, &why))
    return problem_send(&why, &r);
  if (slice.total == 0 && (req->coap->path->flags & COPAL_PATH_GROUP) != 0)
    return COPAL_OK; /* nothing to say to a group: RFC 6690 section 4.1 */
  const store_item tagged = {.rev = 1,
                             .etag = store_etag_of(slice.generation, k->epoch + mark_of(req))};
  if (!ask_holds(&a, &tagged))
    return problem_reply(req, COPAL_CODE_PRECONDITION_FAILED,
                         "If-Match or If-None-Match does not hold for the listing");
  return answer(req, &tagged, ask_has_valid(&a, &tagged), copal_span_of(text, slice.len),
                (uint32_t)slice.total);
}

/* A listing with half of the resources would mislead. A group hears nothing. */
static int refuse_for_now(const handler_req *req)
{
  if ((req->coap->path->flags & COPAL_PATH_GROUP) != 0)
    return COPAL_OK;
  problem why;
  const reply r = reply_to(req);
  problem_set_unavailable(&why, FILLING_RETRY_S,
                          "The listing is being made after a restart; try again");
  return problem_send(&why, &r);
}

static int wellknown_on_request(service *base, const handler_req *req)
{
  wellknown *k = (wellknown *)base;
  const uint32_t accept = reply_to(req).accept;
  if (!copal_span_is_equal(req->key, copal_span_str(WELLKNOWN_CORE)))
    return problem_reply(req, COPAL_CODE_NOT_FOUND, "Nothing below " WELLKNOWN_CORE);
  if (req->coap->msg->code != COPAL_CODE_GET)
    return problem_reply(req, COPAL_CODE_METHOD_NOT_ALLOWED, "Discovery takes GET only");
  if (accept != REPLY_ANY_FORMAT && accept != COPAL_CF_LINK_FORMAT)
    return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE,
                         "Only Content-Format 40 (link-format) is available");
  if (!backfill_is_over(&k->backfill))
    return refuse_for_now(req);
  return on_get(k, req);
}

/* ------------------------------------------------------------------------------------------------
 * the service */

static size_t wellknown_count(service *base, service_count out[SERVICE_COUNT_MAX])
{
  out[0] = (service_count){"links_dropped", wellknown_usage_now(base).dropped};
  return 1;
}

static void wellknown_close(service *base)
{
  wellknown *k = (wellknown *)base;
  backfill_stop(&k->backfill);
  backfill_wipe(&k->backfill);
  linkindex_close(k->index);
  pthread_mutex_destroy(&k->dropped_lock);
  free(k);
}

static int add_self(wellknown *k)
{
  const int err = linkindex_put(k->index, copal_span_str(WELLKNOWN_CORE),
                                copal_span_str("<" WELLKNOWN_CORE ">;ct=40"));
  if (err != COPAL_OK || !k->cfg.lists_groups)
    return err;
  return linkindex_put(k->index, copal_span_str(GROUPING_PATH),
                       copal_span_str("<" GROUPING_PATH ">;rt=\"core.gp\";ct=256"));
}

service *wellknown_open(store *s, const wellknown_cfg *cfg)
{
  uint64_t random;
  if (!store_random((copal_mspan){(uint8_t *)&random, sizeof random}))
    return NULL;
  wellknown *k = calloc(1, sizeof *k);
  if (k == NULL)
    return NULL;
  if (cfg != NULL)
    k->cfg = *cfg;
  if (k->cfg.merge_max == 0)
    k->cfg.merge_max = MERGE_MAX_DEFAULT;
  k->base = (service){.name = "wellknown",
                      .on_request = wellknown_on_request,
                      .count = wellknown_count,
                      .close = wellknown_close};
  k->follower.on_change = on_change;
  k->epoch = random;
  pthread_mutex_init(&k->dropped_lock, NULL);
  k->index = linkindex_open();
  k->backfill.show = show;
  store_follow(s, &k->follower);
  if (k->index == NULL || add_self(k) != COPAL_OK || backfill_open(&k->backfill, s) != COPAL_OK) {
    wellknown_close(&k->base);
    return NULL;
  }
  return &k->base;
}

void wellknown_settle(service *base)
{
  backfill_stop(&((wellknown *)base)->backfill);
}

wellknown_usage wellknown_usage_now(service *base)
{
  wellknown *k = (wellknown *)base;
  wellknown_usage usage = {.links = linkindex_count(k->index), .bytes = linkindex_bytes(k->index)};
  pthread_mutex_lock(&k->dropped_lock);
  usage.dropped = k->dropped;
  pthread_mutex_unlock(&k->dropped_lock);
  return usage;
}
