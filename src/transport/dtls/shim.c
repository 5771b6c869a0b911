/* SPDX-License-Identifier: Apache-2.0 */
/* The boundary between GnuTLS and the wire. RFC 9146 section 3, RFC 6347 section 4.2. */
#include "transport/dtls/shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/dtls.h>

#include "copal/error.h"

enum {
  QUEUE_RECORDS = 64,
  QUEUE_SIZE = 48 * 1024, /* bytes: a chain of certificates in small pieces */
  EARLY_RECORDS = 8,
  LOCKED_RECORDS = 8,      /* protected ones that wait for keys: anybody can send such */
  LOCKED_SIZE = 8 * 1024,  /* bytes of these */
  MESSAGE_MAX = 32 * 1024, /* bytes of a handshake message that is believed */
  MESSAGE_SEQ_MAX = 16,    /* a handshake has fewer messages of either side */
  SEAL_ROOM = 64,          /* beyond the content, for a record in the library's form */
  FINISHED_SIZE = HELLO_HEAD_SIZE + DTLS_VERIFY_DATA_SIZE,
  TICKET_MAX = 4096,
  ALERT_FATAL = 2,
  EPOCH = 1, /* of protected records: there is no second handshake */
};

struct shim_record {
  shim_record *next;
  dtls_record rec; /* spans point to `bytes` */
  size_t len;
  uint8_t bytes[];
};

/* ------------------------------------------------------------------------------------------------
 * queues */

static bool queue_has_room(const shim_queue *q, size_t count_max, size_t len)
{
  return q->count < count_max && q->size + len <= QUEUE_SIZE;
}

static void queue_put(shim_queue *q, shim_record *r)
{
  r->next = NULL;
  if (q->last != NULL)
    q->last->next = r;
  else
    q->first = r;
  q->last = r;
  q->count++;
  q->size += r->len;
}

/* Takes the record behind `before`, or the first one. */
static shim_record *queue_cut(shim_queue *q, shim_record *before)
{
  shim_record *r = before != NULL ? before->next : q->first;
  if (before != NULL)
    before->next = r->next;
  else
    q->first = r->next;
  if (q->last == r)
    q->last = before;
  q->count--;
  q->size -= r->len;
  return r;
}

static void free_record(shim_record *r)
{
  gnutls_memset(r->bytes, 0, r->len); /* it may have been opened in place */
  free(r);
}

static void queue_wipe(shim_queue *q)
{
  while (q->first != NULL)
    free_record(queue_cut(q, NULL));
}

/* A span of `from` becomes the same place of `to`. */
static copal_span moved(copal_span s, const uint8_t *from, const uint8_t *to)
{
  return s.len > 0 ? copal_span_of(to + (s.ptr - from), s.len) : copal_span_of(to, 0);
}

static shim_record *copy_record(const dtls_record *rec)
{
  shim_record *r = malloc(sizeof *r + rec->whole.len);
  if (r == NULL)
    return NULL;
  memcpy(r->bytes, rec->whole.ptr, rec->whole.len);
  r->len = rec->whole.len;
  r->rec = *rec;
  r->rec.whole = copal_span_of(r->bytes, r->len);
  r->rec.cid = moved(rec->cid, rec->whole.ptr, r->bytes);
  r->rec.fragment = moved(rec->fragment, rec->whole.ptr, r->bytes);
  return r;
}

/* ------------------------------------------------------------------------------------------------
 * what comes in */

/* True for messages that the other side sends before its ChangeCipherSpec. */
static bool is_expected(const shim *s, hello_type type)
{
  switch (type) {
  case HELLO_CERTIFICATE: return true;
  case HELLO_CLIENT_HELLO:
  case HELLO_CERTIFICATE_VERIFY:
  case HELLO_CLIENT_KEY_EXCHANGE: return !s->is_client;
  case HELLO_SERVER_HELLO:
  case HELLO_VERIFY_REQUEST:
  case HELLO_NEW_SESSION_TICKET:
  case HELLO_SERVER_KEY_EXCHANGE:
  case HELLO_CERTIFICATE_REQUEST:
  case HELLO_SERVER_DONE:
  case HELLO_CERTIFICATE_STATUS: return s->is_client;
  case HELLO_REQUEST:
  case HELLO_FINISHED: return false;
  }
  return false;
}

