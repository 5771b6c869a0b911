/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetimes and the past of resources, through requests. */
#include <stdio.h>
#include <string.h>

#include "service/resources.h"
#include "unit/service/scene.h"

static scene s;

static int set_up(void **state)
{
  (void)state;
  scene_open(&s, &(memory_store_cfg){.history = 2, .now = 1000 * (copal_time)COPAL_SECOND});
  s.service = resources_open(&(resources_cfg){.pending_max = 4});
  return s.service == NULL;
}

static int tear_down(void **state)
{
  (void)state;
  scene_close(&s);
  return 0;
}

static copal_code ask_query_of(copal_code code, const char *query, const char *body)
{
  scene_ask a;
  ask_begin(&a, code, "/a");
  if (query != NULL)
    ask_query(&a, query);
  ask_body(&a, body);
  return scene_run(&s, &a);
}

static copal_code get(void)
{
  return ask_query_of(COPAL_CODE_GET, NULL, "");
}

static void pass(unsigned seconds)
{
  s.now += seconds * (copal_time)COPAL_SECOND;
}

static bool payload_has(const char *text)
{
  return memmem(answered->payload.ptr, answered->payload.len, text, strlen(text)) != NULL;
}

/* ------------------------------------------------------------------------------------------------
 * lifetimes */

static void lt_ends_the_resource(void **state)
{
  (void)state;
  assert_int_equal(ask_query_of(COPAL_CODE_PUT, "lt=10", "x"), COPAL_CODE_CREATED);
  pass(9);
  assert_int_equal(get(), COPAL_CODE_CONTENT);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 1); /* not fresh for longer than it lives */
  pass(1);
  assert_int_equal(get(), COPAL_CODE_NOT_FOUND);
  assert_int_equal(ask_query_of(COPAL_CODE_PUT, NULL, "y"), COPAL_CODE_CREATED);
}

static void put_without_lt_begins_it_anew_and_lt_0_removes_it(void **state)
{
  (void)state;
  ask_query_of(COPAL_CODE_PUT, "lt=10", "x");
  pass(9);
  assert_int_equal(ask_query_of(COPAL_CODE_PUT, NULL, "y"), COPAL_CODE_CHANGED);
  pass(9);
  assert_int_equal(ask_query_of(COPAL_CODE_PUT, "lt=0", "z"), COPAL_CODE_CHANGED);
  pass(1000);
  assert_int_equal(get(), COPAL_CODE_CONTENT);
}

static void post_gives_the_child_a_lifetime(void **state)
{
  (void)state;
  assert_int_equal(ask_query_of(COPAL_CODE_POST, "lt=5", "x"), COPAL_CODE_CREATED);
  char key[16];
  snprintf(key, sizeof key, "/a/%.8s", (const char *)answered->opts[2].value.ptr);
  assert_int_equal(scene_do(&s, COPAL_CODE_GET, key, -1, NULL), COPAL_CODE_CONTENT);
  pass(5);
  assert_int_equal(scene_do(&s, COPAL_CODE_GET, key, -1, NULL), COPAL_CODE_NOT_FOUND);
}

static void lt_that_is_no_number_of_seconds_is_4_00(void **state)
{
  (void)state;
  static const char *const bad[] = {"lt", "lt=", "lt=-1", "lt=1.5", "lt=4294967296", "lt=x"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(ask_query_of(COPAL_CODE_PUT, bad[i], "x"), COPAL_CODE_BAD_REQUEST);
    assert_int_equal(ask_query_of(COPAL_CODE_POST, bad[i], "x"), COPAL_CODE_BAD_REQUEST);
    assert_true(payload_has("lt takes"));
  }
  assert_int_equal(get(), COPAL_CODE_NOT_FOUND);
  assert_int_equal(ask_query_of(COPAL_CODE_PUT, "lt=4294967295", "x"), COPAL_CODE_CREATED);
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_query(&a, "lt=1");
  ask_query(&a, "lt=1");
  ask_body(&a, "x");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_BAD_REQUEST);
  assert_true(payload_has("twice"));
}

static void lt_is_no_link_attribute(void **state)
{
  (void)state;
  store_item item;
  ask_query_of(COPAL_CODE_PUT, "lt=10", "x");
  assert_int_equal(store_get(s.port, copal_span_str("/a"), &item, s.now), STORE_OK);
  assert_int_equal(item.attrs.len, 0);
  assert_int_equal(item.lifetime_s, 10);
  store_view_renew(s.port);
}

/* ------------------------------------------------------------------------------------------------
 * history */

static void history_is_json_newest_first(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/a", 0, "one");
  scene_do(&s, COPAL_CODE_PUT, "/a", 50, "\"two\"");
  ask_query_of(COPAL_CODE_PUT, NULL, "\xff\x01");
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history", ""), COPAL_CODE_CONTENT);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 50);
  assert_true(payload_has("\"base64\":\"/wE=\""));
  assert_true(payload_has("\"ct\":50"));
  assert_true(payload_has("\"text\":\"\\\"two\\\"\""));
  assert_true(payload_has("\"text\":\"one\""));
  assert_true(payload_has("\"complete\":true"));
  const uint8_t *newest = memmem(answered->payload.ptr, answered->payload.len, "base64", 6);
  const uint8_t *oldest = memmem(answered->payload.ptr, answered->payload.len, "\"one\"", 5);
  assert_true(newest < oldest);
}

