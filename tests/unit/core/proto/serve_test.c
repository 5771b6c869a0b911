/* SPDX-License-Identifier: Apache-2.0 */
/* The server role: piggybacked and separate responses, options that must be refused, late handlers,
 * requests to groups. RFC 7252 sections 4.2, 5.2, 5.4, 8.2, RFC 7967, RFC 8974, RFC 9290. */
#include "unit/core/proto/fixture.h"

/* ------------------------------------------------------------------------------- piggybacked */

static void rfc7252_5_2_1_response_travels_in_the_ack(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CONTENT, "22.5");
  assert_int_equal(fx_feed(f, "42 01 12 34 aa bb b4 'temp'"), COPAL_OK);
  fx_expect(f, "62 45 12 34 aa bb ff '22.5'");
  fx_expect_nothing(f);
  assert_int_equal(f->code, COPAL_CODE_GET);
  assert_int_equal(f->respond_result, COPAL_OK);
  assert_int_equal(fx_stats(f)->rx_requests, 1);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static void rfc7252_5_3_1_token_is_echoed_at_every_length(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01");
  assert_int_equal(fx_feed(f, "41 01 00 02 00"), COPAL_OK);
  fx_expect(f, "61 45 00 02 00");
  assert_int_equal(fx_feed(f, "48 01 00 03 '12345678'"), COPAL_OK);
  fx_expect(f, "68 45 00 03 '12345678'");
}

static void rfc7252_5_2_3_non_is_answered_with_non(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "52 03 12 34 aa bb"), COPAL_OK);
  fx_expect(f, "52 44 %m aa bb");
  assert_int_equal(fx_feed(f, "52 03 12 35 aa bb"), COPAL_OK);
  const uint16_t first = f->mid;
  fx_expect(f, "52 44 %m aa bb");
  assert_int_not_equal(f->mid, first);
  fx_expect_idle(f);
}

static void handler_without_answer_acknowledges_only(void **state)
{
  fixture *f = *state;
  f->response.code = COPAL_CODE_EMPTY;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
    fx_expect(f, "60 00 12 34");
  }
  assert_int_equal(fx_feed(f, "51 02 12 35 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 2);
  fx_expect_idle(f);
}

/* Once an Empty ACK has left, no piggybacked response may follow. */
static void rfc7252_5_2_2_get_acknowledged_only_does_not_run_again(void **state)
{
  fixture *f = *state;
  f->response.code = COPAL_CODE_EMPTY;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "60 00 12 34");
  fx_answer(f, COPAL_CODE_CONTENT, "late");
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(f->calls, 1);
}

static void errors_of_the_handler_become_responses(void **state)
{
  static const struct {
    int err;
    const char *out;
  } all[] = {
      {COPAL_ENOTFOUND, "60 84 %m ff 'no such resource'"},
      {COPAL_ETOOBIG, "60 8d %m ff 'body too large'"},
      {COPAL_ENOSLOT, "60 a3 %m d1 01 01 ff 'busy, try again'"},
      {COPAL_EBLOCK, "60 80 %m ff 'no such block'"},
      {COPAL_EPROXY, "60 a5 %m ff 'this is not a proxy'"},
      {COPAL_EINVAL, "60 a0 %m ff 'the server failed'"},
      {COPAL_ENOSPC, "60 a0 %m ff 'the server failed'"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    f->mid = (uint16_t)i;
    f->result = all[i].err;
    assert_int_equal(fx_feed(f, "40 01 %m"), COPAL_OK);
    fx_expect(f, all[i].out);
    assert_int_equal(f->mid, i);
  }
}

static int pending_without_defer(fixture *f, const copal_req *req)
{
  (void)f;
  (void)req;
  return COPAL_EPENDING;
}

static void pending_without_defer_is_a_server_error(void **state)
{
  fixture *f = *state;
  f->handler = pending_without_defer;
  assert_int_equal(fx_feed(f, "40 01 12 34"), COPAL_OK);
  fx_expect(f, "60 a0 12 34 ff 'the server failed'");
}

static void without_a_server_nothing_is_found(void **state)
{
  fixture *f = *state;
  f->cfg.server = NULL;
  fx_restart(f);
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 84 12 34 aa ff 'no such resource'");
  assert_int_equal(f->calls, 0);
}

static int answer_twice(fixture *f, const copal_req *req)
{
  copal_xref x = 0;
  (void)req;
  assert_int_equal(copal_ep_respond(f->ep, &f->response, f->now), COPAL_OK);
  assert_int_equal(copal_ep_respond(f->ep, &f->response, f->now), COPAL_EINVAL);
  assert_int_equal(copal_ep_defer(f->ep, &x), COPAL_EINVAL);
  return COPAL_ENOTFOUND; /* does not matter any more */
}

static void a_request_is_answered_once(void **state)
{
  fixture *f = *state;
  f->handler = answer_twice;
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  fx_expect(f, "60 45 12 34");
  fx_expect_nothing(f);
}

static int defer_then_answer(fixture *f, const copal_req *req)
{
  copal_xref again = 0;
  (void)req;
  assert_int_equal(copal_ep_defer(f->ep, &f->late), COPAL_OK);
  assert_int_equal(copal_ep_defer(f->ep, &again), COPAL_EINVAL);
  assert_int_equal(copal_ep_respond(f->ep, &f->response, f->now), COPAL_EINVAL);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  return COPAL_EPENDING;
}

static void a_handler_may_resume_at_once(void **state)
{
  fixture *f = *state;
  f->handler = defer_then_answer;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
    fx_expect(f, "60 45 12 34");
  }
  assert_int_equal(f->calls, 1);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void respond_outside_the_handler_is_refused(void **state)
{
  fixture *f = *state;
  copal_xref x = 0;
  assert_int_equal(copal_ep_respond(f->ep, &f->response, f->now), COPAL_EINVAL);
  assert_int_equal(copal_ep_defer(f->ep, &x), COPAL_EINVAL);
  fx_expect_nothing(f);
}

static int answer_with_a_method(fixture *f, const copal_req *req)
{
  copal_response r = {.code = COPAL_CODE_GET};
  (void)req;
  assert_int_equal(copal_ep_respond(f->ep, &r, f->now), COPAL_EINVAL);
  r.code = COPAL_CODE_EMPTY;
  assert_int_equal(copal_ep_respond(f->ep, &r, f->now), COPAL_EINVAL);
  r.code = copal_code_of(7, 1);
  assert_int_equal(copal_ep_respond(f->ep, &r, f->now), COPAL_EINVAL);
  return COPAL_EINVAL;
}

static void only_response_codes_are_responses(void **state)
{
  fixture *f = *state;
  f->handler = answer_with_a_method;
  assert_int_equal(fx_feed(f, "40 01 12 34 d1 f5 1a"), COPAL_OK); /* with No-Response */
  fx_expect(f, "60 00 12 34");                                    /* 5.00, held back */
  f->handler = NULL;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "40 01 12 35"), COPAL_OK);
  const copal_response r = {.code = COPAL_CODE_EMPTY};
  assert_int_equal(copal_ep_resume(f->ep, f->late, &r, f->now), COPAL_EINVAL);
}