static bool is_plausible_handshake(const shim *s, copal_span content)
{
  hello_message m;
  while (content.len > 0) {
    if (!hello_next(&content, &m) || !is_expected(s, m.type) || m.size > MESSAGE_MAX ||
        m.seq >= MESSAGE_SEQ_MAX)
      return false;
  }
  return true;
}

/* Alerts in plaintext do not reach the library: anybody can send them. They make the handshake end
 * early when nothing else comes. */
static void note_alert(shim *s, copal_span content)
{
  s->stats->alerts++;
  if (content.len < 2)
    return;
  s->alert = content.ptr[1];
  if (content.ptr[0] == ALERT_FATAL)
    s->is_doubtful = true;
}

/* True when a plaintext record may go to the library. */
static bool is_plausible(shim *s, const dtls_record *rec)
{
  switch (rec->type) {
  case DTLS_HANDSHAKE: return is_plausible_handshake(s, rec->fragment);
  case DTLS_CHANGE_CIPHER_SPEC: return rec->fragment.len == 1 && rec->fragment.ptr[0] == 1;
  case DTLS_ALERT: note_alert(s, rec->fragment); return false;
  case DTLS_NO_TYPE:
  case DTLS_APPLICATION_DATA:
  case DTLS_TLS12_CID: return false;
  }
  return false;
}

static bool get_keys(shim *s, bool is_rx)
{
  gnutls_datum_t iv, key;
  unsigned char seq[8];
  dtls_keys *keys = is_rx ? &s->rx : &s->tx;
  bool *has = is_rx ? &s->has_rx : &s->has_tx;
  if (*has)
    return true;
  /* The suite is the ServerHello's: the library names that of its read epoch, which is not yet this
   * one in an abbreviated handshake. */
  if (s->aead == DTLS_AEAD_NONE ||
      gnutls_record_get_state(s->tls, is_rx ? 1 : 0, NULL, &iv, &key, seq) < 0)
    return false;
  if (key.size != DTLS_KEY_SIZE || iv.size != DTLS_SALT_SIZE)
    return false; /* still the null cipher of epoch 0 */
  memcpy(keys->key, key.data, DTLS_KEY_SIZE);
  memcpy(keys->salt, iv.data, DTLS_SALT_SIZE);
  *has = true;
  return true;
}

/* True when the record is in the form that was agreed on. RFC 9146 section 3. */
static bool has_right_form(const shim *s, const dtls_record *rec)
{
  const bool wants_cid = s->is_cid_agreed && s->own_cid_len > 0;
  if (!wants_cid)
    return rec->type != DTLS_TLS12_CID;
  return rec->type == DTLS_TLS12_CID &&
         copal_span_is_equal(rec->cid, copal_span_of(s->own_cid, s->own_cid_len));
}

/* True when as many protected records as may wait for keys do. The messages that bring the keys
 * find room behind them, and what is dropped here comes again. */
static bool is_locked_out(shim *s, const dtls_record *rec)
{
  size_t count = 0, size = rec->whole.len;
  if (rec->epoch != EPOCH || get_keys(s, true))
    return false;
  for (const shim_record *r = s->in.first; r != NULL; r = r->next) {
    count += r->rec.epoch == EPOCH;
    size += r->rec.epoch == EPOCH ? r->len : 0;
  }
  return count >= LOCKED_RECORDS || size > LOCKED_SIZE;
}

