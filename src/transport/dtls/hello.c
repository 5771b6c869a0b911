/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintext messages of a DTLS 1.2 handshake. RFC 6347 sections 4.2.1 and 4.2.2. */
#include "transport/dtls/hello.h"

#include "copal/cursor.h"
#include "copal/error.h"

enum {
  RANDOM_SIZE = 32,
  SESSION_ID_MAX = 32,
  SEQ_HIGH = 2,        /* bytes of a sequence number beyond 32 bits */
  EXT_SERVER_NAME = 0, /* RFC 6066 section 1.1 */
  NAME_OF_HOST = 0,    /* RFC 6066 section 3 */
};

bool hello_next(copal_span *content, hello_message *m)
{
  copal_rd rd = copal_rd_init(*content);
  m->type = (hello_type)copal_rd_u8(&rd);
  m->size = copal_rd_be(&rd, 3);
  m->seq = copal_rd_u16(&rd);
  m->offset = copal_rd_be(&rd, 3);
  m->fragment = copal_rd_span(&rd, copal_rd_be(&rd, 3));
  if (rd.err != COPAL_OK || m->fragment.len > m->size || m->offset > m->size - m->fragment.len)
    return false;
  *content = copal_rd_rest(&rd);
  return true;
}

/* The run of bytes between two places of a reader. */
static copal_span between(const copal_rd *from, const copal_rd *to)
{
  return copal_span_of(from->ptr, from->left - to->left);
}

static bool read_client(copal_span body, hello_client *h)
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
  h->extensions = rd.left > 0 ? copal_rd_span(&rd, copal_rd_u16(&rd)) : copal_span_of(rd.ptr, 0);
  return rd.err == COPAL_OK && id.len <= SESSION_ID_MAX && suites.len >= 2 && methods.len >= 1;
}

bool hello_client_read(const dtls_record *rec, hello_client *h)
{
  copal_span content = rec->fragment;
  hello_message m;
  if (rec->type != DTLS_HANDSHAKE || rec->epoch != 0 || !hello_next(&content, &m))
    return false;
  if (m.type != HELLO_CLIENT_HELLO || m.fragment.len != m.size)
    return false;
  h->record_seq = rec->seq;
  h->message_seq = m.seq;
  return read_client(m.fragment, h);
}

bool hello_extension_find(copal_span extensions, uint16_t type, copal_span *data)
{
  copal_rd rd = copal_rd_init(extensions);
  while (rd.left > 0) {
    const uint16_t found = copal_rd_u16(&rd);
    *data = copal_rd_span(&rd, copal_rd_u16(&rd));
    if (rd.err != COPAL_OK)
      return false;
    if (found == type)
      return true;
  }
  return false;
}

copal_span hello_server_name(copal_span extensions)
{
  copal_span data;
  if (!hello_extension_find(extensions, EXT_SERVER_NAME, &data))
    return copal_span_none();
  copal_rd rd = copal_rd_init(data);
  copal_rd list = copal_rd_sub(&rd, copal_rd_u16(&rd));
  while (list.left > 0) {
    const uint8_t type = copal_rd_u8(&list);
    const copal_span name = copal_rd_span(&list, copal_rd_u16(&list));
    if (list.err == COPAL_OK && type == NAME_OF_HOST)
      return name;
  }
  return copal_span_none();
}

uint16_t hello_server_suite(copal_span body)
{
  copal_rd rd = copal_rd_init(body);
  (void)copal_rd_span(&rd, 2 + RANDOM_SIZE);
  (void)copal_rd_span(&rd, copal_rd_u8(&rd)); /* session_id */
  return copal_rd_u16(&rd);
}

bool hello_psk_identity(copal_span body, copal_span *identity)
{
  copal_rd rd = copal_rd_init(body);
  *identity = copal_rd_span(&rd, copal_rd_u16(&rd));
  return rd.err == COPAL_OK;
}

static void write_head(copal_wr *w, dtls_type type, uint16_t version, uint64_t seq, size_t size)
{
  copal_wr_u8(w, (uint8_t)type);
  copal_wr_u16(w, version);
  copal_wr_u16(w, 0); /* epoch */
  copal_wr_be(w, (uint32_t)(seq >> 32), SEQ_HIGH);
  copal_wr_be(w, (uint32_t)seq, 4);
  copal_wr_u16(w, (uint16_t)size);
}

size_t hello_verify_write(const hello_client *h, copal_span cookie,
                          uint8_t out[HELLO_VERIFY_SIZE_MAX])
{
  copal_wr w = copal_wr_init((copal_mspan){out, HELLO_VERIFY_SIZE_MAX});
  const size_t size = 2 + 1 + cookie.len;
  write_head(&w, DTLS_HANDSHAKE, HELLO_VERSION_10, h->record_seq, HELLO_HEAD_SIZE + size);
  copal_wr_u8(&w, HELLO_VERIFY_REQUEST);
  copal_wr_be(&w, (uint32_t)size, 3);
  copal_wr_u16(&w, h->message_seq);
  copal_wr_be(&w, 0, 3);
  copal_wr_be(&w, (uint32_t)size, 3);
  copal_wr_u16(&w, HELLO_VERSION_10);
  copal_wr_u8(&w, (uint8_t)cookie.len);
  copal_wr_span(&w, cookie);
  return w.err == COPAL_OK ? w.len : 0;
}

void hello_record_head(dtls_type type, uint64_t seq, size_t size, uint8_t out[DTLS_HEADER_SIZE])
{
  copal_wr w = copal_wr_init((copal_mspan){out, DTLS_HEADER_SIZE});
  write_head(&w, type, HELLO_VERSION_12, seq, size);
}
