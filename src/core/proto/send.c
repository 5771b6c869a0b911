/* SPDX-License-Identifier: Apache-2.0 */
/* Putting datagrams into the sink: reserve, write, commit. */
#include "core/proto/send.h"

copal_wr send_begin(copal_ep *ep, const copal_path *path)
{
  copal_mspan room = ep->cfg.sink->reserve(ep->cfg.sink, path, ep->cfg.message_max);
  if (room.len > ep->cfg.message_max)
    room.len = ep->cfg.message_max;
  copal_wr w = copal_wr_init(room);
  if (room.len == 0) {
    ep->stats.tx_dropped++;
    w.err = COPAL_ENOSLOT;
  }
  return w;
}

void send_commit(copal_ep *ep, const copal_path *path, const copal_wr *w)
{
  ep->stats.tx_datagrams++;
  ep->cfg.sink->commit(ep->cfg.sink, path, w->len);
}

void send_empty(copal_ep *ep, const copal_path *path, copal_type type, uint16_t mid)
{
  copal_wr w = send_begin(ep, path);
  if (copal_msg_write_empty(&w, type, mid))
    return;
  if (type == COPAL_ACK)
    ep->stats.tx_acks++;
  else if (type == COPAL_RST)
    ep->stats.tx_resets++;
  send_commit(ep, path, &w);
}

void send_kept(copal_ep *ep, const copal_path *path, const copal_chain *kept)
{
  copal_wr w = send_begin(ep, path);
  copal_chain_put(kept, &ep->chunks, &w);
  if (!w.err)
    send_commit(ep, path, &w);
}