static void history_is_bounded_by_number_and_configuration(void **state)
{
  (void)state;
  static const char *const bodies[] = {"w0", "w1", "w2", "w3"}; /* not in any ETag */
  for (size_t i = 0; i < 4; i++)
    ask_query_of(COPAL_CODE_PUT, NULL, bodies[i]);
  ask_query_of(COPAL_CODE_GET, "history=2", "");
  assert_true(payload_has("w3") && payload_has("w2") && !payload_has("w1"));
  ask_query_of(COPAL_CODE_GET, "history=9", "");
  assert_true(payload_has("w1") && !payload_has("w0"));
  static const char *const bad[] = {"history=0", "history=x", "history=65536"};
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(ask_query_of(COPAL_CODE_GET, bad[i], ""), COPAL_CODE_BAD_REQUEST);
  scene_ask twice;
  ask_begin(&twice, COPAL_CODE_GET, "/a");
  ask_query(&twice, "history=1");
  ask_query(&twice, "history=2");
  ask_body(&twice, "");
  assert_int_equal(scene_run(&s, &twice), COPAL_CODE_BAD_REQUEST);
}

static void history_ends_with_the_resource(void **state)
{
  (void)state;
  ask_query_of(COPAL_CODE_PUT, NULL, "old");
  ask_query_of(COPAL_CODE_DELETE, NULL, "");
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history", ""), COPAL_CODE_NOT_FOUND);
  ask_query_of(COPAL_CODE_PUT, NULL, "new");
  ask_query_of(COPAL_CODE_GET, "history", "");
  assert_true(payload_has("new") && !payload_has("old"));
}

static void history_beyond_the_limit_for_bodies_says_so(void **state)
{
  (void)state;
  static char body[3001];
  for (char c = 'a'; c <= 'c'; c++) {
    memset(body, c, sizeof body - 1);
    ask_query_of(COPAL_CODE_PUT, NULL, body);
  }
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history", ""), COPAL_CODE_CONTENT);
  assert_true(payload_has("ccc") && !payload_has("bbb"));
  assert_true(payload_has("\"complete\":false"));
}

static void history_in_another_format_is_4_06(void **state)
{
  (void)state;
  scene_ask a;
  ask_query_of(COPAL_CODE_PUT, NULL, "x");
  ask_begin(&a, COPAL_CODE_GET, "/a");
  ask_query(&a, "history");
  ask_uint(&a, COPAL_OPT_ACCEPT, 60);
  ask_body(&a, "");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_NOT_ACCEPTABLE);
}

/* How often the store was asked for a past. */
static unsigned lookups;
static int (*look)(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                   copal_time now);

static int count_look(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                      copal_time now)
{
  lookups++;
  return look(p, key, max, each, ctx, now);
}

static void watch_lookups(void)
{
  look = s.late.history;
  s.late.history = count_look;
  lookups = 0;
}

static copal_code get_block(uint32_t num, const char *query)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/a");
  ask_query(&a, query);
  a.has_block2 = true;
  a.block2 = (copal_block){.num = num, .szx = 0};
  return scene_run(&s, &a);
}

/* The block of an answer, which the service gave with others or alone. */
static void expect_block(uint32_t num, const uint8_t *whole, size_t whole_len)
{
  const size_t size = copal_block_size(0);
  const size_t at = num * size;
  const size_t len = whole_len - at < size ? whole_len - at : size;
  const copal_span told = answered->payload;
  assert_int_equal(answered->total != 0 ? answered->total : told.len, whole_len);
  assert_true(answered->offset <= at && at + len <= answered->offset + told.len);
  assert_memory_equal(told.ptr + (at - answered->offset), whole + at, len);
}

static size_t whole_history(uint8_t *out)
{
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history=3", ""), COPAL_CODE_CONTENT);
  assert_int_equal(answered->total, 0);
  memcpy(out, answered->payload.ptr, answered->payload.len);
  return answered->payload.len;
}

static void rfc7959_2_4_further_blocks_of_a_history_look_at_no_representation(void **state)
{
  (void)state;
  static uint8_t whole[SCENE_BYTES];
  ask_query_of(COPAL_CODE_PUT, NULL, "first");
  ask_query_of(COPAL_CODE_PUT, NULL, "second");
  for (int round = 0; round < 2; round++) {
    ask_query_of(COPAL_CODE_PUT, NULL, round == 0 ? "third" : "the fourth");
    const size_t len = whole_history(whole);
    assert_true(payload_has("second"));
    watch_lookups();
    for (uint32_t num = 1; num * copal_block_size(0) < len; num++) {
      assert_int_equal(get_block(num, "history=3"), COPAL_CODE_CONTENT);
      expect_block(num, whole, len);
    }
    assert_int_equal(lookups, 1); /* it fitted into a message at first: nothing was kept */
    s.late.history = look;
  }
}

