/* SPDX-License-Identifier: Apache-2.0 */
/* The Q-Block options of requests, and putting a request to the handler again. RFC 9177
 * sections 4.1 to 4.4. */
#include "core/proto/qblock.h"

enum { OPTIONS_ROOM = 96 }; /* bytes of a response's head and options */

/* The set that block `num` belongs to ends before the block returned. */
static uint32_t set_end(const copal_ep *ep, uint32_t num)
{
  const uint32_t size = ep->cfg.qblock->max_payloads;
  return num - num % size + size;
}

static uint8_t szx_max(const copal_ep *ep)
{
  const size_t room = ep->cfg.message_max > OPTIONS_ROOM ? ep->cfg.message_max - OPTIONS_ROOM : 0;
  const uint8_t fits = copal_block_szx_for(room);
  return fits < ep->cfg.szx_max ? fits : ep->cfg.szx_max;
}

/* Adds the blocks that one option asks for. What lies further off than a set from the first is left
 * for another request. */
static int want(const copal_ep *ep, turn *t, copal_block b, uint32_t *next)
{
  const uint32_t base = t->rules.block2.num;
  const uint32_t end = b.more ? set_end(ep, b.num) : b.num + 1;
  if (b.num < *next || b.szx != t->rules.block2.szx)
    return COPAL_EBLOCK;
  for (uint32_t num = b.num; num < end && num - base < ep->cfg.qblock->max_payloads; num++)
    t->wanted |= (uint32_t)1 << (num - base);
  *next = b.num + 1;
  return COPAL_OK;
}

static bool begins_set(const copal_ep *ep, copal_block b)
{
  return b.more && b.num % ep->cfg.qblock->max_payloads == 0;
}

/* The first of the options: says where the blocks begin and how large they are. */
static int begin(const copal_ep *ep, turn *t, copal_block b)
{
  const uint8_t most = szx_max(ep);
  if (b.szx > most && b.num != 0)
    return COPAL_EBLOCK; /* never offered */
  if (b.szx > most)
    b.szx = most;
  t->rules.has_block2 = true;
  t->rules.is_qblock2 = true;
  t->rules.block2 = b;
  t->is_continuous = begins_set(ep, b);
  return COPAL_OK;
}

static int read_qblock2(const copal_ep *ep, turn *t)
{
  copal_opt_iter it = copal_opt_iter_init(t->msg->options);
  uint32_t next = 0;
  uint8_t asked = 0;

  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    copal_block b;
    if (opt.number != COPAL_OPT_Q_BLOCK2)
      continue;
    int err = copal_block_parse(opt.value, &b);
    if (!err && !t->rules.is_qblock2) {
      asked = b.szx;
      err = begin(ep, t, b);
    }
    if (!err && b.szx != asked)
      err = COPAL_EBLOCK;
    b.szx = t->rules.block2.szx;
    if (!err)
      err = want(ep, t, b, &next);
    if (err)
      return err;
  }
  return COPAL_OK;
}

/* RFC 9177 section 4.3: 4.00 without Request-Tag or Size1. */
static int read_qblock1(const turn *t, copal_req *req)
{
  copal_span value, ignored;
  if (!turn_find(t, COPAL_OPT_Q_BLOCK1, &value))
    return COPAL_OK;
  req->has_block1 = true;
  req->is_qblock1 = true;
  if (!turn_find(t, COPAL_OPT_REQUEST_TAG, &ignored) || !turn_find(t, COPAL_OPT_SIZE1, &ignored))
    return COPAL_EBLOCK;
  return copal_block_parse(value, &req->block1);
}

int qblock_read(copal_ep *ep, turn *t, copal_req *req)
{
  copal_span ignored;
  const bool has_qblock1 = turn_find(t, COPAL_OPT_Q_BLOCK1, &ignored);
  const bool has_qblock2 = turn_find(t, COPAL_OPT_Q_BLOCK2, &ignored);

  if (!ep->cfg.qblock || (!has_qblock1 && !has_qblock2))
    return COPAL_OK;
  if (t->rules.is_group)
    return COPAL_EMULTICAST; /* RFC 9177 section 4.8 */
  if (t->rules.has_block2 || req->has_block1) {
    t->sight.offender = has_qblock1 ? COPAL_OPT_Q_BLOCK1 : COPAL_OPT_Q_BLOCK2;
    return COPAL_EOPTION; /* RFC 9177 section 4.1: never both kinds */
  }
  const int err = read_qblock1(t, req);
  return err ? err : read_qblock2(ep, t);
}

bool qblock_ask(copal_ep *ep, struct qblock_flow *f, const copal_req *request,
                const reply_rules *rules, copal_time now)
{
  turn t = {.msg = request->msg, .path = request->path, .now = now, .rules = *rules, .flow = f};
  copal_req req = *request;
  req.has_block2 = true;
  req.block2 = rules->block2;
  ep->turn = &t;
  ep->cfg.server->on_request(ep->cfg.server, ep, &req, now);
  ep->turn = NULL;
  return t.is_answered;
}
