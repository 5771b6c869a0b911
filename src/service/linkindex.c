/* SPDX-License-Identifier: Apache-2.0 */
/* The index of links: one list of all links by path, one of groups by attribute and value, and in
 * each group one of its links by age. Weights are lengths of text, so that sums are offsets. RFC
 * 6690 section 4.1. */
#include "service/linkindex.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/link.h"
#include "service/linkmemo.h"
#include "service/linkvalues.h"
#include "store/keylist.h"

/* Links with one value of one attribute. Its key is name, NUL, value. */
typedef struct group {
  keylist links; /* by age: then growing touches the end of the list only */
  uint64_t generation;
  uint64_t newest; /* number of the link that came last */
  uint32_t key_len;
  uint8_t key[];
} group;

enum {
  NUMBER_SIZE = 8,
  SCRATCH_NEAR = 512,  /* bytes of scratch that lie on the stack */
  NAME_MAX_KEPT = 512, /* of the filters of a listing that is kept */
};

/* A link: "<key>" and its attributes. Its text stands behind its groups. */
typedef struct link {
  uint8_t number[NUMBER_SIZE]; /* in the order in which links were added; big-endian */
  uint32_t text_len;
  uint32_t key_len;
  uint32_t group_count, group_max;
  group *groups[];
} link;

struct linkindex {
  pthread_mutex_t door; /* who wants the lock waits here, so that neither readers nor writers pass
                           each other by: the lock alone lets one kind starve the other */
  pthread_rwlock_t lock;
  keylist links;
  keylist groups;
  uint64_t generation;
  uint64_t added; /* links ever: the number of the last */
  linkmemo memo;
  atomic_uint_least64_t judged; /* links looked at one by one */
};

static const uint8_t *text_of(const link *l)
{
  return (const uint8_t *)&l->groups[l->group_max];
}

static copal_span link_key(const void *item)
{
  const link *l = item;
  return copal_span_of(text_of(l) + 1, l->key_len);
}

static copal_span link_number(const void *item)
{
  return copal_span_of(((const link *)item)->number, NUMBER_SIZE);
}

static uint64_t link_weight(const void *item)
{
  return (uint64_t)((const link *)item)->text_len + 1; /* and a comma */
}

static copal_span group_name(const void *item)
{
  const group *g = item;
  return copal_span_of(g->key, g->key_len);
}

static uint64_t group_weight(const void *item)
{
  return ((const group *)item)->links.sum;
}

static const keylist_kind by_path = {.key = link_key, .weight = link_weight};
static const keylist_kind by_age = {.key = link_number, .weight = link_weight};
static const keylist_kind by_name = {.key = group_name, .weight = group_weight};

static void lock_to_read(linkindex *x)
{
  pthread_mutex_lock(&x->door);
  pthread_rwlock_rdlock(&x->lock);
  pthread_mutex_unlock(&x->door);
}

static void lock_to_write(linkindex *x)
{
  pthread_mutex_lock(&x->door);
  pthread_rwlock_wrlock(&x->lock);
  pthread_mutex_unlock(&x->door);
}

static void unlock(linkindex *x)
{
  pthread_rwlock_unlock(&x->lock);
}

/* ------------------------------------------------------------------------------------------------
 * groups; who changes them holds the lock for writing */

/* Writes a group key; `out` has room. */
static copal_span group_key(uint8_t *out, copal_span name, copal_span value)
{
  if (name.len > 0)
    memcpy(out, name.ptr, name.len);
  out[name.len] = 0;
  if (value.len > 0)
    memcpy(out + name.len + 1, value.ptr, value.len);
  return copal_span_of(out, name.len + 1 + value.len);
}

static group *group_find(const linkindex *x, copal_span key)
{
  return keylist_find(&x->groups, key);
}

