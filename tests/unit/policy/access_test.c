/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of access rules: the language, who is meant, which rule decides, and stretches of keys. RFC
 * 7252 sections 5.9.2.2 and 5.9.2.4. */
#include "policy/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "policy/access_gate.h"

static access_rules *rules_of(const char *text)
{
  access_rules *rules;
  mistakes m = {.count = 0};
  const int rc = access_parse(copal_span_str(text), "rules", &rules, &m);
  if (rc != COPAL_OK)
    fail_msg("%s", m.text);
  return rules;
}

static identity person(identity_kind kind, const char *name)
{
  return (identity){.kind = kind, .name = copal_span_str(name), .serial = 1};
}

static identity psk(const char *name)
{
  return person(IDENTITY_PSK, name);
}

static identity nobody(void)
{
  return (identity){.kind = IDENTITY_ANONYMOUS};
}

/* The line of the rule that decides, negative when it denies. */
static int decides(const access_rules *rules, identity id, unsigned right, const char *path)
{
  const uint8_t over = id.kind == IDENTITY_ANONYMOUS ? ACCESS_PLAIN : ACCESS_SESSION;
  const access_profile who = access_profile_of(rules, &id, over);
  const access_verdict v = access_judge(rules, &who, right, copal_span_str(path));
  return v.is_allowed ? (int)v.line : -(int)v.line;
}

static void first_rule_that_fits_decides(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow psk:alice GET /a/secret\n" /* 1 */
                             "deny anyone * /a/secret\n"       /* 2 */
                             "allow anyone READ /a/**\n"       /* 3 */
                             "deny psk:bob * /**\n"            /* 4 */
                             "allow authenticated PUT /b\n"    /* 5 */
                             "default deny\n");                /* 6 */
  assert_int_equal(decides(a, psk("alice"), ACCESS_GET, "/a/secret"), 1);
  assert_int_equal(decides(a, psk("alice"), ACCESS_PUT, "/a/secret"), -2);
  assert_int_equal(decides(a, psk("bob"), ACCESS_GET, "/a/secret"), -2);
  assert_int_equal(decides(a, psk("bob"), ACCESS_GET, "/a/x/y"), 3);
  assert_int_equal(decides(a, psk("bob"), ACCESS_PUT, "/b"), -4);
  assert_int_equal(decides(a, psk("carol"), ACCESS_PUT, "/b"), 5);
  assert_int_equal(decides(a, psk("carol"), ACCESS_GET, "/b"), -6);
  assert_int_equal(decides(a, nobody(), ACCESS_GET, "/a"), 3);
  assert_int_equal(decides(a, nobody(), ACCESS_PUT, "/b"), -6);
  access_release(a);
}

