/* SPDX-License-Identifier: Apache-2.0 */
/* The order of blocks in a Block1 transfer. RFC 7959 section 2.5. */
#include "copal/assembly.h"

static int refuse(copal_assembly *a, int err)
{
  *a = (copal_assembly){0};
  return err;
}

/* A block that is not the last must be full; the last must not be more than that. */
static bool is_well_sized(const copal_req *req)
{
  const size_t size = copal_block_size(req->block1.szx);
  const size_t len = req->msg->payload.len;
  return req->block1.more ? len == size : len <= size;
}

/* The value of an option of format uint; what is known to be absent is not looked for. */
static uint32_t uint_or(const copal_req *req, uint16_t number, uint32_t otherwise)
{
  if (copal_req_lacks(req, number))
    return otherwise;
  return copal_opt_uint_or(req->msg->options, number, otherwise);
}

int copal_assembly_take(copal_assembly *a, const copal_req *req, uint32_t limit,
                        copal_assembly_step *step)
{
  const uint32_t format = uint_or(req, COPAL_OPT_CONTENT_FORMAT, COPAL_ASSEMBLY_NO_FORMAT);
  const uint32_t announced = uint_or(req, COPAL_OPT_SIZE1, 0);
  const uint32_t offset = copal_block_offset(req->block1);
  const uint32_t len = (uint32_t)req->msg->payload.len;

  if (!is_well_sized(req))
    return refuse(a, COPAL_EBLOCK);
  if (announced > limit || offset > limit || len > limit - offset)
    return refuse(a, COPAL_ETOOBIG);
  *step = (copal_assembly_step){.offset = offset, .is_last = !req->block1.more};
  if (offset == 0) {
    step->is_first = true;
    *a = (copal_assembly){.content_format = format, .is_open = true};
  }
  if (!a->is_open || offset > a->have || format != a->content_format)
    return refuse(a, COPAL_EINCOMPLETE);
  /* What lies behind the end has come from another body. */
  if (step->is_last && offset + len < a->have)
    return refuse(a, COPAL_EINCOMPLETE);

  step->is_repeated = offset + len <= a->have && !step->is_last;
  if (!step->is_repeated)
    a->have = offset + len;
  a->is_open = !step->is_last;
  return COPAL_OK;
}
