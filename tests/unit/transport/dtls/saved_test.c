/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as bytes: they come back as they were, no number is used twice, garbage is refused. RFC
 * 6347 section 4.1, RFC 9146 section 3. */
#include "transport/dtls/saved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "unit/transport/dtls/fixture.h"

static const copal_time start = 1000 * (copal_time)COPAL_SECOND;
static const dtls_saved_here here = {.identity = 7, .local = 1};

static dtls_sessions *open_table(void)
{
  return fixture_open((dtls_sessions_cfg){.max = 64, .handshake_max = 4, .idle_s = 600});
}

static size_t export_one(dtls_sessions *all, const fixture_peer *p, uint8_t out[DTLS_SAVED_MAX])
{
  return dtls_saved_export(all, dtls_session_of(all, p->number), out, start);
}

static void check_round_trip(bool has_cid, size_t own_cid_len)
{
  dtls_sessions *before = open_table(), *after = open_table();
  fixture_peer p = fixture_peer_at(3, has_cid, own_cid_len);
  fixture_wire w;
  uint8_t form[DTLS_SAVED_MAX];
  assert_non_null(fixture_join(before, &p, start));
  for (int i = 0; i < 5; i++) {
    assert_int_equal(fixture_say(before, &p, start), COPAL_OK);
    assert_true(fixture_answer(before, p.number, "before", &w) > 0);
    assert_true(fixture_hears(&p, &w, "before"));
  }
  const uint64_t next = dtls_session_of(before, p.number)->tx_seq;
  const fixture_wire late = fixture_seal(&p, DTLS_APPLICATION_DATA, "late");
  assert_int_equal(fixture_deliver(before, &late, &p.path, NULL, start), COPAL_OK);
  const size_t len = export_one(before, &p, form);
  assert_int_equal(len, DTLS_SAVED_HEAD + own_cid_len);
  /* The numbers are the successor's from here on. */
  assert_int_equal(fixture_answer(before, p.number, "again", &w), COPAL_EAGAIN);
  assert_int_equal(dtls_session_of(before, p.number)->tx_seq, next);
  assert_int_equal(dtls_saved_import(after, copal_span_of(form, len), &here, start), COPAL_OK);
  dtls_sessions_settle(after);
  dtls_session *s = dtls_session_from_slot(after, 0);
  assert_non_null(s);
  assert_int_equal(s->tx_seq, next);
  assert_int_equal(s->identity, 7);
  p.number = dtls_session_number(after, s);
  assert_int_equal(fixture_deliver(after, &late, &p.path, NULL, start), COPAL_EFORMAT);
  assert_int_equal(fixture_say(after, &p, start), COPAL_OK);
  assert_true(fixture_answer(after, p.number, "after", &w) > 0);
  assert_true(fixture_hears(&p, &w, "after"));
  dtls_sessions_close(before);
  dtls_sessions_close(after);
}

static void session_goes_on_and_no_number_is_used_twice(void **state)
{
  (void)state;
  check_round_trip(false, 0);
  check_round_trip(true, 0);
  check_round_trip(true, 8);
  check_round_trip(true, DTLS_PEER_CID_INLINE);
  check_round_trip(true, DTLS_CID_MAX);
}

/* What the next process is given while this one goes on, and dies at some record. */
static void number_of_before_a_crash_never_comes_again(void **state)
{
  (void)state;
  enum { ROUNDS = 1000, TOP = 1 << 25 };
  static uint8_t used[TOP / 8];
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 4, .handshake_max = 1});
  fixture_peer p = fixture_peer_at(1, true, 2);
  uint8_t form[DTLS_SAVED_MAX], lost[DTLS_SAVED_MAX];
  size_t len = 0;
  unsigned crashes = 0;
  fixture_wire w;
  assert_non_null(fixture_join(all, &p, start));
  for (int round = 0; round < ROUNDS; round++) {
    dtls_session *s = dtls_session_of(all, p.number);
    const uint32_t event = fixture_random(20);
    if (event == 0) { /* the disk is full */
      (void)dtls_saved_checkpoint(all, s, lost, start);
      dtls_sessions_reserved(all, false);
    } else if (event < 3) {
      len = dtls_saved_checkpoint(all, s, form, start);
      dtls_sessions_reserved(all, true);
    } else if (event == 3 && len > 0) { /* kill -9, and a start */
      dtls_sessions *next = fixture_open((dtls_sessions_cfg){.max = 4, .handshake_max = 1});
      const dtls_saved_here place = {.identity = 1, .local = 1};
      assert_int_equal(dtls_saved_import(next, copal_span_of(form, len), &place, start), COPAL_OK);
      dtls_sessions_settle(next);
      dtls_sessions_close(all);
      all = next;
      s = dtls_session_from_slot(all, 0);
      assert_true(dtls_session_is_stale(s));
      p.number = dtls_session_number(all, s);
      len = 0; /* a file is removed when it is read */
      crashes++;
    } else if (event < 8) {
      s->tx_seq += fixture_random(DTLS_SEQ_BLOCK); /* numbers may be left out */
      if (s->tx_block != UINT32_MAX && s->tx_seq > (uint64_t)s->tx_block * DTLS_SEQ_BLOCK)
        s->tx_seq = (uint64_t)s->tx_block * DTLS_SEQ_BLOCK;
    }
    s = dtls_session_of(all, p.number);
    for (uint32_t i = fixture_random(50); i > 0 && s->tx_seq < TOP; i--) {
      const uint64_t seq = s->tx_seq;
      if (fixture_answer(all, p.number, "x", &w) < 0)
        break; /* at its reservation */
      assert_int_equal(used[seq / 8] >> seq % 8 & 1, 0);
      used[seq / 8] |= (uint8_t)(1 << seq % 8);
    }
  }
  assert_true(crashes > ROUNDS / 40);
  dtls_sessions_close(all);
}

