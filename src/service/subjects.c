/* SPDX-License-Identifier: Apache-2.0 */
/* Subjects: a view of a resource, as one shard's clients observe it. With conditions each client
 * has a subject of its own, which is in no table: nobody else can use it. */
#include "service/subjects.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/patch.h"
#include "service/representation.h"

struct subjects {
  registrations_user user; /* first */
  registrations *kept;     /* NULL: no observation outlives the process */
  pthread_mutex_t lock;    /* guards the tree */
  void *tree;              /* of subject, ordered by owner, Content-Formats, path and document */
};

/* What an observation with a FETCH needs. */
typedef struct selection {
  uint16_t format; /* of the document that selects */
  uint32_t accept;
  copal_span document; /* in subject.bytes, or of a request while it is looked up */
  copal_mspan shown;   /* freed with the next rendering */
  problem why;         /* the last selection failed */
} selection;

/* What an observation with conditions needs. */
typedef struct terms {
  service_timer timer; /* first */
  conditions_state state;
  subject *subject;
} terms;

struct subject {
  copal_subject base; /* first */
  watcher watcher;
  subjects *table;
  const handler_env *env; /* its shard */
  watch *watch;
  registrations_waiter *waiter; /* of the request being handled, or NULL */
  bool is_held;                 /* by the request being handled: outlives its relations */
  representation shown;         /* what render() hands out */
  store_rev seen;               /* what its observers have been told of */
  uint16_t content_format;
  selection *selection; /* NULL: a GET */
  terms *terms;         /* NULL: every change counts, and the subject is in the table */
  copal_span key;       /* in `bytes`, or of a request while it is looked up */
  copal_span query;     /* in `bytes`: the conditions, as options */
  uint8_t bytes[];      /* path, document and conditions */
};

/* Where a subject comes from: a request, or a registration of the time before. */
typedef struct origin {
  const handler_env *env;
  copal_span key;
  copal_span query;
  uint16_t content_format; /* of the resource */
  store_rev seen;          /* what the client has been told of */
  copal_time now;
} origin;

/* ------------------------------------------------------------------------------------------------
 * the table */

static int order_of(uintptr_t a, uintptr_t b)
{
  return (a > b) - (a < b);
}

static int order_of_bytes(copal_span a, copal_span b)
{
  const int order = order_of(a.len, b.len);
  return order != 0 || a.len == 0 ? order : memcmp(a.ptr, b.ptr, a.len);
}

static int compare_selections(const selection *a, const selection *b)
{
  if (a == NULL || b == NULL)
    return order_of(a != NULL, b != NULL);
  int order = order_of(a->format, b->format);
  if (order == 0)
    order = order_of(a->accept, b->accept);
  return order != 0 ? order : order_of_bytes(a->document, b->document);
}

