/* SPDX-License-Identifier: Apache-2.0 */
/* Relations and notifications of the server side. RFC 7641 section 4. */
#include "core/proto/observe.h"

#include <string.h>

#include "core/proto/challenge.h"
#include "core/proto/mid.h"
#include "core/proto/observe_burst.h"
#include "core/proto/observe_keep.h"
#include "core/proto/reply.h"
#include "core/proto/send.h"

enum {
  SEQUENCE_SHIFT = 5,          /* a sequence tick is 32 microseconds, RFC 7641 section 4.4 */
  SEQUENCE_MASK = 0xffffff,    /* 24 bits on the wire */
  SEQUENCE_LEAD_MAX = 1 << 11, /* 66 ms: no restart is as quick */
  RTT_SHIFT = 3,               /* weight of a sample: 1/8, RFC 6298 section 2 */
  RTT_ROUND_UP = 7,            /* of what is divided so: a short estimate rises, too */
  RTT_RISE_MAX = 3,            /* a sample counts as four times the estimate at most */
  RTT_SAMPLES_MAX = 7,         /* what observer.rtt_samples can hold */
  RTT_MAX = (1 << 29) - 1,     /* what observer.rtt can hold: 9 minutes */
  RTT_CHECKS_MAX = 7,          /* what relation.checks can hold */
  BEAT_SHIFT = 20,             /* a beat is 2^20 microseconds, about a second, without a division */
  CONFIRM_BEATS = 78000,       /* 22.7 hours: below the 24 of RFC 7641 section 4.5 */
  NONS_MAX = UINT16_MAX - 1,   /* counted: with a limit beyond it there is none */
  QUIET_BEATS = 8,             /* after which a burst of changes counts as over */
  ASKED_MAX = 256,             /* relations that are asked whether an answer is for them */
};

/* ----------------------------------------------------------------------------------------- tables
 */

void observe_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg)
{
  copal_carve_pool(c, ep ? &ep->observers : NULL, sizeof(observer), cfg->observer_count);
  copal_carve_pool(c, ep ? &ep->relations : NULL, sizeof(relation), cfg->relation_count);
  copal_map_carve(ep ? &ep->observers_by_path : NULL, c, cfg->observer_count);
  copal_map_carve(ep ? &ep->relations_by_token : NULL, c, cfg->relation_count);
}

static copal_span token_of(const relation *r)
{
  return copal_span_of(r->token, r->token_len);
}

static uint32_t token_hash(uint32_t path_hash, copal_span token)
{
  uint32_t hash = path_hash ^ (uint32_t)token.len;
  for (size_t i = 0; i < token.len; i++)
    hash = copal_hash_mix(hash, token.ptr[i]);
  return hash;
}

static observer *find_observer(const copal_ep *ep, const copal_path *path, uint32_t path_hash)
{
  copal_map_link *link = copal_map_first(&ep->observers_by_path, path_hash);
  for (; link; link = copal_map_next(&ep->observers_by_path, link)) {
    observer *o = COPAL_AROUND(link, observer, link);
    if (copal_path_is_same_peer(&o->path, path))
      return o;
  }
  return NULL;
}

relation *observe_find(const copal_ep *ep, const copal_path *path, copal_span token)
{
  const uint32_t hash = token_hash(ep_path_hash(ep, path), token);
  copal_map_link *link = copal_map_first(&ep->relations_by_token, hash);
  for (; link; link = copal_map_next(&ep->relations_by_token, link)) {
    relation *r = COPAL_AROUND(link, relation, link);
    if (copal_span_is_equal(token_of(r), token) &&
        copal_path_is_same_peer(&r->observer->path, path))
      return r;
  }
  return NULL;
}

/* The relation whose last notification had that Message ID. Those that spoke last are asked first,
 * and not all of a great many, lest answers to nothing are dear: a Reset may be taken for lost. RFC
 * 7641 section 4.5. */
static relation *find_mid(const observer *o, uint16_t mid)
{
  unsigned asked = 0;
  if (o->in_flight && o->in_flight->mid == mid)
    return o->in_flight;
  for (copal_node *n = o->relations.next; n != &o->relations && asked < ASKED_MAX; n = n->next) {
    relation *r = COPAL_AROUND(n, relation, of_observer);
    asked++;
    if (r->has_mid && r->mid == mid)
      return r;
  }
  return NULL;
}

