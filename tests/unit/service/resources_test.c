/* SPDX-License-Identifier: Apache-2.0 */
/* Resources by clause: RFC 7252 sections 5.8 to 5.10, RFC 8132, RFC 9290. */
#include <stdio.h>
#include <string.h>

#include "service/resources.h"
#include "unit/service/scene.h"

static scene s;

static int set_up(void **state)
{
  (void)state;
  scene_open(&s, NULL);
  s.service = resources_open(&(resources_cfg){.pending_max = 4});
  return s.service == NULL;
}

static int tear_down(void **state)
{
  (void)state;
  scene_close(&s);
  return 0;
}

static copal_code put(const char *key, const char *body)
{
  return scene_do(&s, COPAL_CODE_PUT, key, -1, body);
}

static copal_code get(const char *key)
{
  return scene_do(&s, COPAL_CODE_GET, key, -1, NULL);
}

/* The entity-tag of a resource. */
static void tag_of(const char *key, uint8_t tag[8])
{
  assert_int_equal(get(key), COPAL_CODE_CONTENT);
  const copal_span value = answer_opt(COPAL_OPT_ETAG);
  assert_int_equal(value.len, 8);
  memcpy(tag, value.ptr, 8);
}

/* A request with one option. */
static copal_code ask_with(copal_code code, const char *key, uint16_t number, const void *value,
                           size_t len)
{
  scene_ask a;
  ask_begin(&a, code, key);
  ask_opt(&a, number, value, len);
  ask_body(&a, code == COPAL_CODE_GET || code == COPAL_CODE_DELETE ? "" : "x");
  return scene_run(&s, &a);
}

static copal_code get_accept(const char *key, uint32_t accept)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, key);
  ask_uint(&a, COPAL_OPT_ACCEPT, accept);
  return scene_run(&s, &a);
}

static void assert_diagnostic(void)
{
  assert_true(answered->payload.len > 10);
  assert_false(answer_has(COPAL_OPT_CONTENT_FORMAT));
  for (size_t i = 0; i < answered->payload.len; i++)
    assert_in_range(answered->payload.ptr[i], 0x20, 0x7e);
}

/* ------------------------------------------------------------------------------------------------
 * PUT, GET, DELETE */

static void rfc7252_5_8_3_put_creates_then_changes(void **state)
{
  (void)state;
  assert_int_equal(put("/a", "one"), COPAL_CODE_CREATED);
  assert_true(answer_has(COPAL_OPT_ETAG));
  assert_int_equal(answered->payload.len, 0);
  assert_int_equal(put("/a", "two"), COPAL_CODE_CHANGED);
  assert_int_equal(get("/a"), COPAL_CODE_CONTENT);
  assert_payload("two");
}

static void rfc7252_5_10_3_content_format_is_kept(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/a", 50, "{}");
  get("/a");
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 50);
  scene_do(&s, COPAL_CODE_PUT, "/a", 0, "text");
  get("/a");
  assert_int_equal(answer_opt(COPAL_OPT_CONTENT_FORMAT).len, 0);
  put("/a", "bytes");
  get("/a");
  assert_false(answer_has(COPAL_OPT_CONTENT_FORMAT));
  assert_int_equal(scene_do(&s, COPAL_CODE_PUT, "/a", 65535, ""), COPAL_CODE_BAD_REQUEST);
}

static void rfc7252_5_8_1_get_of_nothing_is_4_04(void **state)
{
  (void)state;
  assert_int_equal(get("/none"), COPAL_CODE_NOT_FOUND);
  assert_diagnostic();
}

static void rfc7252_5_8_4_delete_is_2_02_also_when_absent(void **state)
{
  (void)state;
  put("/a", "x");
  assert_int_equal(scene_do(&s, COPAL_CODE_DELETE, "/a", -1, NULL), COPAL_CODE_DELETED);
  assert_int_equal(scene_do(&s, COPAL_CODE_DELETE, "/a", -1, NULL), COPAL_CODE_DELETED);
  assert_int_equal(get("/a"), COPAL_CODE_NOT_FOUND);
}

static void rfc7252_5_8_unknown_method_is_4_05(void **state)
{
  (void)state;
  assert_int_equal(scene_do(&s, 8, "/a", -1, NULL), COPAL_CODE_METHOD_NOT_ALLOWED);
  assert_diagnostic();
  assert_int_equal(scene_do(&s, 31, "/a", -1, NULL), COPAL_CODE_METHOD_NOT_ALLOWED);
}

static void rfc6690_4_wellknown_core_cannot_be_written(void **state)
{
  (void)state;
  const copal_code writes[] = {COPAL_CODE_PUT, COPAL_CODE_POST, COPAL_CODE_DELETE, COPAL_CODE_PATCH,
                               COPAL_CODE_IPATCH};
  for (size_t i = 0; i < sizeof writes; i++)
    assert_int_equal(scene_do(&s, writes[i], "/.well-known/core", 40, "</a>"),
                     COPAL_CODE_METHOD_NOT_ALLOWED);
}

