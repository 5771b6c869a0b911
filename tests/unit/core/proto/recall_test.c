/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are given once more: which, to whom, and for how long. */
#include "unit/core/proto/fixture.h"

enum { SLOTS = 64, SLOT_SIZE = 256 };

/* What the server says of its proofs. */
static struct {
  const char *proof; /* that its answers have; NULL: none */
  const char *body;
  bool is_current;
  int asked;
  bool was_wanted; /* by the request handled last */
} server;

static bool is_current(copal_server *s, const copal_path *path, copal_span proof, copal_time now)
{
  (void)s, (void)path, (void)now;
  assert_true(copal_span_is_equal(proof, copal_span_str(server.proof)));
  server.asked++;
  return server.is_current;
}

static int serve(fixture *f, const copal_req *req)
{
  static const uint8_t etag[] = {7};
  const copal_opt opt = {COPAL_OPT_ETAG, {etag, 1}};
  server.was_wanted = req->wants_proof;
  const copal_response r = {.code = COPAL_CODE_CONTENT,
                            .opts = &opt,
                            .opt_count = 1,
                            .payload = copal_span_str(server.body),
                            .proof = server.proof != NULL ? copal_span_str(server.proof)
                                                          : copal_span_none()};
  return copal_ep_respond(f->ep, &r, f->now);
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  fixture *f = *state;
  server.proof = "12345678";
  server.body = "21";
  server.is_current = true;
  server.asked = 0;
  f->handler = serve;
  f->server.is_current = is_current;
  f->cfg.recall_count = SLOTS;
  fx_restart(f);
  return err;
}

/* Asks for /t twice, after which the answer is kept. */
static void ask_twice(fixture *f)
{
  assert_int_equal(fx_feed(f, "41 01 12 34 aa b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa 41 07 ff '21'");
  assert_false(server.was_wanted);
  assert_int_equal(fx_feed(f, "41 01 12 35 ab b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 35 ab 41 07 ff '21'");
  assert_true(server.was_wanted);
  assert_int_equal(f->calls, 2);
}

static void what_was_proved_is_given_again(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "43 01 12 36 ac ad ae b1 't'"), COPAL_OK);
  fx_expect(f, "63 45 12 36 ac ad ae 41 07 ff '21'");
  assert_int_equal(fx_feed(f, "40 01 12 37 b1 't'"), COPAL_OK);
  fx_expect(f, "60 45 12 37 41 07 ff '21'");
  const copal_path other = fx_peer(9);
  assert_int_equal(fx_feed_from(f, &other, "41 01 00 01 01 b1 't'"), COPAL_OK);
  fx_expect_to(f, &other, "61 45 00 01 01 41 07 ff '21'");
  assert_int_equal(f->calls, 2);
  assert_int_equal(server.asked, 3);
  assert_int_equal(fx_stats(f)->recalled, 3);
  assert_int_equal(fx_stats(f)->rx_requests, 5);
}

static void what_is_no_longer_right_is_made_anew_and_kept(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  server.is_current = false;
  server.body = "22";
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 36 ac 41 07 ff '22'");
  assert_int_equal(f->calls, 3);
  server.is_current = true;
  assert_int_equal(fx_feed(f, "41 01 12 37 ad b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 37 ad 41 07 ff '22'");
  assert_int_equal(f->calls, 3);
}

static void without_a_proof_nothing_is_kept(void **state)
{
  fixture *f = *state;
  server.proof = NULL;
  ask_twice(f);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
    fx_expect(f, "61 45 12 36 ac 41 07 ff '21'");
  }
  assert_int_equal(f->calls, 5);
  assert_int_equal(fx_stats(f)->recalled, 0);
}