static copal_dur least(copal_dur a, copal_dur b)
{
  return a < b ? a : b;
}

static uint32_t beats(copal_time now)
{
  return (uint32_t)(now >> BEAT_SHIFT);
}

static observer *take_observer(copal_ep *ep, const copal_path *path)
{
  const uint32_t path_hash = ep_path_hash(ep, path);
  observer *o = find_observer(ep, path, path_hash);
  if (o)
    return o;
  o = copal_pool_take(&ep->observers);
  if (!o)
    return NULL;
  *o = (observer){.path = *path};
  copal_timer_init(&o->timer);
  copal_list_init(&o->relations);
  copal_list_init(&o->stale);
  copal_map_insert(&ep->observers_by_path, &o->link, path_hash);
  return o;
}

static void settle_observer(copal_ep *ep, observer *o)
{
  if (o->count)
    return;
  copal_timerq_cancel(&ep->timers, &o->timer);
  copal_map_remove(&ep->observers_by_path, &o->link);
  copal_pool_give(&ep->observers, o);
}

static void unqueue(relation *r)
{
  copal_list_remove(&r->turn);
  copal_list_init(&r->turn);
}

/* Separates the relation from its subject. What is left of it can only say that it has ended. */
static void leave_subject(copal_ep *ep, relation *r)
{
  copal_subject *s = r->subject;

  observe_tell(ep, r, COPAL_RELATION_ENDED);
  copal_list_remove(&r->of_subject);
  r->subject = NULL;
  r->last_word = (copal_chain){0};
  r->nons = 0;
  s->count--;
  burst_shrink(ep, s);
  if (s->count > 0)
    return;
  ep->rendering.subject = NULL; /* another may come to lie in its place */
  if (s->on_idle)
    s->on_idle(s, ep);
}

/* Takes the relation out of every table. Its observer must be settled or pumped afterwards. */
static void end_relation(copal_ep *ep, relation *r)
{
  observer *o = r->observer;

  if (r->subject)
    leave_subject(ep, r);
  copal_chain_give(&r->last_word, &ep->chunks);
  copal_map_remove(&ep->relations_by_token, &r->link);
  copal_list_remove(&r->of_observer);
  copal_list_remove(&r->turn);
  if (o->in_flight == r) {
    o->in_flight = NULL;
    copal_timerq_cancel(&ep->timers, &o->timer);
  }
  o->count--;
  copal_pool_give(&ep->relations, r);
}

/* As end_relation(), counted there unless the relation has been counted as finished. */
static void end_counted(copal_ep *ep, relation *r, copal_count *ends)
{
  if (r->subject)
    ++*ends;
  end_relation(ep, r);
}

static void end_all(copal_ep *ep, observer *o)
{
  while (o->count)
    end_relation(ep, COPAL_AROUND(o->relations.next, relation, of_observer));
}

/* Sets the timer of an observer with nothing in flight to what it waits for, if anything. */
static void rest(copal_ep *ep, observer *o)
{
  copal_time due = o->quiet ? (copal_time)o->quiet << BEAT_SHIFT : COPAL_NEVER;
  if (!copal_list_is_empty(&o->stale))
    due = o->free_at;
  if (!o->in_flight && o->timer.due != due)
    copal_timerq_arm(&ep->timers, &o->timer, due);
}

/* A relation of the observer has ended: what else waits there has its turn with the next timer, not
 * now, because sending may end relations and a caller walks over them. */
static void let_others_follow(copal_ep *ep, observer *o)
{
  rest(ep, o);
  settle_observer(ep, o);
}

/* ------------------------------------------------------------------------------------ registering
 */

/* The clock's number, or one more than the last when they are used up faster. How far it may be
 * ahead of the clock is limited, so that nobody can drive it round, and so that the clock of a
 * restarted server is ahead of all that went before: whoever is notified twice waits a tick at
 * least, and in a tick the limit moves on. 32-bit serial arithmetic. RFC 7641 section 4.4. */
