/* SPDX-License-Identifier: Apache-2.0 */
/* What FETCH asked is kept for further blocks, within limits. RFC 7959 section 2.7. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "server/arena.h"
#include "service/questions.h"

enum { FORMAT = COPAL_CF_SENML_ETCH_JSON, LARGE = 5000 };

static questions *list;
static arena room;

static copal_req request_of(const copal_path *path, const copal_msg *msg, uint32_t num)
{
  return (copal_req){
      .path = path, .msg = msg, .has_block2 = true, .block2 = {.num = num, .szx = 6}};
}

static void keep(uint16_t port, const char *key, const char *document, size_t answer)
{
  const copal_path path = {.remote = {.ip = {[15] = 1}, .port = port}};
  const copal_msg msg = {.code = COPAL_CODE_FETCH, .payload = copal_span_str(document)};
  const copal_req coap = request_of(&path, &msg, 0);
  const handler_req req = {.coap = &coap, .arena = &room, .key = copal_span_str(key)};
  questions_keep(list, &req, FORMAT, answer);
}

/* Asks for block 1. */
static int recall(uint16_t port, const char *key, copal_span *document)
{
  uint16_t format = 0;
  const copal_path path = {.remote = {.ip = {[15] = 1}, .port = port}};
  const copal_msg msg = {.code = COPAL_CODE_FETCH};
  const copal_req coap = request_of(&path, &msg, 1);
  const handler_req req = {.coap = &coap, .arena = &room, .key = copal_span_str(key)};
  assert_true(questions_is_further(&req));
  arena_reset(&room);
  const int err = questions_recall(list, &req, document, &format);
  assert_int_equal(format, err == COPAL_OK ? FORMAT : 0);
  return err;
}

static void assert_recalled(uint16_t port, const char *key, const char *document)
{
  copal_span got;
  assert_int_equal(recall(port, key, &got), COPAL_OK);
  assert_true(copal_span_is_equal(got, copal_span_str(document)));
}

static void assert_missing(uint16_t port, const char *key)
{
  copal_span got;
  assert_int_equal(recall(port, key, &got), COPAL_EINCOMPLETE);
}

static void open_with(const questions_cfg *cfg)
{
  questions_close(list);
  list = questions_open(cfg);
  assert_non_null(list);
}

static int setup(void **state)
{
  (void)state;
  list = NULL;
  open_with(&(questions_cfg){.count_max = 3, .per_client = 2});
  return arena_init(&room, 4096);
}

static int teardown(void **state)
{
  (void)state;
  questions_close(list);
  arena_wipe(&room);
  return 0;
}

static void rfc7959_2_7_what_was_asked_last_is_recalled(void **state)
{
  (void)state;
  keep(1, "/a", "first", LARGE);
  keep(1, "/a", "second", LARGE);
  assert_recalled(1, "/a", "second");
  assert_missing(1, "/b");
  assert_missing(2, "/a");
  assert_int_equal(questions_counts_now(list).open, 1);
  assert_int_equal(questions_counts_now(list).recalled, 1);
  assert_int_equal(questions_counts_now(list).missing, 2);
}

static void an_answer_of_one_block_is_not_kept(void **state)
{
  (void)state;
  keep(1, "/a", "small", 1024);
  assert_missing(1, "/a");
}

static void one_client_has_only_its_share(void **state)
{
  (void)state;
  keep(2, "/a", "of another", LARGE);
  keep(1, "/a", "a", LARGE);
  keep(1, "/b", "b", LARGE);
  keep(1, "/c", "c", LARGE);
  assert_missing(1, "/a");
  assert_recalled(1, "/c", "c");
  assert_recalled(2, "/a", "of another");
  assert_int_equal(questions_counts_now(list).evicted, 1);
}

static void beyond_the_count_who_did_not_come_back_gives_way(void **state)
{
  (void)state;
  keep(1, "/a", "one", LARGE);
  keep(2, "/a", "two", LARGE);
  keep(3, "/a", "three", LARGE);
  assert_recalled(1, "/a", "one");
  keep(4, "/a", "four", LARGE);
  assert_missing(2, "/a");
  assert_recalled(1, "/a", "one");
  assert_recalled(3, "/a", "three");
  assert_int_equal(questions_counts_now(list).open, 3);
}

static void beyond_the_bytes_others_give_way(void **state)
{
  char document[601];
  (void)state;
  memset(document, 'x', 600);
  document[600] = 0;
  open_with(&(questions_cfg){.byte_max = 1000});
  keep(1, "/a", document, LARGE);
  keep(2, "/a", document, LARGE);
  assert_missing(1, "/a");
  assert_recalled(2, "/a", document);
  open_with(&(questions_cfg){.byte_max = 600});
  keep(1, "/a", document, LARGE);
  assert_missing(1, "/a");
  assert_int_equal(questions_counts_now(list).failed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7959_2_7_what_was_asked_last_is_recalled),
      TEST(an_answer_of_one_block_is_not_kept),
      TEST(one_client_has_only_its_share),
      TEST(beyond_the_count_who_did_not_come_back_gives_way),
      TEST(beyond_the_bytes_others_give_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