static void a_response_with_disordered_options_is_refused(void **state)
{
  fixture *f = *state;
  const copal_opt opts[] = {{COPAL_OPT_CONTENT_FORMAT, {NULL, 0}}, {COPAL_OPT_ETAG, {NULL, 0}}};
  f->response.opts = opts;
  f->response.opt_count = 2;
  assert_int_equal(fx_feed(f, "40 01 12 34"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "60 00 12 34");
}

static int answer_or_fail(fixture *f, const copal_req *req)
{
  (void)req;
  f->respond_result = copal_ep_respond(f->ep, &f->response, f->now);
  return f->respond_result;
}

static void a_response_that_does_not_fit_becomes_5_00(void **state)
{
  fixture *f = *state;
  static const uint8_t etag[8] = {0};
  const copal_opt opts[] = {{COPAL_OPT_ETAG, {etag, 8}},
                            {COPAL_OPT_LOCATION_PATH, {(const uint8_t *)f->room, 60}}};
  f->cfg.message_max = 64;
  fx_restart(f);
  f->handler = answer_or_fail;
  f->response.opts = opts;
  f->response.opt_count = 2;
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_ENOSPC);
  fx_expect(f, "60 a0 12 34 ff 'the server failed'");
}

/* The transport had no room for the answer; the request has had its effect and must not run again.
 */
static void rfc7252_4_5_duplicate_fetches_an_answer_that_could_not_be_sent(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CREATED, "made");
  f->is_full = true;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->tx_dropped, 1);
  f->is_full = false;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa ff 'made'");
  assert_int_equal(f->calls, 1);
  fx_expect_idle(f);
}

