/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks ahead of others. */
#include "service/ordering.h"

#include "copal/error.h"
#include "copal/registry.h"

/* How far the block is behind the one that is missing, from 1 on; 0: it is not ahead, or cannot be
 * taken so. */
static uint32_t distance_of(const ordering *o, const copal_req *req, uint32_t limit)
{
  const copal_block b = req->block1;
  const uint32_t size = (uint32_t)copal_block_size(b.szx);
  const uint32_t offset = copal_block_offset(b);
  const uint32_t have = o->assembly.have;

  if (!o->assembly.is_open || !b.more || offset <= have || have % size != 0 ||
      (o->ahead != 0 && o->szx != b.szx) || req->msg->payload.len != size || offset > limit ||
      size > limit - offset)
    return 0;
  const uint32_t distance = (offset - have) / size;
  return distance <= ORDERING_AHEAD ? distance : 0;
}

/* Without a Request-Tag it might be a block of another body, whose first block has been lost: RFC
 * 9175 section 3.1. */
static bool has_tag(const copal_req *req)
{
  copal_span tag;
  return copal_opt_find(req->msg->options, COPAL_OPT_REQUEST_TAG, &tag);
}

static bool has_format(const ordering *o, const copal_req *req)
{
  return copal_opt_uint_or(req->msg->options, COPAL_OPT_CONTENT_FORMAT, COPAL_ASSEMBLY_NO_FORMAT) ==
         o->assembly.content_format;
}

/* The block that was missing has come, and with it those ahead that follow without a gap. */
static void close_gap(ordering *o)
{
  const uint32_t size = (uint32_t)copal_block_size(o->szx);
  while ((o->ahead & 1) != 0) {
    o->ahead >>= 1;
    o->assembly.have += size;
  }
  o->ahead >>= 1;
}

static int forget(ordering *o, int err)
{
  *o = (ordering){.ahead = 0};
  return err;
}

int ordering_take(ordering *o, const copal_req *req, uint32_t limit, copal_assembly_step *step)
{
  const uint32_t distance = distance_of(o, req, limit);
  if (distance > 0 && has_format(o, req) && has_tag(req)) {
    const uint64_t bit = (uint64_t)1 << (distance - 1);
    *step = (copal_assembly_step){.offset = copal_block_offset(req->block1),
                                  .is_repeated = (o->ahead & bit) != 0};
    o->szx = req->block1.szx;
    o->ahead |= bit;
    return COPAL_OK;
  }
  const int err = copal_assembly_take(&o->assembly, req, limit, step);
  if (err < 0)
    return forget(o, err);
  if (step->is_first)
    o->ahead = 0;
  if (o->ahead == 0 || step->is_repeated)
    return COPAL_OK;
  if (step->is_last || req->block1.szx != o->szx)
    return forget(o, COPAL_EINCOMPLETE);
  close_gap(o);
  return COPAL_OK;
}
