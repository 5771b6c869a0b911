/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Merge Patch and JSON Patch: the examples of RFC 7396 and RFC 6902, and texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/json_patch.h"
#include "service/json_text.h"

static json_t *parse(const char *text)
{
  json_t *value = json_text_read(copal_span_str(text), NULL);
  assert_non_null(value);
  return value;
}

static void assert_text(const json_t *value, const char *expected)
{
  copal_mspan text;
  assert_int_equal(json_text_write(value, 1 << 16, &text), COPAL_OK);
  assert_int_equal(text.len, strlen(expected));
  assert_memory_equal(text.ptr, expected, text.len);
  free(text.ptr);
}

static void rfc7396_appendix_a_examples(void **state)
{
  (void)state;
  static const char *const rows[][3] = {
      {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
      {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
      {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
      {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
      {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
      {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
      {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
      {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
      {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
      {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
      {"{\"a\":\"foo\"}", "null", "null"},
      {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
      {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
      {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
      {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    json_t *patch = parse(rows[i][1]);
    json_t *result = json_merge_patch(parse(rows[i][0]), patch);
    assert_text(result, rows[i][2]);
    json_decref(result);
    json_decref(patch);
  }
}

/* One patch: its result, or the code of the problem. */
typedef struct row {
  const char *target, *patch, *result;
  copal_code code;
} row;

static void check(const row *r)
{
  problem why = {0};
  json_t *target = parse(r->target);
  json_t *patch = parse(r->patch);
  const bool is_done = json_patch(&target, patch, 1000, &why);
  assert_int_equal(is_done, r->result != NULL);
  assert_int_equal(why.code, r->code);
  if (is_done)
    assert_text(target, r->result);
  else
    assert_true(strlen(why.detail) > 10);
  json_decref(target);
  json_decref(patch);
}

static void rfc6902_appendix_a_examples(void **state)
{
  (void)state;
  static const row rows[] = {
      {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
       "{\"foo\":\"bar\",\"baz\":\"qux\"}", 0},
      {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
       "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", 0},
      {"{\"baz\":1,\"foo\":2}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]", "{\"foo\":2}", 0},
      {"{\"foo\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]", "{\"foo\":[1,3]}", 0},
      {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":[]}]", "{\"a\":[]}", 0},
      {"{\"foo\":{\"w\":1,\"b\":2},\"q\":{}}",
       "[{\"op\":\"move\",\"from\":\"/foo/w\",\"path\":\"/q/t\"}]",
       "{\"foo\":{\"b\":2},\"q\":{\"t\":1}}", 0},
      {"{\"foo\":[1,2,3,4]}", "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
       "{\"foo\":[1,3,4,2]}", 0},
      {"{\"a\":[\"x\",2],\"b\":\"y\"}",
       "[{\"op\":\"test\",\"path\":\"/b\",\"value\":\"y\"},"
       "{\"op\":\"test\",\"path\":\"/a/1\",\"value\":2.0}]",
       "{\"a\":[\"x\",2],\"b\":\"y\"}", 0},
      {"{\"baz\":1}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL,
       COPAL_CODE_CONFLICT},
      {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/c\",\"value\":{\"g\":{}},\"xyz\":1}]",
       "{\"foo\":1,\"c\":{\"g\":{}}}", 0},
      {"{\"foo\":1}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":1}]", NULL,
       COPAL_CODE_CONFLICT},
      {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
       "{\"/\":9,\"~1\":10}", 0},
      {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL,
       COPAL_CODE_CONFLICT},
      {"{\"foo\":[1]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[2,3]}]",
       "{\"foo\":[1,[2,3]]}", 0},
      {"{\"a\":{\"b\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/c\"}]",
       "{\"a\":{\"b\":1,\"c\":{\"b\":1}}}", 0},
      {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":7}]", "7", 0},
      {"{\"a\":1}", "[]", "{\"a\":1}", 0},
      {"{\"\":1}", "[{\"op\":\"remove\",\"path\":\"/\"}]", "{}", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    check(&rows[i]);
}

static void rfc6902_5_errors(void **state)
{
  (void)state;
  static const row rows[] = {
      {"{}", "{}", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[1]", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"add\"}]", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"add\",\"path\":\"/a\"}]", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]", NULL,
       COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"add\",\"path\":\"/~2\",\"value\":1}]", NULL,
       COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"add\",\"path\":\"/~\",\"value\":1}]", NULL,
       COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"nop\",\"path\":\"/a\"}]", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", NULL, COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]", NULL,
       COPAL_CODE_UNPROCESSABLE_ENTITY},
      {"{}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", NULL, COPAL_CODE_CONFLICT},
      {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/c\"}]", NULL,
       COPAL_CODE_CONFLICT},
      {"{}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", NULL, COPAL_CODE_CONFLICT},
      {"{}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
      {"{}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
      {"[1]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
      {"[1]", "[{\"op\":\"add\",\"path\":\"/00\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
      {"[1]", "[{\"op\":\"remove\",\"path\":\"/-\"}]", NULL, COPAL_CODE_CONFLICT},
      {"[1]", "[{\"op\":\"add\",\"path\":\"/4294967297\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
      {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a/b\",\"value\":1}]", NULL, COPAL_CODE_CONFLICT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    check(&rows[i]);
}

/* Each copy doubles the value; the budget ends it. */
static void rfc6902_7_copies_of_copies_are_bounded(void **state)
{
  (void)state;
  char patch[4000] = "[";
  for (int i = 0; i < 40; i++)
    strcat(patch, i == 0 ? "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}"
                         : ",{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}");
  strcat(patch, "]");
  check(&(row){"{\"x\":1}", patch, NULL, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE});
  json_t *many = json_array();
  for (int i = 0; i <= JSON_PATCH_OPS_MAX; i++)
    json_array_append_new(many, json_object());
  problem why;
  json_t *target = json_object();
  assert_false(json_patch(&target, many, 10, &why));
  assert_int_equal(why.code, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  json_decref(many);
  json_decref(target);
}

/* Copies "a" so many times. */
static bool copy_often(json_t *a, int times, problem *why)
{
  json_t *target = json_pack("{s:o}", "a", a);
  json_t *patch = json_array();
  for (int i = 0; i < times; i++)
    json_array_append_new(patch,
                          json_pack("{s:s,s:s,s:s}", "op", "copy", "from", "/a", "path", "/b"));
  const bool is_done = json_patch(&target, patch, 1000, why);
  json_decref(patch);
  json_decref(target);
  return is_done;
}

/* What takes long is making the values, not the bytes in them. */
static void rfc6902_7_many_small_values_count_for_more_than_one_text(void **state)
{
  (void)state;
  problem why = {0};
  json_t *digits = json_array();
  for (int i = 0; i < 20; i++)
    json_array_append_new(digits, json_integer(i % 10));
  assert_true(copy_often(json_string("0123456789 123456789"), 20, &why));
  assert_false(copy_often(digits, 20, &why));
  assert_int_equal(why.code, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
}

/* Applies the same two moves of a list of 100 numbers 20 times over. */
static bool move_to_and_fro(const char *target_text, const char *there, const char *back,
                            problem *why)
{
  json_t *list = json_array();
  for (int i = 0; i < 100; i++)
    json_array_append_new(list, json_integer(i));
  json_t *target = parse(target_text);
  json_object_set_new(target, "a", list);
  json_t *patch = json_array();
  for (int i = 0; i < 20; i++) {
    json_array_append_new(patch,
                          json_pack("{s:s,s:s,s:s}", "op", "move", "from", "/a", "path", there));
    json_array_append_new(patch,
                          json_pack("{s:s,s:s,s:s}", "op", "move", "from", back, "path", "/a"));
  }
  const bool is_done = json_patch(&target, patch, 1000, why);
  json_decref(patch);
  json_decref(target);
  return is_done;
}

static void rfc6902_4_4_moves_are_free_unless_they_go_deeper(void **state)
{
  (void)state;
  problem why = {0};
  assert_true(move_to_and_fro("{}", "/b", "/b", &why));
  assert_false(move_to_and_fro("{\"c\":{}}", "/c/d", "/c/d", &why));
  assert_int_equal(why.code, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
}

static void rfc6902_7_nesting_is_bounded(void **state)
{
  (void)state;
  json_t *target = parse("{}");
  char pointer[2000] = "";
  problem why = {0};
  int depth = 0;
  for (bool is_done = true; is_done; depth++) {
    strcat(pointer, "/a");
    json_t *patch = json_array();
    json_array_append_new(patch,
                          json_pack("{s:s,s:s,s:{}}", "op", "add", "path", pointer, "value"));
    is_done = json_patch(&target, patch, 1000, &why);
    json_decref(patch);
  }
  assert_int_equal(depth, JSON_PATCH_DEPTH_MAX);
  assert_int_equal(why.code, COPAL_CODE_UNPROCESSABLE_ENTITY);
  json_decref(target);
}

static void rfc8259_numbers_and_strings_survive(void **state)
{
  (void)state;
  static const char text[] =
      "{\"a\":0.1,\"b\":1e+300,\"c\":-0.0,\"d\":9007199254740993,\"e\":1.0,\"f\":2.5e-07,"
      "\"g\":\"\\\"\\\\\\u0001\xc3\xa9\",\"h\":[true,false,null,{}]}";
  json_t *value = parse(text);
  assert_text(value, text);
  copal_mspan out;
  assert_int_equal(json_text_write(value, sizeof text - 2, &out), COPAL_ETOOBIG);
  json_decref(value);
  const char *const bad[] = {"", "{", "[1,]", "{\"a\":1}x", "\"\xff\"", "01", "nul"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_null(json_text_read(copal_span_str(bad[i]), NULL));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7396_appendix_a_examples),
      cmocka_unit_test(rfc6902_appendix_a_examples),
      cmocka_unit_test(rfc6902_5_errors),
      cmocka_unit_test(rfc6902_7_copies_of_copies_are_bounded),
      cmocka_unit_test(rfc6902_7_many_small_values_count_for_more_than_one_text),
      cmocka_unit_test(rfc6902_4_4_moves_are_free_unless_they_go_deeper),
      cmocka_unit_test(rfc6902_7_nesting_is_bounded),
      cmocka_unit_test(rfc8259_numbers_and_strings_survive),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