static void an_answer_to_a_non_that_could_not_be_sent_is_lost(void **state)
{
  fixture *f = *state;
  f->handler = answer_or_fail;
  f->is_full = true;
  assert_int_equal(fx_feed(f, "51 01 12 33 aa"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_ENOSLOT);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static copal_subject observed;

static int observe_and_fail(fixture *f, const copal_req *req)
{
  assert_true(req->wants_observe);
  assert_int_equal(copal_ep_observe(f->ep, &observed), COPAL_OK);
  return answer_or_fail(f, req);
}

/* The last block completes the body: run again, it would be taken for one without those before it.
 */
static void rfc7959_2_5_duplicate_block_of_a_fetch_replays_the_reply(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CONTENT, "x");
  assert_int_equal(fx_feed(f, "41 05 12 34 aa d1 0e 10 ff 'q'"), COPAL_OK); /* Block1 1/0/16 */
  fx_expect(f, "61 45 12 34 aa ff 'x'");
  fx_answer(f, COPAL_CODE_REQUEST_ENTITY_INCOMPLETE, "");
  assert_int_equal(fx_feed(f, "41 05 12 34 aa d1 0e 10 ff 'q'"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa ff 'x'");
  assert_int_equal(f->calls, 1);
}

static void rfc7641_4_2_an_error_in_place_of_a_success_carries_no_observe(void **state)
{
  fixture *f = *state;
  const copal_opt disordered[] = {{COPAL_OPT_MAX_AGE, {NULL, 0}}, {COPAL_OPT_ETAG, {NULL, 0}}};
  observed = (copal_subject){0};
  f->handler = observe_and_fail;
  f->response.opts = disordered;
  f->response.opt_count = 2;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa 60"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "61 a0 12 34 aa ff 'the server failed'");
  assert_int_equal(observed.count, 0);
  assert_int_equal(copal_ep_usage(f->ep).relations, 0);
}

/* ---------------------------------------------------------------------------------- options */

static void rfc7252_5_4_1_unknown_critical_option_in_con_is_4_02(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 00 01 aa 90"), COPAL_EOPTION); /* OSCORE, 9 */
  fx_expect(f, "61 82 00 01 aa ff 'unsupported critical option 9'");
  assert_int_equal(fx_feed(f, "41 02 00 02 aa e0 fe f2"), COPAL_EOPTION);
  fx_expect(f, "61 82 00 02 aa ff 'unsupported critical option 65535'");
  assert_int_equal(f->calls, 0);
  assert_int_equal(fx_stats(f)->rejected[-COPAL_EOPTION], 2);
}

static void rfc7252_5_4_1_each_unknown_critical_option_is_refused(void **state)
{
  fixture *f = *state;
  static const uint8_t known[] = {1, 3, 5, 7, 11, 15, 17, 23, 27, 35, 39};
  for (unsigned number = 1; number < 269; number += 2) {
    uint8_t bytes[8] = {0x40, 0x01, 0x00, (uint8_t)number};
    size_t len = 4;
    bool is_known = false;
    for (size_t i = 0; i < sizeof known; i++)
      is_known |= known[i] == number;
    if (is_known)
      continue;
    bytes[len++] = (uint8_t)(number < 13 ? number << 4 : 0xd0);
    if (number >= 13)
      bytes[len++] = (uint8_t)(number - 13);
    assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, len), COPAL_EOPTION);
    fx_expect(f, "60 82 %m ff 'unsupported critical option ' *");
    assert_int_equal(f->mid, number & 0xff);
  }
  assert_int_equal(f->calls, 0);
}

static void rfc7252_5_4_1_unknown_critical_option_in_non_is_rejected(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "51 01 12 34 aa 90"), COPAL_EOPTION);
  fx_expect(f, "70 00 12 34");
  assert_int_equal(f->calls, 0);
  fx_expect_idle(f);
}

static void rfc7252_5_4_1_unknown_elective_option_is_ignored(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 a1 ff"), COPAL_OK); /* 10 */
  fx_expect(f, "60 45 00 01");
  assert_int_equal(fx_feed(f, "40 01 00 02 e2 fe f1 01 02"), COPAL_OK); /* 65534 */
  fx_expect(f, "60 45 00 02");
  assert_int_equal(f->calls, 2);
}

static void rfc7252_5_4_3_ill_sized_critical_option_is_unrecognised(void **state)
{
  static const struct {
    const char *in;
    const char *out;
  } all[] = {
      {"40 01 00 01 51 00", "60 82 00 01 ff 'unsupported critical option 5'"},       /* If-None-M */
      {"40 01 00 02 73 01 02 03", "60 82 00 02 ff 'unsupported critical option 7'"}, /* Uri-Port */
      {"40 01 00 03 30", "60 82 00 03 ff 'unsupported critical option 3'"},          /* Uri-Host */
      {"40 01 00 04 d3 04 01 02 03",
       "60 82 00 04 ff 'unsupported critical option 17'"}, /* Accept */
      {"40 01 00 05 d4 0a 01 02 03 04", "60 82 00 05 ff 'unsupported critical option 23'"},
      {"40 01 00 06 19 '123456789'",
       "60 82 00 06 ff 'unsupported critical option 1'"}, /* If-Match */
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    assert_int_equal(fx_feed(f, all[i].in), COPAL_EOPTION);
    fx_expect(f, all[i].out);
  }
  assert_int_equal(fx_feed(f, "50 01 00 07 51 00"), COPAL_EOPTION);
  fx_expect(f, "70 00 00 07");
  assert_int_equal(f->calls, 0);
}

static void rfc7252_5_4_3_ill_sized_elective_option_is_ignored(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 40"), COPAL_OK); /* ETag of no bytes */
  fx_expect(f, "60 45 00 01");
  assert_int_equal(fx_feed(f, "40 01 00 02 d2 f5 1a 1a"), COPAL_OK); /* No-Response of two */
  fx_expect(f, "60 45 00 02");
}

