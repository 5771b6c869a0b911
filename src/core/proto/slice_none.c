/* SPDX-License-Identifier: Apache-2.0 */
/* Responses that are sent whole or not at all: what slice.c is on a device without Block2. A
 * request with that option is answered 4.02, as RFC 7252 section 5.4.1 has it for a critical one.
 */
#include "core/proto/slice.h"

uint32_t slice_understood(void)
{
  return 0;
}

int slice_read(const copal_ep *ep, turn *t)
{
  (void)ep, (void)t;
  return COPAL_OK;
}

int slice_choose(const copal_ep *ep, const reply_rules *rules, const copal_response *r, size_t room,
                 own_opt *own, size_t *count, copal_span *part)
{
  (void)ep, (void)rules, (void)own, (void)count;
  *part = r->payload;
  if (r->payload.len <= room)
    return r->total > r->payload.len ? COPAL_EINVAL : COPAL_OK;
  part->len = room;
  return copal_code_class(r->code) == COPAL_CLASS_SUCCESS ? COPAL_ENOSPC : COPAL_OK;
}
