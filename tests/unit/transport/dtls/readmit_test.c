/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what becomes of sessions and handshakes when the credentials change. RFC 5246 section
 * 7.2.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "copal/error.h"
#include "unit/transport/dtls/fixture.h"
#include "unit/transport/dtls/talk.h"

enum { CLIENT = 1, SOON = 2000000 };

/* One that stays, and one that goes or gets another name. */
static void rfc5246_7_2_2_peers_that_are_not_admitted_any_more_are_told(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
  dtls_readmit(server->dtls, t->now);
  talk_run(t, SOON);
  assert_int_equal(server->credentials.asked, 1);
  assert_int_equal(server->renamed, 0);
  talk_assert_heard(t, CLIENT); /* still known */
  server->credentials.renamed = 99;
  dtls_readmit(server->dtls, t->now);
  talk_run(t, SOON);
  assert_int_equal(server->renamed, 1);
  assert_int_equal(dtls_identity(server->dtls, server->session), 99);
  talk_assert_heard(t, CLIENT);
  server->credentials.readmits = COPAL_ENOTFOUND;
  client->closed = 0;
  dtls_readmit(server->dtls, t->now);
  talk_run(t, SOON);
  assert_int_equal(server->closed, 1);
  assert_int_equal(server->why, DTLS_END_REVOKED);
  assert_int_equal(client->closed, 1);
  assert_int_equal(client->why, DTLS_END_PEER); /* a fatal alert */
  assert_int_equal(dtls_stats_now(client->dtls)->alerts_received, 1);
  assert_int_equal(dtls_deadline(server->dtls), COPAL_NEVER);
  talk_close(t);
}

static void certificate_that_was_believed_counts_until_the_end_of_the_handshake(void **state)
{
  const talk_cfg cfg = {.mode = TALK_X509};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *server = &t->sides[TALK_SERVER];
  server->credentials.readmits = COPAL_ENOTFOUND; /* as if a reload had come right after vouch() */
  talk_connect(t, CLIENT);
  (void)talk_shake(t, CLIENT, SOON); /* the client has its last flight by then */
  talk_run(t, SOON);
  assert_int_equal(server->failure, HANDSHAKE_REFUSED);
  assert_int_equal(server->opened, 0);
  assert_int_equal(dtls_usage_now(server->dtls).sessions, 0);
  assert_int_equal(t->sides[CLIENT].closed, 1); /* an alert told it */
  talk_close(t);
}

/* Who may be in fewer groups than before goes when there is no room to say in which. */
static void peers_that_cannot_be_registered_anew_do_not_keep_what_they_had(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
  server->credentials.readmits = COPAL_ENOSLOT;
  dtls_readmit(server->dtls, t->now);
  talk_run(t, SOON);
  assert_int_equal(server->closed, 1);
  assert_int_equal(server->why, DTLS_END_NO_ROOM);
  assert_int_equal(client->closed, 1);
  assert_int_equal(dtls_sessions_stats_now(dtls_table(server->dtls))->ended[DTLS_END_NO_ROOM], 1);
  talk_close(t);
}

static void handshake_whose_peer_cannot_be_registered_anew_fails(void **state)
{
  const talk_cfg cfg = {.mode = TALK_X509};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *server = &t->sides[TALK_SERVER];
  server->credentials.readmits = COPAL_ENOSLOT; /* a reload has come right after vouch() */
  talk_connect(t, CLIENT);
  (void)talk_shake(t, CLIENT, SOON);
  talk_run(t, SOON);
  assert_int_equal(server->failure, HANDSHAKE_REFUSED);
  assert_int_equal(server->opened, 0);
  talk_close(t);
}

static bool drop_all(talk *t, talk_datagram *d)
{
  (void)t, (void)d;
  return false;
}

/* Sessions of the peers from `first` to `last`. */
static void join(talk *t, uint32_t first, uint32_t last)
{
  talk_side *server = &t->sides[TALK_SERVER];
  for (uint32_t i = first; i <= last; i++) {
    fixture_peer p = fixture_peer_at(i, true, 0);
    assert_non_null(fixture_join(dtls_table(server->dtls), &p, t->now));
    server->credentials.held++;
  }
}

/* More sessions than one turn looks at, and a reload before each turn. */
static void reloads_in_a_row_do_not_put_off_what_follows_from_them(void **state)
{
  enum { SESSIONS = 1200, LIMIT = 1500000, TURN = 1000 };
  const talk_cfg cfg = {.mode = TALK_PSK, .session_max = SESSIONS};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *server = &t->sides[TALK_SERVER];
  t->tamper = drop_all; /* nobody hears that the sessions end */
  join(t, 1, SESSIONS);
  server->credentials.renamed = SESSIONS + 1;
  for (copal_dur span = 0; span < LIMIT; span += TURN) {
    dtls_readmit(server->dtls, t->now);
    talk_run(t, TURN);
  }
  assert_in_range(server->renamed, 1, 2);
  assert_in_range(server->credentials.asked, SESSIONS, UINT32_MAX);
  talk_close(t);
}

/* A walk that begins amid the table, and sessions that are made while it is under way. */
static void sessions_that_begin_meanwhile_do_not_hide_others(void **state)
{
  enum { FIRST = 100, THEN = 1200, MEANWHILE = 60, BRIEF = 500 };
  const talk_cfg cfg = {.mode = TALK_PSK, .session_max = THEN + MEANWHILE};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *server = &t->sides[TALK_SERVER];
  t->tamper = drop_all; /* nobody hears that the sessions end */
  join(t, 1, FIRST);
  dtls_readmit(server->dtls, t->now);
  talk_run(t, SOON); /* the next one begins behind these */
  assert_int_equal(server->credentials.asked, FIRST);
  join(t, FIRST + 1, THEN);
  server->credentials.readmits = COPAL_ENOTFOUND;
  dtls_readmit(server->dtls, t->now);
  talk_run(t, BRIEF);
  assert_in_range(dtls_usage_now(server->dtls).sessions, 1, THEN - 1); /* it is under way */
  join(t, THEN + 1, THEN + MEANWHILE);
  talk_run(t, SOON);
  assert_int_equal(dtls_usage_now(server->dtls).sessions, 0);
  talk_close(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc5246_7_2_2_peers_that_are_not_admitted_any_more_are_told),
      cmocka_unit_test(certificate_that_was_believed_counts_until_the_end_of_the_handshake),
      cmocka_unit_test(peers_that_cannot_be_registered_anew_do_not_keep_what_they_had),
      cmocka_unit_test(handshake_whose_peer_cannot_be_registered_anew_fails),
      cmocka_unit_test(reloads_in_a_row_do_not_put_off_what_follows_from_them),
      cmocka_unit_test(sessions_that_begin_meanwhile_do_not_hide_others),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