uint32_t observe_next_sequence(const copal_ep *ep, uint32_t last, copal_time now)
{
  const uint32_t clock = (uint32_t)(now >> SEQUENCE_SHIFT) + ep->cfg.sequence_base;
  const uint32_t lead = last - clock;
  uint32_t next = lead < SEQUENCE_LEAD_MAX ? last + 1 : last;

  if (last == 0 || lead > SEQUENCE_LEAD_MAX)
    next = clock;
  return next ? next : 1; /* 0 is what new subjects have */
}

static relation *take_relation(copal_ep *ep, const copal_path *path, copal_span token)
{
  if (token.len > COPAL_TOKEN_MAX)
    return NULL;
  observer *o = take_observer(ep, path);
  if (!o)
    return NULL;
  relation *r = o->count < ep->cfg.relation_per_peer ? copal_pool_take(&ep->relations) : NULL;
  if (!r) {
    settle_observer(ep, o);
    return NULL;
  }
  *r = (relation){.observer = o, .token_len = (uint8_t)token.len & 0xfu};
  if (r->token_len)
    memcpy(r->token, token.ptr, r->token_len);
  copal_list_init(&r->turn);
  copal_list_append(&o->relations, &r->of_observer);
  o->count++;
  copal_map_insert(&ep->relations_by_token, &r->link, token_hash(o->link.hash, token_of(r)));
  return r;
}

relation *observe_begin(copal_ep *ep, copal_subject *s, const copal_path *path, copal_span token)
{
  relation *r = take_relation(ep, path, token);
  if (!r)
    return NULL;
  if (s->count == 0) {
    copal_list_init(&s->relations);
    burst_init(s);
  }
  r->subject = s;
  s->count++;
  copal_list_append(&s->relations, &r->of_subject);
  return r;
}

bool observe_register(copal_ep *ep, turn *t, copal_time now)
{
  relation *r = observe_find(ep, t->path, t->msg->token);

  if (t->is_spent && (!r || r->subject != t->subject))
    return false;
  if (r && r->subject != t->subject) { /* the client uses its token for something else now */
    observe_deregister(ep, t->path, t->msg->token);
    r = NULL;
  }
  const bool is_known = r != NULL;
  if (!is_known) {
    r = observe_begin(ep, t->subject, t->path, t->msg->token);
    if (!r) {
      ep->stats.relations_refused++;
      return false;
    }
  }
  /* The response counts as a notification: the client may have had others under this token, and is
   * to have one that is on its way or waits. */
  r->subject->sequence = observe_next_sequence(ep, r->subject->sequence, now);
  t->rules.observe = r->subject->sequence & SEQUENCE_MASK;
  if (r->is_stale || r->observer->in_flight == r)
    r->subject->sequence = observe_next_sequence(ep, r->subject->sequence, now);
  const bool is_news = !is_known || observe_is_other(r, t);
  r->observer->path = *t->path; /* the local side may differ now */
  r->request_code = t->rules.request_code;
  r->szx = observe_szx(&t->rules) & OBSERVE_NO_SZX;
  observe_note(ep, r, t, now);
  r->confirmed = beats(now);
  r->nons = 0;
  if (is_news)
    observe_tell(ep, r, is_known ? COPAL_RELATION_CHANGED : COPAL_RELATION_BEGUN);
  return true;
}

void observe_deregister(copal_ep *ep, const copal_path *path, copal_span token)
{
  relation *r = observe_find(ep, path, token);
  if (!r)
    return;
  observer *o = r->observer;
  end_counted(ep, r, &ep->stats.relations_deregistered);
  let_others_follow(ep, o);
}

/* ---------------------------------------------------------------------------------- notifications
 */

/* Renders the newest state for the client of `r`, once for all that are alike. COPAL_OK, or why
 * there is nothing to send. */
static int render(copal_ep *ep, const relation *r, copal_time now)
{
  rendering *to = &ep->rendering;
  reply_rules rules = {.observe = r->subject->sequence & SEQUENCE_MASK};
  copal_response response = {0};
  copal_wr w = copal_wr_init(ep->scratch);

  if (to->subject == r->subject && to->at == now && to->observe == rules.observe &&
      to->szx == r->szx)
    return COPAL_OK;
  to->subject = NULL;
  int err = r->subject->render(r->subject, ep, &response, now);
  if (err)
    return err;
  rules.has_observe = copal_code_class(response.code) == COPAL_CLASS_SUCCESS;
  rules.has_block2 = r->szx != OBSERVE_NO_SZX; /* always the first block, RFC 7959 section 2.6 */
  rules.block2.szx = rules.has_block2 ? r->szx : 0;
  err = reply_write_tail(ep, &w, &rules, &response);
  if (err)
    return err;
  *to = (rendering){.subject = r->subject,
                    .at = now,
                    .tail = copal_wr_done(&w),
                    .observe = rules.observe,
                    .szx = r->szx,
                    .code = response.code};
  return COPAL_OK;
}