static group *group_make(linkindex *x, copal_span key)
{
  group *g = malloc(sizeof *g + key.len);
  if (g == NULL)
    return NULL;
  *g = (group){.links = keylist_init(&by_age), .key_len = (uint32_t)key.len};
  memcpy(g->key, key.ptr, key.len);
  if (keylist_insert(&x->groups, g))
    return g;
  free(g);
  return NULL;
}

/* The group's links have changed, which weighed `before`; an empty group goes. */
static void group_touch(linkindex *x, group *g, uint64_t before)
{
  g->generation = x->generation;
  if (g->links.sum != before)
    keylist_reweigh(&x->groups, g, before);
  if (g->links.count > 0)
    return;
  keylist_remove(&x->groups, group_name(g));
  free(g);
}

/* A link on its way into the groups. */
typedef struct filing {
  linkindex *x;
  link *l;
  uint8_t *key; /* room for a group key */
} filing;

static bool file_value(void *ctx, copal_span name, copal_span value)
{
  const filing *f = ctx;
  const copal_span key = group_key(f->key, name, value);
  group *g = group_find(f->x, key);
  if (g != NULL && g->newest == f->x->added)
    return true; /* a word twice */
  if (g == NULL)
    g = group_make(f->x, key);
  if (g == NULL)
    return false;
  const uint64_t before = g->links.sum;
  const bool is_in = keylist_append(&g->links, f->l);
  if (is_in) {
    f->l->groups[f->l->group_count++] = g;
    g->newest = f->x->added;
  }
  group_touch(f->x, g, before);
  return is_in;
}

static void link_drop(linkindex *x, link *l)
{
  for (uint32_t i = 0; i < l->group_count; i++) {
    group *g = l->groups[i];
    const uint64_t before = g->links.sum;
    keylist_remove(&g->links, link_number(l));
    group_touch(x, g, before);
  }
  keylist_remove(&x->links, link_key(l));
  free(l);
}

static copal_link link_view(const uint8_t *text, size_t len, size_t key_len)
{
  const size_t head = key_len + 2; /* "<key>" */
  return (copal_link){.target = copal_span_of(text + 1, key_len),
                      .attrs = copal_span_of(text + head, len - head)};
}

/* A link in no list yet. NULL without memory. */
static link *link_make(copal_span key, copal_span text, uint32_t group_max)
{
  link *l = malloc(sizeof *l + group_max * sizeof l->groups[0] + text.len);
  if (l == NULL)
    return NULL;
  *l = (link){.text_len = (uint32_t)text.len, .key_len = (uint32_t)key.len, .group_max = group_max};
  memcpy(&l->groups[group_max], text.ptr, text.len);
  return l;
}

static void link_number_next(linkindex *x, link *l)
{
  const uint64_t number = ++x->added;
  for (int i = 0; i < NUMBER_SIZE; i++)
    l->number[i] = (uint8_t)(number >> (8 * (NUMBER_SIZE - 1 - i)));
}

/* A new link with what is known of it. */
typedef struct adding {
  copal_link view;
  linkvalues values;
  uint8_t *scratch; /* room for twice the text: for values, then for group keys */
  link *l;
} adding;

/* Puts a link that is listed by path into its groups. Returns false without memory. */
static bool file_link(linkindex *x, const adding *a)
{
  link_number_next(x, a->l);
  filing f = {.x = x, .l = a->l, .key = a->scratch + a->l->text_len};
  if (a->values.count > LINKVALUES_KEPT)
    return linkvalues_each(&a->view, a->scratch, file_value, &f);
  for (uint32_t i = 0; i < a->values.count; i++)
    if (!file_value(&f, a->values.first[i].name, a->values.first[i].value))
      return false;
  return true;
}

static bool is_same_text(const link *a, const link *b)
{
  return a->text_len == b->text_len && memcmp(text_of(a), text_of(b), a->text_len) == 0;
}

static void remove_key(linkindex *x, copal_span key)
{
  link *l = keylist_find(&x->links, key);
  if (l == NULL)
    return;
  x->generation++;
  link_drop(x, l);
}