static void rfc7252_5_4_5_supernumerary_critical_option_is_unrecognised(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 31 'a' 01 'b'"), COPAL_EOPTION); /* two Uri-Host */
  fx_expect(f, "60 82 00 01 ff 'unsupported critical option 3'");
  assert_int_equal(fx_feed(f, "40 01 00 02 d0 04 00"), COPAL_EOPTION); /* two Accept */
  fx_expect(f, "60 82 00 02 ff 'unsupported critical option 17'");
  assert_int_equal(fx_feed(f, "50 01 00 03 d0 04 00"), COPAL_EOPTION);
  fx_expect(f, "70 00 00 03");
  assert_int_equal(f->calls, 0);
}

static void rfc7252_5_4_5_repeatable_and_elective_options_may_repeat(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 b1 'a' 01 'b' 41 'c' 01 'd'"), COPAL_OK);
  fx_expect(f, "60 45 00 01");
  assert_int_equal(fx_feed(f, "40 01 00 02 c0 00"), COPAL_OK); /* two Content-Format */
  fx_expect(f, "60 45 00 02");
  assert_int_equal(f->calls, 2);
}

static void rfc7252_5_10_2_proxy_options_are_5_05(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 d8 16 'coap://h'"), COPAL_EPROXY);
  fx_expect(f, "60 a5 00 01 ff 'this is not a proxy'");
  assert_int_equal(fx_feed(f, "40 01 00 02 d4 1a 'coap'"), COPAL_EPROXY);
  fx_expect(f, "60 a5 00 02 ff 'this is not a proxy'");
  assert_int_equal(fx_feed(f, "51 01 00 03 aa d4 1a 'coap'"), COPAL_EPROXY);
  fx_expect(f, "51 a5 %m aa ff 'this is not a proxy'");
  assert_int_equal(f->calls, 0);
  fx_expect_idle(f);
}

static void a_proxy_gets_proxy_options(void **state)
{
  fixture *f = *state;
  f->cfg.has_proxy = true;
  fx_restart(f);
  assert_int_equal(fx_feed(f, "40 01 00 01 d8 16 'coap://h'"), COPAL_OK);
  fx_expect(f, "60 45 00 01");
  assert_int_equal(f->calls, 1);
}

/* ------------------------------------------------------------------------------------ tokens */

static void rfc8974_2_2_2_token_too_long_is_4_00(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "49 01 00 01 '123456789'"), COPAL_ETOKEN);
  fx_expect(f, "69 80 00 01 '123456789' ff 'token too long'");
  assert_int_equal(fx_feed(f, "4d 01 00 02 00 '1234567890123'"), COPAL_ETOKEN);
  fx_expect(f, "6d 80 00 02 00 '1234567890123' ff 'token too long'");
  assert_int_equal(fx_feed(f, "59 01 00 03 '123456789'"), COPAL_ETOKEN);
  fx_expect(f, "59 80 %m '123456789' ff 'token too long'");
  assert_int_equal(f->calls, 0);
  fx_expect_idle(f);
}

static void rfc8974_2_1_tokens_up_to_the_limit_are_echoed(void **state)
{
  fixture *f = *state;
  uint8_t bytes[6 + 300] = {0x4e, 0x01, 0x00, 0x01, 0x00, 300 - 269};
  f->cfg.token_cap = 300;
  fx_restart(f);
  for (size_t i = 6; i < sizeof bytes; i++)
    bytes[i] = (uint8_t)i;
  assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_OK);
  fx_expect(f, "6e 45 00 01 00 1f *");
  assert_int_equal(fx_last(f)->len, sizeof bytes);
  assert_memory_equal(fx_last(f)->bytes + 6, bytes + 6, 300);

  f->result = COPAL_EPENDING;
  bytes[3] = 2;
  assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_OK);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "6e 45 00 02 00 1f *");
  assert_int_equal(fx_last(f)->len, sizeof bytes);
  assert_memory_equal(fx_last(f)->bytes + 6, bytes + 6, 300);
}

/* No answer can be written, but a confirmable message must be acknowledged or rejected. */
static void rfc7252_4_2_token_beyond_any_answer_is_reset(void **state)
{
  fixture *f = *state;
  static uint8_t bytes[6 + 2000] = {0x4e, 0x01, 0x00, 0x01, (2000 - 269) >> 8, (2000 - 269) & 255};
  assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_ETOKEN);
  fx_expect(f, "70 00 00 01");
  bytes[0] = 0x5e;
  assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_ETOKEN);
  fx_expect_nothing(f);
}

/* ------------------------------------------------------------------------------- No-Response */