/* What has been rendered ends the relation. */
static bool is_last_word(const copal_ep *ep)
{
  return copal_code_class(ep->rendering.code) != COPAL_CLASS_SUCCESS;
}

/* True when the next notification must be confirmable: to learn the round-trip time, to hear that
 * the client is still interested, or because the subject wants it. RFC 7641 sections 4.5, 7. */
static bool must_confirm(const copal_ep *ep, const relation *r, copal_time now)
{
  return r->subject->is_confirmable || r->observer->rtt == 0 ||
         r->nons >= ep->cfg.notify_con_every || beats(now) - r->confirmed >= CONFIRM_BEATS;
}

/* Sends what has been rendered. What cannot leave is lost; a confirmable one is tried again. */
static void send_rendering(copal_ep *ep, const relation *r, copal_type type, copal_time now)
{
  copal_wr w = send_begin(ep, &r->observer->path);
  const copal_msg head = {
      .type = type, .code = ep->rendering.code, .mid = r->mid, .token = token_of(r)};

  if (w.err)
    return;
  copal_msg_put_head(&w, &head);
  copal_wr_span(&w, ep->rendering.tail);
  if (!w.err && !challenge_is_due(ep, &r->observer->path, r->request_code, w.len, now))
    send_commit(ep, &r->observer->path, &w);
}

static void draw_mid(copal_ep *ep, relation *r, copal_time now)
{
  copal_node *others = &r->observer->relations;
  if (others->next != &r->of_observer) { /* see find_mid() */
    copal_list_remove(&r->of_observer);
    copal_list_append(others->next, &r->of_observer);
  }
  r->mid = mid_draw(ep, r->observer->link.hash, now);
  r->has_mid = true;
}

static void await_ack(copal_ep *ep, relation *r, copal_time now)
{
  observer *o = r->observer;
  o->in_flight = r;
  copal_timerq_arm(&ep->timers, &o->timer, now + o->interval);
}

/* A confirmable notification has left: its first, or another in place of the one in flight, whose
 * schedule goes on. RFC 7641 section 4.5.2. */
static void start_con(copal_ep *ep, relation *r, copal_time now)
{
  observer *o = r->observer;
  if (o->in_flight != r) {
    ep->stats.notify_cons++;
    r->retransmits = 0;
    o->interval = ep->cfg.params.ack_timeout + ep_random_dur(ep, ep->ack_spread);
    o->free_at = now;
  }
  await_ack(ep, r, now);
}

/* Has the observer looked at for a last state to repeat, at that beat or sooner. */
static void look_again(observer *o, uint32_t beat)
{
  if (o->quiet == 0 || beat < o->quiet)
    o->quiet = beat;
}

/* The next notification is due a round-trip time after this one. One for each round trip on average
 * is what RFC 7641 section 4.5.1 asks for: timers go by ticks, and lest the tick set the pace where
 * the round trip is shorter, what has been missed is made up for, a tick at most. Who has been
 * silent so long may hear that much at once. */
static void pace(const copal_ep *ep, observer *o, copal_time now)
{
  const copal_dur late = (copal_dur)(now - o->free_at);
  o->free_at = now + o->rtt - least(late, copal_timerq_tick(&ep->timers));
}

/* Sends a new notification. */
static void transmit(copal_ep *ep, relation *r, copal_time now)
{
  observer *o = r->observer;
  const bool is_con = must_confirm(ep, r, now);

  draw_mid(ep, r, now);
  r->is_stale = false;
  send_rendering(ep, r, is_con ? COPAL_CON : COPAL_NON, now);
  if (is_con) {
    o->sequence = ep->rendering.observe;
    start_con(ep, r, now);
  } else {
    ep->stats.notify_nons++;
    r->nons = (uint16_t)(r->nons + (r->nons < NONS_MAX));
    r->spoken = (uint16_t)beats(now);
    pace(ep, o, now);
    look_again(o, beats(now) + QUIET_BEATS + 1);
    rest(ep, o);
  }
}