static void histories_that_are_kept_do_not_stand_for_each_other(void **state)
{
  (void)state;
  static uint8_t whole[SCENE_BYTES];
  ask_query_of(COPAL_CODE_PUT, NULL, "first");
  ask_query_of(COPAL_CODE_PUT, NULL, "second");
  const size_t len = whole_history(whole);
  assert_int_equal(get_block(0, "history=1"), COPAL_CODE_CONTENT);
  assert_true((answered->total != 0 ? answered->total : answered->payload.len) < len);
  assert_int_equal(ask_query_of(COPAL_CODE_DELETE, NULL, ""), COPAL_CODE_DELETED);
  assert_int_equal(get_block(1, "history=3"), COPAL_CODE_NOT_FOUND);
  ask_query_of(COPAL_CODE_PUT, NULL, "anew");
  assert_int_equal(get_block(0, "history=3"), COPAL_CODE_CONTENT);
  assert_true((answered->total != 0 ? answered->total : answered->payload.len) < len);
  s.limits.body_max = 5;
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history=3", ""), COPAL_CODE_CONTENT);
  assert_true(payload_has("\"complete\":true"));
  s.limits.body_max = 3;
  assert_int_equal(ask_query_of(COPAL_CODE_GET, "history=3", ""), COPAL_CODE_CONTENT);
  assert_true(payload_has("\"complete\":false"));
}

static void on_done(store_op *op, const store_result *result)
{
  (void)op;
  assert_int_equal(result->status, STORE_OK);
}

static store_verb
    change; /* that another shard makes of the resource before it is looked up again */

static int change_and_look(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                           copal_time now)
{
  store_port *other;
  store_op op = {.done = on_done, .verb = change, .key = key, .body = copal_span_str("latest")};
  assert_int_equal(store_port_open(s.store, NULL, &other), COPAL_OK);
  assert_int_equal(store_commit(other, &op, now), COPAL_OK);
  assert_int_equal(store_drain(other, 1), 1);
  store_port_close(other);
  s.late.history = look;
  return look(p, key, max, each, ctx, now);
}

static void change_behind(store_verb verb)
{
  look = s.late.history;
  s.late.history = change_and_look;
  change = verb;
}

static void answer_etag(uint8_t tag[STORE_ETAG_SIZE])
{
  assert_int_equal(answered->opts[0].number, COPAL_OPT_ETAG);
  assert_int_equal(answered->opts[0].value.len, STORE_ETAG_SIZE);
  memcpy(tag, answered->opts[0].value.ptr, STORE_ETAG_SIZE);
}

/* The tag of a history is that of the representation that it tells as the present one. */
static void rfc7252_5_10_6_a_change_meanwhile_has_its_own_etag(void **state)
{
  (void)state;
  uint8_t told[STORE_ETAG_SIZE], present[STORE_ETAG_SIZE];
  ask_query_of(COPAL_CODE_PUT, NULL, "first");
  change_behind(STORE_PUT);
  assert_int_equal(get_block(0, "history=3"), COPAL_CODE_CONTENT);
  assert_true(payload_has("latest"));
  answer_etag(told);
  assert_int_equal(get(), COPAL_CODE_CONTENT);
  answer_etag(present);
  assert_memory_equal(told, present, sizeof told);
  watch_lookups();
  assert_int_equal(get_block(1, "history=3"), COPAL_CODE_CONTENT);
  answer_etag(told);
  assert_memory_equal(told, present, sizeof told);
  assert_int_equal(lookups, 0); /* kept under the revision that it tells of */
}

static void what_is_deleted_meanwhile_has_no_history(void **state)
{
  (void)state;
  ask_query_of(COPAL_CODE_PUT, NULL, "first");
  change_behind(STORE_DELETE);
  assert_int_equal(get_block(0, "history=3"), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(get_block(0, "history=3"), COPAL_CODE_NOT_FOUND);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(lt_ends_the_resource),
      TEST(put_without_lt_begins_it_anew_and_lt_0_removes_it),
      TEST(post_gives_the_child_a_lifetime),
      TEST(lt_that_is_no_number_of_seconds_is_4_00),
      TEST(lt_is_no_link_attribute),
      TEST(history_is_json_newest_first),
      TEST(history_is_bounded_by_number_and_configuration),
      TEST(history_ends_with_the_resource),
      TEST(history_beyond_the_limit_for_bodies_says_so),
      TEST(history_in_another_format_is_4_06),
      TEST(rfc7959_2_4_further_blocks_of_a_history_look_at_no_representation),
      TEST(histories_that_are_kept_do_not_stand_for_each_other),
      TEST(rfc7252_5_10_6_a_change_meanwhile_has_its_own_etag),
      TEST(what_is_deleted_meanwhile_has_no_history),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