static void rfc7252_5_9_2_9_large_body_is_4_13_with_size1(void **state)
{
  (void)state;
  static char body[4098];
  memset(body, 'x', 4097);
  assert_int_equal(put("/a", body), COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  assert_int_equal(answer_uint(COPAL_OPT_SIZE1), 4096);
  body[4096] = 0;
  assert_int_equal(put("/a", body), COPAL_CODE_CREATED);
}

/* Sends block `num` of a body to /a and returns the code of the answer. */
static copal_code put_block(const char *text, uint32_t num, bool more)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_body(&a, text);
  a.has_block1 = true;
  a.block1 = (copal_block){.num = num, .more = more, .szx = 0};
  return scene_run(&s, &a);
}

static void rfc7959_2_5_body_in_blocks_takes_effect_with_the_last(void **state)
{
  (void)state;
  scene_ask get;
  assert_int_equal(put_block("0123456789abcdef", 0, true), COPAL_CODE_CONTINUE);
  assert_int_equal(answer_uint(COPAL_OPT_BLOCK1), 0x08);
  ask_begin(&get, COPAL_CODE_GET, "/a");
  assert_int_equal(scene_run(&s, &get), COPAL_CODE_NOT_FOUND);
  assert_int_equal(put_block("0123456789abcdef", 1, true), COPAL_CODE_CONTINUE);
  assert_int_equal(put_block("end", 2, false), COPAL_CODE_CREATED);
  assert_int_equal(answer_uint(COPAL_OPT_BLOCK1), 0x20);
  ask_begin(&get, COPAL_CODE_GET, "/a");
  assert_int_equal(scene_run(&s, &get), COPAL_CODE_CONTENT);
  assert_int_equal(answered->payload.len, 35);
  assert_memory_equal(answered->payload.ptr, "0123456789abcdef0123456789abcdefend", 35);
}

static void rfc7959_2_9_2_block_without_those_before_is_4_08(void **state)
{
  (void)state;
  assert_int_equal(put_block("end", 3, false), COPAL_CODE_REQUEST_ENTITY_INCOMPLETE);
  assert_int_equal(put_block("0123456789abcdef", 0, true), COPAL_CODE_CONTINUE);
  assert_int_equal(put_block("end", 3, false), COPAL_CODE_REQUEST_ENTITY_INCOMPLETE);
}

static copal_code put_block_query(const char *text, const char *query, uint32_t num, bool more)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_query(&a, query);
  ask_body(&a, text);
  a.has_block1 = true;
  a.block1 = (copal_block){.num = num, .more = more, .szx = 0};
  return scene_run(&s, &a);
}

static void rfc7959_2_5_bodies_for_different_queries_do_not_mix(void **state)
{
  (void)state;
  assert_int_equal(put_block_query("AAAAAAAAAAAAAAAA", "rt=a", 0, true), COPAL_CODE_CONTINUE);
  assert_int_equal(put_block_query("BBBBBBBBBBBBBBBB", "rt=b", 0, true), COPAL_CODE_CONTINUE);
  assert_int_equal(put_block_query("aaa", "rt=a", 1, false), COPAL_CODE_CREATED);
  get("/a");
  assert_payload("AAAAAAAAAAAAAAAAaaa");
  assert_int_equal(put_block_query("bbb", "rt=b", 1, false), COPAL_CODE_CHANGED);
  get("/a");
  assert_payload("BBBBBBBBBBBBBBBBbbb");
}

static void upload_outlives_the_slower_clock_of_another_shard(void **state)
{
  (void)state;
  assert_int_equal(put_block("0123456789abcdef", 0, true), COPAL_CODE_CONTINUE);
  s.now--;
  assert_int_equal(put_block("end", 1, false), COPAL_CODE_CREATED);
  s.now++;
}

static void rfc7959_2_4_upload_ends_when_its_next_block_is_late(void **state)
{
  (void)state;
  assert_int_equal(put_block("0123456789abcdef", 0, true), COPAL_CODE_CONTINUE);
  s.now += 248 * (copal_time)COPAL_SECOND; /* EXCHANGE_LIFETIME is 247 s */
  assert_int_equal(put_block("end", 1, false), COPAL_CODE_REQUEST_ENTITY_INCOMPLETE);
}

static void rfc7959_2_2_single_block_is_a_body_and_echoed(void **state)
{
  (void)state;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_body(&a, "0123");
  a.has_block1 = true;
  a.block1 = (copal_block){.num = 0, .more = false, .szx = 6};
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CREATED);
  assert_int_equal(answer_uint(COPAL_OPT_BLOCK1), 6);
  get("/a");
  assert_payload("0123");
}