void shim_take(shim *s, const dtls_record *rec)
{
  if (rec->epoch > EPOCH || (rec->epoch == 0 && !is_plausible(s, rec))) {
    s->stats->filtered += rec->type != DTLS_ALERT;
    return;
  }
  /* A server knows by now what was agreed on; who is not on the path does not know the CID. */
  if (rec->epoch == EPOCH && !s->is_client && !has_right_form(s, rec)) {
    s->stats->forged++;
    return;
  }
  shim_record *r = NULL;
  if (!is_locked_out(s, rec) && queue_has_room(&s->in, QUEUE_RECORDS, rec->whole.len))
    r = copy_record(rec);
  if (r == NULL) {
    s->stats->overflown++;
    return;
  }
  queue_put(&s->in, r);
}

bool shim_can_open(shim *s)
{
  return get_keys(s, true);
}

bool shim_has_keys(shim *s)
{
  const bool has_rx = get_keys(s, true);
  return get_keys(s, false) && has_rx;
}

/* False when the record holds a ClientKeyExchange whose key must be looked up first. */
static bool passes_gate(shim *s, const shim_record *r)
{
  copal_span content = r->rec.fragment;
  copal_span identity;
  hello_message m;
  if (s->gate == NULL || s->is_client || r->rec.type != DTLS_HANDSHAKE)
    return true;
  while (content.len > 0 && hello_next(&content, &m))
    if (m.type == HELLO_CLIENT_KEY_EXCHANGE && m.offset == 0 &&
        hello_psk_identity(m.fragment, &identity))
      return s->gate->opens(s->gate, &m, identity);
  return true;
}

/* Finds the first record that the library may read now; its predecessor goes to `*before`. */
static shim_record *find_readable(shim *s, shim_record **before)
{
  *before = NULL;
  for (shim_record *r = s->in.first; r != NULL; *before = r, r = r->next) {
    if (r->rec.epoch == EPOCH ? get_keys(s, true) : passes_gate(s, r))
      return r;
    if (r->rec.epoch == 0)
      return NULL; /* what is behind a ClientKeyExchange waits with it */
  }
  return NULL;
}

const dtls_record *shim_protected(const shim *s, size_t i)
{
  for (const shim_record *r = s->in.first; r != NULL; r = r->next)
    if (r->rec.epoch == EPOCH && i-- == 0)
      return &r->rec;
  return NULL;
}

bool shim_has_input(shim *s)
{
  shim_record *before;
  return find_readable(s, &before) != NULL;
}

/* Keeps application data for when the handshake is over: its epoch has begun already for the peer.
 */
static void keep_early(shim *s, shim_record *r, copal_span bytes)
{
  if (!queue_has_room(&s->early, EARLY_RECORDS, r->len)) {
    s->stats->overflown++;
    free_record(r);
    return;
  }
  r->rec.fragment = bytes;
  queue_put(&s->early, r);
}

/* Opens a protected record and seals it again in the library's form. Returns its size, or 0 when
 * there is nothing for the library. Takes `r`. */
static size_t translate_in(shim *s, shim_record *r, copal_mspan room)
{
  dtls_content content;
  const copal_mspan place = {r->bytes + (r->rec.fragment.ptr - r->bytes), r->rec.fragment.len};
  size_t size = 0;
  if (!dtls_window_is_new(&s->window, r->rec.seq)) {
    s->stats->replayed++;
  } else if (!has_right_form(s, &r->rec) ||
             dtls_record_open(&s->rx, s->aead, &r->rec, place, &content) < 0) {
    s->stats->forged++;
    s->is_doubtful = s->has_unopened = true;
  } else {
    dtls_window_accept(&s->window, r->rec.seq);
    if (content.type == DTLS_APPLICATION_DATA) {
      keep_early(s, r, content.bytes);
      return 0;
    }
    const dtls_draft draft = {
        .type = content.type, .epoch = EPOCH, .seq = r->rec.seq, .content = content.bytes};
    const int rc = dtls_record_seal(&s->rx, s->aead, &draft, room);
    size = rc > 0 ? (size_t)rc : 0;
  }
  free_record(r);
  return size;
}