static void name_stays_when_slot_and_number_change(void **state)
{
  (void)state;
  const dtls_sessions_cfg cfg = {.max = 8, .handshake_max = 1};
  const dtls_sessions_cfg next = {.max = 8, .handshake_max = 1, .seed = 1};
  for (int has_cid = 0; has_cid < 2; has_cid++) {
    dtls_sessions *old = fixture_open(cfg), *all = fixture_open(next);
    fixture_peer first = fixture_peer_at(1, has_cid, 0), other = fixture_peer_at(2, has_cid, 0);
    uint8_t name[DTLS_NAME_SIZE], again[DTLS_NAME_SIZE], form[DTLS_SAVED_MAX];
    const dtls_saved_here place = {.identity = 1, .local = 1};
    dtls_session *s = fixture_join(old, &first, start);
    s->verify_data[3] = 9;
    dtls_session_name(old, s, name);
    assert_ptr_equal(dtls_session_named(old, copal_span_of(name, sizeof name)), s);
    const size_t len = dtls_saved_export(old, s, form, start);
    assert_non_null(fixture_join(all, &other, start)); /* has the slot */
    assert_null(dtls_session_named(all, copal_span_of(name, sizeof name)));
    assert_int_equal(dtls_saved_import(all, copal_span_of(form, len), &place, start), COPAL_OK);
    s = dtls_session_named(all, copal_span_of(name, sizeof name));
    assert_non_null(s);
    assert_true((s->flags & DTLS_SESSION_ALIAS) != 0);
    dtls_session_name(all, s, again);
    assert_memory_equal(name, again, sizeof name);
    name[DTLS_NAME_SIZE - 1]++; /* the same CID, of another process */
    assert_null(dtls_session_named(all, copal_span_of(name, sizeof name)));
    assert_null(dtls_session_named(all, copal_span_of(name, sizeof name - 1)));
    dtls_session_end(all, s, DTLS_END_PEER);
    assert_null(dtls_session_named(all, copal_span_of(again, sizeof again)));
    dtls_sessions_close(old);
    dtls_sessions_close(all);
  }
}

static void saved_form_fits_192_bytes(void **state)
{
  (void)state;
  assert_true(DTLS_SAVED_HEAD + DTLS_PEER_CID_INLINE <= 192);
}

static void garbage_is_refused(void **state)
{
  (void)state;
  dtls_sessions *all = open_table(), *other = open_table();
  fixture_peer p = fixture_peer_at(1, true, 8);
  uint8_t form[DTLS_SAVED_MAX], bad[DTLS_SAVED_MAX + 1];
  assert_non_null(fixture_join(all, &p, start));
  const size_t len = export_one(all, &p, form);
  for (size_t cut = 0; cut < len; cut++)
    assert_int_equal(dtls_saved_import(other, copal_span_of(form, cut), &here, start),
                     COPAL_EFORMAT);
  memcpy(bad, form, len);
  bad[len] = 0;
  assert_int_equal(dtls_saved_import(other, copal_span_of(bad, len + 1), &here, start),
                   COPAL_EFORMAT);
  static const size_t fixed[] = {0, 1, 2, 4, 32, 40}; /* version, flags, AEAD, slot, numbers */
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
    memcpy(bad, form, len);
    bad[fixed[i]] = 0xff;
    assert_int_equal(dtls_saved_import(other, copal_span_of(bad, len), &here, start),
                     COPAL_EFORMAT);
  }
  assert_int_equal(dtls_sessions_count(other), 0);
  dtls_sessions_close(all);
  dtls_sessions_close(other);
}

static void flipped_bits_break_nothing(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 8);
  uint8_t form[DTLS_SAVED_MAX];
  assert_non_null(fixture_join(all, &p, start));
  const size_t len = export_one(all, &p, form);
  for (size_t bit = 0; bit < 8 * len; bit++) {
    dtls_sessions *other = open_table();
    form[bit / 8] ^= (uint8_t)(1 << bit % 8);
    const int rc = dtls_saved_import(other, copal_span_of(form, len), &here, start);
    assert_int_equal(dtls_sessions_count(other), rc == COPAL_OK);
    dtls_sessions_settle(other);
    dtls_sessions_close(other);
    form[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  dtls_sessions_close(all);
}

static void idle_time_counts_while_nobody_serves(void **state)
{
  (void)state;
  dtls_sessions *all = open_table(), *other = open_table();
  fixture_peer p = fixture_peer_at(1, true, 8);
  uint8_t form[DTLS_SAVED_MAX];
  assert_non_null(fixture_join(all, &p, start));
  const copal_span bytes = copal_span_of(form, export_one(all, &p, form));
  assert_int_equal(dtls_saved_import(other, bytes, &(dtls_saved_here){.age_s = 601}, start),
                   COPAL_EAGAIN);
  /* A machine that was started later than the last use. */
  assert_int_equal(
      dtls_saved_import(other, bytes, &(dtls_saved_here){.age_s = 500}, 5 * COPAL_SECOND),
      COPAL_OK);
  assert_int_equal(dtls_session_from_slot(other, 0)->last_use, 0);
  dtls_sessions_close(all);
  dtls_sessions_close(other);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(session_goes_on_and_no_number_is_used_twice),
      cmocka_unit_test(number_of_before_a_crash_never_comes_again),
      cmocka_unit_test(name_stays_when_slot_and_number_change),
      cmocka_unit_test(saved_form_fits_192_bytes),
      cmocka_unit_test(garbage_is_refused),
      cmocka_unit_test(flipped_bits_break_nothing),
      cmocka_unit_test(idle_time_counts_while_nobody_serves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
