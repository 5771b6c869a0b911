/* SPDX-License-Identifier: Apache-2.0 */
/* Group memberships as a resource. RFC 7390 section 2.6.2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/roster.h"
#include "service/grouping.h"
#include "unit/service/scene.h"

enum { JOINED_MAX = 128, CF_GROUP = 256 };

/* Memberships that are only written down; parsing is the roster's. */
static struct {
  memberships hook; /* first */
  memberships *real;
  size_t count;
  copal_addr joined[JOINED_MAX];
  uint16_t refused_port;
} book;

static conf settings;
static roster *parser;
static scene s;

static int book_parse(memberships *m, const char *text, copal_addr *group)
{
  (void)m;
  return book.real->parse(book.real, text, group);
}

static int book_join(memberships *m, const copal_addr *group)
{
  (void)m;
  if (group->port == book.refused_port)
    return COPAL_ENOTFOUND;
  book.joined[book.count++] = *group;
  return COPAL_OK;
}

static void book_leave(memberships *m, const copal_addr *group)
{
  (void)m;
  for (size_t i = 0; i < book.count; i++)
    if (memcmp(&book.joined[i], group, sizeof *group) == 0) {
      book.joined[i] = book.joined[--book.count];
      return;
    }
  fail_msg("left a group that was not joined");
}

static bool is_joined(const char *text)
{
  copal_addr group;
  assert_int_equal(book_parse(NULL, text, &group), COPAL_OK);
  for (size_t i = 0; i < book.count; i++)
    if (memcmp(&book.joined[i], &group, sizeof group) == 0)
      return true;
  return false;
}

static int set_up(void **state)
{
  (void)state;
  memset(&book, 0, sizeof book);
  conf_init(&settings);
  parser = roster_open(&settings, NULL);
  book.real = roster_memberships(parser);
  book.hook = (memberships){book_parse, book_join, book_leave};
  book.refused_port = 9;
  scene_open(&s, NULL);
  s.service = grouping_open(&book.hook);
  return s.service == NULL;
}

static int tear_down(void **state)
{
  (void)state;
  scene_close(&s);
  roster_close(parser);
  conf_wipe(&settings);
  return 0;
}

static copal_code call(copal_code code, const char *key, const char *body)
{
  return scene_do(&s, code, key, body != NULL ? CF_GROUP : -1, body);
}

static void rfc7390_2_6_2_4_no_memberships_are_an_empty_object(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group", NULL), COPAL_CODE_CONTENT);
  assert_payload("{}");
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), CF_GROUP);
}

static void rfc7390_2_6_2_2_post_joins_and_names_an_index(void **state)
{
  (void)state;
  assert_int_equal(
      call(COPAL_CODE_POST, "/coap-group", "{\"n\":\"a.example\",\"a\":\"[ff15::1]:4567\"}"),
      COPAL_CODE_CREATED);
  assert_int_equal(answered->opt_count, 2);
  assert_memory_equal(answered->opts[0].value.ptr, "coap-group", 10);
  assert_memory_equal(answered->opts[1].value.ptr, "1", 1);
  assert_true(is_joined("[FF15:0::1]:4567"));
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/1", NULL), COPAL_CODE_CONTENT);
  assert_payload("{\"n\":\"a.example\",\"a\":\"[ff15::1]:4567\"}");
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/2", NULL), COPAL_CODE_NOT_FOUND);
}

static void rfc7390_2_6_2_2_known_address_is_joined_once(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.2.1\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.2.1:5683\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(book.count, 1);
  assert_int_equal(call(COPAL_CODE_DELETE, "/coap-group/1", NULL), COPAL_CODE_DELETED);
  assert_int_equal(book.count, 1);
  assert_int_equal(call(COPAL_CODE_DELETE, "/coap-group/2", NULL), COPAL_CODE_DELETED);
  assert_int_equal(book.count, 0);
}

static void rfc7390_2_6_2_1_name_alone_joins_nothing(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"n\":\"sensors.example.com:61616\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(book.count, 0);
}

static void rfc7390_2_6_2_6_put_replaces_all(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.2.1\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group",
                        "{\"A\":{\"a\":\"224.0.2.2\"},\"1\":{\"a\":\"[ff05::9]\"}}"),
                   COPAL_CODE_CHANGED);
  assert_false(is_joined("224.0.2.1"));
  assert_true(is_joined("224.0.2.2") && is_joined("[ff05::9]"));
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/a", NULL), COPAL_CODE_CONTENT);
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"n\":\"x\"}"), COPAL_CODE_CREATED);
  assert_memory_equal(answered->opts[1].value.ptr, "2", 1); /* 1 is taken */
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group", "{}"), COPAL_CODE_CHANGED);
  assert_int_equal(book.count, 0);
}

