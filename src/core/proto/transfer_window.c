/* SPDX-License-Identifier: Apache-2.0 */
/* Several blocks of a transfer under way at once: which may leave, which have come, and how many
 * the path bears. RFC 7252 section 4.7, RFC 7959 sections 2.4 and 2.5.
 *
 * slot    event                           next
 * ------  ------------------------------  ----------------------------------------------------
 * FREE    its block is sent or asked for  ASKED
 * ASKED   the answer that was expected    KEPT, until the blocks before it have come
 * ASKED   any other end                   ODD, and nothing more leaves when its turn comes
 * KEPT    its turn                        FREE */
#include <string.h>

#include "core/proto/ep.h"
#include "core/proto/transfer.h"

typedef enum slot_state { SLOT_FREE, SLOT_ASKED, SLOT_KEPT, SLOT_ODD } slot_state;

enum {
  SIZE_FIRST = 2,   /* the block before the window has been answered */
  FAILURES_MAX = 3, /* of a download; each costs a block that goes by itself */
};

static copal_transfer_window *window_of(const copal_transfer *t)
{
  return t->request->window;
}

static uint8_t szx_of(const copal_transfer *t)
{
  return t->is_fetching ? t->szx2 : t->szx1;
}

/* The offset of the block that is due. */
static uint32_t due_of(const copal_transfer *t)
{
  return t->is_fetching ? t->received : t->sent;
}

static copal_transfer_slot *slot_at(const copal_transfer *t, uint32_t offset)
{
  const copal_transfer_window *w = window_of(t);
  return &w->slots[(offset >> (szx_of(t) + TRANSFER_SZX_BIAS)) % w->span];
}

static uint8_t *room_of(const copal_transfer *t, const copal_transfer_slot *slot)
{
  const copal_transfer_window *w = window_of(t);
  return w->room.ptr + ((size_t)(slot - w->slots) << (szx_of(t) + TRANSFER_SZX_BIAS));
}

/* Empties the window; what has come before its turn is lost. */
static void clear(copal_transfer *t)
{
  copal_transfer_window *w = window_of(t);
  const size_t blocks = w->room.len >> (szx_of(t) + TRANSFER_SZX_BIAS);
  const uint8_t limit = t->ep->cfg.params.nstart;

  w->span = w->count < limit ? w->count : limit;
  if (t->is_fetching && blocks < w->span)
    w->span = (uint16_t)blocks;
  w->next = due_of(t);
  w->recovered = 0;
  w->is_draining = false;
  for (uint16_t i = 0; i < w->count; i++)
    w->slots[i] = (copal_transfer_slot){.state = SLOT_FREE};
}

void transfer_window_reset(copal_transfer *t)
{
  copal_transfer_window *w = window_of(t);
  if (!w)
    return;
  *w = (copal_transfer_window){.slots = w->slots,
                               .count = w->count,
                               .room = w->room,
                               .size = SIZE_FIRST,
                               .threshold = UINT16_MAX};
}

uint16_t transfer_window_out(const copal_transfer *t)
{
  return window_of(t) ? window_of(t)->out : 0;
}

/* A server that loses its way among blocks may answer anything to the last of them, so that the
 * request has to be repeated to know. RFC 7252 section 5.1. */
static bool is_idempotent(copal_code code)
{
  return code != COPAL_CODE_POST && code != COPAL_CODE_PATCH;
}

static bool is_open(const copal_transfer *t)
{
  const copal_transfer_request *rq = t->request;
  return rq->window && !rq->window->is_shut && t->ep->cfg.params.nstart > 1 && !rq->is_observe &&
         rq->type == COPAL_CON && !rq->has_token && !rq->token.len;
}

bool transfer_window_may_send(const copal_transfer *t)
{
  return is_open(t) && t->is_blockwise && !t->read && is_idempotent(t->request->code);
}

/* Whether blocks may go ahead of the one that is due. An upload learns the block size from its
 * first block. */
static bool is_usable(const copal_transfer *t)
{
  return t->is_fetching ? is_open(t) : transfer_window_may_send(t) && t->sent > 0;
}

/* Behind the last block that may be in the window. The last block of an upload is not. */
static uint64_t end_of(const copal_transfer *t)
{
  const uint64_t size = copal_block_size(szx_of(t));
  const uint64_t limit = size * (COPAL_BLOCK_NUM_MAX + 1u);
  if (!t->is_fetching)
    return (t->request->body.len - 1) / size * size;
  return t->has_total && t->total < limit ? t->total : limit;
}

static int launch(copal_transfer *t, copal_time now)
{
  copal_transfer_window *w = window_of(t);
  copal_transfer_slot *slot = slot_at(t, w->next);
  *slot = (copal_transfer_slot){.offset = w->next, .len = (uint16_t)copal_block_size(szx_of(t))};
  const int err = transfer_send_slot(t, slot, now);
  if (err)
    return err;
  slot->state = SLOT_ASKED;
  w->next += slot->len;
  w->out++;
  w->has_sent = w->has_sent || !t->is_fetching;
  return COPAL_OK;
}

