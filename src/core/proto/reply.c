/* SPDX-License-Identifier: Apache-2.0 */
/* Suppressing and writing responses. */
#include "core/proto/reply.h"

#include "core/proto/slice.h"
#include "core/wire/msg_body.h"

enum {
  OPTION_HEAD_MAX = 5,  /* RFC 7252 section 3.1: one byte and two extended fields */
  OWN_OPTIONS_MAX = 16, /* Observe, Block2 and Size2 with their heads */
};

void reply_rules_begin(turn *t)
{
  reply_rules *rules = &t->rules;
  rules->request_code = t->msg->code;
  rules->is_confirmable = t->msg->type == COPAL_CON;
  rules->is_group = (t->path->flags & COPAL_PATH_GROUP) != 0;
}

int reply_rules_read(const copal_ep *ep, turn *t)
{
  copal_span value;
  uint32_t accept = 0;
  reply_rules *rules = &t->rules;
  if (turn_find(t, COPAL_OPT_ACCEPT, &value))
    (void)copal_opt_uint(value, &accept);
  rules->wants_problem = accept == COPAL_CF_PROBLEM_DETAILS;
  if (turn_find(t, COPAL_OPT_NO_RESPONSE, &value)) {
    rules->has_no_response = true;
    rules->no_response = value.len ? value.ptr[0] : 0;
  }
  return slice_read(ep, t);
}

bool reply_is_suppressed(const reply_rules *rules, copal_code code)
{
  const unsigned cls = copal_code_class(code);
  if (rules->has_no_response)
    return (rules->no_response >> (cls - 1) & 1) != 0; /* RFC 7967 section 2.1: 2, 8, 16 */
  return rules->is_group && cls != COPAL_CLASS_SUCCESS;
}

/* Bytes left for a payload, at least, after head and options. */
static size_t payload_room(const copal_wr *w, const copal_response *r)
{
  size_t taken = w->len + OWN_OPTIONS_MAX + 1; /* and the payload marker */
  for (size_t i = 0; i < r->opt_count; i++)
    taken += OPTION_HEAD_MAX + r->opts[i].value.len;
  return taken < w->cap ? w->cap - taken : 0;
}

/* Writes the options of the handler with those of the endpoint at their places among them. */
static void put_options(copal_wr *w, const copal_response *r, const own_opt *own, size_t own_count)
{
  copal_opt_wr o = copal_opt_wr_init(w);

  for (size_t i = 0; i < r->opt_count || own_count > 0;) {
    if (own_count == 0 || (i < r->opt_count && r->opts[i].number < own->number)) {
      copal_opt_put(&o, r->opts[i].number, r->opts[i].value);
      i++;
    } else {
      copal_opt_put_uint(&o, own->number, own->value);
      own++;
      own_count--;
    }
  }
}

int reply_write_tail(const copal_ep *ep, copal_wr *w, const reply_rules *rules,
                     const copal_response *r)
{
  own_opt own[1 + SLICE_OPTS];
  size_t own_count = 0;
  copal_span part;

  if (rules->has_observe)
    own[own_count++] = (own_opt){COPAL_OPT_OBSERVE, rules->observe};
  const int err = slice_choose(ep, rules, r, payload_room(w, r), own, &own_count, &part);
  if (err)
    return err;
  put_options(w, r, own, own_count);
  msg_put_payload(w, &part);
  return w->err;
}

int reply_write(const copal_ep *ep, copal_wr *w, const copal_msg *head, const reply_rules *rules,
                const copal_response *r)
{
  copal_msg_put_head(w, head);
  return w->err ? w->err : reply_write_tail(ep, w, rules, r);
}