/* Adds the link or puts it in the place of another of its key; it is given in any case. */
static int put_link(linkindex *x, const adding *a)
{
  link *other = keylist_insert_or_find(&x->links, a->l);
  if (other != NULL && other != a->l && is_same_text(other, a->l)) {
    free(a->l);
    return COPAL_OK;
  }
  x->generation++;
  if (other != NULL && other != a->l) {
    link_drop(x, other);
    other = keylist_insert(&x->links, a->l) ? a->l : NULL;
  }
  if (other == NULL) {
    remove_key(x, link_key(a->l));
    free(a->l);
    return COPAL_ENOSPC;
  }
  if (file_link(x, a))
    return COPAL_OK;
  link_drop(x, a->l);
  return COPAL_ENOSPC;
}

int linkindex_put(linkindex *x, copal_span key, copal_span text)
{
  if (text.len > UINT32_MAX / 2)
    return COPAL_ENOSPC;
  uint8_t near[SCRATCH_NEAR];
  const bool is_near = 2 * text.len <= sizeof near;
  adding a = {.view = link_view(text.ptr, text.len, key.len),
              .scratch = is_near ? near : malloc(2 * text.len)};
  if (a.scratch != NULL) {
    linkvalues_read(&a.values, &a.view, a.scratch);
    a.l = link_make(key, text, a.values.count);
  }
  int err = COPAL_ENOSPC;
  lock_to_write(x);
  if (a.l != NULL)
    err = put_link(x, &a);
  else
    remove_key(x, key);
  unlock(x);
  if (!is_near)
    free(a.scratch);
  return err;
}

void linkindex_remove(linkindex *x, copal_span key)
{
  lock_to_write(x);
  remove_key(x, key);
  unlock(x);
}

/* ------------------------------------------------------------------------------------------------
 * reading; the caller holds the lock */

/* What a filter selects: links by path, or groups by attribute. */
typedef struct range {
  const keylist *list;
  bool is_groups;
  uint64_t from, to; /* sums of weights in front of it and up to its end */
  copal_span key;    /* the group key, or its prefix */
  uint64_t generation;
} range;

static range range_of_list(const keylist *list, uint64_t generation)
{
  return (range){.list = list, .to = list->sum, .generation = generation};
}

static range range_between(const keylist *list, copal_span key, bool is_prefix, uint64_t generation)
{
  return (range){.list = list,
                 .from = keylist_sum_before(list, key, KEYTREE_BEFORE),
                 .to = keylist_sum_before(list, key, is_prefix ? KEYTREE_PAST : KEYTREE_BEHIND),
                 .key = key,
                 .generation = generation};
}

/* `key` has room for the filter's group key. */
static range range_of_filter(const linkindex *x, const linkindex_filter *f, uint8_t *key)
{
  if (copal_span_is_equal(f->name, copal_span_str("href")))
    return range_between(&x->links, f->value, f->is_prefix, x->generation);
  const copal_span sought = group_key(key, f->name, f->value);
  if (!f->is_prefix) {
    const group *g = group_find(x, sought);
    return g != NULL ? range_of_list(&g->links, g->generation) : (range){.list = &x->groups};
  }
  range r = range_between(&x->groups, sought, true, x->generation);
  r.is_groups = true;
  return r;
}

/* Calls for each link of a range that meets [from, to) of it; `at` is where it begins. */
typedef bool see_link(void *ctx, const link *l, const group *g, uint64_t at);

typedef struct range_walk {
  const linkindex *x;
  const range *r;
  const group *g;
  uint64_t base; /* where the group begins in the range */
  uint64_t from, to;
  see_link *see;
  void *ctx;
  bool goes_on;
} range_walk;

static bool walk_link(void *ctx, void *item, uint64_t at)
{
  range_walk *w = ctx;
  w->goes_on = w->see(w->ctx, item, w->g, w->base + at - (w->g == NULL ? w->r->from : 0));
  return w->goes_on;
}

