/* SPDX-License-Identifier: Apache-2.0 */
/* Our last flight of a handshake. RFC 6347 section 4.2.4. */
#include "transport/dtls/flight.h"

#include <stdlib.h>
#include <string.h>

#include "copal/cursor.h"
#include "transport/dtls/hello.h"

enum {
  SEQ_OFFSET = 5, /* of the sequence number in a record header */
  FINISHED_SIZE = HELLO_HEAD_SIZE + DTLS_VERIFY_DATA_SIZE,
};

static flight_ticket *find(const flights *f, uint32_t session)
{
  for (uint32_t i = 0; f->count > 0 && i < FLIGHT_TICKETS; i++)
    if (f->tickets[i].session == session)
      return &f->tickets[i];
  return NULL;
}

static void clear(flights *f, flight_ticket *t)
{
  f->count -= t->session != 0;
  free(t->records);
  *t = (flight_ticket){.session = 0};
}

void flights_wipe(flights *f)
{
  for (uint32_t i = 0; f->tickets != NULL && i < FLIGHT_TICKETS; i++)
    clear(f, &f->tickets[i]);
  free(f->tickets);
  *f = (flights){.tickets = NULL};
}

void flight_keep(flights *f, uint32_t session, uint8_t *records, size_t len)
{
  if (f->tickets == NULL)
    f->tickets = calloc(FLIGHT_TICKETS, sizeof *f->tickets);
  if (f->tickets == NULL) {
    free(records);
    return;
  }
  flight_ticket *t = &f->tickets[f->next++ % FLIGHT_TICKETS];
  clear(f, t);
  *t = (flight_ticket){session, records, len};
  f->count++;
}

void flight_drop(flights *f, uint32_t session)
{
  flight_ticket *t = find(f, session);
  if (t != NULL)
    clear(f, t);
}

static void put_seq(uint8_t *record, uint16_t seq)
{
  memset(record + SEQ_OFFSET, 0, 4);
  record[SEQ_OFFSET + 4] = (uint8_t)(seq >> 8);
  record[SEQ_OFFSET + 5] = (uint8_t)seq;
}

/* Peers look for replays among plaintext records, too, so each has a new number. */
static size_t put_ticket(const flights *f, dtls_session *s, uint32_t number, uint8_t *out)
{
  const flight_ticket *t = find(f, number);
  dtls_record rec;
  if (t == NULL)
    return 0;
  memcpy(out, t->records, t->len);
  copal_rd rd = copal_rd_init(copal_span_of(out, t->len));
  while (dtls_record_next(&rd, 0, &rec))
    put_seq(out + (rec.whole.ptr - out), s->flight_seq++);
  return t->len;
}

static size_t put_change(dtls_session *s, uint8_t *out)
{
  hello_record_head(DTLS_CHANGE_CIPHER_SPEC, s->flight_seq++, 1, out);
  out[DTLS_HEADER_SIZE] = 1;
  return DTLS_HEADER_SIZE + 1;
}

static int put_finished(dtls_sessions *all, dtls_session *s, copal_mspan room)
{
  uint8_t message[FINISHED_SIZE];
  copal_wr w = copal_wr_init((copal_mspan){message, sizeof message});
  copal_wr_u8(&w, HELLO_FINISHED);
  copal_wr_be(&w, DTLS_VERIFY_DATA_SIZE, 3);
  copal_wr_u16(&w, s->flight_mid);
  copal_wr_be(&w, 0, 3);
  copal_wr_be(&w, DTLS_VERIFY_DATA_SIZE, 3);
  copal_wr_span(&w, copal_span_of(s->verify_data, sizeof s->verify_data));
  return dtls_session_seal(all, s, DTLS_HANDSHAKE, copal_wr_done(&w), room);
}

size_t flight_write(const flights *f, dtls_sessions *all, dtls_session *s,
                    uint8_t out[FLIGHT_SIZE_MAX])
{
  size_t len = put_ticket(f, s, dtls_session_number(all, s), out);
  len += put_change(s, out + len);
  const int rc = put_finished(all, s, (copal_mspan){out + len, FLIGHT_SIZE_MAX - len});
  return rc > 0 ? len + (size_t)rc : 0;
}