static void rfc7967_2_1_classes_are_held_back(void **state)
{
  static const copal_code codes[] = {COPAL_CODE_CHANGED, COPAL_CODE_BAD_REQUEST,
                                     COPAL_CODE_INTERNAL_SERVER_ERROR};
  static const uint8_t bits[] = {2, 8, 16};
  fixture *f = *state;
  uint16_t mid = 0;
  for (unsigned value = 0; value < 32; value++) {
    for (size_t c = 0; c < 3; c++) {
      const bool is_held = (value & bits[c]) != 0;
      uint8_t con[] = {0x41, 0x02, 0x10, (uint8_t)++mid, 0xaa, 0xd1, 0xf5, (uint8_t)value};
      fx_answer(f, codes[c], "");
      assert_int_equal(fx_feed_bytes(f, &f->peer, con, sizeof con), COPAL_OK);
      if (is_held)
        fx_expect(f, "60 00 %m");
      else
        fx_expect(f, "61 .. %m aa");
      assert_int_equal(f->mid, 0x1000 | mid);
      con[0] = 0x51; /* the same as NON, with another Message ID */
      con[2] = 0x11;
      assert_int_equal(fx_feed_bytes(f, &f->peer, con, sizeof con), COPAL_OK);
      if (!is_held)
        fx_expect(f, "51 .. %m aa");
      fx_expect_nothing(f);
      f->sent_count = f->sent_seen = 0;
    }
  }
  assert_int_equal(f->calls, 32 * 3 * 2);
  assert_int_equal(fx_stats(f)->suppressed, 3 * 16 * 2);
}

static void rfc7967_2_1_empty_value_wants_all(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 02 00 01 d0 f5"), COPAL_OK);
  fx_expect(f, "60 45 00 01");
}

static void rfc7967_errors_of_the_endpoint_are_held_back_too(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 02 00 01 90 d1 ec 1a"), COPAL_EOPTION);
  fx_expect(f, "60 00 00 01");
  f->result = COPAL_ENOTFOUND;
  assert_int_equal(fx_feed(f, "40 02 00 02 d1 f5 08"), COPAL_OK);
  fx_expect(f, "60 00 00 02");
}

/* ---------------------------------------------------------------------------------- RFC 9290 */

static void rfc9290_accepted_problem_details_replace_the_text(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 00 01 90 82 01 01"), COPAL_EOPTION); /* 9, Accept 257 */
  fx_expect(f, "60 82 00 01 c2 01 01 ff a1 27 19 00 09");
  f->result = COPAL_ENOTFOUND;
  assert_int_equal(fx_feed(f, "40 01 00 02 d2 04 01 01"), COPAL_OK);
  fx_expect(f, "60 84 00 02 c2 01 01 ff a1 20 78 10 'no such resource'");
  f->result = COPAL_ENOSLOT;
  assert_int_equal(fx_feed(f, "40 01 00 03 d2 04 01 01"), COPAL_OK);
  fx_expect(f, "60 a3 00 03 c2 01 01 21 01 ff a1 20 78 0f 'busy, try again'");
  f->result = COPAL_ENOTFOUND;
  assert_int_equal(fx_feed(f, "40 01 00 04 d1 04 32"), COPAL_OK); /* Accept 50 */
  fx_expect(f, "60 84 00 04 ff 'no such resource'");
}

/* -------------------------------------------------------------------------------------- late */

static void rfc7252_5_2_2_empty_ack_after_ack_delay(void **state)
{
  fixture *f = *state;
  const copal_time t0 = f->now;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  fx_advance(f, 499 * COPAL_MILLISECOND);
  fx_expect_nothing(f);
  fx_advance(f, 3 * COPAL_MILLISECOND);
  fx_expect(f, "60 00 12 34");
  assert_true(fx_last(f)->at >= t0 + 500 * COPAL_MILLISECOND);
  fx_advance(f, 60 * (copal_time)COPAL_SECOND);
  fx_expect_nothing(f);
  fx_answer(f, COPAL_CODE_CONTENT, "late");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa ff 'late'");
  assert_int_not_equal(f->mid, 0x1234);
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_5_2_1_late_but_in_time_is_piggybacked(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_advance(f, 400 * COPAL_MILLISECOND);
  fx_answer(f, COPAL_CODE_CREATED, "soon");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "61 41 12 34 aa ff 'soon'");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK); /* duplicate */
  fx_expect(f, "61 41 12 34 aa ff 'soon'");
  assert_int_equal(f->calls, 1);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_5_2_2_separate_response_is_retransmitted_until_acknowledged(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  fx_restart(f);
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa");
  fx_advance(f, 3 * COPAL_SECOND);
  fx_expect(f, "41 45 %m aa");
  fx_advance(f, 4 * COPAL_SECOND);
  fx_expect(f, "41 45 %m aa");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  fx_advance(f, 100 * (copal_time)COPAL_SECOND);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->timeouts, 0);
  fx_expect_idle(f);
}

static void rfc7252_4_2_separate_response_gives_up_after_max_retransmit(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_advance(f, 100 * (copal_time)COPAL_SECOND);
  for (int i = 0; i < 5; i++)
    fx_expect(f, "41 45 %m aa");
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->timeouts, 1);
  assert_int_equal(fx_stats(f)->tx_retransmits, 4);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static copal_xref separate(fixture *f)
{
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa");
  return f->late;
}