static bool walk_group(void *ctx, void *item, uint64_t at)
{
  range_walk *w = ctx;
  w->g = item;
  w->base = at - w->r->from;
  const uint64_t from = w->from > w->base ? w->from - w->base : 0;
  const uint64_t to = w->to - w->base;
  keylist_walk(&w->g->links, from, to, walk_link, w);
  return w->goes_on;
}

static void range_see(const linkindex *x, const range *r, uint64_t from, uint64_t to, see_link *see,
                      void *ctx)
{
  range_walk w = {.x = x, .r = r, .from = from, .to = to, .see = see, .ctx = ctx, .goes_on = true};
  const uint64_t end = r->to - r->from;
  w.to = to < end ? to : end;
  if (from < w.to)
    keylist_walk(r->list, r->from + from, r->from + w.to, r->is_groups ? walk_group : walk_link,
                 &w);
}

/* The listing's stretch being written. */
typedef struct writing {
  uint64_t from, to;
  uint8_t *out;
} writing;

/* Copies what of "text," lies in the stretch. */
static void write_link(const writing *w, const link *l, uint64_t at)
{
  const uint64_t end = at + l->text_len;
  const uint64_t from = w->from > at ? w->from : at;
  const uint64_t to = w->to < end ? w->to : end;
  if (from < to)
    memcpy(w->out + (from - w->from), text_of(l) + (from - at), (size_t)(to - from));
  if (end >= w->from && end < w->to)
    w->out[end - w->from] = ',';
}

static bool write_seen(void *ctx, const link *l, const group *g, uint64_t at)
{
  (void)g;
  write_link(ctx, l, at);
  return true;
}

/* Length of a listing whose links, each with a comma, weigh so much. */
static uint64_t listing_len(uint64_t weight)
{
  return weight > 0 ? weight - 1 : 0;
}

static writing writing_of(uint64_t total, uint64_t offset, copal_mspan room)
{
  const uint64_t from = offset < total ? offset : total;
  const uint64_t left = total - from;
  return (writing){.from = from, .to = from + (left < room.len ? left : room.len), .out = room.ptr};
}

static void read_directly(const linkindex *x, const range *r, uint64_t offset, copal_mspan room,
                          linkindex_slice *slice)
{
  slice->total = listing_len(r->to - r->from);
  writing w = writing_of(slice->total, offset, room);
  slice->len = (size_t)(w.to - w.from);
  range_see(x, r, w.from, w.to, write_seen, &w);
}

/* Goes through the stretches of a view. */
typedef struct veil {
  linkindex_view *view; /* NULL: everything is seen */
  copal_mspan room;     /* for the end of a stretch */
  copal_span until;     /* of the last stretch, in `room` */
} veil;

static bool veil_shows(veil *v, copal_span key)
{
  copal_wr until = copal_wr_init(v->room);
  const bool shows = v->view->shows(v->view, key, &until);
  v->until = copal_wr_done(&until);
  return shows;
}

/* Sums of the weights in front of a stretch of links and up to its end. */
typedef struct stretch {
  uint64_t from, to;
  bool is_seen;
} stretch;

/* The stretch that begins with a link, cut at the end of the range. */
static stretch stretch_at(const range *r, veil *v, const link *first)
{
  stretch s = {.is_seen = veil_shows(v, link_key(first)),
               .from = keylist_sum_before(r->list, link_key(first), KEYTREE_BEFORE),
               .to = r->to};
  if (v->until.len > 0) {
    const uint64_t end = keylist_sum_before(r->list, v->until, KEYTREE_BEFORE);
    s.to = end < r->to ? end : r->to;
  }
  return s;
}

/* What of the links of a range is seen, written as far as the slice reaches. */
typedef struct showing {
  writing w;
  uint64_t lead;   /* added to where a link begins in the range: its place among those seen */
  uint64_t weight; /* of the links seen */
} showing;

static bool show_seen(void *ctx, void *item, uint64_t at)
{
  const showing *s = ctx;
  write_link(&s->w, item, at + s->lead);
  return true;
}