static void note_suite(shim *s, const hello_message *m)
{
  s->suite = hello_server_suite(m->fragment);
  s->aead = dtls_aead_of_suite(s->suite);
}

/* A client learns the suite from the first ServerHello that the library reads. */
static void note_server_hello(shim *s, copal_span content)
{
  hello_message m;
  while (s->is_client && s->suite == 0 && content.len > 0 && hello_next(&content, &m))
    if (m.type == HELLO_SERVER_HELLO && m.offset == 0)
      note_suite(s, &m);
}

static void note_for_trial(shim *s, bool is_ours, copal_span content)
{
  hello_message m;
  while (s->trial != NULL && content.len > 0 && hello_next(&content, &m))
    psk_trial_note(s->trial, is_ours, &m);
}

static size_t pass_in(shim *s, shim_record *r, copal_mspan room)
{
  if (r->rec.type == DTLS_HANDSHAKE) {
    note_server_hello(s, r->rec.fragment);
    note_for_trial(s, false, r->rec.fragment);
  }
  const size_t size = r->len <= room.len ? r->len : 0;
  memcpy(room.ptr, r->bytes, size);
  free_record(r);
  return size;
}

static ssize_t pull(gnutls_transport_ptr_t arg, void *buf, size_t cap)
{
  shim *s = arg;
  const copal_mspan room = {buf, cap};
  shim_record *before;
  while (find_readable(s, &before) != NULL) {
    shim_record *r = queue_cut(&s->in, before);
    const size_t size = r->rec.epoch == 0 ? pass_in(s, r, room) : translate_in(s, r, room);
    if (size > 0)
      return (ssize_t)size;
  }
  gnutls_transport_set_errno(s->tls, EAGAIN);
  return -1;
}

static int pull_timeout(gnutls_transport_ptr_t arg, unsigned ms)
{
  (void)ms; /* never waits: the shard has other work */
  return shim_has_input(arg) ? 1 : 0;
}

/* ------------------------------------------------------------------------------------------------
 * what goes out */

void shim_flush(shim *s)
{
  if (s->datagram_len == 0)
    return;
  s->out->send(s->out, copal_span_of(s->datagram, s->datagram_len));
  s->datagram_len = 0;
}

/* Room for a record of up to `size` bytes in the datagram that is being filled. */
static copal_mspan room_for(shim *s, size_t size)
{
  if (s->datagram_len > 0 && s->datagram_len + size > s->mtu)
    shim_flush(s);
  return (copal_mspan){s->datagram + s->datagram_len,
                       s->mtu + SEAL_ROOM + DTLS_CID_MAX - s->datagram_len};
}

static void put_plain(shim *s, copal_span record)
{
  const copal_mspan room = room_for(s, record.len);
  if (record.len > room.len)
    return; /* the library keeps to the MTU it was told */
  memcpy(room.ptr, record.ptr, record.len);
  s->datagram_len += record.len;
}

/* A ticket belongs to our last flight, which may have to be sent once more. RFC 5077 section 3.3.
 */
static void keep_ticket(shim *s, const dtls_record *rec, const hello_message *m)
{
  if (m->offset == 0)
    s->ticket_len = 0;
  uint8_t *grown = s->ticket_len + rec->whole.len <= TICKET_MAX
                       ? realloc(s->ticket, s->ticket_len + rec->whole.len)
                       : NULL;
  if (grown == NULL)
    return; /* the client retries without */
  s->ticket = grown;
  memcpy(s->ticket + s->ticket_len, rec->whole.ptr, rec->whole.len);
  s->ticket_len += rec->whole.len;
}

static void note_plain(shim *s, const dtls_record *rec)
{
  copal_span content = rec->fragment;
  hello_message m;
  if (rec->seq >= s->plain_seq)
    s->plain_seq = rec->seq + 1;
  if (rec->type != DTLS_HANDSHAKE)
    return;
  note_for_trial(s, true, content);
  while (content.len > 0 && hello_next(&content, &m)) {
    if (m.type == HELLO_SERVER_HELLO && m.offset == 0)
      note_suite(s, &m);
    else if (m.type == HELLO_NEW_SESSION_TICKET)
      keep_ticket(s, rec, &m);
  }
}

