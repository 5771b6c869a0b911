/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, options as people write them, and URIs as people type them. */
#include "unit/cmd/copal/printed.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "cmd/copal/args.h"
#include "cmd/copal/target.h"
#include "copal/error.h"
#include "copal/registry.h"

enum { ARGC_MAX = 16 };

/* Parses words separated by blanks behind a command. */
static int parse(args *a, const char *command, const char *words, buf *err)
{
  static char line[256];
  char *argv[ARGC_MAX];
  int argc = 0;
  snprintf(line, sizeof line, "%s", words);
  for (char *w = strtok(line, " "); w && argc < ARGC_MAX; w = strtok(NULL, " "))
    argv[argc++] = w;
  return args_parse(a, cmd_find(command), argc, argv, err);
}

static void take(args *a, const char *command, const char *words)
{
  buf err = {0};
  if (parse(a, command, words, &err) != 0)
    fail_msg("%s: %s", words, buf_str(&err));
}

static void refuse(const char *command, const char *words, const char *message)
{
  args a;
  buf err = {0};
  assert_int_equal(parse(&a, command, words, &err), -1);
  args_wipe(&a);
  expect(&err, message);
}

static void every_table_row_is_sound(void **state)
{
  (void)state;
  for (size_t i = 0; i < arg_def_count; i++) {
    assert_non_null(arg_defs[i].apply);
    assert_true(strlen(arg_defs[i].help) > 0);
    for (size_t j = 0; j < i; j++) {
      if ((arg_defs[i].cmds & arg_defs[j].cmds) == 0)
        continue;
      assert_string_not_equal(arg_defs[i].name, arg_defs[j].name);
      assert_true(!arg_defs[i].letter || arg_defs[i].letter != arg_defs[j].letter);
    }
  }
  for (size_t i = 0; i < CMD_COUNT; i++)
    assert_int_equal(cmd_defs[i].id, i);
}

static void long_and_short_options(void **state)
{
  (void)state;
  args a;
  take(&a, "put", "-isd text --timeout=0.5 --retry 3 -4 -w%{code} h/x");
  assert_true(a.include && a.silent);
  assert_string_equal(a.data, "text");
  assert_int_equal(a.timeout, 500000);
  assert_int_equal(a.retry, 3);
  assert_int_equal(a.family, AF_INET);
  assert_string_equal(a.write_out, "%{code}");
  assert_string_equal(a.operands[0], "h/x");
  args_wipe(&a);
}

static void defaults(void **state)
{
  (void)state;
  args a;
  take(&a, "ping", "h");
  assert_int_equal(a.count, 4);
  assert_int_equal(a.interval, COPAL_SECOND);
  assert_int_equal(a.timeout, 0);
  assert_false(a.has_max_retransmit || a.has_token || a.has_szx);
  args_wipe(&a);
}

static void letter_c_means_count_for_ping(void **state)
{
  (void)state;
  args a;
  take(&a, "ping", "-c 7 h");
  assert_int_equal(a.count, 7);
  args_wipe(&a);
  take(&a, "put", "-c cbor h");
  assert_int_equal(a.options.opts[0].number, COPAL_OPT_CONTENT_FORMAT);
  args_wipe(&a);
}

static void discover_takes_filters(void **state)
{
  (void)state;
  args a;
  take(&a, "discover", "h rt=x if=y");
  assert_int_equal(a.operand_count, 3);
  args_wipe(&a);
}

static void a_word_with_an_equals_sign_is_a_filter(void **state)
{
  (void)state;
  assert_true(args_is_filter("rt=temperature*"));
  assert_true(args_is_filter("ct=40"));
  assert_false(args_is_filter("localhost"));
  assert_false(args_is_filter("host/path?a=b"));
  assert_false(args_is_filter("coap://host?a=b"));
  assert_false(args_is_filter("[::1]?a=b"));
  assert_false(args_is_filter("=x"));
}

static void an_observation_has_its_own_options(void **state)
{
  (void)state;
  args a;
  take(&a, "observe", "-c 3 --duration 100000 --exec true --poll 0.5 --no-reconnect h");
  assert_int_equal(a.count, 3);
  assert_true(a.duration == (copal_time)100000 * COPAL_SECOND);
  assert_int_equal(a.poll, 500000);
  assert_string_equal(a.exec, "true");
  assert_true(a.no_reconnect);
  args_wipe(&a);
  take(&a, "observe", "h");
  assert_int_equal(a.count, 0);
  args_wipe(&a);
  refuse("observe", "--retry 2 h", "unknown option '--retry'");
  refuse("observe", "--duration 0 h",
         "--duration: '0' is not a number of seconds from 0.001 to 1000000000");
}