/* Writes a stretch that is seen; sums wrap around where less was seen than lies in front. */
static void show_stretch(const range *r, const stretch *t, showing *s)
{
  s->lead = s->weight - t->from;
  s->weight += t->to - t->from;
  const uint64_t begin = s->weight - (t->to - t->from);
  const uint64_t from = s->w.from > begin ? s->w.from : begin;
  const uint64_t to = s->w.to < s->weight ? s->w.to : s->weight;
  if (from < to)
    keylist_walk(r->list, from - s->lead, to - s->lead, show_seen, s);
}

/* The first link of a range of links. */
static const link *first_of(const range *r)
{
  return r->from < r->to ? keylist_first(r->list, r->key, KEYTREE_BEFORE) : NULL;
}

/* A listing of links by path, as a view shows it. */
static int read_veiled(const range *r, veil *v, uint64_t offset, copal_mspan room,
                       linkindex_slice *slice)
{
  showing s = {.w = {.from = offset, .to = offset + room.len, .out = room.ptr}};
  const link *first = first_of(r);
  for (int count = 0; first != NULL; count++) {
    if (count == LINKINDEX_STRETCH_MAX)
      return COPAL_ETOOBIG;
    const stretch t = stretch_at(r, v, first);
    if (t.is_seen)
      show_stretch(r, &t, &s);
    first = t.to < r->to ? keylist_first(r->list, v->until, KEYTREE_BEFORE) : NULL;
  }
  slice->total = listing_len(s.weight);
  const writing w = writing_of(slice->total, offset, room);
  slice->len = (size_t)(w.to - w.from);
  return COPAL_OK;
}

/* True when a view shows every link there is, as it does to operators. */
static bool is_all_seen(const linkindex *x, veil *v)
{
  enum { STRETCHES = 4 }; /* the root and what else the first rules tell apart */
  const range all = range_of_list(&x->links, 0);
  const link *first = first_of(&all);
  for (int count = 0; first != NULL; count++) {
    const stretch t = count < STRETCHES ? stretch_at(&all, v, first) : (stretch){0};
    if (!t.is_seen)
      return false;
    first = t.to < all.to ? keylist_first(all.list, v->until, KEYTREE_BEFORE) : NULL;
  }
  return true;
}

/* A listing made link by link, because links stand twice in the range, must pass more filters or
 * may be hidden. */
typedef struct merging {
  const range *r;
  veil *veil;
  const linkindex_filter *filters;
  size_t filter_count;
  writing w;
  uint64_t weight; /* of the links that pass */
  uint64_t judged; /* links looked at */
} merging;

/* True when another of the link's groups in the range stands in front of this one. */
static bool is_seen_before(const merging *m, const link *l, const group *g)
{
  for (uint32_t i = 0; g != NULL && i < l->group_count; i++) {
    const copal_span other = group_name(l->groups[i]);
    if (l->groups[i] != g && copal_span_has_prefix(other, m->r->key) &&
        keytree_compare(other, group_name(g)) < 0)
      return true;
  }
  return false;
}

static bool value_passes(copal_span value, const linkindex_filter *f)
{
  return f->is_prefix ? copal_span_has_prefix(value, f->value)
                      : copal_span_is_equal(value, f->value);
}

static bool link_passes(const link *l, const linkindex_filter *f)
{
  if (copal_span_is_equal(f->name, copal_span_str("href")))
    return value_passes(link_key(l), f);
  for (uint32_t i = 0; i < l->group_count; i++) {
    const copal_span key = group_name(l->groups[i]);
    const bool is_named =
        key.len > f->name.len && key.ptr[f->name.len] == 0 && copal_span_has_prefix(key, f->name);
    const size_t skip = f->name.len + 1;
    if (is_named && value_passes(copal_span_of(key.ptr + skip, key.len - skip), f))
      return true;
  }
  return false;
}