/* --------------------------------------------------------------------------------- the last word
 */

/* Ends a relation with an error, `code`, in `tail` the rest of the message. Of that nothing is said
 * when there is no room to keep it; no message of another is given up for it. */
static void finish(copal_ep *ep, relation *r, copal_code code, copal_span tail)
{
  ep->stats.relations_finished++;
  leave_subject(ep, r);
  r->request_code = code;
  r->is_stale = true;
  if (tail.len && copal_chain_keep(&r->last_word, &ep->chunks, tail))
    ep->stats.chunks_refused++;
}

static void send_last_word(copal_ep *ep, const relation *r)
{
  const copal_path *path = &r->observer->path;
  const copal_msg head = {
      .type = COPAL_CON, .code = r->request_code, .mid = r->mid, .token = token_of(r)};
  copal_wr w = send_begin(ep, path);

  if (w.err)
    return; /* is tried again later */
  copal_msg_put_head(&w, &head);
  copal_chain_put(&r->last_word, &ep->chunks, &w);
  if (!w.err)
    send_commit(ep, path, &w);
}

/* Tells the client of a relation that it has ended, in a confirmable message: who does not hear it
 * would take what it was told before for the state of the resource. RFC 7641 sections 3.2, 4.2. */
static void transmit_last_word(copal_ep *ep, relation *r, copal_time now)
{
  draw_mid(ep, r, now);
  r->is_stale = false;
  unqueue(r);
  send_last_word(ep, r);
  start_con(ep, r, now);
}

void observe_refuse(copal_ep *ep, relation *r, copal_code code)
{
  if (!r->subject)
    return;
  finish(ep, r, code, copal_span_none());
  if (r->observer->in_flight != r)
    observe_enqueue(ep, r);
}

/* ---------------------------------------------------------------------------------------- turns
 */

/* Brings one client up to date. The relation may have ended when this returns. */
static void update(copal_ep *ep, relation *r, copal_time now)
{
  burst_judge(ep, r, now);
  unqueue(r);
  if (r->subject && render(ep, r, now))
    return; /* nothing to say now; it stays stale until the subject changes again */
  if (r->subject && !is_last_word(ep)) {
    transmit(ep, r, now);
    return;
  }
  if (r->subject)
    finish(ep, r, ep->rendering.code, ep->rendering.tail);
  transmit_last_word(ep, r, now);
}

static bool is_free(const observer *o, copal_time now)
{
  return !o->in_flight && o->free_at <= now;
}

/* Lets the relations that wait have their turn, as far as they may now. */
static void pump(copal_ep *ep, observer *o, copal_time now)
{
  while (is_free(o, now) && !copal_list_is_empty(&o->stale))
    update(ep, COPAL_AROUND(o->stale.next, relation, turn), now);
  rest(ep, o);
  settle_observer(ep, o);
}

void observe_go_on(copal_ep *ep, observer *o, copal_time now)
{
  pump(ep, o, now);
}

void observe_enqueue(copal_ep *ep, relation *r)
{
  observer *o = r->observer;
  if (copal_list_is_empty(&r->turn))
    copal_list_append(&o->stale, &r->turn);
  rest(ep, o);
}

/* What was last said non-confirmably may have been lost: after a quiet while it is said again, in a
 * confirmable message, so that the client gets to know the last state. RFC 7641 section 4.5. */
static void repeat_last(copal_ep *ep, observer *o, copal_time now)
{
  o->quiet = 0;
  for (copal_node *n = o->relations.next; n != &o->relations; n = n->next) {
    relation *r = COPAL_AROUND(n, relation, of_observer);
    if (r->nons == 0)
      continue;
    const uint16_t quiet = (uint16_t)(beats(now) - r->spoken);
    if (quiet < QUIET_BEATS) {
      look_again(o, beats(now) + QUIET_BEATS + 1 - quiet);
      continue;
    }
    r->nons = ep->cfg.notify_con_every;
    if (!r->is_stale)
      r->subject->sequence = observe_next_sequence(ep, r->subject->sequence, now);
    r->is_stale = true;
    observe_enqueue(ep, r);
  }
}