static void the_method_of_an_observation_follows_its_payload(void **state)
{
  (void)state;
  static const struct {
    const char *words;
    copal_code code;
  } rows[] = {{"h", COPAL_CODE_GET},
              {"-d x h", COPAL_CODE_FETCH},
              {"--method FETCH h", COPAL_CODE_FETCH},
              {"--method get h", COPAL_CODE_GET}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    args a;
    take(&a, "observe", rows[i].words);
    assert_int_equal(args_code(&a), rows[i].code);
    args_wipe(&a);
  }
  refuse("observe", "--method get -d x h", "a GET request carries no payload; use --method fetch");
  refuse("observe", "--method put h", "--method: 'put' is not get or fetch");
}

static void continuing_needs_a_file(void **state)
{
  (void)state;
  static const char message[] = "--continue needs the file to go on with: --output FILE";
  args a;
  take(&a, "get", "--continue -o f h");
  assert_true(a.is_continue);
  args_wipe(&a);
  refuse("get", "--continue h", message);
  refuse("get", "--continue -o - h", message);
  refuse("get", "--continue -o f -O Block2=0/64 h",
         "--continue and --option Block2 exclude each other");
}

static void rfc7967_2_1_classes_become_a_bit_map(void **state)
{
  (void)state;
  static const struct {
    const char *words;
    uint8_t map;
  } rows[] = {{"--no-response 2 h", 2},      {"--no-response 4 h", 8},   {"--no-response 5 h", 16},
              {"--no-response 2,4,5 h", 26}, {"--no-response 26 h", 26}, {"--no-response 0 h", 0},
              {"--no-response 5,2 h", 18}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    args a;
    take(&a, "put", rows[i].words);
    assert_int_equal(a.no_response, rows[i].map);
    assert_int_equal(a.options.opts[0].number, COPAL_OPT_NO_RESPONSE);
    args_wipe(&a);
  }
}

static void mistakes_are_explained(void **state)
{
  (void)state;
  refuse("get", "", "no URI given");
  refuse("get", "--acept json h", "unknown option '--acept', did you mean '--accept'?");
  refuse("get", "--accept", "option '--accept' needs a value: --accept FORMAT");
  refuse("get", "-O", "option '-O' needs a value: -O NAME=VALUE");
  refuse("get", "--json=x h", "option '--json' takes no value");
  refuse("ping", "--accept json h", "unknown option '--accept'");
  refuse("put", "-d a -d b h", "--data: given twice; a request has one payload");
  refuse("get", "--json -o f h", "--json and --output exclude each other");
  refuse("get", "--retry x h", "--retry: 'x' is not a number from 0 to 1000");
  refuse("get", "--token abc h", "--token: 'abc' is not 0 to 1024 bytes in hexadecimal");
  refuse("get", "--color blue h", "--color: 'blue' is not auto, always or never");
}

static void nearest_names(void **state)
{
  (void)state;
  static const char *const names[] = {"get", "put", "delete", "discover"};
  assert_string_equal(suggest("gte", names, 4), "get");
  assert_string_equal(suggest("delet", names, 4), "delete");
  assert_string_equal(suggest("discovr", names, 4), "discover");
  assert_null(suggest("foo", names, 4));
  assert_null(suggest("subscribe", names, 4));
}

static void check_option(const char *text, uint16_t number, const char *hex)
{
  optset s = {0};
  buf err = {0};
  buf value = unhex(hex);
  if (optset_parse(&s, text, &err) != 0)
    fail_msg("%s: %s", text, buf_str(&err));
  assert_int_equal(s.opts[0].number, number);
  assert_true(copal_span_is_equal(s.opts[0].value, buf_span(&value)));
  buf_wipe(&value);
  optset_wipe(&s);
}

static void refuse_option(const char *text)
{
  optset s = {0};
  buf err = {0};
  assert_int_equal(optset_parse(&s, text, &err), -1);
  assert_true(err.len > 0);
  assert_int_equal(s.count, 0);
  buf_wipe(&err);
}

static void option_values_follow_the_registered_format(void **state)
{
  (void)state;
  check_option("Uri-Query=a=b", COPAL_OPT_URI_QUERY, "613d62");
  check_option("uri-path=", COPAL_OPT_URI_PATH, "");
  check_option("Max-Age=60", COPAL_OPT_MAX_AGE, "3c");
  check_option("Max-Age=0", COPAL_OPT_MAX_AGE, "");
  check_option("Max-Age=0x100", COPAL_OPT_MAX_AGE, "0100");
  check_option("Accept=cbor", COPAL_OPT_ACCEPT, "3c");
  check_option("ETag=0x01ff", COPAL_OPT_ETAG, "01ff");
  check_option("ETag=abc", COPAL_OPT_ETAG, "616263");
  check_option("If-None-Match", COPAL_OPT_IF_NONE_MATCH, "");
  check_option("Block2=3/64", COPAL_OPT_BLOCK2, "32");
  check_option("Block1=3/1/1024", COPAL_OPT_BLOCK1, "3e");
  check_option("Block2=6", COPAL_OPT_BLOCK2, "06");
  check_option("65000=0xabcd", 65000, "abcd");
  check_option("65000=text", 65000, "74657874");
  check_option("65000", 65000, "");
  check_option("4=0x010203040506070809", COPAL_OPT_ETAG, "010203040506070809");
}