static bool merge_seen(void *ctx, const link *l, const group *g, uint64_t at)
{
  merging *m = ctx;
  (void)at;
  m->judged++;
  if (is_seen_before(m, l, g))
    return true;
  for (size_t i = 0; i < m->filter_count; i++)
    if (!link_passes(l, &m->filters[i]))
      return true;
  if (m->veil->view != NULL && !veil_shows(m->veil, link_key(l)))
    return true;
  write_link(&m->w, l, m->weight);
  m->weight += (uint64_t)l->text_len + 1;
  return true;
}

/* A listing that is made link by link. */
typedef struct merge {
  const range *r;
  const linkindex_filter *filters;
  size_t filter_count;
  veil *veil;
} merge;

static void merge_links(linkindex *x, const merge *how, uint64_t offset, copal_mspan room,
                        linkindex_slice *slice)
{
  merging m = {.r = how->r,
               .veil = how->veil,
               .filters = how->filters,
               .filter_count = how->filter_count,
               .w = {.from = offset, .to = offset + room.len, .out = room.ptr}};
  range_see(x, how->r, 0, UINT64_MAX, merge_seen, &m);
  atomic_fetch_add_explicit(&x->judged, m.judged, memory_order_relaxed);
  slice->total = listing_len(m.weight);
  const writing w = writing_of(slice->total, offset, room);
  slice->len = (size_t)(w.to - w.from);
}

/* Makes the whole of a long listing and keeps it for the blocks that follow. Returns false without
 * memory. */
static bool merge_and_keep(linkindex *x, const merge *how, copal_span name, uint64_t offset,
                           copal_mspan room, linkindex_slice *slice)
{
  const size_t most = (size_t)(how->r->to - how->r->from);
  uint8_t *text = malloc(most);
  if (text == NULL)
    return false;
  linkindex_slice whole;
  merge_links(x, how, 0, (copal_mspan){text, most}, &whole);
  linkmemo_put(&x->memo, name, x->generation, copal_span_of(text, whole.len));
  const writing w = writing_of(whole.total, offset, room);
  slice->total = whole.total;
  slice->len = (size_t)(w.to - w.from);
  if (slice->len > 0)
    memcpy(room.ptr, text + w.from, slice->len);
  free(text);
  return true;
}

static void read_merged(linkindex *x, const merge *how, uint64_t offset, copal_mspan room,
                        linkindex_slice *slice)
{
  uint8_t name_bytes[NAME_MAX_KEPT];
  copal_wr name = copal_wr_init((copal_mspan){name_bytes, sizeof name_bytes});
  const linkindex_view *view = how->veil->view;
  const copal_span viewer = view != NULL ? view->name : copal_span_none();
  copal_wr_be(&name, (uint32_t)viewer.len, 2);
  copal_wr_span(&name, viewer);
  linkindex_filters_put(&name, how->filters, how->filter_count);
  const bool is_kept = how->r->to - how->r->from > room.len && (view == NULL || viewer.len > 0) &&
                       name.err == COPAL_OK;
  if (is_kept && linkmemo_get(&x->memo, copal_wr_done(&name), x->generation, offset, room,
                              &slice->len, &slice->total))
    return;
  if (!is_kept || !merge_and_keep(x, how, copal_wr_done(&name), offset, room, slice))
    merge_links(x, how, offset, room, slice);
}

/* The smallest of the ranges that the filters select. `keys` has room for the keys of two. */
static range narrowest(const linkindex *x, const linkindex_filter *filters, size_t count,
                       uint8_t *keys, size_t key_room)
{
  if (count == 0)
    return range_of_list(&x->links, x->generation);
  uint8_t *spare = keys + key_room;
  range best = range_of_filter(x, &filters[0], keys);
  for (size_t i = 1; i < count; i++) {
    const range r = range_of_filter(x, &filters[i], spare);
    if (r.to - r.from < best.to - best.from) {
      uint8_t *used = spare;
      spare = used == keys ? keys + key_room : keys;
      best = r;
    }
  }
  return best;
}