static void rfc7252_4_2_reset_ends_a_separate_response(void **state)
{
  fixture *f = *state;
  const copal_xref x = separate(f);
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK);
  assert_int_equal(fx_stats(f)->resets, 1);
  assert_int_equal(copal_ep_resume(f->ep, x, &f->response, f->now), COPAL_ENOTFOUND);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_5_2_2_ack_with_a_response_ends_a_separate_response_too(void **state)
{
  fixture *f = *state;
  (void)separate(f);
  assert_int_equal(fx_feed(f, "61 45 %m bb ff 'x'"), COPAL_OK);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_4_4_ack_from_another_endpoint_does_not_end_a_separate_response(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(9);
  (void)separate(f);
  assert_int_equal(fx_feed_from(f, &other, "60 00 %m"), COPAL_ESTRAY);
  assert_int_equal(fx_feed_from(f, &other, "70 00 %m"), COPAL_ESTRAY);
  fx_advance(f, 3 * COPAL_SECOND);
  fx_expect(f, "41 45 %m aa");
}

static void rfc7252_9_1_2_late_response_goes_through_the_session_of_its_request(void **state)
{
  fixture *f = *state;
  copal_path plain = f->peer;
  f->peer.session = 7;
  f->peer.flags = COPAL_PATH_SECURE;
  (void)separate(f);
  assert_int_equal(fx_feed_from(f, &plain, "60 00 %m"), COPAL_ESTRAY);
  fx_advance(f, 3 * COPAL_SECOND);
  fx_expect_to(f, &f->peer, "41 45 %m aa");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
}

static void rfc7252_5_2_2_duplicates_while_the_handler_is_late(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK); /* DEFERRED */
  fx_expect(f, "60 00 12 34");
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect_nothing(f);                                     /* the timer was cancelled */
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK); /* ACKED */
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa");
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK); /* WAIT_ACK */
  fx_expect(f, "60 00 12 34");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK); /* over: RFC 7252 section 4.2 */
  fx_expect(f, "60 00 12 34");
  assert_int_equal(f->calls, 1);
  assert_int_equal(fx_stats(f)->dup_reacked, 4);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_5_2_3_late_answer_to_a_non_is_a_non(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "51 02 12 34 aa"), COPAL_OK);
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect_nothing(f); /* a NON is never acknowledged */
  assert_int_equal(fx_feed(f, "51 02 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "51 45 %m aa");
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  assert_int_equal(fx_feed(f, "51 02 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
  fx_expect_idle(f);
}

static void abandoned_requests_are_acknowledged_once(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 00 01 aa"), COPAL_OK);
  assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_OK); /* DEFERRED */
  fx_expect(f, "60 00 00 01");
  assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_ENOTFOUND);
  assert_int_equal(fx_feed(f, "41 02 00 01 aa"), COPAL_OK);
  fx_expect(f, "60 00 00 01");

  assert_int_equal(fx_feed(f, "41 02 00 02 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 00 02");
  assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_OK); /* ACKED */
  fx_expect_nothing(f);

  assert_int_equal(fx_feed(f, "51 02 00 03 aa"), COPAL_OK);
  assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_OK); /* NON */
  assert_int_equal(fx_feed(f, "51 02 00 03 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 3);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static void rfc7967_late_response_held_back_is_acknowledged(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 00 01 aa d1 f5 02"), COPAL_OK);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "60 00 00 01");
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 02 00 02 aa d1 f5 02"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 00 02");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  assert_int_equal(fx_feed(f, "51 02 00 03 aa d1 f5 02"), COPAL_OK);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->suppressed, 3);
  fx_expect_idle(f);
}

static void handles_are_never_used_again(void **state)
{
  fixture *f = *state;
  copal_xref seen[40];
  f->result = COPAL_EPENDING;
  for (uint16_t i = 0; i < 40; i++) {
    f->mid = i;
    assert_int_equal(fx_feed(f, "50 02 %m"), COPAL_OK);
    assert_true(f->late != 0);
    for (uint16_t j = 0; j < i; j++)
      assert_true(seen[j] != f->late);
    seen[i] = f->late;
    assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_OK);
    assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_ENOTFOUND);
  }
  assert_int_equal(copal_ep_resume(f->ep, 0, &f->response, f->now), COPAL_ENOTFOUND);
  assert_int_equal(copal_ep_resume(f->ep, UINT64_MAX, &f->response, f->now), COPAL_ENOTFOUND);
  assert_int_equal(copal_ep_cancel(f->ep, seen[0], f->now), COPAL_ENOTFOUND);
  fx_expect_nothing(f);
}

static int defer_or_busy(fixture *f, const copal_req *req)
{
  (void)req;
  const int err = copal_ep_defer(f->ep, &f->late);
  return err ? err : COPAL_EPENDING;
}