/* What the store is handed stays readable until the change is done. */
static void a_body_in_blocks_is_lent_to_the_store(void **state)
{
  (void)state;
  const uint32_t count = 65536 / 16;
  s.limits.body_max = 1 << 20;
  for (uint32_t round = 0; round < 2; round++) {
    const copal_code code = round == 0 ? COPAL_CODE_PUT : COPAL_CODE_POST;
    scene_ask a;
    for (uint32_t num = 0; num <= count; num++) {
      ask_begin(&a, code, "/lent");
      ask_body(&a, num < count ? "0123456789abcdef" : "end");
      a.has_block1 = true;
      a.block1 = (copal_block){.num = num, .more = num < count, .szx = 0};
      const copal_code got = scene_run(&s, &a);
      assert_int_equal(got, num < count ? COPAL_CODE_CONTINUE : COPAL_CODE_CREATED);
    }
  }
  get("/lent");
  assert_int_equal(answered->payload.len, 65536 + 3);
}

static void rfc7252_5_10_1_long_path_is_4_00(void **state)
{
  (void)state;
  char key[300] = "/";
  memset(key + 1, 'k', 255);
  assert_int_equal(put(key, ""), COPAL_CODE_BAD_REQUEST);
  key[255] = 0;
  assert_int_equal(put(key, ""), COPAL_CODE_CREATED);
}

/* ------------------------------------------------------------------------------------------------
 * Accept, ETag, Max-Age */

static void rfc7252_5_10_4_accept_is_honoured(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/a", 50, "{}");
  assert_int_equal(get_accept("/a", 50), COPAL_CODE_CONTENT);
  assert_int_equal(get_accept("/a", 60), COPAL_CODE_NOT_ACCEPTABLE);
  assert_diagnostic();
  put("/b", "x");
  assert_int_equal(get_accept("/b", 0), COPAL_CODE_NOT_ACCEPTABLE);
}

static void rfc7252_5_10_6_2_etag_validates(void **state)
{
  (void)state;
  uint8_t tag[8];
  put("/a", "x");
  tag_of("/a", tag);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_ETAG, tag, 8), COPAL_CODE_VALID);
  assert_int_equal(answered->payload.len, 0);
  assert_memory_equal(answer_opt(COPAL_OPT_ETAG).ptr, tag, 8);
  put("/a", "x");
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_ETAG, tag, 8), COPAL_CODE_CONTENT);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_ETAG, tag, 3), COPAL_CODE_CONTENT);
}

static void rfc7252_5_10_6_2_one_of_several_etags_validates(void **state)
{
  (void)state;
  uint8_t tag[8];
  put("/a", "x");
  tag_of("/a", tag);
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/a");
  ask_opt(&a, COPAL_OPT_ETAG, "12345678", 8);
  ask_opt(&a, COPAL_OPT_ETAG, tag, 8);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_VALID);
}

static void rfc7252_5_10_6_1_change_answers_carry_the_new_etag(void **state)
{
  (void)state;
  uint8_t tag[8];
  put("/a", "x");
  put("/a", "y");
  memcpy(tag, answer_opt(COPAL_OPT_ETAG).ptr, 8);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_ETAG, tag, 8), COPAL_CODE_VALID);
}

static void rfc7252_5_10_5_max_age_counts_down(void **state)
{
  (void)state;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_uint(&a, COPAL_OPT_MAX_AGE, 100);
  ask_body(&a, "x");
  scene_run(&s, &a);
  get("/a");
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 100);
  s.now += 30 * (copal_time)COPAL_SECOND;
  get("/a");
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 70);
  s.now += 500 * (copal_time)COPAL_SECOND;
  get("/a");
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 0);
}

static void rfc7252_5_10_5_absent_max_age_is_the_default(void **state)
{
  (void)state;
  put("/a", "x");
  s.now += 500 * (copal_time)COPAL_SECOND;
  get("/a");
  assert_false(answer_has(COPAL_OPT_MAX_AGE));
  s.limits.default_max_age_s = 5;
  get("/a");
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 5);
}

static void rfc7252_5_9_1_3_valid_carries_max_age(void **state)
{
  (void)state;
  uint8_t tag[8];
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_uint(&a, COPAL_OPT_MAX_AGE, 9);
  scene_run(&s, &a);
  tag_of("/a", tag);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_ETAG, tag, 8), COPAL_CODE_VALID);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 9);
}

/* ------------------------------------------------------------------------------------------------
 * conditions */

static void rfc7252_5_10_8_1_if_match_with_etag(void **state)
{
  (void)state;
  uint8_t tag[8];
  put("/a", "x");
  tag_of("/a", tag);
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_MATCH, tag, 8), COPAL_CODE_CHANGED);
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_MATCH, tag, 8),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_diagnostic();
  assert_int_equal(ask_with(COPAL_CODE_DELETE, "/a", COPAL_OPT_IF_MATCH, tag, 8),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_IF_MATCH, tag, 8),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_MATCH, tag, 4),
                   COPAL_CODE_PRECONDITION_FAILED);
}

static void rfc7252_5_10_8_1_empty_if_match_asks_for_existence(void **state)
{
  (void)state;
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_MATCH, "", 0),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(get("/a"), COPAL_CODE_NOT_FOUND);
  assert_int_equal(ask_with(COPAL_CODE_DELETE, "/a", COPAL_OPT_IF_MATCH, "", 0),
                   COPAL_CODE_PRECONDITION_FAILED);
  put("/a", "x");
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_MATCH, "", 0), COPAL_CODE_CHANGED);
}

