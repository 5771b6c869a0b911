/* SPDX-License-Identifier: Apache-2.0 */
/* Suppressing, slicing and writing responses. */
#include "core/proto/reply.h"

enum {
  OPTION_HEAD_MAX = 5,  /* RFC 7252 section 3.1: one byte and two extended fields */
  OWN_OPTIONS_MAX = 16, /* Observe, Block2 and Size2 with their heads */
  SZX_BIAS = 4,         /* RFC 7959 section 2.2: block size is 2^(SZX + 4) */
};

/* Which part of the body goes into this message. */
typedef struct slice {
  bool is_block;
  copal_block block;
  copal_span part;
  uint32_t total; /* bytes of the body */
} slice;

int reply_rules_read(const copal_ep *ep, const copal_path *path, const copal_msg *msg,
                     reply_rules *rules)
{
  copal_span value;
  *rules = (reply_rules){
      .request_code = msg->code,
      .is_confirmable = msg->type == COPAL_CON,
      .is_group = (path->flags & COPAL_PATH_GROUP) != 0,
      .wants_problem =
          copal_opt_uint_or(msg->options, COPAL_OPT_ACCEPT, UINT16_MAX) == COPAL_CF_PROBLEM_DETAILS,
  };
  if (copal_opt_find_valid(msg->options, COPAL_OPT_NO_RESPONSE, &value)) {
    rules->has_no_response = true;
    rules->no_response = value.len ? value.ptr[0] : 0;
  }
  if (!copal_opt_find(msg->options, COPAL_OPT_BLOCK2, &value))
    return COPAL_OK;
  const int err = copal_block_parse(value, &rules->block2);
  rules->has_block2 = !err;
  if (rules->block2.szx > ep->cfg.szx_max) {
    rules->block2.num <<= rules->block2.szx - ep->cfg.szx_max;
    rules->block2.szx = ep->cfg.szx_max;
  }
  return err;
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

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* The whole payload, cut to the room: diagnostics and other bodies that are not sliced. */
static slice whole(const copal_response *r, size_t room)
{
  return (slice){.part = copal_span_of(r->payload.ptr, smaller(r->payload.len, room))};
}

/* Cuts the block at `offset` out of what the handler supplied. */
static int cut_block(const copal_response *r, uint32_t offset, uint8_t szx, slice *s)
{
  const size_t size = copal_block_size(szx);
  const uint32_t have_end = r->offset + (uint32_t)r->payload.len;

  if ((offset && offset >= s->total) || offset >> (szx + SZX_BIAS) > COPAL_BLOCK_NUM_MAX)
    return COPAL_EBLOCK;
  if (offset < r->offset || offset > have_end)
    return COPAL_EINVAL;
  const size_t len = smaller(size, have_end - offset);
  const bool more = len < s->total - offset;
  if (more && len < size)
    return COPAL_EINVAL; /* the handler owes a full block */
  s->is_block = true;
  s->block = (copal_block){.num = offset >> (szx + SZX_BIAS), .more = more, .szx = szx};
  s->part = copal_span_of(r->payload.ptr + (offset - r->offset), len);
  return COPAL_OK;
}

/* Decides what of the body to send. RFC 7959 sections 2.2 to 2.4. */
static int choose_slice(const copal_ep *ep, const reply_rules *rules, const copal_response *r,
                        size_t room, slice *s)
{
  *s = whole(r, room);
  if (copal_code_class(r->code) != COPAL_CLASS_SUCCESS)
    return COPAL_OK;
  s->total = r->total ? r->total : (uint32_t)r->payload.len;
  if (s->total == 0)
    return COPAL_OK;

  uint8_t szx = rules->has_block2 ? rules->block2.szx : ep->cfg.szx_max;
  if (!rules->has_block2 && s->total <= copal_block_size(szx) && s->total <= room)
    return COPAL_OK;
  while (szx > 0 && copal_block_size(szx) > room)
    szx--;
  if (copal_block_size(szx) > room)
    return COPAL_ENOSPC;
  return cut_block(r, rules->has_block2 ? copal_block_offset(rules->block2) : 0, szx, s);
}

/* Writes the options, with Observe, Block2 and Size2 at their places among those of the handler. */
static void put_options(copal_wr *w, const reply_rules *rules, const copal_response *r,
                        const slice *s)
{
  copal_opt_wr o = copal_opt_wr_init(w);
  const bool has_size = s->is_block && s->block.num == 0;
  size_t i = 0;

  for (; i < r->opt_count && r->opts[i].number < COPAL_OPT_OBSERVE; i++)
    copal_opt_put(&o, r->opts[i].number, r->opts[i].value);
  if (rules->has_observe)
    copal_opt_put_uint(&o, COPAL_OPT_OBSERVE, rules->observe);
  for (; i < r->opt_count && r->opts[i].number < COPAL_OPT_BLOCK2; i++)
    copal_opt_put(&o, r->opts[i].number, r->opts[i].value);
  if (s->is_block)
    copal_opt_put_uint(&o, COPAL_OPT_BLOCK2, copal_block_value(s->block));
  for (; i < r->opt_count && r->opts[i].number < COPAL_OPT_SIZE2; i++)
    copal_opt_put(&o, r->opts[i].number, r->opts[i].value);
  if (has_size)
    copal_opt_put_uint(&o, COPAL_OPT_SIZE2, s->total);
  for (; i < r->opt_count; i++)
    copal_opt_put(&o, r->opts[i].number, r->opts[i].value);
}

int reply_write_tail(const copal_ep *ep, copal_wr *w, const reply_rules *rules,
                     const copal_response *r)
{
  slice s;
  const int err = choose_slice(ep, rules, r, payload_room(w, r), &s);
  if (err)
    return err;
  put_options(w, rules, r, &s);
  if (s.part.len) {
    copal_wr_u8(w, COPAL_PAYLOAD_MARKER);
    copal_wr_span(w, s.part);
  }
  return w->err;
}

int reply_write(const copal_ep *ep, copal_wr *w, const copal_msg *head, const reply_rules *rules,
                const copal_response *r)
{
  copal_msg_put_head(w, head);
  return w->err ? w->err : reply_write_tail(ep, w, rules, r);
}