static void without_an_exchange_a_late_handler_answers_5_03(void **state)
{
  fixture *f = *state;
  f->cfg.exchange_count = 1;
  fx_restart(f);
  f->handler = defer_or_busy;
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  assert_int_equal(fx_feed(f, "40 01 00 02"), COPAL_OK);
  fx_expect(f, "60 a3 00 02 d1 01 01 ff 'busy, try again'");
  assert_int_equal(fx_stats(f)->exchanges_refused, 1);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 00 01");
}

static void a_separate_response_that_cannot_be_kept_is_sent_as_non(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 1;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  fx_answer(f, COPAL_CODE_CONTENT, "longer than a chunk");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "51 45 %m aa ff 'longer than a chunk'");
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static void a_late_response_survives_a_full_sink(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  f->is_full = true;
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_ENOSLOT);
  f->is_full = false;
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa");
  fx_expect_idle(f);
}

/* -------------------------------------------------------------------------------------- groups */

static int feed_group(fixture *f, const char *text)
{
  copal_path path = f->peer;
  path.flags = COPAL_PATH_GROUP;
  return fx_feed_from(f, &path, text);
}

static void rfc7252_8_2_response_to_a_group_request_waits_for_leisure(void **state)
{
  fixture *f = *state;
  copal_time least = COPAL_NEVER, most = 0;
  for (uint16_t i = 0; i < 64; i++) {
    const copal_time t0 = f->now;
    f->mid = i;
    assert_int_equal(feed_group(f, "51 01 %m aa"), COPAL_OK);
    fx_expect_nothing(f);
    fx_advance(f, 6 * COPAL_SECOND);
    fx_expect(f, "51 45 %m aa");
    const copal_time waited = fx_last(f)->at - t0;
    assert_true(waited <= 5 * COPAL_SECOND + 2 * COPAL_MILLISECOND);
    least = waited < least ? waited : least;
    most = waited > most ? waited : most;
  }
  assert_true(least < COPAL_SECOND);
  assert_true(most > 4 * COPAL_SECOND);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void rfc7252_8_2_leisure_follows_the_entropy(void **state)
{
  fixture *f = *state;
  copal_time t0;
  f->fill = 0;
  fx_restart(f);
  t0 = f->now;
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  fx_advance(f, 2 * COPAL_MILLISECOND);
  fx_expect(f, "51 45 %m aa");
  f->fill = 0xff;
  fx_restart(f);
  t0 = f->now;
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  fx_advance(f, 6 * COPAL_SECOND);
  fx_expect(f, "51 45 %m aa");
  assert_true(fx_last(f)->at - t0 > 5 * COPAL_SECOND - 2 * COPAL_MILLISECOND);
}

static void rfc7252_8_2_errors_are_not_sent_to_groups(void **state)
{
  fixture *f = *state;
  f->result = COPAL_ENOTFOUND;
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  fx_answer(f, COPAL_CODE_BAD_REQUEST, "");
  assert_int_equal(feed_group(f, "51 02 00 02 aa"), COPAL_OK);
  assert_int_equal(feed_group(f, "59 01 00 03 '123456789'"), COPAL_ETOKEN);
  assert_int_equal(feed_group(f, "51 01 00 04 aa d4 1a 'coap'"), COPAL_EPROXY);
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->suppressed, 4);
  fx_expect_idle(f);
}