static void rfc7252_5_10_8_1_any_of_several_if_match(void **state)
{
  (void)state;
  uint8_t tag[8];
  put("/a", "x");
  tag_of("/a", tag);
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_opt(&a, COPAL_OPT_IF_MATCH, "12", 2);
  ask_opt(&a, COPAL_OPT_IF_MATCH, "12345678", 8);
  ask_opt(&a, COPAL_OPT_IF_MATCH, tag, 8);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CHANGED);
  ask_opt(&a, COPAL_OPT_IF_MATCH, "", 0);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CHANGED);
  for (int i = 0; i < 8; i++)
    ask_opt(&a, COPAL_OPT_IF_MATCH, "12345678", 8);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_BAD_REQUEST);
}

static void rfc7252_5_10_8_2_if_none_match(void **state)
{
  (void)state;
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_NONE_MATCH, "", 0),
                   COPAL_CODE_CREATED);
  assert_int_equal(ask_with(COPAL_CODE_PUT, "/a", COPAL_OPT_IF_NONE_MATCH, "", 0),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(ask_with(COPAL_CODE_GET, "/a", COPAL_OPT_IF_NONE_MATCH, "", 0),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(ask_with(COPAL_CODE_POST, "/a", COPAL_OPT_IF_NONE_MATCH, "", 0),
                   COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(ask_with(COPAL_CODE_POST, "/b", COPAL_OPT_IF_NONE_MATCH, "", 0),
                   COPAL_CODE_CREATED);
}

static void rfc7252_5_10_8_both_conditions_never_hold(void **state)
{
  (void)state;
  put("/a", "x");
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/a");
  ask_opt(&a, COPAL_OPT_IF_MATCH, "", 0);
  ask_opt(&a, COPAL_OPT_IF_NONE_MATCH, "", 0);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_PRECONDITION_FAILED);
}

/* ------------------------------------------------------------------------------------------------
 * POST */

/* The location in the answer as a path. */
static void location(char *path)
{
  *path = 0;
  for (size_t i = 0; i < answered->opt_count; i++)
    if (answered->opts[i].number == COPAL_OPT_LOCATION_PATH) {
      strcat(path, "/");
      strncat(path, (const char *)answered->opts[i].value.ptr, answered->opts[i].value.len);
    }
}

static void rfc7252_5_8_2_post_creates_a_child_with_location(void **state)
{
  (void)state;
  char one[100];
  char two[100];
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/things/here", 50, "1"), COPAL_CODE_CREATED);
  assert_true(answer_has(COPAL_OPT_ETAG));
  location(one);
  assert_int_equal(strlen(one), strlen("/things/here/") + 8);
  assert_memory_equal(one, "/things/here/", 13);
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/things/here", 50, "2"), COPAL_CODE_CREATED);
  location(two);
  assert_string_not_equal(one, two);
  assert_int_equal(get(one), COPAL_CODE_CONTENT);
  assert_payload("1");
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 50);
}

static void rfc7252_5_10_7_location_is_decoded_and_fills_empty_segments(void **state)
{
  (void)state;
  char path[100];
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/a%20b/", -1, "x"), COPAL_CODE_CREATED);
  location(path);
  assert_memory_equal(path, "/a b/", 5);
  assert_int_equal(strlen(path), 5 + 8);
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/", -1, "x"), COPAL_CODE_CREATED);
  location(path);
  assert_int_equal(strlen(path), 1 + 8);
}

static void rfc7252_5_8_2_taken_names_are_drawn_again(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_POST, "/c", -1, "1");
  s.entropy_state -= 0x0101010101010101u;
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/c", -1, "2"), COPAL_CODE_CREATED);
  assert_int_equal(resources_counts_now(s.service).name_retries, 1);
  s.entropy_state = 0;
  s.entropy_frozen = true;
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/c", -1, "3"), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 1);
}

static void rfc7252_5_8_2_too_deep_a_path_is_4_00(void **state)
{
  (void)state;
  char key[256] = "";
  for (int i = 0; i < 65; i++)
    strcat(key, "/a");
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, key, -1, "3"), COPAL_CODE_BAD_REQUEST);
  memset(key + 1, 'k', 250);
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, key, -1, "3"), COPAL_CODE_BAD_REQUEST);
}

/* ------------------------------------------------------------------------------------------------
 * attributes */

static const char *attrs_of(const char *key)
{
  static char text[300];
  store_item item;
  assert_true(store_get(s.port, copal_span_str(key), &item, 0) == STORE_OK);
  memcpy(text, item.attrs.ptr, item.attrs.len);
  text[item.attrs.len] = 0;
  store_view_renew(s.port);
  return text;
}

static copal_code put_query(const char *key, const char *one, const char *two)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, key);
  ask_query(&a, one);
  if (two != NULL)
    ask_query(&a, two);
  ask_body(&a, "body");
  return scene_run(&s, &a);
}

