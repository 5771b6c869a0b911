/* SPDX-License-Identifier: Apache-2.0 */
/* Saved sessions: any bytes are refused or make a session that is saved as the same bytes again,
 * and has a name that finds it. RFC 6347 section 4.1. Input: pieces of: length, bytes of a session.
 */
#include <string.h>

#include "copal/error.h"
#include "require.h"
#include "transport/dtls/saved.h"

enum { SESSIONS = 6, AGE_OFFSET = 96, LAST_USE = 4 };

static const copal_time now = 1000000000 * COPAL_SECOND; /* beyond any age */

static void check(dtls_sessions *all, copal_span bytes, const dtls_session *s)
{
  uint8_t again[DTLS_SAVED_MAX], name[DTLS_NAME_SIZE], cid[DTLS_CID_SIZE];
  dtls_session_name(all, s, name);
  const dtls_session *found = dtls_session_named(all, copal_span_of(name, sizeof name));
  dtls_session_cid(all, s, cid);
  const dtls_session *by_cid = dtls_session_by_cid(all, copal_span_of(cid, sizeof cid));
  REQUIRE(by_cid != NULL);
  REQUIRE(found == s || by_cid != s); /* the input may give two sessions the same CID */
  REQUIRE(dtls_session_of(all, dtls_session_number(all, s)) == s);
  REQUIRE(dtls_saved_export(all, dtls_session_of(all, dtls_session_number(all, s)), again, now) ==
          bytes.len);
  REQUIRE(memcmp(again, bytes.ptr, AGE_OFFSET) == 0);
  const size_t behind = AGE_OFFSET + LAST_USE;
  REQUIRE(memcmp(again + behind, bytes.ptr + behind, bytes.len - behind) == 0);
}

/* Returns the session made last, which is the only one that was not there before. */
static dtls_session *find_new(dtls_sessions *all, const uint32_t *known, size_t count)
{
  dtls_session *s;
  for (uint32_t slot = 0; (s = dtls_session_from_slot(all, slot)) != NULL; slot++) {
    size_t i = 0;
    slot = dtls_session_slot(all, s);
    while (i < count && known[i] != dtls_session_number(all, s))
      i++;
    if (i == count)
      return s;
  }
  return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const uint8_t secret[DTLS_CID_KEY_SIZE];
  static const dtls_saved_here here = {.identity = 1, .local = 1};
  dtls_cid_key key;
  dtls_sessions *all;
  uint32_t known[SESSIONS];
  size_t count = 0;
  dtls_cid_key_init(&key, secret);
  const dtls_sessions_cfg cfg = {.max = SESSIONS - 1, .handshake_max = 1, .cid_key = &key};
  REQUIRE(dtls_sessions_open(&cfg, &all) == COPAL_OK);
  for (size_t at = 0; at + 1 < size;) {
    const size_t left = size - at - 1;
    const copal_span bytes = copal_span_of(data + at + 1, data[at] < left ? data[at] : left);
    dtls_saved_home home;
    const int peeked = dtls_saved_peek(bytes, &home);
    const int rc = dtls_saved_import(all, bytes, &here, now);
    REQUIRE((peeked == COPAL_OK) == (rc != COPAL_EFORMAT));
    if (rc == COPAL_OK) {
      dtls_session *s = find_new(all, known, count);
      REQUIRE(s != NULL && count < SESSIONS - 1);
      known[count++] = dtls_session_number(all, s);
      check(all, bytes, s);
    }
    at += 1 + bytes.len;
  }
  dtls_sessions_settle(all);
  REQUIRE(dtls_sessions_count(all) == count);
  dtls_sessions_close(all);
  return 0;
}