static void what_comes_once_does_not_push_out_what_comes_often(void **state)
{
  fixture *f = *state;
  f->cfg.recall_count = 1;
  fx_restart(f);
  f->calls = 0;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 'u'"), COPAL_OK);
  fx_expect(f, "61 45 12 36 ac *");
  assert_int_equal(fx_feed(f, "41 01 12 37 ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 37 ac *");
  assert_int_equal(fx_stats(f)->recalled, 1);
  assert_int_equal(fx_feed(f, "41 01 12 38 ac b1 'u'"), COPAL_OK); /* twice: it takes the place */
  fx_expect(f, "61 45 12 38 ac *");
  assert_int_equal(fx_feed(f, "41 01 12 39 ac b1 'u'"), COPAL_OK);
  fx_expect(f, "61 45 12 39 ac *");
  assert_int_equal(fx_stats(f)->recalled, 2);
  assert_int_equal(fx_feed(f, "41 01 12 3a ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 3a ac *");
  assert_int_equal(fx_stats(f)->recalled, 2);
}

/* Each comes four times, and each time the handler is asked. */
static void expect_never_recalled(fixture *f, const char *request)
{
  f->calls = 0;
  for (int i = 0; i < 4; i++) {
    assert_int_equal(fx_feed(f, request), COPAL_OK);
    fx_expect(f, "*");
    assert_false(server.was_wanted);
  }
  assert_int_equal(f->calls, 4);
  assert_int_equal(fx_stats(f)->recalled, 0);
}

static void requests_that_say_how_to_be_answered_are_not_alike(void **state)
{
  fixture *f = *state;
  expect_never_recalled(f, "41 01 12 34 aa 60 51 't'");           /* Observe */
  expect_never_recalled(f, "41 01 12 34 aa b1 't' 61 00");        /* Accept */
  expect_never_recalled(f, "41 01 12 34 aa b1 't' c1 06");        /* Block2 */
  expect_never_recalled(f, "41 01 12 34 aa b1 't' d4 e4 'echo'"); /* Echo is 252 */
  expect_never_recalled(f, "41 01 12 34 aa");                     /* no options */
}

static void other_methods_and_bodies_are_not_alike(void **state)
{
  fixture *f = *state;
  expect_never_recalled(f, "41 05 12 34 aa b1 't'");        /* FETCH */
  expect_never_recalled(f, "41 01 12 34 aa b1 't' ff 'x'"); /* a body */
}

static void other_options_are_another_request(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 'u'"), COPAL_OK);
  fx_expect(f, "61 45 12 36 ac *");
  assert_int_equal(fx_feed(f, "41 01 12 37 ac b1 't' 41 'q'"), COPAL_OK);
  fx_expect(f, "61 45 12 37 ac *");
  assert_int_equal(f->calls, 4);
}

static void rfc7252_4_5_a_duplicate_of_a_recalled_non_is_ignored(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "51 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect(f, "51 45 .. .. ac 41 07 ff '21'");
  assert_int_equal(fx_feed(f, "51 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->dup_ignored, 1);
  assert_int_equal(fx_stats(f)->recalled, 1);
}

static void rfc7252_4_5_the_reply_to_a_put_is_not_replaced(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "41 03 12 36 ac b1 't' ff 'x'"), COPAL_OK);
  fx_expect(f, "61 45 12 36 ac 41 07 ff '21'");
  server.body = "another";
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK); /* its Message ID again */
  fx_expect(f, "61 45 12 36 ac 41 07 ff '21'");
  assert_int_equal(fx_stats(f)->dup_replayed, 1);
  assert_int_equal(fx_stats(f)->recalled, 0);
}

static void what_is_too_long_is_not_kept(void **state)
{
  fixture *f = *state;
  char body[SLOT_SIZE];
  memset(body, 'x', sizeof body);
  body[sizeof body - 1] = '\0';
  server.body = body;
  for (int i = 0; i < 4; i++) {
    assert_int_equal(fx_feed(f, "41 01 12 34 aa b1 't'"), COPAL_OK);
    fx_expect(f, "61 45 12 34 aa *");
    assert_int_equal(fx_last(f)->len, 5 + 2 + 1 + strlen(body));
  }
  assert_int_equal(f->calls, 4);
}

/* The longest that is kept, and one more. */
static void what_just_fits_is_kept_whole(void **state)
{
  fixture *f = *state;
  const size_t room = SLOT_SIZE - 8 - strlen(server.proof) - 2; /* and the options asked with */
  char body[SLOT_SIZE];
  for (size_t len = room - 3; len <= room - 2; len++) { /* ETag and payload marker */
    memset(body, 'x', len);
    body[len] = '\0';
    server.body = body;
    f->calls = 0;
    server.is_current = true;
    fx_restart(f);
    for (int i = 0; i < 4; i++) {
      assert_int_equal(fx_feed(f, "41 01 12 34 aa b1 't'"), COPAL_OK);
      fx_expect(f, "61 45 12 34 aa *");
      assert_int_equal(fx_last(f)->len, 5 + 2 + 1 + len);
      assert_memory_equal(fx_last(f)->bytes + 8, body, len);
    }
    assert_int_equal(f->calls, len == room - 3 ? 2 : 4);
  }
}

static void a_full_sink_leaves_it_to_the_handler(void **state)
{
  fixture *f = *state;
  ask_twice(f);
  f->is_full = true;
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->recalled, 0);
  f->is_full = false;
  assert_int_equal(fx_feed(f, "41 01 12 37 ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 37 ac 41 07 ff '21'");
  assert_int_equal(fx_stats(f)->recalled, 1);
}

/* A guard that lets nothing through unless it is generous, and counts what it is asked. */
static struct {
  copal_guard guard;
  bool is_generous;
  int weighed;
  size_t len; /* of what was weighed last */
} miser;

static bool miser_allows(copal_guard *g, const copal_path *path, size_t len, copal_time now)
{
  (void)g, (void)path, (void)now;
  miser.weighed++;
  miser.len = len;
  return miser.is_generous;
}

static void miser_challenge(copal_guard *g, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                            copal_time now)
{
  (void)g, (void)path, (void)now;
  memcpy(echo, "0123456789ab", COPAL_ECHO_SIZE);
}

static bool miser_probe(copal_guard *g, const copal_path *path, uint16_t *mid, copal_time now)
{
  (void)g, (void)path, (void)mid, (void)now;
  return false;
}

static void guard_it(fixture *f)
{
  miser.guard =
      (copal_guard){.allows = miser_allows, .challenge = miser_challenge, .probe = miser_probe};
  miser.is_generous = true;
  f->cfg.guard = &miser.guard;
  f->cfg.token_cap = 20;
  fx_restart(f);
  ask_twice(f);
  miser.weighed = 0;
}

static void rfc9175_2_4_who_is_challenged_is_weighed_once(void **state)
{
  fixture *f = *state;
  guard_it(f);
  miser.is_generous = false;
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 81 12 36 ac dc ef '0123456789ab'");
  assert_int_equal(miser.weighed, 1);
  assert_int_equal(f->calls, 2);
  assert_int_equal(server.asked, 1);
  assert_int_equal(fx_stats(f)->challenged, 1);
  assert_int_equal(fx_stats(f)->rx_requests, 3);
}

static void rfc9175_2_4_all_bytes_are_weighed(void **state)
{
  fixture *f = *state;
  guard_it(f);
  assert_int_equal(fx_feed(f, "4d 01 12 36 00 'longer token.' b1 't'"), COPAL_OK); /* RFC 8974 */
  fx_expect(f, "6d 45 12 36 00 'longer token.' 41 07 ff '21'");
  assert_int_equal(miser.len, fx_last(f)->len);
  assert_int_equal(miser.weighed, 1);
  assert_int_equal(fx_stats(f)->recalled, 1);
}

static void what_cannot_leave_is_not_weighed(void **state)
{
  fixture *f = *state;
  guard_it(f);
  f->is_full = true;
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(miser.weighed, 0);
}

static void a_server_that_judges_no_proofs_makes_each_answer_anew(void **state)
{
  fixture *f = *state;
  f->server.is_current = NULL;
  ask_twice(f);
  assert_int_equal(fx_feed(f, "41 01 12 36 ac b1 't'"), COPAL_OK);
  fx_expect(f, "61 45 12 36 ac 41 07 ff '21'");
  assert_int_equal(f->calls, 3);
}

static void a_count_that_is_no_power_of_two_is_refused(void **state)
{
  fixture *f = *state;
  copal_ep_cfg cfg = f->cfg;
  cfg.recall_count = 3;
  assert_int_equal(copal_ep_size(&cfg), 0);
  cfg.recall_count = 1u << 25;
  assert_int_equal(copal_ep_size(&cfg), 0);
  cfg.recall_count = 0;
  const size_t without = copal_ep_size(&cfg);
  cfg.recall_count = 2;
  assert_true(copal_ep_size(&cfg) > without + 2 * SLOT_SIZE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      T(what_was_proved_is_given_again),
      T(what_is_no_longer_right_is_made_anew_and_kept),
      T(without_a_proof_nothing_is_kept),
      T(what_comes_once_does_not_push_out_what_comes_often),
      T(requests_that_say_how_to_be_answered_are_not_alike),
      T(other_methods_and_bodies_are_not_alike),
      T(other_options_are_another_request),
      T(rfc7252_4_5_a_duplicate_of_a_recalled_non_is_ignored),
      T(rfc7252_4_5_the_reply_to_a_put_is_not_replaced),
      T(what_is_too_long_is_not_kept),
      T(what_just_fits_is_kept_whole),
      T(a_full_sink_leaves_it_to_the_handler),
      T(rfc9175_2_4_who_is_challenged_is_weighed_once),
      T(rfc9175_2_4_all_bytes_are_weighed),
      T(what_cannot_leave_is_not_weighed),
      T(a_server_that_judges_no_proofs_makes_each_answer_anew),
      T(a_count_that_is_no_power_of_two_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