static void rfc6690_3_query_sets_attributes_and_put_without_keeps_them(void **state)
{
  (void)state;
  assert_int_equal(put_query("/a", "rt=temp c", "title=say \"hi\\\""), COPAL_CODE_CREATED);
  assert_string_equal(attrs_of("/a"), ";rt=\"temp c\";title=\"say \\\"hi\\\\\\\"\"");
  put("/a", "other");
  assert_string_equal(attrs_of("/a"), ";rt=\"temp c\";title=\"say \\\"hi\\\\\\\"\"");
  assert_int_equal(put_query("/a", "if=s", "flag"), COPAL_CODE_CHANGED);
  assert_string_equal(attrs_of("/a"), ";if=\"s\";flag");
}

static void rfc6690_3_attributes_that_cannot_be_set_are_4_00(void **state)
{
  (void)state;
  const char *bad[] = {"ct=40", "sz=1",  "obs",     "href=/x", "anchor=/y", "Rt=x",
                       "=x",    "a_b=1", "rt=\x01", "rt=\xff", "rt=\xc2",   "rt=\xed\xa0\x80"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(put_query("/a", bad[i], NULL), COPAL_CODE_BAD_REQUEST);
    assert_diagnostic();
  }
  assert_int_equal(put_query("/a", "rt=x", "rt=y"), COPAL_CODE_BAD_REQUEST);
  char large[300] = "rt=";
  memset(large + 3, 'x', 252);
  assert_int_equal(put_query("/a", large, "if=abcdefgh"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(get("/a"), COPAL_CODE_NOT_FOUND);
  assert_int_equal(put_query("/a", "", "title=\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"),
                   COPAL_CODE_CREATED);
}

static copal_code put_document(const char *key, int format, const char *document)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, key);
  if (format >= 0)
    ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, (uint32_t)format);
  ask_query(&a, "attrs");
  ask_body(&a, document);
  return scene_run(&s, &a);
}

static void rfc6690_2_document_sets_attributes_alone(void **state)
{
  (void)state;
  uint8_t before[8];
  assert_int_equal(put_document("/a", 40, "<>;rt=\"x\""), COPAL_CODE_NOT_FOUND);
  scene_do(&s, COPAL_CODE_PUT, "/a", 50, "{}");
  tag_of("/a", before);
  assert_int_equal(put_document("/a", 40, "<>;rt=\"x\";if=y"), COPAL_CODE_CHANGED);
  assert_string_equal(attrs_of("/a"), ";rt=\"x\";if=y");
  assert_int_equal(get("/a"), COPAL_CODE_CONTENT);
  assert_payload("{}");
  assert_memory_equal(answer_opt(COPAL_OPT_ETAG).ptr, before, 8);
  assert_int_equal(put_document("/a", 40, "</a>"), COPAL_CODE_CHANGED);
  assert_string_equal(attrs_of("/a"), "");
  assert_int_equal(put_document("/a", 0, "<>"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  const char *bad[] = {"", "<", "<>,<>", "</b>", "<>;ct=40", "<>;rt=\"a\";rt=\"b\""};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(put_document("/a", 40, bad[i]), COPAL_CODE_BAD_REQUEST);
}

/* ------------------------------------------------------------------------------------------------
 * PATCH and FETCH */

static copal_code patch(copal_code code, int format, const char *document)
{
  return scene_do(&s, code, "/p", format, document);
}

static void assert_json(const char *text)
{
  assert_int_equal(get("/p"), COPAL_CODE_CONTENT);
  assert_payload(text);
}

static void rfc8132_3_1_merge_patch_and_json_patch(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "{\"x\": 256, \"foo\": [\"bar\"], \"r\": 0.1}");
  assert_int_equal(patch(COPAL_CODE_IPATCH, 52, "{\"x\":45,\"r\":null}"), COPAL_CODE_CHANGED);
  assert_true(answer_has(COPAL_OPT_ETAG));
  assert_json("{\"x\":45,\"foo\":[\"bar\"]}");
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 50);
  assert_int_equal(
      patch(COPAL_CODE_PATCH, 51, "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":1}]"),
      COPAL_CODE_CHANGED);
  assert_json("{\"x\":45,\"foo\":[\"bar\",1]}");
}