static int compare(const void *left, const void *right)
{
  const subject *a = left;
  const subject *b = right;
  int order = order_of((uintptr_t)a->env, (uintptr_t)b->env);
  if (order == 0)
    order = order_of(a->content_format, b->content_format);
  if (order == 0)
    order = order_of_bytes(a->key, b->key);
  return order != 0 ? order : compare_selections(a->selection, b->selection);
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

/* ------------------------------------------------------------------------------------------------
 * showing */

store_item subjects_item(const handler_env *env, const store_item *item, const conditions *c,
                         copal_time now)
{
  store_item shown = *item;
  const copal_time pmax_s = c->pmax / COPAL_SECOND;
  if ((c->present & CONDITIONS_PMAX) != 0 && pmax_s < representation_max_age(env, item, now)) {
    shown.max_age_s = (uint32_t)pmax_s;
    shown.written = now;
  }
  return shown;
}

/* Selects from the item. Returns false with the reason in the selection. */
static bool select_from(const subject *s, const store_item *item, uint16_t *format,
                        copal_span *body)
{
  selection *sel = s->selection;
  const patch_job job = {.format = sel->format,
                         .document = sel->document,
                         .target_format = item->content_format,
                         .target = item->body,
                         .input_max = s->env->limits->patch_max,
                         .result_max = s->env->limits->body_max};
  free(sel->shown.ptr);
  sel->shown = (copal_mspan){NULL, 0};
  if (!patch_select(&job, sel->accept, &sel->shown, format, &sel->why))
    return false;
  *body = copal_span_of(sel->shown.ptr, sel->shown.len);
  return true;
}

/* What the observers see of the item. */
static bool look(const subject *s, const store_item *item, uint16_t *format, copal_span *body)
{
  if (s->selection != NULL)
    return select_from(s, item, format, body);
  *format = item->content_format;
  *body = item->body;
  return true;
}

static void show(subject *s, const store_item *item, uint16_t format, copal_span body,
                 copal_time now)
{
  store_item shown = *item;
  if (s->terms != NULL) {
    const conditions_value v = conditions_value_of(format, body);
    conditions_reported(&s->terms->state, &v, now);
    shown = subjects_item(s->env, item, &s->terms->state.asked, now);
  }
  representation_show(&s->shown, s->env, &shown, format, body, now);
}

/* The newest representation; an error ends the observations: the resource has gone, or it is no
 * longer available in the Content-Format that they began with. RFC 7641 section 4.2. */
static int render(copal_subject *base, copal_ep *ep, copal_response *r, copal_time now)
{
  subject *s = (subject *)base;
  store_item item;
  uint16_t format;
  copal_span body;
  (void)ep;

  const store_status found = store_get(s->env->store, s->key, &item, now);
  if (found == STORE_FAILED) {
    *r = (copal_response){.code = COPAL_CODE_INTERNAL_SERVER_ERROR,
                          .payload = copal_span_str("What is stored here is damaged")};
  } else if (found != STORE_OK) {
    *r = (copal_response){.code = COPAL_CODE_NOT_FOUND,
                          .payload = copal_span_str("The resource has been deleted")};
  } else if (item.content_format != s->content_format) {
    *r = (copal_response){.code = COPAL_CODE_NOT_ACCEPTABLE,
                          .payload = copal_span_str("The Content-Format has changed")};
  } else if (!look(s, &item, &format, &body)) {
    *r = (copal_response){.code = s->selection->why.code,
                          .payload = copal_span_str(s->selection->why.detail)};
  } else {
    show(s, &item, format, body, now);
    *r = s->shown.response;
  }
  return COPAL_OK;
}

/* ------------------------------------------------------------------------------------------------
 * changes and time */

static void release(subject *s)
{
  watch_close(s->watch);
  if (s->terms != NULL)
    copal_timerq_cancel(s->env->timers, &s->terms->timer.timer);
  if (s->selection != NULL)
    free(s->selection->shown.ptr);
  free(s->terms);
  free(s->selection);
  free(s);
}

static void forget(subject *s)
{
  if (s->terms == NULL) {
    pthread_mutex_lock(&s->table->lock);
    tdelete(s, &s->table->tree, compare);
    pthread_mutex_unlock(&s->table->lock);
  }
  release(s);
}

static void on_idle(copal_subject *base, copal_ep *ep)
{
  subject *s = (subject *)base;
  (void)ep;
  if (!s->is_held)
    forget(s);
}

void subject_settle(subject *s)
{
  if (s == NULL)
    return;
  s->is_held = false;
  if (s->base.count == 0)
    forget(s);
}

void subject_register(subject *s, copal_xref exchange, registrations_waiter *w)
{
  s->waiter = w;
  (void)copal_ep_observe_late(s->env->ep, exchange, &s->base);
  s->waiter = NULL;
}

/* Whether the conditions let the present state through. What ends the observation always passes. */
static bool is_wanted(subject *s, const store_item *item, copal_time now)
{
  uint16_t format;
  copal_span body;
  copal_time again;
  if (item->content_format != s->content_format || !look(s, item, &format, &body))
    return true;
  const bool is_changed = item->rev != s->seen;
  const conditions_value v = conditions_value_of(format, body);
  s->seen = item->rev;
  const bool is_due = conditions_judge(&s->terms->state, &v, is_changed, now, &again);
  copal_timerq_arm(s->env->timers, &s->terms->timer.timer, again);
  return is_due;
}

/* May free the subject. */
static void review(subject *s, copal_time now)
{
  store_item item;
  const bool is_there = store_get(s->env->store, s->key, &item, now) == STORE_OK;
  const store_rev rev = is_there ? item.rev : 0;
  bool is_due = rev != s->seen;
  if (s->terms != NULL && is_there)
    is_due = is_wanted(s, &item, now);
  s->seen = rev;
  if (is_due)
    copal_ep_notify(s->env->ep, &s->base, now);
}

/* Notifies unless the observers have been told of this revision already. That one of them has been
 * shown it is not enough: render() also runs for retransmissions. */
static void on_change(watcher *w, copal_time now)
{
  review((subject *)((char *)w - offsetof(subject, watcher)), now);
}

static void on_due(service_timer *t, copal_time now)
{
  review(((terms *)t)->subject, now);
}

/* ------------------------------------------------------------------------------------------------
 * keeping */

/* What has become of a relation goes into the store. */
static void on_relation(copal_subject *base, copal_ep *ep, const copal_relation *relation,
                        copal_relation_event event)
{
  const subject *s = (const subject *)base;
  registrations *kept = s->table->kept;
  const copal_time now = s->env->clock != NULL ? *s->env->clock : 0;
  registration r = {.token = relation->token,
                    .request_code = relation->request_code,
                    .has_block2 = relation->has_block2,
                    .szx = relation->szx,
                    .content_format = s->content_format,
                    .key = s->key,
                    .query = s->query};
  (void)ep;
  if (s->env->ways->describe(s->env->ways, &relation->path, &r.way) != COPAL_OK)
    return; /* ends with this process in any case */
  if (event == COPAL_RELATION_ENDED) {
    registrations_remove(kept, s->env, &r.way, r.token, now);
    return;
  }
  if (s->selection != NULL) {
    r.is_fetch = true;
    r.fetch_format = s->selection->format;
    r.accept = s->selection->accept;
    r.fetch = s->selection->document;
  }
  registrations_save(kept, s->env, &r, s->waiter, now);
}

/* The conditions of a request as a run of options. Empty when there are none. */
static copal_span gather_query(copal_span options, copal_mspan room)
{
  copal_wr w = copal_wr_init(room);
  copal_opt_wr out = copal_opt_wr_init(&w);
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt);)
    if (opt.number == COPAL_OPT_URI_QUERY && opt.value.len >= 2 &&
        memcmp(opt.value.ptr, "c.", 2) == 0)
      copal_opt_put(&out, opt.number, opt.value);
  return w.err == COPAL_OK ? copal_wr_done(&w) : copal_span_none();
}