static void paths_match_by_segments(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow anyone GET /a/*/c\n"
                             "allow anyone GET /tree/**\n"
                             "allow anyone GET /\n"
                             "allow anyone GET /caf\xc3\xa9/%2Fx%2f /star/\\*\n"
                             "allow anyone GET /end/\n"
                             "default deny\n");
  static const struct {
    const char *path;
    int line;
  } rows[] = {
      {"/a/b/c", 1},
      {"/a/b", -6},
      {"/a/b/c/d", -6},
      {"/a//c", 1},
      {"/tree", 2},
      {"/tree/", 2},
      {"/tree/x/y", 2},
      {"/treehouse", -6},
      {"/", 3},
      {"/x", -6},
      {"/caf%C3%A9/%2Fx%2F", 4},
      {"/star/*", 4},
      {"/star/x", -6},
      {"/end/", 5},
      {"/end", -6},
      {"/end//", -6},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (decides(a, nobody(), ACCESS_GET, rows[i].path) != rows[i].line)
      fail_msg("%s: %d", rows[i].path, decides(a, nobody(), ACCESS_GET, rows[i].path));
  access_release(a);
}

static void each_identity_has_its_own_subtree(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow authenticated * /devices/{identity}/**\ndefault deny\n");
  assert_int_equal(decides(a, psk("dev-1"), ACCESS_PUT, "/devices/dev-1/t"), 1);
  assert_int_equal(decides(a, psk("dev-1"), ACCESS_PUT, "/devices/dev-1"), 1);
  assert_int_equal(decides(a, psk("dev-1"), ACCESS_PUT, "/devices/dev-10/t"), -2);
  assert_int_equal(decides(a, psk("dev-10"), ACCESS_PUT, "/devices/dev-1/t"), -2);
  assert_int_equal(decides(a, psk("dev-1"), ACCESS_PUT, "/devices/dev-2/t"), -2);
  assert_int_equal(decides(a, nobody(), ACCESS_PUT, "/devices//t"), -2);
  assert_int_equal(decides(a, nobody(), ACCESS_PUT, "/devices/anonymous/t"), -2);
  access_release(a);
}

/* The canonical path of /devices/SEGMENT/t. */
static const char *device_path(const char *segment)
{
  static uint8_t text[1024];
  copal_wr w = copal_wr_init((copal_mspan){text, sizeof text});
  copal_wr_span(&w, copal_span_str("/devices/"));
  copal_uri_put_segment(&w, copal_span_str(segment));
  copal_wr_span(&w, copal_span_str("/t"));
  copal_wr_u8(&w, 0);
  assert_int_equal(w.err, COPAL_OK);
  return (const char *)text;
}

static void an_identity_is_one_segment_whatever_its_bytes(void **state)
{
  (void)state;
  static const char *const names[] = {"../admin", "a/b", "a%2Fb", "%",        "{identity}",
                                      "*",        "**",  "a b",   "\xc3\xa9", "CN=ops,O=Acme",
                                      "a?b#c",    "."};
  access_rules *a = rules_of("allow authenticated * /devices/{identity}/**\ndefault deny\n");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
      assert_int_equal(decides(a, psk(names[i]), ACCESS_GET, device_path(names[k])),
                       i == k ? 1 : -2);
  /* What the name would mean if it were a path, or were decoded twice, is out of reach. */
  assert_int_equal(decides(a, psk("../admin"), ACCESS_GET, "/admin/t"), -2);
  assert_int_equal(decides(a, psk("../admin"), ACCESS_GET, "/devices/../admin/t"), -2);
  assert_int_equal(decides(a, psk("a/b"), ACCESS_GET, "/devices/a/b/t"), -2);
  assert_int_equal(decides(a, psk("a%2Fb"), ACCESS_GET, "/devices/a/b/t"), -2);
  assert_int_equal(decides(a, psk("a%2Fb"), ACCESS_GET, "/devices/a%2Fb/t"), -2);
  assert_int_equal(decides(a, psk("*"), ACCESS_GET, "/devices/x/t"), -2);
  access_release(a);
}

static void names_patterns_and_kinds(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow psk:dev-* GET /p\n"
                             "allow x509:\"CN=ops, O=Acme\" GET /x\n"
                             "allow any:alice,oscore:bob GET /any\n"
                             "allow psk:*-*-end GET /m\n"
                             "allow psk:\"a*b\" GET /q\n"
                             "default deny\n");
  assert_int_equal(decides(a, psk("dev-1"), ACCESS_GET, "/p"), 1);
  assert_int_equal(decides(a, psk("dev-"), ACCESS_GET, "/p"), 1);
  assert_int_equal(decides(a, psk("dev"), ACCESS_GET, "/p"), -6);
  assert_int_equal(decides(a, person(IDENTITY_X509, "dev-1"), ACCESS_GET, "/p"), -6);
  assert_int_equal(decides(a, person(IDENTITY_X509, "CN=ops, O=Acme"), ACCESS_GET, "/x"), 2);
  assert_int_equal(decides(a, person(IDENTITY_RPK, "alice"), ACCESS_GET, "/any"), 3);
  assert_int_equal(decides(a, person(IDENTITY_OSCORE, "bob"), ACCESS_GET, "/any"), 3);
  assert_int_equal(decides(a, psk("bob"), ACCESS_GET, "/any"), -6);
  assert_int_equal(decides(a, psk("a-b-c-end"), ACCESS_GET, "/m"), 4);
  assert_int_equal(decides(a, psk("a-end"), ACCESS_GET, "/m"), -6);
  assert_int_equal(decides(a, psk("a*b"), ACCESS_GET, "/q"), 5);
  assert_int_equal(decides(a, psk("axb"), ACCESS_GET, "/q"), -6);
  access_release(a);
}