static size_t key_room_of(const linkindex_filter *filters, size_t count)
{
  size_t most = 0;
  for (size_t i = 0; i < count; i++) {
    const size_t room = filters[i].name.len + 1 + filters[i].value.len;
    most = room > most ? room : most;
  }
  return most;
}

/* Chooses how a listing is made: straight from the list, by the stretches of the view, or link by
 * link. */
static int read_range(linkindex *x, const linkindex_filter *filters, size_t filter_count,
                      const range *r, veil *v, uint64_t merge_max, uint64_t offset,
                      copal_mspan room, linkindex_slice *slice)
{
  const bool is_small = r->to - r->from <= merge_max;
  const bool is_by_path = r->list == &x->links;
  if (v->view != NULL && filter_count <= 1 && is_by_path)
    return read_veiled(r, v, offset, room, slice);
  if ((filter_count > 1 || v->view != NULL) && !is_small)
    return COPAL_ETOOBIG;
  if (filter_count > 1 || v->view != NULL || (r->is_groups && is_small))
    read_merged(x, &(merge){r, filters, filter_count, v}, offset, room, slice);
  else
    read_directly(x, r, offset, room, slice);
  return COPAL_OK;
}

int linkindex_read(linkindex *x, const linkindex_filter *filters, size_t filter_count,
                   linkindex_view *view, uint64_t merge_max, uint64_t offset, copal_mspan room,
                   linkindex_slice *slice)
{
  const size_t key_room = key_room_of(filters, filter_count);
  const size_t until_room = view != NULL ? view->until_max : 0;
  uint8_t *keys = malloc(2 * key_room + until_room + 1);
  if (keys == NULL)
    return COPAL_ENOSPC;
  veil v = {.view = view, .room = {keys + 2 * key_room, until_room}};
  lock_to_read(x);
  if (view != NULL && is_all_seen(x, &v))
    v.view = NULL;
  const range r = narrowest(x, filters, filter_count, keys, key_room);
  *slice = (linkindex_slice){.generation = filter_count > 1 ? x->generation : r.generation};
  const int err = read_range(x, filters, filter_count, &r, &v, merge_max, offset, room, slice);
  unlock(x);
  free(keys);
  return err;
}

/* ------------------------------------------------------------------------------------------------
 * the index */

linkindex *linkindex_open(void)
{
  linkindex *x = calloc(1, sizeof *x);
  if (x == NULL)
    return NULL;
  pthread_mutex_init(&x->door, NULL);
  pthread_rwlock_init(&x->lock, NULL);
  linkmemo_init(&x->memo);
  atomic_init(&x->judged, 0);
  x->links = keylist_init(&by_path);
  x->groups = keylist_init(&by_name);
  return x;
}

static void drop_link(void *ctx, void *item)
{
  (void)ctx;
  free(item);
}

static void keep_link(void *ctx, void *item)
{
  (void)ctx;
  (void)item;
}

static void drop_group(void *ctx, void *item)
{
  (void)ctx;
  group *g = item;
  keylist_clear(&g->links, keep_link, NULL);
  free(g);
}

void linkindex_close(linkindex *x)
{
  if (x == NULL)
    return;
  keylist_clear(&x->groups, drop_group, NULL);
  keylist_clear(&x->links, drop_link, NULL);
  linkmemo_wipe(&x->memo);
  pthread_rwlock_destroy(&x->lock);
  pthread_mutex_destroy(&x->door);
  free(x);
}

size_t linkindex_count(linkindex *x)
{
  lock_to_read(x);
  const size_t count = x->links.count;
  unlock(x);
  return count;
}

uint64_t linkindex_bytes(linkindex *x)
{
  lock_to_read(x);
  const uint64_t bytes = listing_len(x->links.sum);
  unlock(x);
  return bytes;
}

uint64_t linkindex_judged(linkindex *x)
{
  return atomic_load_explicit(&x->judged, memory_order_relaxed);
}