static void wrong_option_values_are_refused(void **state)
{
  (void)state;
  refuse_option("Max-Age=ten");
  refuse_option("Max-Age=4294967296");
  refuse_option("Content-Format=65536");
  refuse_option("If-None-Match=1");
  refuse_option("ETag=");
  refuse_option("ETag=0x1");
  refuse_option("ETag=0xzz");
  refuse_option("Block2=0/100");
  refuse_option("Block2=0/2/64");
  refuse_option("Block2=1048576/64");
  refuse_option("65536=x");
  refuse_option("=x");
  refuse_option("No-Such=1");
}

static void option_sets_stay_sorted(void **state)
{
  (void)state;
  optset s = {0}, more = {0};
  optset_add(&s, 11, copal_span_str("a"));
  optset_add_uint(&s, 3, 0);
  optset_add(&s, 11, copal_span_str("b"));
  optset_add_uint(&more, 3, 300);
  optset_add(&more, 11, copal_span_str("c"));
  optset_merge(&s, &more);
  assert_int_equal(s.count, 4);
  assert_int_equal(s.opts[0].number, 3);
  assert_int_equal(s.opts[0].value.len, 2); /* Uri-Host occurs once: replaced */
  for (size_t i = 1; i < 4; i++)
    assert_int_equal(s.opts[i].value.ptr[0], "abc"[i - 1]);
  optset_remove(&s, 11);
  assert_false(optset_has(&s, 11));
  optset_wipe(&s);
  optset_wipe(&more);
}

static void check_tidy(const char *typed, const char *uri)
{
  buf out = {0};
  target_tidy(typed, &out);
  expect(&out, uri);
}

static void uris_as_people_type_them(void **state)
{
  (void)state;
  check_tidy("localhost/x", "coap://localhost/x");
  check_tidy("h:1234/a?b=coap://c", "coap://h:1234/a?b=coap://c");
  check_tidy("coaps://h", "coaps://h");
  check_tidy("[fe80::1%eth0]/x", "coap://[fe80::1%25eth0]/x");
  check_tidy("coap://[fe80::1%25eth0]/x", "coap://[fe80::1%25eth0]/x");
  check_tidy("coap://[fe80::1%25]/", "coap://[fe80::1%2525]/");
  check_tidy("h/a b/\xc3\xbc", "coap://h/a%20b/%C3%BC");
  check_tidy("h/%41", "coap://h/%41");
}

static void uris_become_targets(void **state)
{
  (void)state;
  target t;
  buf err = {0};
  assert_int_equal(target_parse(&t, "[fe80::1%eth0]:61616/x", &err), STATUS_OK);
  assert_string_equal(t.host, "fe80::1%eth0");
  assert_int_equal(t.port, 61616);
  target_wipe(&t);
  assert_int_equal(target_parse(&t, "coap+tcp://h", &err), STATUS_URI);
  target_wipe(&t);
  expect(&err, "'coap+tcp://h': scheme coap+tcp is not supported by this version, only coap and "
               "coaps are");
  assert_int_equal(target_parse(&t, "", &err), STATUS_URI);
  target_wipe(&t);
  buf_wipe(&err);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_table_row_is_sound),
      cmocka_unit_test(long_and_short_options),
      cmocka_unit_test(defaults),
      cmocka_unit_test(letter_c_means_count_for_ping),
      cmocka_unit_test(discover_takes_filters),
      cmocka_unit_test(a_word_with_an_equals_sign_is_a_filter),
      cmocka_unit_test(an_observation_has_its_own_options),
      cmocka_unit_test(the_method_of_an_observation_follows_its_payload),
      cmocka_unit_test(continuing_needs_a_file),
      cmocka_unit_test(rfc7967_2_1_classes_become_a_bit_map),
      cmocka_unit_test(mistakes_are_explained),
      cmocka_unit_test(nearest_names),
      cmocka_unit_test(option_values_follow_the_registered_format),
      cmocka_unit_test(wrong_option_values_are_refused),
      cmocka_unit_test(option_sets_stay_sorted),
      cmocka_unit_test(uris_as_people_type_them),
      cmocka_unit_test(uris_become_targets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