static void rfc8132_3_4_patch_errors(void **state)
{
  (void)state;
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{}"), COPAL_CODE_NOT_FOUND);
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "{\"a\":1}");
  assert_int_equal(patch(COPAL_CODE_PATCH, -1, "{}"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(patch(COPAL_CODE_PATCH, 50, "{}"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(patch(COPAL_CODE_PATCH, 320, "[]"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(patch(COPAL_CODE_PATCH, 51, "{}"), COPAL_CODE_UNPROCESSABLE_ENTITY);
  assert_int_equal(patch(COPAL_CODE_PATCH, 51, "[{\"op\":\"fly\",\"path\":\"/a\"}]"),
                   COPAL_CODE_UNPROCESSABLE_ENTITY);
  assert_int_equal(patch(COPAL_CODE_PATCH, 51, "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]"),
                   COPAL_CODE_CONFLICT);
  assert_int_equal(patch(COPAL_CODE_PATCH, 51, "[{\"op\":\"remove\",\"path\":\"/b\"}]"),
                   COPAL_CODE_CONFLICT);
  assert_diagnostic();
  assert_json("{\"a\":1}");
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "not json");
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{}"), COPAL_CODE_CONFLICT);
  scene_do(&s, COPAL_CODE_PUT, "/p", 0, "{}");
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{}"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
}

static void rfc8132_3_4_result_beyond_the_limit_is_4_13(void **state)
{
  (void)state;
  static char body[3100] = "\"";
  memset(body + 1, 'x', 3000);
  body[3001] = '"';
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, body);
  assert_int_equal(
      patch(COPAL_CODE_PATCH, 51, "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"a\":1}}]"),
      COPAL_CODE_CHANGED);
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, body);
  static char grown[4000];
  snprintf(grown, sizeof grown,
           "[{\"op\":\"replace\",\"path\":\"\",\"value\":{\"a\":%s}},"
           "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]",
           body);
  assert_int_equal(patch(COPAL_CODE_PATCH, 51, grown), COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  assert_int_equal(answer_uint(COPAL_OPT_SIZE1), 4096);
}

static void rfc8132_3_4_large_patch_and_large_target_are_4_13(void **state)
{
  (void)state;
  static const char small[] = "{\"a\":1}";
  static const char larger[] = "{\"a\":1,\"b\":\"0123456789\"}";
  s.limits.patch_max = sizeof small - 1;
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, small);
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, small), COPAL_CODE_CHANGED);
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, larger), COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  assert_int_equal(answer_uint(COPAL_OPT_SIZE1), sizeof small - 1);
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, larger);
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, small), COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  assert_diagnostic();
  scene_do(&s, COPAL_CODE_PUT, "/p", 110, "[{\"n\":\"x\",\"v\":1}]");
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "[{\"n\":\"x\"}]"),
                   COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
}

static void rfc8132_3_4_patch_respects_if_match(void **state)
{
  (void)state;
  uint8_t tag[8];
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "{}");
  tag_of("/p", tag);
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PATCH, "/p");
  ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, 52);
  ask_opt(&a, COPAL_OPT_IF_MATCH, tag, 8);
  ask_body(&a, "{\"a\":1}");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CHANGED);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_PRECONDITION_FAILED);
}

static void patch_keeps_max_age_unless_given(void **state)
{
  (void)state;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PUT, "/p");
  ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, 50);
  ask_uint(&a, COPAL_OPT_MAX_AGE, 77);
  ask_body(&a, "{}");
  scene_run(&s, &a);
  patch(COPAL_CODE_PATCH, 52, "{\"a\":1}");
  get("/p");
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 77);
}

/* Another writer, between what a patch read and its commit. */
static unsigned meddlings;

typedef struct meddling {
  store_op op;
  store_port *port;
} meddling;

static void meddled(store_op *op, const store_result *result)
{
  (void)op;
  assert_int_equal(result->status, STORE_OK);
}

static void interfere(const char *body)
{
  meddling m;
  assert_int_equal(store_port_open(s.store, NULL, &m.port), COPAL_OK);
  m.op = (store_op){.done = meddled,
                    .verb = STORE_PUT,
                    .key = copal_span_str("/p"),
                    .content_format = 50,
                    .body = copal_span_str(body)};
  assert_int_equal(store_commit(m.port, &m.op, 0), COPAL_OK);
  assert_int_equal(store_drain(m.port, 1), 1);
  store_port_close(m.port);
}

/* An engine before the memory engine: it lets others write before each commit of a patch. */
static const store_engine *real;
static store_engine meddler;

static int meddling_commit(store_port *p, store_op *op, copal_time now)
{
  if (p == s.port && op->must_be_rev != 0 && meddlings > 0) {
    char body[32];
    snprintf(body, sizeof body, "{\"n\":%u}", meddlings--);
    interfere(body);
  }
  return real->commit(p, op, now);
}

static void rfc8132_3_4_concurrent_change_is_patched_again(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "{}");
  real = s.store->engine;
  meddler = *real;
  meddler.commit = meddling_commit;
  s.store->engine = &meddler;
  meddlings = 2;
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{\"a\":1}"), COPAL_CODE_CHANGED);
  assert_int_equal(resources_counts_now(s.service).patch_retries, 2);
  assert_json("{\"n\":1,\"a\":1}");
  meddlings = 1000;
  assert_int_equal(patch(COPAL_CODE_PATCH, 52, "{\"b\":1}"), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 1);
  assert_int_equal(resources_counts_now(s.service).patch_lost, 1);
  s.store->engine = real;
}