static void note_finished(shim *s, const dtls_content *content)
{
  copal_span rest = content->bytes;
  hello_message m;
  if (content->type != DTLS_HANDSHAKE || content->bytes.len != FINISHED_SIZE ||
      !hello_next(&rest, &m) || m.type != HELLO_FINISHED || m.fragment.len != DTLS_VERIFY_DATA_SIZE)
    return;
  s->finished_mid = m.seq;
  memcpy(s->verify_data, m.fragment.ptr, DTLS_VERIFY_DATA_SIZE);
  s->has_finished = true;
}

/* Opens what the library sealed, and seals it in the form the peer wants. Returns false when that
 * cannot be done: the handshake cannot go on. */
static bool put_protected(shim *s, const dtls_record *rec)
{
  uint8_t plain[256]; /* a Finished or an alert */
  dtls_content content;
  if (!get_keys(s, false) || rec->fragment.len > sizeof plain ||
      dtls_record_open(&s->tx, s->aead, rec, (copal_mspan){plain, sizeof plain}, &content) < 0)
    return false;
  note_finished(s, &content);
  if (rec->seq >= s->tx_seq)
    s->tx_seq = rec->seq + 1;
  const dtls_draft draft = {
      .type = content.type,
      .epoch = EPOCH,
      .seq = rec->seq,
      .cid = copal_span_of(s->peer_cid, s->is_cid_agreed ? s->peer_cid_len : 0),
      .content = content.bytes,
  };
  const size_t size = content.bytes.len + dtls_record_overhead(s->aead, draft.cid.len);
  const int rc = dtls_record_seal(&s->tx, s->aead, &draft, room_for(s, size));
  if (rc < 0)
    return false;
  s->datagram_len += (size_t)rc;
  return true;
}

static ssize_t push(gnutls_transport_ptr_t arg, const void *data, size_t len)
{
  shim *s = arg;
  copal_rd rd = copal_rd_init(copal_span_of(data, len));
  dtls_record rec;
  while (dtls_record_next(&rd, 0, &rec)) {
    if (rec.epoch == 0) {
      note_plain(s, &rec);
      put_plain(s, rec.whole);
    } else if (!put_protected(s, &rec)) {
      gnutls_transport_set_errno(s->tls, EIO);
      return -1;
    }
  }
  return (ssize_t)len;
}

/* ------------------------------------------------------------------------------------------------
 * life */

int shim_init(shim *s)
{
  s->datagram = malloc(s->mtu + SEAL_ROOM + DTLS_CID_MAX);
  if (s->datagram == NULL)
    return COPAL_ENOSPC;
  gnutls_transport_set_ptr(s->tls, s);
  gnutls_transport_set_push_function(s->tls, push);
  gnutls_transport_set_pull_function(s->tls, pull);
  gnutls_transport_set_pull_timeout_function(s->tls, pull_timeout);
  return COPAL_OK;
}

void shim_wipe(shim *s)
{
  queue_wipe(&s->in);
  queue_wipe(&s->early);
  free(s->ticket);
  free(s->datagram);
  gnutls_memset(s, 0, sizeof *s);
}

int shim_next_early(shim *s, copal_mspan *bytes)
{
  if (s->early.first == NULL)
    return COPAL_ENOTFOUND;
  shim_record *r = queue_cut(&s->early, NULL);
  bytes->len = r->rec.fragment.len;
  bytes->ptr = malloc(bytes->len + 1);
  if (bytes->ptr != NULL)
    memcpy(bytes->ptr, r->rec.fragment.ptr, bytes->len);
  free_record(r);
  return bytes->ptr != NULL ? COPAL_OK : COPAL_ENOTFOUND;
}
