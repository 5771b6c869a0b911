/* SPDX-License-Identifier: Apache-2.0 */
/* Records of established sessions: replay, forgeries, the peer's address, and numbers that are used
 * once. RFC 6347 sections 4.1.2.6 and 4.1.2.7, RFC 9146 sections 3 and 6. */
#include <string.h>

#include "copal/error.h"
#include "transport/dtls/session.h"
#include "transport/dtls/session_table.h"

enum {
  EPOCH = 1,           /* of all application data: there is no renegotiation */
  UNPROVEN_FACTOR = 3, /* bytes to an unproven address for each that came from there */
  RESERVED_BLOCKS = 2, /* per checkpoint */
};

/* --------------------------------------------------------------------------------------- opening
 */

/* Everything that can be told before the record is known to be authentic. RFC 9146 section 3. */
static bool is_acceptable(dtls_sessions *all, const dtls_session *s, const dtls_record *rec)
{
  const bool has_cid = rec->type == DTLS_TLS12_CID;
  const bool wants_cid = (s->flags & DTLS_SESSION_CID) != 0;
  uint64_t *counter = NULL;
  if (s->state != DTLS_SESSION_UP || rec->epoch != EPOCH)
    counter = &all->stats.rx_epoch;
  else if (has_cid != wants_cid)
    counter = &all->stats.rx_form;
  else if (!dtls_window_is_new(&s->window, rec->seq))
    counter = &all->stats.rx_replayed;
  if (counter != NULL)
    (*counter)++;
  return counter == NULL;
}

static int count_forgery(dtls_sessions *all, dtls_session *s)
{
  all->stats.rx_forged++;
  if (++s->forgeries < all->cfg.forgery_max)
    return COPAL_EFORMAT;
  dtls_session_end(all, s, DTLS_END_FORGED);
  return COPAL_ENOTFOUND;
}

static void add_credit(dtls_session *s, size_t size)
{
  const size_t more = size * UNPROVEN_FACTOR;
  s->credit = (uint16_t)(more < (size_t)(UINT16_MAX - s->credit) ? s->credit + more : UINT16_MAX);
}

static bool is_from_peer(const dtls_session *s, const copal_path *from)
{
  return memcmp(&s->remote, &from->remote, sizeof s->remote) == 0;
}

/* The newest record says where the peer is; an older one may be late. Returns whether the address
 * is another one. */
static bool follow(dtls_sessions *all, dtls_session *s, const copal_path *from)
{
  const bool is_moved = !is_from_peer(s, from);
  if (!is_moved) {
    s->local = from->local;
    return false;
  }
  if ((s->flags & DTLS_SESSION_CID) == 0)
    return false; /* found by its address, or not at all */
  dtls_table_move(all, s, from);
  s->flags |= DTLS_SESSION_UNPROVEN;
  s->credit = 0;
  all->stats.moved++;
  return true;
}

int dtls_session_open(dtls_sessions *all, dtls_session *s, const dtls_arrival *a, dtls_opened *out,
                      copal_time now)
{
  const dtls_record *rec = a->rec;
  if (!is_acceptable(all, s, rec))
    return COPAL_EFORMAT;
  if (dtls_record_open(&s->rx, (dtls_aead)s->aead, rec, a->room, &out->content) != COPAL_OK)
    return count_forgery(all, s);
  out->is_newest = dtls_window_is_newest(&s->window, rec->seq);
  dtls_window_accept(&s->window, rec->seq);
  out->is_moved = out->is_newest && follow(all, s, a->from);
  if (is_from_peer(s, a->from))
    add_credit(s, rec->whole.len);
  if (out->content.type == DTLS_APPLICATION_DATA)
    s->flags |= DTLS_SESSION_CONFIRMED;
  dtls_table_touch(all, s, now);
  all->stats.rx_records++;
  return COPAL_OK;
}

void dtls_session_prove(dtls_sessions *all, dtls_session *s, bool is_fresh)
{
  const unsigned proven =
      is_fresh ? DTLS_SESSION_UNPROVEN | DTLS_SESSION_STALE : DTLS_SESSION_UNPROVEN;
  if ((s->flags & proven) == 0)
    return;
  if (is_fresh && dtls_session_is_stale(s))
    dtls_window_shut(&s->window); /* what the crash has forgotten may come again */
  s->flags &= (uint8_t)~proven;
  all->stats.proven++;
}