static void rfc7390_2_6_2_7_put_replaces_one(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group/1", "{\"a\":\"224.0.2.1\"}"),
                   COPAL_CODE_NOT_FOUND);
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.2.1\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group/1", "{\"a\":\"224.0.2.2\"}"),
                   COPAL_CODE_CHANGED);
  assert_true(is_joined("224.0.2.2") && book.count == 1);
}

static void failed_join_changes_nothing(void **state)
{
  (void)state;
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.2.1\"}"),
                   COPAL_CODE_CREATED);
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group",
                        "{\"5\":{\"a\":\"224.0.2.5\"},\"6\":{\"a\":\"224.0.2.6:9\"}}"),
                   COPAL_CODE_BAD_REQUEST);
  assert_true(is_joined("224.0.2.1") && book.count == 1);
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group", NULL), COPAL_CODE_CONTENT);
  assert_payload("{\"1\":{\"a\":\"224.0.2.1\"}}");
}

static void malformed_memberships_are_bad_requests(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "{}",
      "[]",
      "1",
      "{\"x\":\"1\"}",
      "{\"a\":1}",
      "{\"n\":\"a\",\"b\":\"c\"}",
      "{\"a\":\"10.0.0.1\"}",
      "{\"a\":\"224.0.2.1:\"}",
      "{\"a\":\"224.0.2.1:0\"}",
      "{\"a\":\"224.0.2.1:65536\"}",
      "{\"a\":\"ff15::1\"}",
      "{\"a\":\"[ff15::1\"}",
      "{\"a\":\"[224.0.2.1]\"}",
      "{\"a\":\"[ff02::1%lo]\"}",
      "{\"a\":\"[fe80::1]\"}",
      "{\"n\":\"\"}",
      "{\"n\":\"a\\u0000b\"}",
      "{\"a\":\"224.0.2.1\\u0000\"}",
      "{\"n\":\"a..b\"}",
      "{\"n\":\"a b\"}",
      "{\"n\":\"a:b\"}",
      "{\"a\":\"224.0.2.1:9\"}",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(call(COPAL_CODE_POST, "/coap-group", bad[i]), COPAL_CODE_BAD_REQUEST);
    assert_true(answered->payload.len > 10);
  }
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group", "{\"abc\":{\"n\":\"x\"}}"),
                   COPAL_CODE_BAD_REQUEST);
  assert_int_equal(call(COPAL_CODE_PUT, "/coap-group", "{\"a\":{\"n\":\"x\"},\"A\":{\"n\":\"y\"}}"),
                   COPAL_CODE_BAD_REQUEST);
  assert_int_equal(book.count, 0);
}

static void other_formats_methods_and_paths_are_refused(void **state)
{
  (void)state;
  assert_int_equal(scene_do(&s, COPAL_CODE_POST, "/coap-group", COPAL_CF_JSON, "{\"n\":\"x\"}"),
                   COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT);
  assert_int_equal(call(COPAL_CODE_DELETE, "/coap-group", NULL), COPAL_CODE_METHOD_NOT_ALLOWED);
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group/1", "{\"n\":\"x\"}"),
                   COPAL_CODE_METHOD_NOT_ALLOWED);
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/123", NULL), COPAL_CODE_NOT_FOUND);
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/", NULL), COPAL_CODE_NOT_FOUND);
  assert_int_equal(call(COPAL_CODE_GET, "/coap-group/1/2", NULL), COPAL_CODE_NOT_FOUND);
}

static void memberships_are_bounded(void **state)
{
  (void)state;
  char body[64];
  for (int i = 0; i < GROUPING_MAX; i++) {
    snprintf(body, sizeof body, "{\"a\":\"224.0.3.%d\"}", i);
    assert_int_equal(call(COPAL_CODE_POST, "/coap-group", body), COPAL_CODE_CREATED);
  }
  assert_int_equal(call(COPAL_CODE_POST, "/coap-group", "{\"a\":\"224.0.4.1\"}"),
                   COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(book.count, GROUPING_MAX);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_4_no_memberships_are_an_empty_object, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_2_post_joins_and_names_an_index, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_2_known_address_is_joined_once, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_1_name_alone_joins_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_6_put_replaces_all, set_up, tear_down),
      cmocka_unit_test_setup_teardown(rfc7390_2_6_2_7_put_replaces_one, set_up, tear_down),
      cmocka_unit_test_setup_teardown(failed_join_changes_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(malformed_memberships_are_bad_requests, set_up, tear_down),
      cmocka_unit_test_setup_teardown(other_formats_methods_and_paths_are_refused, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(memberships_are_bounded, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
