/* SPDX-License-Identifier: Apache-2.0 */
/* Sends answers, at once or on a deferred exchange. RFC 7252 section 5.2. */
#include "service/reply.h"

#include <assert.h>

#include "copal/error.h"
#include "copal/registry.h"

reply reply_to(const handler_req *req)
{
  const copal_req *coap = req->coap;
  reply r = {
      .env = req->env,
      .now = req->now,
      .note = req->note,
      .accept = REPLY_ANY_FORMAT,
  };
  if (!copal_req_lacks(coap, COPAL_OPT_ACCEPT))
    r.accept = copal_opt_uint_or(coap->msg->options, COPAL_OPT_ACCEPT, REPLY_ANY_FORMAT);
  if (coap->has_block1) {
    r.has_block1 = true;
    r.block1 = coap->block1;
    r.is_qblock1 = coap->is_qblock1;
  }
  return r;
}

int reply_defer(reply *r)
{
  return copal_ep_defer(r->env->ep, &r->exchange);
}

/* Ends the deferred exchange come what may: one without an answer would stay open for ever. An
 * answer that does not fit into a message is cut to its code. */
static int deliver_late(const reply *r, const copal_response *response)
{
  const copal_time now = r->env->clock != NULL ? *r->env->clock : r->now;
  int err = copal_ep_resume(r->env->ep, r->exchange, response, now);
  if (err == COPAL_ENOSPC)
    err = copal_ep_resume(r->env->ep, r->exchange, &(copal_response){.code = response->code}, now);
  if (err < 0)
    copal_ep_abandon(r->env->ep, r->exchange, now);
  return err;
}

/* What has taken effect is answered come what may, as above. */
static int deliver(const reply *r, const copal_response *response)
{
  if (r->exchange != 0)
    return deliver_late(r, response);
  const int err = copal_ep_respond(r->env->ep, response, r->now);
  if (err != COPAL_ENOSPC || !r->is_change)
    return err;
  return copal_ep_respond(r->env->ep, &(copal_response){.code = response->code}, r->now);
}

int reply_send(const reply *r, const copal_response *response)
{
  if (r->note != NULL)
    r->note->on_answer(r->note, response->code);
  if (!r->has_block1 || r->is_qblock1)
    return deliver(r, response);
  copal_opt opts[REPLY_OPT_MAX + 1];
  uint8_t uints[REPLY_OPT_MAX + 1][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, REPLY_OPT_MAX + 1);
  for (size_t i = 0; i < response->opt_count; i++)
    copal_opt_list_add(&list, response->opts[i].number, response->opts[i].value);
  copal_block block = r->block1;
  block.more = response->code == COPAL_CODE_CONTINUE; /* else this is final, RFC 7959 section 2.3 */
  copal_opt_list_add_uint(&list, COPAL_OPT_BLOCK1, copal_block_value(block));
  assert(list.err == COPAL_OK);
  copal_response with_block = *response;
  with_block.opts = list.opts;
  with_block.opt_count = list.count;
  return deliver(r, &with_block);
}