static void rfc8790_3_1_fetch_selects_records(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/p", 110,
           "[{\"bn\":\"2001:db8::2/3311/0/\",\"n\":\"5850\",\"vb\":true},"
           "{\"n\":\"5851\",\"v\":42},{\"n\":\"5750\",\"vs\":\"Ceiling light\"}]");
  assert_int_equal(patch(COPAL_CODE_FETCH, 320,
                         "[{\"bn\":\"2001:db8::2/3311/0/\",\"n\":\"5850\"},{\"n\":\"5851\"}]"),
                   COPAL_CODE_CONTENT);
  assert_payload("[{\"n\":\"2001:db8::2/3311/0/5850\",\"vb\":true},"
                 "{\"n\":\"2001:db8::2/3311/0/5851\",\"v\":42}]");
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 110);
  assert_true(answer_has(COPAL_OPT_ETAG));
  scene_ask a;
  ask_begin(&a, COPAL_CODE_FETCH, "/p");
  ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, 320);
  ask_uint(&a, COPAL_OPT_ACCEPT, 112);
  ask_body(&a, "[{\"n\":\"2001:db8::2/3311/0/5851\"}]");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 112);
  assert_int_equal(answered->payload.ptr[0], 0x81);
  ask_begin(&a, COPAL_CODE_FETCH, "/p");
  ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, 320);
  ask_uint(&a, COPAL_OPT_ACCEPT, 50);
  ask_body(&a, "[{\"n\":\"x\"}]");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_NOT_ACCEPTABLE);
}

static void rfc8132_2_2_fetch_errors(void **state)
{
  (void)state;
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "[{\"n\":\"a\"}]"), COPAL_CODE_NOT_FOUND);
  scene_do(&s, COPAL_CODE_PUT, "/p", 110, "[{\"n\":\"a\",\"v\":1}]");
  assert_int_equal(patch(COPAL_CODE_FETCH, -1, "[]"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(patch(COPAL_CODE_FETCH, 50, "[]"), COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "["), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(patch(COPAL_CODE_FETCH, 322, "\x82"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "[]"), COPAL_CODE_UNPROCESSABLE_ENTITY);
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "[{\"n\":\"a\",\"v\":1}]"),
                   COPAL_CODE_UNPROCESSABLE_ENTITY);
  scene_do(&s, COPAL_CODE_PUT, "/p", 50, "{}");
  assert_int_equal(patch(COPAL_CODE_FETCH, 320, "[{\"n\":\"a\"}]"),
                   COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
}

static void rfc8790_3_2_patch_replaces_adds_and_removes(void **state)
{
  (void)state;
  scene_do(&s, COPAL_CODE_PUT, "/p", 110, "[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2}]");
  assert_int_equal(
      patch(COPAL_CODE_IPATCH, 320,
            "[{\"n\":\"a\",\"v\":9},{\"n\":\"b\",\"v\":null},{\"n\":\"c\",\"vb\":true}]"),
      COPAL_CODE_CHANGED);
  assert_json("[{\"n\":\"a\",\"v\":9},{\"n\":\"c\",\"vb\":true}]");
  assert_int_equal(patch(COPAL_CODE_PATCH, 320, "[{\"n\":\"a\"}]"),
                   COPAL_CODE_UNPROCESSABLE_ENTITY);
  const uint8_t cbor[] = {0x81, 0xa2, 0x00, 0x61, 'a', 0x02, 0x18, 100}; /* [{0: "a", 2: 100}] */
  scene_ask a;
  ask_begin(&a, COPAL_CODE_PATCH, "/p");
  ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, 322);
  a.body = copal_span_of(cbor, sizeof cbor);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CHANGED);
  assert_json("[{\"n\":\"a\",\"v\":100},{\"n\":\"c\",\"vb\":true}]");
}

/* ------------------------------------------------------------------------------------------------
 * errors and limits */

static void rfc9290_2_problem_details_when_accepted(void **state)
{
  (void)state;
  assert_int_equal(get_accept("/none", 257), COPAL_CODE_NOT_FOUND);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 257);
  const uint8_t head[] = {0xa3, 0x20, 0x69, 'N', 'o', 't',  ' ',
                          'F',  'o',  'u',  'n', 'd', 0x21, 0x78};
  assert_true(answered->payload.len > sizeof head + 3);
  assert_memory_equal(answered->payload.ptr, head, sizeof head);
  const uint8_t *end = answered->payload.ptr + answered->payload.len;
  assert_true(end[-3] == 0x23 && end[-2] == 0x18 && end[-1] == COPAL_CODE_NOT_FOUND);
  scene_ask a; /* also when the answer comes later */
  ask_begin(&a, COPAL_CODE_PUT, "/none");
  ask_uint(&a, COPAL_OPT_ACCEPT, 257);
  ask_opt(&a, COPAL_OPT_IF_MATCH, "", 0);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_PRECONDITION_FAILED);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 257);
}

static void full_store_is_5_03_with_max_age(void **state)
{
  (void)state;
  scene_close(&s);
  scene_open(&s, &(memory_store_cfg){.resource_max = 1});
  s.service = resources_open(NULL);
  assert_int_equal(put("/a", "x"), COPAL_CODE_CREATED);
  assert_int_equal(put("/b", "x"), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 1);
  assert_diagnostic();
  assert_int_equal(put("/a", "y"), COPAL_CODE_CHANGED);
}