/* Who registered through a group is notified at a random instant of the leisure period, lest all
 * the members speak at once. RFC 7252 section 8.2. */
static void take_leisure(copal_ep *ep, observer *o, copal_time now)
{
  const bool is_member = (o->path.flags & COPAL_PATH_GROUP) != 0;
  if (is_member && is_free(o, now) && copal_list_is_empty(&o->stale))
    o->free_at = now + ep_random_dur(ep, ep->cfg.params.default_leisure);
}

void observe_tell_of_change(copal_ep *ep, relation *r, copal_time now)
{
  observer *o = r->observer;
  r->is_stale = true;
  take_leisure(ep, o, now);
  observe_hasten(o, now);
  if (!is_free(o, now) || !copal_list_is_empty(&o->stale)) {
    observe_enqueue(ep, r);
    return;
  }
  update(ep, r, now);
  settle_observer(ep, o);
}

void copal_ep_notify(copal_ep *ep, copal_subject *s, copal_time now)
{
  if (s->count == 0)
    return;
  ep->rendering.subject = NULL; /* it may be of this instant and number, but not of this state */
  s->sequence = observe_next_sequence(ep, s->sequence, now);
  burst_begin(ep, s, now);
}

/* --------------------------------------------------------------------------- acknowledgement, time
 */

/* The round-trip time is the mean of its samples, as in RFC 6298 section 2, but for two things. The
 * first ones may have waited in our queues or the client's, as when many clients are notified
 * together, and then a shorter one counts at once. A single one that is far too long, because
 * somebody was held up, counts for little; what stays long is believed soon. */
static copal_dur mean_rtt(const observer *o, copal_dur sample)
{
  const copal_dur rtt = o->rtt;
  if (rtt == 0 || (sample < rtt && o->rtt_samples < RTT_SAMPLES_MAX))
    return sample;
  if (sample < rtt)
    return rtt - ((rtt - sample) >> RTT_SHIFT);
  const copal_dur rise = least(sample - rtt, RTT_RISE_MAX * rtt);
  return least(rtt + ((rise + RTT_ROUND_UP) >> RTT_SHIFT), RTT_MAX);
}

/* Takes a sample of the round-trip time; never 0, which means unknown. */
static void take_rtt(observer *o, copal_time now)
{
  const copal_time sample = now - o->free_at;
  if (o->in_flight->retransmits)
    return; /* which transmission was acknowledged cannot be told */
  o->rtt = mean_rtt(o, (sample < RTT_MAX ? (copal_dur)sample : RTT_MAX) | 1) & RTT_MAX;
  if (o->rtt_samples < RTT_SAMPLES_MAX)
    o->rtt_samples++;
}

/* The notification in flight is over and its relation goes on. */
static void land(copal_ep *ep, observer *o)
{
  o->in_flight = NULL;
  copal_timerq_cancel(&ep->timers, &o->timer);
}

static void on_ack(copal_ep *ep, relation *r, copal_time now)
{
  observer *o = r->observer;

  if (o->in_flight != r)
    return;
  take_rtt(o, now);
  land(ep, o);
  r->nons = 0;
  r->confirmed = beats(now);
  if (r->is_stale)
    observe_enqueue(ep, r);
  else if (!r->subject)
    end_relation(ep, r);
  pump(ep, o, now);
}

bool observe_on_acknowledgement(copal_ep *ep, const copal_path *path, const copal_msg *msg,
                                copal_time now)
{
  observer *o = find_observer(ep, path, ep_path_hash(ep, path));
  relation *r = o ? find_mid(o, msg->mid) : NULL;
  if (!r)
    return false;
  if (msg->type == COPAL_ACK) {
    on_ack(ep, r, now);
    return true;
  }
  observe_spend(ep, r, now);
  end_counted(ep, r, &ep->stats.relations_reset);
  pump(ep, o, now);
  return true;
}