static void rfc7967_2_1_no_response_0_asks_a_group_for_errors(void **state)
{
  fixture *f = *state;
  f->result = COPAL_ENOTFOUND;
  assert_int_equal(feed_group(f, "51 01 00 01 aa d0 f5"), COPAL_OK);
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect(f, "51 84 %m aa ff 'no such resource'");
  assert_int_equal(feed_group(f, "51 01 00 02 aa d1 f5 02"), COPAL_OK); /* errors only */
  fx_answer(f, COPAL_CODE_CONTENT, "");
  assert_int_equal(feed_group(f, "51 01 00 03 aa d1 f5 02"), COPAL_OK);
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect(f, "51 84 %m aa ff 'no such resource'");
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void rfc7252_4_5_duplicate_group_request_is_ignored(void **state)
{
  fixture *f = *state;
  assert_int_equal(feed_group(f, "51 02 00 01 aa"), COPAL_OK);
  assert_int_equal(feed_group(f, "51 02 00 01 aa"), COPAL_OK);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(feed_group(f, "51 02 00 01 aa"), COPAL_OK);
  fx_expect(f, "51 45 %m aa");
  fx_advance(f, 10 * COPAL_SECOND);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
}

static void a_late_answer_to_a_group_waits_for_leisure_too(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_ENOTFOUND);
  fx_advance(f, 6 * COPAL_SECOND);
  fx_expect(f, "51 45 %m aa");
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void without_a_chunk_a_group_gets_no_answer(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 1;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CONTENT, "longer than a chunk");
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_advance(f, 6 * COPAL_SECOND);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void without_an_exchange_a_group_gets_no_answer(void **state)
{
  fixture *f = *state;
  f->cfg.exchange_count = 1;
  fx_restart(f);
  assert_int_equal(feed_group(f, "51 01 00 01 aa"), COPAL_OK);
  assert_int_equal(feed_group(f, "51 01 00 02 bb"), COPAL_OK);
  assert_int_equal(f->respond_result, COPAL_ENOSLOT);
  fx_advance(f, 6 * COPAL_SECOND);
  fx_expect(f, "51 45 %m aa");
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_5_2_1_response_travels_in_the_ack),
      TEST(rfc7252_5_3_1_token_is_echoed_at_every_length),
      TEST(rfc7252_5_2_3_non_is_answered_with_non),
      TEST(handler_without_answer_acknowledges_only),
      TEST(rfc7252_5_2_2_get_acknowledged_only_does_not_run_again),
      TEST(errors_of_the_handler_become_responses),
      TEST(pending_without_defer_is_a_server_error),
      TEST(without_a_server_nothing_is_found),
      TEST(a_request_is_answered_once),
      TEST(a_handler_may_resume_at_once),
      TEST(respond_outside_the_handler_is_refused),
      TEST(only_response_codes_are_responses),
      TEST(a_response_with_disordered_options_is_refused),
      TEST(a_response_that_does_not_fit_becomes_5_00),
      TEST(rfc7252_5_4_1_unknown_critical_option_in_con_is_4_02),
      TEST(rfc7252_5_4_1_each_unknown_critical_option_is_refused),
      TEST(rfc7252_5_4_1_unknown_critical_option_in_non_is_rejected),
      TEST(rfc7252_5_4_1_unknown_elective_option_is_ignored),
      TEST(rfc7252_5_4_3_ill_sized_critical_option_is_unrecognised),
      TEST(rfc7252_5_4_3_ill_sized_elective_option_is_ignored),
      TEST(rfc7252_5_4_5_supernumerary_critical_option_is_unrecognised),
      TEST(rfc7252_5_4_5_repeatable_and_elective_options_may_repeat),
      TEST(rfc7252_5_10_2_proxy_options_are_5_05),
      TEST(a_proxy_gets_proxy_options),
      TEST(rfc8974_2_2_2_token_too_long_is_4_00),
      TEST(rfc8974_2_1_tokens_up_to_the_limit_are_echoed),
      TEST(rfc7252_4_2_token_beyond_any_answer_is_reset),
      TEST(rfc7967_2_1_classes_are_held_back),
      TEST(rfc7967_2_1_empty_value_wants_all),
      TEST(rfc7967_errors_of_the_endpoint_are_held_back_too),
      TEST(rfc9290_accepted_problem_details_replace_the_text),
      TEST(rfc7252_5_2_2_empty_ack_after_ack_delay),
      TEST(rfc7252_5_2_1_late_but_in_time_is_piggybacked),
      TEST(rfc7252_5_2_2_separate_response_is_retransmitted_until_acknowledged),
      TEST(rfc7252_4_2_separate_response_gives_up_after_max_retransmit),
      TEST(rfc7252_4_2_reset_ends_a_separate_response),
      TEST(rfc7252_5_2_2_ack_with_a_response_ends_a_separate_response_too),
      TEST(rfc7252_4_4_ack_from_another_endpoint_does_not_end_a_separate_response),
      TEST(rfc7252_9_1_2_late_response_goes_through_the_session_of_its_request),
      TEST(rfc7252_5_2_2_duplicates_while_the_handler_is_late),
      TEST(rfc7252_5_2_3_late_answer_to_a_non_is_a_non),
      TEST(abandoned_requests_are_acknowledged_once),
      TEST(rfc7967_late_response_held_back_is_acknowledged),
      TEST(handles_are_never_used_again),
      TEST(without_an_exchange_a_late_handler_answers_5_03),
      TEST(a_separate_response_that_cannot_be_kept_is_sent_as_non),
      TEST(a_late_response_survives_a_full_sink),
      TEST(rfc7252_8_2_response_to_a_group_request_waits_for_leisure),
      TEST(rfc7252_8_2_leisure_follows_the_entropy),
      TEST(rfc7252_8_2_errors_are_not_sent_to_groups),
      TEST(rfc7967_2_1_no_response_0_asks_a_group_for_errors),
      TEST(rfc7252_4_5_duplicate_group_request_is_ignored),
      TEST(a_late_answer_to_a_group_waits_for_leisure_too),
      TEST(without_a_chunk_a_group_gets_no_answer),
      TEST(rfc7252_4_5_duplicate_fetches_an_answer_that_could_not_be_sent),
      TEST(an_answer_to_a_non_that_could_not_be_sent_is_lost),
      TEST(rfc7959_2_5_duplicate_block_of_a_fetch_replays_the_reply),
      TEST(rfc7641_4_2_an_error_in_place_of_a_success_carries_no_observe),
      TEST(without_an_exchange_a_group_gets_no_answer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
