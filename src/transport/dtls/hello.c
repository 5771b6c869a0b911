/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintext records of a DTLS 1.2 handshake. RFC 6347 sections 4.1, 4.2.1 and 4.2.2. */
#include "transport/dtls/hello.h"

#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"

enum {
  RANDOM_SIZE = 32,
  SESSION_ID_MAX = 32,
  COOKIE_MAX = 32, /* of those written here */
  SEQ_HIGH = 2,    /* bytes of a sequence number beyond 32 bits */
};

static copal_rd read_record(copal_span bytes, hello_record *r)
{
  copal_rd rd = copal_rd_init(bytes);
  r->type = copal_rd_u8(&rd);
  r->version = copal_rd_u16(&rd);
  r->epoch = copal_rd_u16(&rd);
  r->seq = (uint64_t)copal_rd_be(&rd, SEQ_HIGH) << 32;
  r->seq |= copal_rd_be(&rd, 4);
  r->size = copal_rd_u16(&rd);
  return rd;
}

bool hello_record_read(copal_span bytes, hello_record *r)
{
  return read_record(bytes, r).err == COPAL_OK;
}

bool hello_handshake_read(copal_span record, hello_handshake *h)
{
  hello_record outer;
  copal_rd rd = read_record(record, &outer);
  h->type = copal_rd_u8(&rd);
  h->size = copal_rd_be(&rd, 3);
  h->seq = copal_rd_u16(&rd);
  h->offset = copal_rd_be(&rd, 3);
  h->fragment = copal_rd_span(&rd, copal_rd_be(&rd, 3));
  if (rd.err != COPAL_OK || outer.type != HELLO_TYPE_HANDSHAKE)
    return false;
  return h->fragment.len <= h->size && h->offset <= h->size - h->fragment.len;
}

/* The run of bytes between two places of a reader. */
static copal_span between(const copal_rd *from, const copal_rd *to)
{
  return copal_span_of(from->ptr, from->left - to->left);
}

static bool read_fields(copal_span body, hello_client *h)
{
  copal_rd rd = copal_rd_init(body);
  copal_rd start = rd;
  (void)copal_rd_u16(&rd); /* client_version */
  h->random = copal_rd_span(&rd, RANDOM_SIZE);
  const copal_span id = copal_rd_span(&rd, copal_rd_u8(&rd));
  h->parameters = between(&start, &rd);
  h->cookie = copal_rd_span(&rd, copal_rd_u8(&rd));
  start = rd;
  const copal_span suites = copal_rd_span(&rd, copal_rd_u16(&rd));
  const copal_span methods = copal_rd_span(&rd, copal_rd_u8(&rd));
  h->choices = between(&start, &rd);
  return rd.err == COPAL_OK && id.len <= SESSION_ID_MAX && suites.len >= 2 && methods.len >= 1;
}

bool hello_client_read(copal_span record, hello_client *h)
{
  hello_record outer;
  hello_handshake message;
  if (!hello_record_read(record, &outer) || outer.epoch != 0 ||
      !hello_handshake_read(record, &message))
    return false;
  if (message.type != HELLO_CLIENT_HELLO || message.offset != 0 ||
      message.fragment.len != message.size)
    return false;
  h->record_seq = outer.seq;
  h->message_seq = message.seq;
  return read_fields(message.fragment, h);
}

static void write_record(copal_wr *w, const hello_record *r)
{
  copal_wr_u8(w, r->type);
  copal_wr_u16(w, r->version);
  copal_wr_u16(w, r->epoch);
  copal_wr_be(w, (uint32_t)(r->seq >> 32), SEQ_HIGH);
  copal_wr_be(w, (uint32_t)r->seq, 4);
  copal_wr_u16(w, r->size);
}

void hello_record_write(const hello_record *r, uint8_t out[HELLO_RECORD_SIZE])
{
  copal_wr w = copal_wr_init((copal_mspan){out, HELLO_RECORD_SIZE});
  write_record(&w, r);
}

size_t hello_verify_write(const hello_client *h, copal_span cookie,
                          uint8_t out[HELLO_VERIFY_SIZE_MAX])
{
  copal_wr w = copal_wr_init((copal_mspan){out, HELLO_VERIFY_SIZE_MAX});
  const uint32_t size = (uint32_t)(2 + 1 + cookie.len);
  write_record(&w, &(hello_record){.type = HELLO_TYPE_HANDSHAKE,
                                   .version = HELLO_VERSION_10,
                                   .seq = h->record_seq,
                                   .size = (uint16_t)(HELLO_HANDSHAKE_SIZE + size)});
  copal_wr_u8(&w, HELLO_VERIFY_REQUEST);
  copal_wr_be(&w, size, 3);
  copal_wr_u16(&w, h->message_seq);
  copal_wr_be(&w, 0, 3);
  copal_wr_be(&w, size, 3);
  copal_wr_u16(&w, HELLO_VERSION_10);
  copal_wr_u8(&w, (uint8_t)cookie.len);
  copal_wr_span(&w, cookie);
  return w.err == COPAL_OK ? w.len : 0;
}