/* ------------------------------------------------------------------------------------------------
 * making */

static copal_span keep(uint8_t *at, copal_span bytes)
{
  if (bytes.len > 0)
    memcpy(at, bytes.ptr, bytes.len);
  return copal_span_of(at, bytes.len);
}

static bool add_selection(subject *s, const subjects_view *view)
{
  selection *sel = calloc(1, sizeof *sel);
  if (sel == NULL)
    return false;
  *sel = (selection){.format = view->fetch_format,
                     .accept = view->accept,
                     .document = keep(s->bytes + s->key.len, view->fetch)};
  s->selection = sel;
  return true;
}

static bool add_terms(subject *s, const subjects_view *view, copal_time now)
{
  terms *t = calloc(1, sizeof *t);
  if (t == NULL)
    return false;
  const conditions_value v = conditions_value_of(view->format, view->body);
  copal_time again;
  copal_timer_init(&t->timer.timer);
  t->timer.on_due = on_due;
  t->subject = s;
  conditions_begin(&t->state, view->conditions, &v, now);
  (void)conditions_judge(&t->state, &v, false, now, &again);
  copal_timerq_arm(s->env->timers, &t->timer.timer, again);
  s->terms = t;
  s->base.is_confirmable = view->conditions->con;
  return true;
}

static subject *make(subjects *table, const origin *from, const subjects_view *view)
{
  const size_t document_len = view->is_fetch ? view->fetch.len : 0;
  subject *s = calloc(1, sizeof *s + from->key.len + document_len + from->query.len);
  if (s == NULL)
    return NULL;
  s->base.render = render;
  s->base.on_idle = on_idle;
  if (table->kept != NULL && from->env->ways != NULL)
    s->base.on_relation = on_relation;
  s->watcher.on_change = on_change;
  s->table = table;
  s->env = from->env;
  s->content_format = from->content_format;
  s->seen = from->seen;
  s->key = keep(s->bytes, from->key);
  s->base.key = s->key;
  s->query = keep(s->bytes + from->key.len + document_len, from->query);
  if ((view->is_fetch && !add_selection(s, view)) ||
      (view->conditions->present != 0 && !add_terms(s, view, from->now)) ||
      (s->watch = watch_open(from->env, s->key, &s->watcher)) == NULL) {
    release(s);
    return NULL;
  }
  watch_poke(s->watch); /* for what changed between reading the item and watching it */
  return s;
}