static void no_exchange_or_no_room_in_the_store_is_5_03(void **state)
{
  (void)state;
  s.defer_fails = true;
  assert_int_equal(put("/a", "x"), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 1);
  assert_int_equal(resources_counts_now(s.service).pending_refused, 1);
  s.defer_fails = false;
  for (int i = 0; i < 20; i++) /* nothing leaked from the pool of 4 */
    assert_int_equal(copal_code_class(put("/a", "x")), COPAL_CLASS_SUCCESS);
}

static int commit_status;

static int failing_commit(store_port *p, store_op *op, copal_time now)
{
  if (commit_status < 0)
    return commit_status;
  return real->commit(p, op, now);
}

static void commit_refused_is_5_03(void **state)
{
  (void)state;
  real = s.store->engine;
  meddler = *real;
  meddler.commit = failing_commit;
  s.store->engine = &meddler;
  commit_status = COPAL_ENOSLOT;
  for (int i = 0; i < 10; i++)
    assert_int_equal(put("/a", "x"), COPAL_CODE_SERVICE_UNAVAILABLE);
  commit_status = 0;
  assert_int_equal(put("/a", "x"), COPAL_CODE_CREATED);
  s.store->engine = real;
}

static void unknown_query_on_get_is_ignored(void **state)
{
  (void)state;
  put("/a", "x");
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/a");
  ask_query(&a, "what=ever");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_5_8_3_put_creates_then_changes),
      TEST(rfc7252_5_10_3_content_format_is_kept),
      TEST(rfc7252_5_8_1_get_of_nothing_is_4_04),
      TEST(rfc7252_5_8_4_delete_is_2_02_also_when_absent),
      TEST(rfc7252_5_8_unknown_method_is_4_05),
      TEST(rfc6690_4_wellknown_core_cannot_be_written),
      TEST(rfc7252_5_9_2_9_large_body_is_4_13_with_size1),
      TEST(rfc7959_2_5_body_in_blocks_takes_effect_with_the_last),
      TEST(rfc7959_2_9_2_block_without_those_before_is_4_08),
      TEST(rfc7959_2_5_bodies_for_different_queries_do_not_mix),
      TEST(upload_outlives_the_slower_clock_of_another_shard),
      TEST(rfc7959_2_4_upload_ends_when_its_next_block_is_late),
      TEST(rfc7959_2_2_single_block_is_a_body_and_echoed),
      TEST(a_body_in_blocks_is_lent_to_the_store),
      TEST(rfc7252_5_10_1_long_path_is_4_00),
      TEST(rfc7252_5_10_4_accept_is_honoured),
      TEST(rfc7252_5_10_6_2_etag_validates),
      TEST(rfc7252_5_10_6_2_one_of_several_etags_validates),
      TEST(rfc7252_5_10_6_1_change_answers_carry_the_new_etag),
      TEST(rfc7252_5_10_5_max_age_counts_down),
      TEST(rfc7252_5_10_5_absent_max_age_is_the_default),
      TEST(rfc7252_5_9_1_3_valid_carries_max_age),
      TEST(rfc7252_5_10_8_1_if_match_with_etag),
      TEST(rfc7252_5_10_8_1_empty_if_match_asks_for_existence),
      TEST(rfc7252_5_10_8_1_any_of_several_if_match),
      TEST(rfc7252_5_10_8_2_if_none_match),
      TEST(rfc7252_5_10_8_both_conditions_never_hold),
      TEST(rfc7252_5_8_2_post_creates_a_child_with_location),
      TEST(rfc7252_5_10_7_location_is_decoded_and_fills_empty_segments),
      TEST(rfc7252_5_8_2_taken_names_are_drawn_again),
      TEST(rfc7252_5_8_2_too_deep_a_path_is_4_00),
      TEST(rfc6690_3_query_sets_attributes_and_put_without_keeps_them),
      TEST(rfc6690_3_attributes_that_cannot_be_set_are_4_00),
      TEST(rfc6690_2_document_sets_attributes_alone),
      TEST(rfc8132_3_1_merge_patch_and_json_patch),
      TEST(rfc8132_3_4_patch_errors),
      TEST(rfc8132_3_4_result_beyond_the_limit_is_4_13),
      TEST(rfc8132_3_4_large_patch_and_large_target_are_4_13),
      TEST(rfc8132_3_4_patch_respects_if_match),
      TEST(patch_keeps_max_age_unless_given),
      TEST(rfc8132_3_4_concurrent_change_is_patched_again),
      TEST(rfc8790_3_1_fetch_selects_records),
      TEST(rfc8132_2_2_fetch_errors),
      TEST(rfc8790_3_2_patch_replaces_adds_and_removes),
      TEST(rfc9290_2_problem_details_when_accepted),
      TEST(full_store_is_5_03_with_max_age),
      TEST(no_exchange_or_no_room_in_the_store_is_5_03),
      TEST(commit_refused_is_5_03),
      TEST(unknown_query_on_get_is_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