bool observe_on_unreachable(copal_ep *ep, const copal_path *path, const copal_msg *quoted,
                            copal_time now)
{
  observer *o = find_observer(ep, path, ep_path_hash(ep, path));
  relation *r = o ? find_mid(o, quoted->mid) : NULL;
  if (!r || !copal_span_is_equal(token_of(r), quoted->token))
    return false;
  if (quoted->type != (o->in_flight == r ? COPAL_CON : COPAL_NON)) /* or acknowledged since */
    return false;
  end_counted(ep, r, &ep->stats.relations_lost);
  pump(ep, o, now);
  return true;
}

/* Sends the state once more: the same message when nothing has changed since, not even the sequence
 * number, else the newest one in a new message with the schedule of the old. RFC 7641 sections 4.4
 * and 4.5.2. */
static void retransmit(copal_ep *ep, observer *o, copal_time now)
{
  relation *r = o->in_flight;

  r->retransmits++;
  o->interval *= 2;
  burst_judge(ep, r, now);
  if (r->subject && render(ep, r, now)) {
    await_ack(ep, r, now);
    return;
  }
  ep->stats.tx_retransmits++;
  if (r->subject && is_last_word(ep))
    finish(ep, r, ep->rendering.code, ep->rendering.tail);
  if (r->is_stale || (r->subject && ep->rendering.observe != o->sequence)) {
    draw_mid(ep, r, now);
    r->is_stale = false;
    o->sequence = ep->rendering.observe;
    unqueue(r);
  }
  if (r->subject)
    send_rendering(ep, r, COPAL_CON, now);
  else
    send_last_word(ep, r);
  await_ack(ep, r, now);
}

/* The client has not acknowledged any of the transmissions: it is not interested any more, in
 * nothing that it observes, unless it has asked for something since the first of them. With one
 * notification at a time each relation would take a minute and a half to find that out by itself.
 * RFC 7641 section 4.5. */
static void lose(copal_ep *ep, observer *o)
{
  const uint32_t since = beats(o->free_at);
  copal_node *next;

  o->rtt = 0; /* what else it observes must be confirmed next time */
  o->rtt_samples = 0;
  end_counted(ep, o->in_flight, &ep->stats.relations_lost);
  for (copal_node *n = o->relations.next; n != &o->relations; n = next) {
    relation *r = COPAL_AROUND(n, relation, of_observer);
    next = n->next;
    if (r->confirmed <= since)
      end_counted(ep, r, &ep->stats.relations_lost);
  }
}

/* A notification had to wait for the round-trip time, which may have been learned when many clients
 * were notified together, or when this one was busy: it is measured anew, each time after twice as
 * many non-confirmable ones as the last, so that a path that is slow indeed is spared. */
static void check_rtt(copal_ep *ep, observer *o)
{
  if (o->rtt == 0 || copal_list_is_empty(&o->stale))
    return;
  relation *r = COPAL_AROUND(o->stale.next, relation, turn);
  if (r->nons >> r->checks == 0)
    return;
  r->nons = ep->cfg.notify_con_every;
  if (r->checks < RTT_CHECKS_MAX)
    r->checks++;
}

void observe_on_timer(copal_ep *ep, copal_timer *t, copal_time now)
{
  observer *o = COPAL_AROUND(t, observer, timer);

  if (o->in_flight && o->in_flight->retransmits < ep->cfg.params.max_retransmit)
    retransmit(ep, o, now);
  else if (o->in_flight)
    lose(ep, o);
  else if (o->quiet && o->quiet <= beats(now))
    repeat_last(ep, o, now);
  else
    check_rtt(ep, o);
  pump(ep, o, now);
}

void observe_forget(copal_ep *ep, const copal_path *path)
{
  observer *o = find_observer(ep, path, ep_path_hash(ep, path));
  if (!o)
    return;
  end_all(ep, o);
  settle_observer(ep, o);
}

void observe_wipe(copal_ep *ep)
{
  observer *o;
  for (uint32_t i = 0; (o = copal_pool_at(&ep->observers, i)); i++)
    end_all(ep, o);
}

void copal_ep_end_subject(copal_ep *ep, copal_subject *s, copal_time now)
{
  copal_node *next;
  (void)now;
  if (s->count == 0)
    return;
  for (copal_node *n = s->relations.next; n != &s->relations; n = next) {
    relation *r = COPAL_AROUND(n, relation, of_subject);
    observer *o = r->observer;
    next = n->next;
    end_relation(ep, r);
    let_others_follow(ep, o);
  }
}