/* The subject that others have made for the same view, or NULL. */
static subject *find(subjects *table, const origin *from, const subjects_view *view)
{
  selection sel = {.format = view->fetch_format, .accept = view->accept, .document = view->fetch};
  const subject wanted = {.env = from->env,
                          .content_format = from->content_format,
                          .selection = view->is_fetch ? &sel : NULL,
                          .key = from->key};
  pthread_mutex_lock(&table->lock);
  subject **found = tfind(&wanted, &table->tree, compare);
  subject *s = found != NULL ? *found : NULL;
  pthread_mutex_unlock(&table->lock);
  return s;
}

static subject *make_shared(subjects *table, const origin *from, const subjects_view *view)
{
  subject *s = make(table, from, view);
  if (s == NULL)
    return NULL;
  pthread_mutex_lock(&table->lock);
  const bool is_in = tsearch(s, &table->tree, compare) != NULL;
  pthread_mutex_unlock(&table->lock);
  if (is_in)
    return s;
  release(s);
  return NULL;
}

static bool is_welcome(const handler_env *env, const subjects_view *view)
{
  if (view->is_fetch && view->fetch.len > SUBJECTS_FETCH_MAX)
    return false;
  return view->conditions->present == 0 ||
         (env->timers != NULL && conditions_are_welcome(view->conditions));
}

/* The subject for that view, made when there is none. NULL without memory, and when the terms are
 * not welcome. */
static subject *provide(subjects *table, const origin *from, const subjects_view *view)
{
  if (!is_welcome(from->env, view))
    return NULL;
  if (view->conditions->present != 0)
    return make(table, from, view);
  subject *s = find(table, from, view);
  return s != NULL ? s : make_shared(table, from, view);
}

subject *subjects_observe(subjects *table, const handler_req *req, const subjects_view *view)
{
  uint8_t room[REGISTRATION_QUERY_MAX];
  origin from = {.env = req->env,
                 .key = req->key,
                 .content_format = view->item->content_format,
                 .seen = view->item->rev,
                 .now = req->now};
  if (view->conditions->present != 0)
    from.query = gather_query(req->coap->msg->options, (copal_mspan){room, sizeof room});
  subject *s = provide(table, &from, view);
  if (s == NULL)
    return NULL;
  s->is_held = true;
  copal_ep_observe(req->env->ep, &s->base);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * restoring */

/* What the client has seen last is not known: with conditions the first notification, which comes
 * in any case, is what they are judged by. */
static int restore(registrations_user *user, const handler_env *env, const registration *r,
                   const copal_path *path, copal_time due, copal_time now)
{
  subjects *table = (subjects *)user;
  conditions c;
  problem why;
  store_item item;
  const bool is_there = store_get(env->store, r->key, &item, now) == STORE_OK;
  const subjects_view view = {.format = STORE_NO_FORMAT,
                              .is_fetch = r->is_fetch,
                              .fetch_format = r->fetch_format,
                              .fetch = r->fetch,
                              .accept = r->accept,
                              .conditions = &c};
  const origin from = {.env = env,
                       .key = r->key,
                       .query = r->query,
                       .content_format = r->content_format,
                       .seen = is_there ? item.rev : 0,
                       .now = now};
  const copal_relation relation = {.path = *path,
                                   .token = r->token,
                                   .request_code = r->request_code,
                                   .has_block2 = r->has_block2,
                                   .szx = r->szx};
  subject *s = conditions_parse(&c, r->query, &why) ? provide(table, &from, &view) : NULL;
  if (s == NULL)
    return COPAL_ENOSLOT;
  const int rc = copal_ep_observe_restore(env->ep, &s->base, &relation, due, now);
  subject_settle(s);
  return rc;
}

registrations_user *subjects_keep(subjects *table, registrations *kept)
{
  table->kept = kept;
  table->user.restore = restore;
  return &table->user;
}