/* What the server has kept of the upload is not known. */
static void begin_again(copal_transfer *t)
{
  t->sent = 0;
  t->tag = 0;
  t->is_blockwise = false; /* to be found out again, with another tag if there is need */
  t->token_len = 0;
  t->has_echoed = false;
  t->has_repeated = false;
}

/* All has ended since something went wrong: an upload begins again without window; a download goes
 * on with the block that is due. */
static int abandon(copal_transfer *t)
{
  clear(t);
  window_of(t)->size = SIZE_FIRST;
  if (t->is_fetching)
    return COPAL_ENOTFOUND;
  begin_again(t);
  return COPAL_EINCOMPLETE;
}

/* What servers say that tell bodies apart by token, or want blocks in order, and do not say so
 * earlier. */
static bool is_confused(copal_code code)
{
  return code == COPAL_CODE_CONTINUE || code == COPAL_CODE_BAD_REQUEST ||
         code == COPAL_CODE_BAD_OPTION || code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE ||
         code == COPAL_CODE_INTERNAL_SERVER_ERROR;
}

bool transfer_window_doubts(copal_transfer *t, copal_code code)
{
  copal_transfer_window *w = window_of(t);
  if (!w || !w->has_sent || w->is_shut || !is_confused(code))
    return false;
  w->is_shut = true;
  begin_again(t);
  return true;
}

int transfer_window_fill(copal_transfer *t, copal_time now)
{
  copal_transfer_window *w = window_of(t);
  if (w && w->is_draining && w->out == 0)
    return abandon(t);
  if (!is_usable(t))
    return w && w->out ? COPAL_OK : COPAL_ENOTFOUND;
  if (w->out == 0)
    clear(t);
  const uint64_t end = end_of(t);
  const uint64_t room = (uint64_t)w->span << (szx_of(t) + TRANSFER_SZX_BIAS);
  while (!w->is_draining && w->span > 1 && w->out < w->size && w->next < end &&
         w->next - due_of(t) < room) {
    const int err = launch(t, now);
    if (err && err != COPAL_ENOSLOT)
      return err;
    if (err)
      break; /* answers make room */
  }
  return w->out ? COPAL_OK : COPAL_ENOTFOUND;
}

copal_transfer_slot *transfer_window_find(const copal_transfer *t, copal_xref ref)
{
  const copal_transfer_window *w = window_of(t);
  for (uint16_t i = 0; w && w->out && i < w->span; i++) {
    if (w->slots[i].exchange == ref)
      return &w->slots[i];
  }
  return NULL;
}

/* One more block for each answer at first, then one for each windowful. */
static void grow(copal_transfer_window *w)
{
  if (w->size >= w->span)
    return;
  if (w->size >= w->threshold && ++w->credit < w->size)
    return;
  w->credit = 0;
  w->size++;
}

void transfer_window_back_off(copal_transfer *t, const copal_transfer_slot *slot)
{
  copal_transfer_window *w = window_of(t);
  if (slot->offset < w->recovered)
    return; /* of the same crowd: it has been counted */
  w->recovered = w->next;
  w->threshold = w->size / 2 > 1 ? w->size / 2 : 1;
  w->size = w->threshold;
  w->credit = 0;
}

/* Nothing more leaves. A server that does not take blocks ahead of others takes none so. */
static void fail(copal_transfer *t)
{
  copal_transfer_window *w = window_of(t);
  if (w->is_draining)
    return;
  w->is_draining = true;
  w->is_shut = !t->is_fetching || ++w->failures >= FAILURES_MAX;
}

void transfer_window_settle(copal_transfer *t, copal_transfer_slot *slot, const copal_msg *msg)
{
  copal_transfer_window *w = window_of(t);
  copal_block b = {0};

  slot->exchange = 0;
  w->out--;
  slot->state = SLOT_ODD;
  if (!msg || !transfer_is_expected(t, slot, msg)) {
    if (!t->is_fetching)
      fail(t);
    return;
  }
  slot->state = SLOT_KEPT;
  grow(w);
  if (!t->is_fetching)
    return;
  (void)transfer_find_block(msg, COPAL_OPT_BLOCK2, &b);
  slot->len = (uint16_t)msg->payload.len;
  slot->has_more = b.more;
  if (msg->payload.len)
    memcpy(room_of(t, slot), msg->payload.ptr, msg->payload.len);
}

/* What is odd matters only when its turn has come: behind the end of a body nothing is to be had.
 */
bool transfer_window_take(copal_transfer *t, copal_transfer_slot *block, copal_span *bytes)
{
  copal_transfer_window *w = window_of(t);
  if (!w || w->span == 0)
    return false;
  copal_transfer_slot *slot = slot_at(t, due_of(t));
  if (slot->offset != due_of(t) || slot->state == SLOT_FREE || slot->state == SLOT_ASKED)
    return false;
  if (slot->state == SLOT_ODD) {
    fail(t);
    return false;
  }
  *block = *slot;
  *bytes = t->is_fetching ? copal_span_of(room_of(t, slot), slot->len) : copal_span_none();
  slot->state = SLOT_FREE;
  t->has_echoed = false;
  t->has_repeated = false;
  return true;
}
