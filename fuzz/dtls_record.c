/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a datagram: they lie in it one behind another, none opens that was not sealed with the
 * keys, and what was sealed opens. RFC 6347 section 4.1, RFC 9146 sections 4 and 5. Input: AEAD and
 * form, length of the CID, bytes of a datagram. */
#include <string.h>

#include "copal/error.h"
#include "require.h"
#include "transport/dtls/record.h"

enum { HEAD = 2, ROOM = 2048, CONTENT_TOP = 1500, CID_TOP = 20, PADDING = 3 };

static const dtls_keys keys = {.key = {1, 2, 3}, .salt = {4, 5}};

/* Every record of the datagram, and none of them is one of ours. */
static void read_all(copal_span datagram, size_t cid_len, dtls_aead aead)
{
  static uint8_t room[1 << 16];
  copal_rd rd = copal_rd_init(datagram);
  const uint8_t *at = datagram.ptr;
  dtls_record rec;
  dtls_content content;
  while (dtls_record_next(&rd, cid_len, &rec)) {
    REQUIRE(rec.whole.ptr == at && rec.whole.len > 0);
    REQUIRE(rec.fragment.ptr + rec.fragment.len == at + rec.whole.len);
    REQUIRE(rec.seq <= DTLS_SEQ_MAX);
    REQUIRE((rec.type == DTLS_TLS12_CID) == (rec.cid.len > 0) && rec.cid.len <= cid_len);
    at += rec.whole.len;
    if (rec.epoch > 0 && rec.fragment.len <= sizeof room)
      REQUIRE(dtls_record_open(&keys, aead, &rec, (copal_mspan){room, sizeof room}, &content) ==
              COPAL_EFORMAT);
  }
}

static void round_trip(copal_span bytes, size_t cid_len, dtls_aead aead)
{
  static const uint8_t cid[CID_TOP];
  uint8_t sealed[ROOM], room[ROOM];
  dtls_record rec;
  dtls_content content;
  const dtls_draft draft = {.type = DTLS_APPLICATION_DATA,
                            .epoch = 1,
                            .seq = bytes.len,
                            .cid = copal_span_of(cid, cid_len),
                            .content = bytes,
                            .padding = cid_len > 0 ? PADDING : 0};
  const int size = dtls_record_seal(&keys, aead, &draft, (copal_mspan){sealed, sizeof sealed});
  REQUIRE(size == (int)(dtls_record_overhead(aead, cid_len) + bytes.len + draft.padding));
  copal_rd rd = copal_rd_init(copal_span_of(sealed, (size_t)size));
  REQUIRE(dtls_record_next(&rd, cid_len, &rec) && rd.left == 0);
  REQUIRE(dtls_record_open(&keys, aead, &rec, (copal_mspan){room, sizeof room}, &content) ==
          COPAL_OK);
  REQUIRE(content.type == DTLS_APPLICATION_DATA && copal_span_is_equal(content.bytes, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  if (size < HEAD)
    return 0;
  const dtls_aead aead = (dtls_aead)(1 + data[0] % 3);
  const size_t cid_len = data[1] % (CID_TOP + 1);
  const copal_span bytes = copal_span_of(data + HEAD, size - HEAD);
  read_all(bytes, cid_len, aead);
  if (bytes.len <= CONTENT_TOP)
    round_trip(bytes, cid_len, aead);
  return 0;
}
