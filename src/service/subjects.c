/* SPDX-License-Identifier: Apache-2.0 */
/* Subjects: a resource in one Content-Format, as one shard's clients observe it. */
#include "service/subjects.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "copal/registry.h"
#include "service/representation.h"

struct subjects {
  pthread_mutex_t lock; /* guards the tree */
  void *tree;           /* of subject, ordered by owner, Content-Format and path */
};

struct subject {
  copal_subject base; /* first */
  watcher watcher;
  subjects *table;
  const handler_env *env; /* its shard */
  watch *watch;
  representation shown; /* what render() hands out */
  store_rev seen;       /* what its observers have been shown, or are about to be */
  uint16_t content_format;
  copal_span key; /* in `path`, or of a request while it is looked up */
  uint8_t path[];
};

static int order_of(uintptr_t a, uintptr_t b)
{
  return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
  const subject *a = left;
  const subject *b = right;
  int order = order_of((uintptr_t)a->env, (uintptr_t)b->env);
  if (order == 0)
    order = order_of(a->content_format, b->content_format);
  if (order == 0)
    order = order_of(a->key.len, b->key.len);
  return order != 0 ? order : memcmp(a->key.ptr, b->key.ptr, a->key.len);
}

subjects *subjects_open(void)
{
  subjects *s = calloc(1, sizeof *s);
  if (s != NULL)
    pthread_mutex_init(&s->lock, NULL);
  return s;
}

void subjects_close(subjects *s)
{
  if (s == NULL)
    return;
  pthread_mutex_destroy(&s->lock);
  free(s);
}

/* The newest representation; an error ends the observations: the resource has gone, or it is no
 * longer available in the Content-Format that they began with. RFC 7641 section 4.2. */
static int render(copal_subject *base, copal_ep *ep, copal_response *r, copal_time now)
{
  subject *s = (subject *)base;
  store_item item;
  (void)ep;

  const bool is_there = store_get(s->env->store, s->key, &item);
  s->seen = is_there ? item.rev : 0;
  if (!is_there) {
    *r = (copal_response){.code = COPAL_CODE_NOT_FOUND,
                          .payload = copal_span_str("The resource has been deleted")};
  } else if (item.content_format != s->content_format) {
    *r = (copal_response){.code = COPAL_CODE_NOT_ACCEPTABLE,
                          .payload = copal_span_str("The Content-Format has changed")};
  } else {
    representation_show(&s->shown, s->env, &item, item.content_format, item.body, now);
    *r = s->shown.response;
  }
  return COPAL_OK;
}

static void forget(subject *s)
{
  pthread_mutex_lock(&s->table->lock);
  tdelete(s, &s->table->tree, compare);
  pthread_mutex_unlock(&s->table->lock);
  watch_close(s->watch);
  free(s);
}

static void on_idle(copal_subject *base, copal_ep *ep)
{
  (void)ep;
  forget((subject *)base);
}

void subject_settle(subject *s)
{
  if (s != NULL && s->base.count == 0)
    forget(s);
}

/* Notifies unless the observers have been shown this revision already. */
static void on_change(watcher *w, copal_time now)
{
  subject *s = (subject *)((char *)w - offsetof(subject, watcher));
  store_item item;
  const bool is_there = store_get(s->env->store, s->key, &item);

  if ((is_there ? item.rev : 0) != s->seen)
    copal_ep_notify(s->env->ep, &s->base, now);
}

static subject *make(subjects *table, const handler_req *req, const store_item *item)
{
  subject *s = calloc(1, sizeof *s + req->key.len);
  if (s == NULL)
    return NULL;
  s->base.render = render;
  s->base.on_idle = on_idle;
  s->watcher.on_change = on_change;
  s->table = table;
  s->env = req->env;
  s->content_format = item->content_format;
  s->seen = item->rev;
  memcpy(s->path, req->key.ptr, req->key.len);
  s->key = copal_span_of(s->path, req->key.len);
  s->watch = watch_open(req->env, s->key, &s->watcher);
  if (s->watch == NULL) {
    free(s);
    return NULL;
  }
  watch_poke(s->watch); /* for what changed between reading the item and watching it */
  return s;
}

/* The subject for the request, made when it is missing. Returns NULL without memory. */
static subject *find_or_make(subjects *table, const handler_req *req, const store_item *item)
{
  const subject wanted = {.env = req->env, .content_format = item->content_format, .key = req->key};
  subject *s = NULL;

  pthread_mutex_lock(&table->lock);
  subject **found = tfind(&wanted, &table->tree, compare);
  if (found != NULL)
    s = *found;
  pthread_mutex_unlock(&table->lock);
  if (s != NULL)
    return s;

  s = make(table, req, item);
  if (s == NULL)
    return NULL;
  pthread_mutex_lock(&table->lock);
  found = tsearch(s, &table->tree, compare);
  pthread_mutex_unlock(&table->lock);
  if (found != NULL)
    return s;
  watch_close(s->watch);
  free(s);
  return NULL;
}

subject *subjects_observe(subjects *table, const handler_req *req, const store_item *item)
{
  subject *s = find_or_make(table, req, item);
  if (s != NULL)
    copal_ep_observe(req->env->ep, &s->base);
  return s;
}