static void groups_hold_names_patterns_and_groups(void **state)
{
  (void)state;
  access_rules *a = rules_of("group admins = psk:alice, x509:CN=ops\n" /* 1 */
                             "group night = psk:night-*\n"             /* 2 */
                             "group staff = group:admins, group:night, rpk:carol\n"
                             "group admins = psk:late\n" /* 4: more of the same group */
                             "allow group:admins * /**\n"
                             "allow group:staff READ /log/**\n"
                             "default deny\n");
  assert_int_equal(decides(a, psk("alice"), ACCESS_DELETE, "/x"), 5);
  assert_int_equal(decides(a, psk("late"), ACCESS_DELETE, "/x"), 5);
  assert_int_equal(decides(a, person(IDENTITY_X509, "CN=ops"), ACCESS_DELETE, "/x"), 5);
  assert_int_equal(decides(a, psk("night-7"), ACCESS_DELETE, "/log"), -7);
  assert_int_equal(decides(a, psk("night-7"), ACCESS_GET, "/log/1"), 6);
  assert_int_equal(decides(a, person(IDENTITY_RPK, "carol"), ACCESS_OBSERVE, "/log"), 6);
  assert_int_equal(decides(a, person(IDENTITY_RPK, "alice"), ACCESS_GET, "/log"), -7);
  access_release(a);
}

static void groups_that_the_credentials_tell(void **state)
{
  (void)state;
  access_rules *a = rules_of("group lamps\n"
                             "group all = group:lamps\n"
                             "allow group:lamps PUT /lamps/**\n"
                             "allow group:all READ /**\n"
                             "default deny\n");
  identity lamp = psk("x");
  lamp.groups = copal_span_str("others,lamps");
  assert_int_equal(decides(a, lamp, ACCESS_PUT, "/lamps/1"), 3);
  assert_int_equal(decides(a, lamp, ACCESS_GET, "/"), 4);
  assert_int_equal(decides(a, psk("x"), ACCESS_GET, "/"), -5);
  lamp.groups = copal_span_str("lamp,lampsx");
  assert_int_equal(decides(a, lamp, ACCESS_GET, "/"), -5);
  access_release(a);
}

static void rights_and_their_shorthands(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow anyone READ /r\nallow anyone write /w\nallow anyone * /a\n"
                             "allow anyone get, ipatch /g\ndefault deny\n");
  for (unsigned right = ACCESS_GET; right <= ACCESS_OBSERVE; right *= 2) {
    const bool is_read = (right & ACCESS_READ) != 0;
    assert_int_equal(decides(a, nobody(), right, "/r"), is_read ? 1 : -5);
    assert_int_equal(decides(a, nobody(), right, "/w"), is_read ? -5 : 2);
    assert_int_equal(decides(a, nobody(), right, "/a"), 3);
    assert_int_equal(decides(a, nobody(), right, "/g"),
                     right == ACCESS_GET || right == ACCESS_IPATCH ? 4 : -5);
  }
  access_release(a);
}