/* --------------------------------------------------------------------------------------- sealing
 */

size_t dtls_session_head(const dtls_session *s)
{
  return dtls_record_head(s->peer_cid_len);
}

size_t dtls_session_overhead(const dtls_session *s)
{
  return dtls_record_overhead((dtls_aead)s->aead, s->peer_cid_len);
}

static uint32_t block_of(uint64_t seq)
{
  return (uint32_t)(seq / DTLS_SEQ_BLOCK);
}

/* Whether the next number may be used and the address be sent `size` bytes. */
static int may_seal(dtls_sessions *all, dtls_session *s, size_t size)
{
  if (s->tx_block != DTLS_NO_BLOCK && block_of(s->tx_seq) + 1 >= s->tx_block)
    all->wants_save = true;
  if (block_of(s->tx_seq) >= s->tx_block) {
    all->stats.tx_unreserved++;
    return COPAL_EAGAIN;
  }
  if (dtls_session_is_address_unproven(s) && s->credit < size) {
    all->stats.tx_unproven++;
    return COPAL_EAGAIN;
  }
  return COPAL_OK;
}

int dtls_session_seal(dtls_sessions *all, dtls_session *s, dtls_type type, copal_span content,
                      copal_mspan room)
{
  const size_t size = dtls_session_overhead(s) + content.len;
  const dtls_draft draft = {.type = type,
                            .epoch = EPOCH,
                            .seq = s->tx_seq,
                            .cid = dtls_session_peer_cid(all, s),
                            .content = content};
  if (s->state == DTLS_SESSION_UP && s->tx_seq >= all->cfg.seal_max) {
    dtls_session_end(all, s, DTLS_END_EXHAUSTED);
    return COPAL_ENOTFOUND;
  }
  if (s->state != DTLS_SESSION_UP && s->state != DTLS_SESSION_ENDING)
    return COPAL_EINVAL;
  int rc = may_seal(all, s, size);
  if (rc == COPAL_OK)
    rc = dtls_record_seal(&s->tx, (dtls_aead)s->aead, &draft, room);
  if (rc < 0)
    return rc;
  s->tx_seq++;
  if (dtls_session_is_address_unproven(s))
    s->credit = (uint16_t)(s->credit - size);
  all->stats.tx_records++;
  return rc;
}

/* ------------------------------------------------------------------------------------ reservation
 */

/* A session that no file holds is bound at once; one that a file holds keeps to what that file says
 * until the next one is on disk. */
uint64_t dtls_session_reserve(dtls_sessions *all, dtls_session *s)
{
  const uint32_t block = block_of(s->tx_seq);
  if (s->tx_block == DTLS_NO_BLOCK)
    s->tx_block = block + RESERVED_BLOCKS;
  uint32_t until = s->tx_block;
  if (block + 1 >= until && all->raise_count < all->slot_count) {
    until += RESERVED_BLOCKS;
    all->raises[all->raise_count++] = (dtls_raise){until, dtls_session_slot(all, s)};
  }
  return (uint64_t)until * DTLS_SEQ_BLOCK;
}

void dtls_sessions_reserved(dtls_sessions *all, bool is_on_disk)
{
  for (uint32_t i = 0; is_on_disk && i < all->raise_count; i++) {
    dtls_session *s = &all->slots[all->raises[i].slot];
    if (s->state == DTLS_SESSION_UP && s->tx_block != DTLS_NO_BLOCK)
      s->tx_block = all->raises[i].key; /* else the slot holds another session by now */
  }
  all->raise_count = 0;
  if (is_on_disk)
    all->wants_save = false;
}

void dtls_sessions_unbind(dtls_sessions *all)
{
  dtls_session *s;
  for (uint32_t slot = 0; (s = dtls_session_from_slot(all, slot)) != NULL; slot++) {
    slot = dtls_session_slot(all, s);
    s->tx_block = DTLS_NO_BLOCK;
  }
  all->raise_count = 0;
  all->wants_save = false;
}

bool dtls_sessions_wants_save(const dtls_sessions *all)
{
  return all->wants_save;
}