static void over_says_how_the_request_is_protected(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow any:a GET /o over oscore\nallow any:a GET /s over secure\n"
                             "deny anyone * /s over any\ndefault allow\n");
  const identity id = person(IDENTITY_OSCORE, "a");
  static const struct {
    const char *path;
    uint8_t over;
    unsigned line;
  } rows[] = {{"/o", ACCESS_OSCORE, 1},
              {"/o", ACCESS_SESSION, 4},
              {"/s", ACCESS_OSCORE, 2},
              {"/s", ACCESS_SESSION, 2},
              {"/s", ACCESS_PLAIN, 3}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const access_profile who = access_profile_of(a, &id, rows[i].over);
    assert_int_equal(access_judge(a, &who, ACCESS_GET, copal_span_str(rows[i].path)).line,
                     rows[i].line);
  }
  access_release(a);
}

static void mistakes_name_line_and_what_is_expected(void **state)
{
  (void)state;
  static const struct {
    const char *text, *complaint;
  } rows[] = {
      {"permit anyone GET /\ndefault deny", "rules:1: a line begins with allow, deny, group"},
      {"\n# x\nallow anyone GETT /\ndefault deny", "rules:3: \"GETT\" is no method; expected is"},
      {"allow everybody GET /\ndefault deny", "rules:1: \"everybody\" is nobody"},
      {"allow pks:a GET /\ndefault deny", "rules:1: \"pks:\" is no kind of identity"},
      {"allow group:a GET /\ndefault deny", "rules:1: there is no group \"a\" so far"},
      {"allow anyone GET\ndefault deny", "rules:1: a path is missing"},
      {"allow anyone\ndefault deny", "rules:1: methods are missing"},
      {"allow\ndefault deny", "rules:1: who is missing"},
      {"allow anyone GET x\ndefault deny", "rules:1: \"x\" is no path"},
      {"allow anyone GET /a/**/b\ndefault deny", "rules:1: \"**\" stands at the end"},
      {"allow anyone GET /a*\ndefault deny", "rules:1: \"*\" stands for a whole segment"},
      {"allow anyone GET /{identity}x\ndefault deny", "rules:1: \"{identity}\" stands for"},
      {"allow anyone GET /{id}\ndefault deny", "rules:1: \"{identity}\" stands for"},
      {"allow anyone GET /%2\ndefault deny", "rules:1: \"%\" is followed by two"},
      {"allow anyone GET /%2e./x\ndefault deny", "rules:1: no path has a segment"},
      {"allow anyone GET / over http\ndefault deny", "rules:1: \"over http\": expected is any"},
      {"allow anyone GET / over any x\ndefault deny", "rules:1: nothing is expected behind"},
      {"allow psk: GET /\ndefault deny", "rules:1: a name has 1 to 255 bytes"},
      {"allow psk:\"a GET /\ndefault deny", "rules:1: a quote is not closed"},
      {"group a psk:b\ndefault deny", "rules:1: \"=\" is expected"},
      {"group a/b = psk:b\ndefault deny", "rules:1: a group's name has letters"},
      {"default maybe", "rules:1: expected is default allow or default deny"},
      {"default deny\nallow anyone GET /", "rules:2: nothing stands behind the default"},
      {"allow anyone GET /", "rules:2: the last line says what holds"},
      {"", "rules:1: the last line says what holds"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    access_rules *rules;
    mistakes m = {.count = 0};
    assert_int_equal(access_parse(copal_span_str(rows[i].text), "rules", &rules, &m), COPAL_EINVAL);
    assert_null(rules);
    assert_int_equal(m.count, 1);
    if (strncmp(m.text, rows[i].complaint, strlen(rows[i].complaint)) != 0)
      fail_msg("%s: %s", rows[i].text, m.text);
  }
}

static void a_line_can_be_quoted_for_people(void **state)
{
  (void)state;
  access_rules *a = rules_of("# head\r\nallow anyone GET /a  # why\r\ndefault deny");
  assert_true(copal_span_is_equal(access_line(a, 2), copal_span_str("allow anyone GET /a  # why")));
  assert_true(copal_span_is_equal(access_line(a, 3), copal_span_str("default deny")));
  assert_int_equal(access_line(a, 9).len, 0);
  assert_int_equal(access_count(a), 1);
  assert_string_equal(access_name(a), "rules");
  access_release(a);
}

/* ------------------------------------------------------------------------------------------------
 * many rules */

/* A rule for each of many devices by name, and one path each. */
static access_rules *many_rules(int count)
{
  char *text = malloc((size_t)count * 128 + 64);
  size_t len = 0;
  assert_non_null(text);
  for (int i = 0; i < count; i++)
    len += (size_t)sprintf(text + len, "allow psk:dev-%d * /devices/dev-%d/**\n", i, i);
  for (int i = 0; i < count; i++)
    len += (size_t)sprintf(text + len, "allow psk:dev-%d GET /shared/**\n", i);
  sprintf(text + len, "default deny\n");
  access_rules *a = rules_of(text);
  free(text);
  return a;
}

static void thousands_of_rules_are_found_by_name_and_path(void **state)
{
  enum { COUNT = 5000 };
  (void)state;
  access_rules *a = many_rules(COUNT);
  assert_int_equal(access_count(a), 2 * COUNT);
  for (int i = 0; i < COUNT; i += 37) {
    char name[32], path[64], other[64];
    snprintf(name, sizeof name, "dev-%d", i);
    snprintf(path, sizeof path, "/devices/dev-%d/x", i);
    snprintf(other, sizeof other, "/devices/dev-%d/x", i + 1);
    assert_int_equal(decides(a, psk(name), ACCESS_PUT, path), i + 1);
    assert_int_equal(decides(a, psk(name), ACCESS_PUT, other), -(2 * COUNT + 1));
    assert_int_equal(decides(a, psk(name), ACCESS_GET, "/shared/a/b"), COUNT + i + 1);
  }
  access_release(a);
}

/* ------------------------------------------------------------------------------------------------
 * stretches */

static const char *const segments[] = {"a", "a-b", "a.", "b", "", "ab", "a0", "me", "me-2"};

/* A path of up to three of the segments. */
static void random_path(char *out, const char *star, const char *own)
{
  const int depth = 1 + rand() % 3;
  *out = '\0';
  for (int i = 0; i < depth; i++) {
    const int n = rand() % 12;
    strcat(out, "/");
    strcat(out, n == 9 && star ? star : n == 10 && own ? own : segments[n % 9]);
  }
}

static access_rules *random_rules(void)
{
  char text[2048] = "";
  const int count = 1 + rand() % 6;
  for (int i = 0; i < count; i++) {
    char path[64], line[128];
    random_path(path, "*", "{identity}");
    snprintf(line, sizeof line, "%s %s GET %s%s\n", rand() % 2 ? "allow" : "deny",
             rand() % 3 ? "anyone" : "psk:me", path, rand() % 2 ? "/**" : "");
    strcat(text, line);
  }
  strcat(text, rand() % 2 ? "default allow\n" : "default deny\n");
  return rules_of(text);
}

static int compare_keys(copal_span x, copal_span y)
{
  const size_t len = x.len < y.len ? x.len : y.len;
  const int order = memcmp(x.ptr, y.ptr, len);
  return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void a_stretch_has_one_verdict(void **state)
{
  enum { SETS = 300, KEYS = 60 };
  (void)state;
  srand(7);
  const identity me = psk("me");
  for (int set = 0; set < SETS; set++) {
    access_rules *a = random_rules();
    const access_profile who = access_profile_of(a, &me, ACCESS_SESSION);
    char keys[KEYS][64];
    for (int i = 0; i < KEYS; i++)
      random_path(keys[i], NULL, NULL);
    strcpy(keys[0], "/");
    for (int i = 0; i < KEYS; i++) {
      uint8_t room[ACCESS_UNTIL_MAX];
      copal_wr until = copal_wr_init((copal_mspan){room, sizeof room});
      const copal_span from = copal_span_str(keys[i]);
      const access_verdict v = access_stretch(a, &who, ACCESS_GET, from, &until);
      assert_int_equal(v.is_allowed, access_judge(a, &who, ACCESS_GET, from).is_allowed);
      const copal_span end = copal_wr_done(&until);
      assert_true(end.len == 0 || compare_keys(from, end) < 0);
      for (int k = 0; k < KEYS; k++) {
        const copal_span key = copal_span_str(keys[k]);
        if (compare_keys(key, from) < 0 || (end.len > 0 && compare_keys(key, end) >= 0))
          continue;
        if (access_judge(a, &who, ACCESS_GET, key).is_allowed != v.is_allowed)
          fail_msg("set %d: %s to %.*s: %s", set, keys[i], (int)end.len, (const char *)end.ptr,
                   keys[k]);
      }
    }
    access_release(a);
  }
}

static void a_device_among_many_is_found_in_few_stretches(void **state)
{
  (void)state;
  access_rules *a = rules_of("allow psk:* * /devices/{identity}/**\nallow anyone GET /public/**\n"
                             "default deny\n");
  const identity me = psk("dev-5");
  const access_profile who = access_profile_of(a, &me, ACCESS_SESSION);
  uint8_t room[2][ACCESS_UNTIL_MAX];
  copal_span key = copal_span_str("/");
  int count = 0, allowed = 0;
  while (count < 100) {
    copal_wr until = copal_wr_init((copal_mspan){room[count % 2], ACCESS_UNTIL_MAX});
    allowed += access_stretch(a, &who, ACCESS_GET, key, &until).is_allowed;
    count++;
    key = copal_wr_done(&until);
    if (key.len == 0)
      break;
  }
  assert_in_range(count, 3, 16);
  assert_int_equal(allowed, 4); /* the two nodes, and what is below them */
  access_release(a);
}

/* ------------------------------------------------------------------------------------------------
 * gate */

static void a_gate_without_rules_allows_everything(void **state)
{
  (void)state;
  access_gate *g = access_gate_open(NULL);
  const identity id = nobody();
  assert_true(
      access_gate_judge(g, &id, ACCESS_PLAIN, ACCESS_DELETE, copal_span_str("/")).is_allowed);
  access_gate_close(g);
}

static void a_gate_follows_a_reload_and_a_number_used_again(void **state)
{
  (void)state;
  access_rules *one = rules_of("allow psk:a GET /\ndefault deny\n");
  access_rules *two = rules_of("deny psk:a GET /\ndefault allow\n");
  access_gate *g = access_gate_open(one);
  const identity a = {.kind = IDENTITY_PSK, .name = copal_span_str("a"), .serial = 5};
  const identity b = {.kind = IDENTITY_PSK, .name = copal_span_str("b"), .serial = 5 + 4096};
  const copal_span key = copal_span_str("/");
  for (int i = 0; i < 2; i++) {
    assert_true(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
    assert_false(access_gate_judge(g, &b, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
  }
  access_release(one);
  access_gate_reload(g, two);
  access_release(two);
  assert_false(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
  assert_true(access_gate_judge(g, &b, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
  access_gate_close(g);
}

/* Who was known by the first rules is not known by those that come after none. */
static void a_gate_forgets_when_its_rules_are_taken_away(void **state)
{
  (void)state;
  access_rules *one = rules_of("allow psk:a GET /\ndefault deny\n");
  access_rules *two = rules_of("deny psk:a GET /\ndefault allow\n");
  access_gate *g = access_gate_open(NULL);
  const identity a = {.kind = IDENTITY_PSK, .name = copal_span_str("a"), .serial = 5};
  const copal_span key = copal_span_str("/");
  access_gate_reload(g, one);
  assert_true(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
  assert_false(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_PUT, key).is_allowed);
  access_gate_reload(g, NULL);
  assert_true(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_PUT, key).is_allowed);
  access_gate_reload(g, two);
  assert_false(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_GET, key).is_allowed);
  assert_true(access_gate_judge(g, &a, ACCESS_SESSION, ACCESS_PUT, key).is_allowed);
  access_gate_close(g);
  access_release(one);
  access_release(two);
}

/* Under which name something is kept for an asker. */
typedef struct kept_name {
  uint8_t bytes[ACCESS_GATE_NAME_MAX];
  size_t len;
  uint64_t mark;
} kept_name;

static kept_name name_in(const access_gate *g, uint64_t serial, uint8_t over)
{
  const identity id = {.kind = serial > 0 ? IDENTITY_PSK : IDENTITY_ANONYMOUS, .serial = serial};
  kept_name n = {.mark = access_gate_mark(g, &id, over)};
  copal_wr w = copal_wr_init((copal_mspan){n.bytes, sizeof n.bytes});
  access_gate_name(g, &id, over, &w);
  assert_int_equal(w.err, COPAL_OK);
  n.len = w.len;
  return n;
}

static bool is_same_name(const kept_name *a, const kept_name *b)
{
  return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* What is kept for one is shown to nobody else, nor by other rules, nor over another way in. */
static void what_a_gate_shows_has_a_name_for_each_asker(void **state)
{
  enum { ASKERS = 5, WAYS = 2, TURNS = 2, NAMES = ASKERS * WAYS * TURNS };
  static const uint64_t serials[ASKERS] = {0, 1, 256, UINT64_C(1) << 32, UINT64_C(1) << 40};
  static const uint8_t ways[WAYS] = {ACCESS_PLAIN, ACCESS_SESSION};
  kept_name names[NAMES];
  int count = 0;
  (void)state;
  access_rules *rules = rules_of("default allow\n");
  access_gate *g = access_gate_open(rules);
  for (int turn = 0; turn < TURNS; turn++, access_gate_reload(g, rules))
    for (int i = 0; i < ASKERS * WAYS; i++) {
      const kept_name again = name_in(g, serials[i / WAYS], ways[i % WAYS]);
      names[count] = name_in(g, serials[i / WAYS], ways[i % WAYS]);
      assert_true(is_same_name(&names[count], &again));
      assert_true(names[count++].mark == again.mark);
    }
  for (int i = 0; i < NAMES; i++)
    for (int k = 0; k < i; k++) {
      assert_false(is_same_name(&names[i], &names[k]));
      assert_false(names[i].mark == names[k].mark);
    }
  access_gate_close(g);
  access_release(rules);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_rule_that_fits_decides),
      cmocka_unit_test(paths_match_by_segments),
      cmocka_unit_test(each_identity_has_its_own_subtree),
      cmocka_unit_test(an_identity_is_one_segment_whatever_its_bytes),
      cmocka_unit_test(names_patterns_and_kinds),
      cmocka_unit_test(groups_hold_names_patterns_and_groups),
      cmocka_unit_test(groups_that_the_credentials_tell),
      cmocka_unit_test(rights_and_their_shorthands),
      cmocka_unit_test(over_says_how_the_request_is_protected),
      cmocka_unit_test(mistakes_name_line_and_what_is_expected),
      cmocka_unit_test(a_line_can_be_quoted_for_people),
      cmocka_unit_test(thousands_of_rules_are_found_by_name_and_path),
      cmocka_unit_test(a_stretch_has_one_verdict),
      cmocka_unit_test(a_device_among_many_is_found_in_few_stretches),
      cmocka_unit_test(a_gate_without_rules_allows_everything),
      cmocka_unit_test(a_gate_follows_a_reload_and_a_number_used_again),
      cmocka_unit_test(a_gate_forgets_when_its_rules_are_taken_away),
      cmocka_unit_test(what_a_gate_shows_has_a_name_for_each_asker),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
