/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery by clause: RFC 6690 sections 3 and 4, RFC 7252 section 7. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/linkindex.h"
#include "service/linkmemo.h"
#include "service/wellknown.h"
#include "unit/service/scene.h"

#define SELF "</.well-known/core>;ct=40"

static scene s;

static int set_up(void **state)
{
  (void)state;
  scene_open(&s, NULL);
  s.service = wellknown_open(s.store, NULL);
  return s.service == NULL;
}

static int tear_down(void **state)
{
  (void)state;
  scene_close(&s);
  return 0;
}

static void changed(store_op *op, const store_result *result)
{
  (void)op;
  assert_int_equal(result->status, STORE_OK);
}

static void commit(store_verb verb, const char *key, const char *attrs, uint16_t format,
                   copal_span body)
{
  store_op op = {.done = changed,
                 .verb = verb,
                 .key = copal_span_str(key),
                 .content_format = format,
                 .max_age_s = STORE_NO_MAX_AGE,
                 .body = body,
                 .attrs = copal_span_str(attrs)};
  assert_int_equal(store_commit(s.port, &op, 0), COPAL_OK);
  assert_int_equal(store_drain(s.port, 1), 1);
}

static void add(const char *key, const char *attrs)
{
  commit(STORE_PUT, key, attrs, STORE_NO_FORMAT, copal_span_none());
}

static copal_code discover(const char *query)
{
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  if (query != NULL)
    ask_query(&a, query);
  return scene_run(&s, &a);
}

static void assert_listing(const char *query, const char *text)
{
  assert_int_equal(discover(query), COPAL_CODE_CONTENT);
  assert_payload(text);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 40);
}

/* ------------------------------------------------------------------------------------------------
 */

static void rfc6690_4_listing_follows_the_store(void **state)
{
  (void)state;
  assert_listing(NULL, SELF);
  commit(STORE_PUT, "/b", ";rt=\"t\"", 50, copal_span_none());
  add("/a", "");
  assert_listing(NULL, SELF ",</a>,</b>;rt=\"t\";ct=50");
  commit(STORE_PUT, "/a", ";if=\"i\"", STORE_NO_FORMAT, copal_span_none());
  commit(STORE_DELETE, "/b", "", 0, copal_span_none());
  assert_listing(NULL, SELF ",</a>;if=\"i\"");
  assert_int_equal(wellknown_usage_now(s.service).links, 2);
  assert_int_equal(wellknown_usage_now(s.service).bytes, strlen(SELF ",</a>;if=\"i\""));
}

static void rfc6690_3_3_sz_of_large_bodies_only(void **state)
{
  (void)state;
  static const uint8_t body[1025];
  commit(STORE_PUT, "/a", "", 0, copal_span_of(body, 1024));
  commit(STORE_PUT, "/b", "", 0, copal_span_of(body, 1025));
  assert_listing("href=/*", SELF ",</a>;ct=0,</b>;ct=0;sz=1025");
}

static void rfc7641_6_obs_is_listed_when_configured(void **state)
{
  (void)state;
  scene_close(&s);
  scene_open(&s, NULL);
  s.service = wellknown_open(s.store, &(wellknown_cfg){.lists_obs = true});
  add("/a", ";rt=\"t\"");
  assert_listing(NULL, SELF ",</a>;rt=\"t\";obs");
  assert_listing("obs", "</a>;rt=\"t\";obs");
  assert_listing("obs=*", "</a>;rt=\"t\";obs");
}

static void rfc6690_4_index_is_filled_from_the_store(void **state)
{
  (void)state;
  scene_close(&s);
  scene_open(&s, NULL);
  for (int i = 0; i < 2500; i++) {
    char key[16];
    snprintf(key, sizeof key, "/%04d", i);
    add(key, "");
  }
  s.service = wellknown_open(s.store, NULL);
  assert_int_equal(wellknown_usage_now(s.service).links, 2501);
  assert_listing("href=/2499", "</2499>");
}

static void rfc6690_4_1_filters(void **state)
{
  (void)state;
  add("/a", ";rt=\"temp light\";if=\"core.s\";title=\"A b\"");
  add("/ab", ";rt=\"tempo\";x=1");
  commit(STORE_PUT, "/b", ";if=\"core.a\"", 50, copal_span_none());
  const char *const a = "</a>;rt=\"temp light\";if=\"core.s\";title=\"A b\"";
  const char *const ab = "</ab>;rt=\"tempo\";x=1";
  const char *const b = "</b>;if=\"core.a\";ct=50";
  char both[200];
  snprintf(both, sizeof both, "%s,%s", a, ab);
  assert_listing("href=/a", a);
  assert_listing("href=/a*", both);
  assert_listing("rt=temp", a);
  assert_listing("rt=light", a);
  assert_listing("rt=temp*", both);
  assert_listing("rt=temp light", "");
  assert_listing("if=core.a", b);
  assert_listing("ct=50", b);
  assert_listing("ct=40", SELF);
  assert_listing("title=A b", a);
  assert_listing("title=A*", a);
  assert_listing("x=1", ab);
  assert_listing("x=*", ab);
  assert_listing("x", ab);
  assert_listing("rt=nothing", "");
  assert_listing("nothing=*", "");
  assert_listing("rt=", "");
  assert_listing("rt=te*p", "");
  assert_listing("r=*", "");
}

static void rfc6690_4_1_each_link_stands_once(void **state)
{
  (void)state;
  add("/a", ";rt=\"t1 t2 t1 u\"");
  add("/b", ";rt=\"t2\"");
  assert_listing("rt=t*", "</a>;rt=\"t1 t2 t1 u\",</b>;rt=\"t2\"");
  assert_listing("rt=*", "</a>;rt=\"t1 t2 t1 u\",</b>;rt=\"t2\"");
  assert_listing("rt=t1", "</a>;rt=\"t1 t2 t1 u\"");
}

static void rfc6690_2_escaped_values_match_unescaped(void **state)
{
  (void)state;
  add("/a", ";title=\"say \\\"hi\\\\\\\"\"");
  assert_listing("title=say \"hi\\\"", "</a>;title=\"say \\\"hi\\\\\\\"\"");
}

/* More than are kept of one reading, with escapes in several. */
static void rfc6690_2_each_of_many_values_is_found(void **state)
{
  (void)state;
  char attrs[200] = ";title=\"a\\\"b\";x=\"c\\\"d\"";
  for (char c = 'a'; c <= 't'; c++) {
    const size_t len = strlen(attrs);
    snprintf(attrs + len, sizeof attrs - len, ";%c%c=%c", c, c, c);
  }
  char link[220];
  snprintf(link, sizeof link, "</a>%s", attrs);
  add("/a", attrs);
  assert_listing("title=a\"b", link);
  assert_listing("x=c\"d", link);
  assert_listing("aa=a", link);
  assert_listing("tt=t", link);
  assert_listing("tt=s", "");
}

static void several_filters_must_all_pass(void **state)
{
  (void)state;
  add("/a", ";rt=\"t\";if=\"i\"");
  add("/b", ";rt=\"t\";if=\"k\"");
  add("/c", ";rt=\"u\";if=\"i\"");
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_query(&a, "rt=t");
  ask_query(&a, "if=i");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
  assert_payload("</a>;rt=\"t\";if=\"i\"");
  ask_query(&a, "href=/b*");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
  assert_payload("");
  for (int i = 0; i < 6; i++)
    ask_query(&a, "rt=t");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_BAD_REQUEST);
}

static void several_broad_filters_are_4_00_and_broad_prefixes_repeat(void **state)
{
  (void)state;
  scene_close(&s);
  scene_open(&s, NULL);
  s.service = wellknown_open(s.store, &(wellknown_cfg){.merge_max = 10});
  add("/a", ";rt=\"t1 t2\";if=\"i\"");
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_query(&a, "rt=t1");
  ask_query(&a, "if=i");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_BAD_REQUEST);
  assert_listing("rt=t*", "</a>;rt=\"t1 t2\";if=\"i\",</a>;rt=\"t1 t2\";if=\"i\"");
}

static void rfc6690_4_1_groups_get_no_empty_answer(void **state)
{
  (void)state;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_query(&a, "rt=none");
  a.is_group = true;
  assert_int_equal(scene_run(&s, &a), 0);
  assert_int_equal(answered->count, 0);
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  a.is_group = true;
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
}

static void rfc7252_5_10_1_nothing_is_below_the_listing(void **state)
{
  (void)state;
  assert_int_equal(scene_do(&s, COPAL_CODE_GET, "/.well-known/core/x", -1, NULL),
                   COPAL_CODE_NOT_FOUND);
  assert_int_equal(scene_do(&s, COPAL_CODE_GET, "/.well-known/core/", -1, NULL),
                   COPAL_CODE_NOT_FOUND);
}

static void rfc3986_4_2_no_path_is_listed_as_another_host(void **state)
{
  (void)state;
  add("//evil.example/a", ";rt=\"x\"");
  add("//", "");
  add("/", "");
  add("/a//b", "");
  assert_listing(NULL, "</>," SELF ",</a//b>");
  commit(STORE_DELETE, "//evil.example/a", "", STORE_NO_FORMAT, copal_span_none());
  assert_listing("rt=x", "");
}

static void rfc7252_5_8_other_methods_are_4_05(void **state)
{
  (void)state;
  for (copal_code code = COPAL_CODE_POST; code < 9; code++)
    assert_int_equal(scene_do(&s, code, "/.well-known/core", 40, ""),
                     COPAL_CODE_METHOD_NOT_ALLOWED);
}

static void rfc7252_5_10_4_accept_is_40_or_4_06(void **state)
{
  (void)state;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_uint(&a, COPAL_OPT_ACCEPT, 40);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_uint(&a, COPAL_OPT_ACCEPT, 50);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_NOT_ACCEPTABLE);
}

static void rfc7252_5_10_6_etag_changes_with_the_listing(void **state)
{
  (void)state;
  uint8_t tag[8];
  add("/a", ";rt=\"t\"");
  discover("rt=t");
  memcpy(tag, answer_opt(COPAL_OPT_ETAG).ptr, 8);
  add("/b", ""); /* does not concern the filter */
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_query(&a, "rt=t");
  ask_opt(&a, COPAL_OPT_ETAG, tag, 8);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_VALID);
  assert_int_equal(answered->payload.len, 0);
  add("/c", ";rt=\"t\"");
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  ask_opt(&a, COPAL_OPT_IF_NONE_MATCH, "", 0);
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_PRECONDITION_FAILED);
}

/* The whole listing, block by block. */
static size_t discover_blocks(const char *query, uint8_t szx, char *out)
{
  size_t len = 0;
  for (uint32_t num = 0;; num++) {
    scene_ask a;
    ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
    if (query != NULL)
      ask_query(&a, query);
    a.has_block2 = true;
    a.block2 = (copal_block){.num = num, .szx = szx};
    assert_int_equal(scene_run(&s, &a), COPAL_CODE_CONTENT);
    memcpy(out + len, answered->payload.ptr, answered->payload.len);
    len += answered->payload.len;
    if (answered->total == 0 || len == answered->total)
      return len;
    assert_int_equal(answered->offset, num * copal_block_size(szx));
    assert_int_equal(answered->payload.len, copal_block_size(szx));
  }
}

static void rfc7959_2_4_blocks_make_the_whole_listing(void **state)
{
  (void)state;
  static char expected[1 << 16];
  static char joined[1 << 16];
  strcpy(expected, SELF);
  for (int i = 0; i < 300; i++) {
    char key[16];
    char attrs[40];
    snprintf(key, sizeof key, "/r/%03d", i);
    snprintf(attrs, sizeof attrs, ";rt=\"kind%d x%d\"", i % 7, i % 3);
    add(key, attrs);
    sprintf(expected + strlen(expected), ",<%s>%s", key, attrs);
  }
  for (uint8_t szx = 0; szx <= 6; szx += 3) {
    const size_t len = discover_blocks(NULL, szx, joined);
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(joined, expected, len);
  }
  const size_t matches = discover_blocks("rt=kind*", 2, joined);
  assert_int_equal(matches, strlen(expected) - strlen(SELF) - 1);
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/.well-known/core");
  a.has_block2 = true;
  a.block2 = (copal_block){.num = 5000, .szx = 6};
  assert_int_equal(scene_run(&s, &a), COPAL_CODE_BAD_REQUEST);
}

/* A direct walk over many groups must give the same bytes at any offset. */
static void linkindex_slices_of_ranges_are_consistent(void **state)
{
  (void)state;
  static uint8_t whole[1 << 16];
  uint8_t slice_room[50];
  linkindex *x = linkindex_open();
  for (int i = 0; i < 200; i++) {
    char key[16];
    char link[64];
    snprintf(key, sizeof key, "/%03d", (i * 77) % 200);
    snprintf(link, sizeof link, "<%s>;n=v%d", key, i % 23);
    assert_int_equal(linkindex_put(x, copal_span_str(key), copal_span_str(link)), COPAL_OK);
  }
  for (int i = 0; i < 200; i += 3) {
    char key[16];
    snprintf(key, sizeof key, "/%03d", i);
    linkindex_remove(x, copal_span_str(key));
  }
  const char *const queries[] = {"n=v1*", "n=*", "n=v2", "href=/1*"};
  for (size_t q = 0; q < 4; q++) {
    const linkindex_filter f = linkindex_filter_of(copal_span_str(queries[q]));
    linkindex_slice all;
    linkindex_slice part;
    const uint64_t merge_max = 0;
    assert_int_equal(
        linkindex_read(x, &f, 1, NULL, merge_max, 0, (copal_mspan){whole, sizeof whole}, &all),
        COPAL_OK);
    assert_int_equal(all.len, all.total);
    for (uint64_t at = 0; at < all.total; at += 7) {
      assert_int_equal(linkindex_read(x, &f, 1, NULL, q % 2 != 0 ? UINT64_MAX : 0, at,
                                      (copal_mspan){slice_room, sizeof slice_room}, &part),
                       COPAL_OK);
      assert_int_equal(part.total, all.total);
      assert_memory_equal(slice_room, whole + at, part.len);
    }
  }
  linkindex_close(x);
}

/* Shows keys "/NNN" whose hundreds are in a set, in stretches of ten. */
typedef struct hundreds {
  linkindex_view view; /* first */
  unsigned shown;      /* a bit for each */
} hundreds;

static bool shows_hundreds(linkindex_view *v, copal_span key, copal_wr *until)
{
  const hundreds *h = (const hundreds *)v;
  const int number = (key.ptr[1] - '0') * 10 + (key.ptr[2] - '0');
  char end[8];
  if (number < 99) {
    snprintf(end, sizeof end, "/%02d", number + 1);
    copal_wr_span(until, copal_span_str(end));
  }
  return (h->shown >> (number / 10) & 1) != 0;
}

/* The listing of the links that are shown and pass "n=v1" when `has_filter`, made by hand. */
static size_t expected_listing(unsigned shown, bool has_filter, uint8_t *out)
{
  size_t len = 0;
  for (int i = 0; i < 1000; i += 3) {
    char text[64];
    const bool passes = !has_filter || i % 7 == 1;
    if ((shown >> (i / 100) & 1) == 0 || !passes)
      continue;
    const int n = snprintf(text, sizeof text, "%s</%03d>;n=v%d", len > 0 ? "," : "", i, i % 7);
    memcpy(out + len, text, (size_t)n);
    len += (size_t)n;
  }
  return len;
}

static linkindex *index_of_a_thousand(void)
{
  linkindex *x = linkindex_open();
  for (int i = 0; i < 1000; i += 3) {
    char key[16];
    char link[64];
    snprintf(key, sizeof key, "/%03d", i);
    snprintf(link, sizeof link, "<%s>;n=v%d", key, i % 7);
    assert_int_equal(linkindex_put(x, copal_span_str(key), copal_span_str(link)), COPAL_OK);
  }
  return x;
}

/* The listing of all links by their values "v0" to "v6", made by hand. */
static size_t expected_by_value(uint8_t *out)
{
  size_t len = 0;
  for (int value = 0; value < 7; value++)
    for (int i = 0; i < 1000; i += 3) {
      char text[64];
      if (i % 7 != value)
        continue;
      const int n = snprintf(text, sizeof text, "%s</%03d>;n=v%d", len > 0 ? "," : "", i, value);
      memcpy(out + len, text, (size_t)n);
      len += (size_t)n;
    }
  return len;
}

/* The links of a listing are looked at for its first block, and again when one has changed. */
static void rfc7959_2_4_further_blocks_of_a_merged_listing_look_at_no_link(void **state)
{
  (void)state;
  static uint8_t whole[1 << 15];
  uint8_t room[64];
  linkindex *x = index_of_a_thousand();
  const linkindex_filter f[] = {linkindex_filter_of(copal_span_str("n=v*")),
                                linkindex_filter_of(copal_span_str("href=/*"))};
  for (size_t count = 1; count <= 2; count++) {
    linkindex_slice part;
    const uint64_t before = linkindex_judged(x);
    const size_t len = expected_by_value(whole);
    for (uint64_t at = 0; at < len; at += sizeof room) {
      assert_int_equal(linkindex_read(x, f, count, NULL, UINT64_MAX, at,
                                      (copal_mspan){room, sizeof room}, &part),
                       COPAL_OK);
      assert_int_equal(part.total, len);
      assert_int_equal(part.len, len - at < sizeof room ? len - at : sizeof room);
      assert_memory_equal(room, whole + at, part.len);
    }
    assert_int_equal(linkindex_judged(x) - before, linkindex_count(x));
  }
  assert_int_equal(linkindex_put(x, copal_span_str("/000"), copal_span_str("</000>;n=v0;a")),
                   COPAL_OK);
  linkindex_slice changed;
  const uint64_t before = linkindex_judged(x);
  assert_int_equal(
      linkindex_read(x, f, 1, NULL, UINT64_MAX, 0, (copal_mspan){room, sizeof room}, &changed),
      COPAL_OK);
  assert_int_equal(changed.total, expected_by_value(whole) + 2);
  assert_int_equal(linkindex_judged(x) - before, linkindex_count(x));
  linkindex_close(x);
}

/* More listings than are kept, in turn: each is its own. */
static void listings_that_are_kept_do_not_stand_for_each_other(void **state)
{
  (void)state;
  static uint8_t whole[1 << 15];
  uint8_t room[64];
  linkindex *x = index_of_a_thousand();
  for (int round = 0; round < 3; round++)
    for (int tens = 10; tens < 10 + 2 * LINKMEMO_MAX; tens++) {
      char argument[24];
      linkindex_slice all;
      linkindex_slice part;
      snprintf(argument, sizeof argument, "href=/%d*", tens);
      const linkindex_filter f[] = {linkindex_filter_of(copal_span_str(argument)),
                                    linkindex_filter_of(copal_span_str("n=v*"))};
      assert_int_equal(
          linkindex_read(x, f, 1, NULL, UINT64_MAX, 0, (copal_mspan){whole, sizeof whole}, &all),
          COPAL_OK);
      const copal_mspan small = {room, all.total / 2};
      assert_int_equal(linkindex_read(x, f, 2, NULL, UINT64_MAX, 5, small, &part), COPAL_OK);
      assert_int_equal(part.total, all.total);
      assert_int_equal(part.len, all.total / 2);
      assert_memory_equal(room, whole + 5, part.len);
    }
  linkindex_close(x);
}

static void a_view_hides_links_at_any_offset_and_under_filters(void **state)
{
  (void)state;
  static uint8_t whole[1 << 15];
  uint8_t room[60];
  linkindex *x = index_of_a_thousand();
  const linkindex_filter f = linkindex_filter_of(copal_span_str("n=v1"));
  const unsigned sets[] = {0, 1, 0x200, 0x3ff, 0x155, 0x2aa, 0x0f0};
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
    hundreds h = {.view = {.shows = shows_hundreds, .until_max = 8}, .shown = sets[i]};
    for (size_t filters = 0; filters < 2; filters++) {
      const size_t len = expected_listing(h.shown, filters > 0, whole);
      linkindex_slice part;
      for (uint64_t at = 0; at == 0 || at < len; at += 23) {
        assert_int_equal(linkindex_read(x, &f, filters, &h.view, UINT64_MAX, at,
                                        (copal_mspan){room, sizeof room}, &part),
                         COPAL_OK);
        assert_int_equal(part.total, len);
        assert_int_equal(part.len, len - at < sizeof room ? len - at : sizeof room);
        assert_memory_equal(room, whole + at, part.len);
      }
    }
  }
  linkindex_close(x);
}

/* Two askers in turn, each with a name: the links are looked at for the first block of each. */
static void rfc7959_2_4_further_blocks_of_a_view_with_a_name_look_at_no_link(void **state)
{
  (void)state;
  static uint8_t whole[2][1 << 15];
  uint8_t room[60];
  linkindex *x = index_of_a_thousand();
  const linkindex_filter f = linkindex_filter_of(copal_span_str("n=v1"));
  const unsigned sets[] = {0x155, 0x2aa};
  const char *const names[] = {"one", "two"};
  size_t len[2];
  for (int i = 0; i < 2; i++)
    len[i] = expected_listing(sets[i], true, whole[i]);
  const uint64_t before = linkindex_judged(x);
  const uint64_t links = linkindex_count(x) / 7 + 1;
  for (uint64_t at = 0; at < len[0] || at < len[1]; at += sizeof room)
    for (int i = 0; i < 2; i++) {
      hundreds h = {
          .view = {.shows = shows_hundreds, .until_max = 8, .name = copal_span_str(names[i])},
          .shown = sets[i]};
      linkindex_slice part;
      assert_int_equal(linkindex_read(x, &f, 1, &h.view, UINT64_MAX, at,
                                      (copal_mspan){room, sizeof room}, &part),
                       COPAL_OK);
      assert_int_equal(part.total, len[i]);
      assert_memory_equal(room, whole[i] + (at < len[i] ? at : 0), part.len);
    }
  assert_true(linkindex_judged(x) - before <= 2 * links);
  linkindex_close(x);
}

/* However many and long, no more bytes are kept than that, and those asked for last. */
static void what_is_kept_of_listings_is_bounded(void **state)
{
  (void)state;
  enum { LONG = LINKMEMO_BYTES_MAX / 3 };
  linkmemo m;
  uint8_t room[8];
  size_t len;
  uint64_t total;
  uint8_t *text = calloc(LINKMEMO_BYTES_MAX + 1, 1);
  linkmemo_init(&m);
  for (int i = 0; i < 5; i++) {
    const char name[] = {(char)('a' + i), 0};
    linkmemo_put(&m, copal_span_str(name), 7, copal_span_of(text, LONG));
    assert_true(m.size <= LINKMEMO_BYTES_MAX);
    assert_true(linkmemo_get(&m, copal_span_str(name), 7, 3, (copal_mspan){room, sizeof room}, &len,
                             &total));
    assert_int_equal(total, LONG);
    assert_int_equal(len, sizeof room);
  }
  assert_false(linkmemo_get(&m, copal_span_str("a"), 7, 0, (copal_mspan){room, 1}, &len, &total));
  assert_true(linkmemo_get(&m, copal_span_str("d"), 7, 0, (copal_mspan){room, 1}, &len, &total));
  linkmemo_put(&m, copal_span_str("x"), 7, copal_span_of(text, LINKMEMO_BYTES_MAX + 1));
  assert_false(linkmemo_get(&m, copal_span_str("x"), 7, 0, (copal_mspan){room, 1}, &len, &total));
  linkmemo_put(&m, copal_span_str("d"), 8, copal_span_of(text, 10));
  assert_false(linkmemo_get(&m, copal_span_str("d"), 7, 0, (copal_mspan){room, 1}, &len, &total));
  assert_true(linkmemo_get(&m, copal_span_str("d"), 8, 9, (copal_mspan){room, 8}, &len, &total));
  assert_int_equal(len, 1);
  linkmemo_wipe(&m);
  free(text);
}

static void a_view_of_a_range_of_paths_is_cut_at_its_ends(void **state)
{
  (void)state;
  static uint8_t out[1 << 15];
  linkindex *x = index_of_a_thousand();
  hundreds h = {.view = {.shows = shows_hundreds, .until_max = 8}, .shown = 0x2};
  const char *const queries[][2] = {{"href=/19*", "</192>;n=v3,</195>;n=v6,</198>;n=v2"},
                                    {"href=/192", "</192>;n=v3"},
                                    {"href=/2*", ""},
                                    {"href=/x*", ""}};
  for (size_t q = 0; q < sizeof queries / sizeof queries[0]; q++) {
    const linkindex_filter f = linkindex_filter_of(copal_span_str(queries[q][0]));
    linkindex_slice all;
    assert_int_equal(linkindex_read(x, &f, 1, &h.view, 0, 0, (copal_mspan){out, sizeof out}, &all),
                     COPAL_OK);
    assert_int_equal(all.len, strlen(queries[q][1]));
    assert_memory_equal(out, queries[q][1], all.len);
  }
  linkindex_close(x);
}

/* A view that tells every key from the next. */
static bool shows_every_second(linkindex_view *v, copal_span key, copal_wr *until)
{
  (void)v;
  copal_wr_span(until, key);
  copal_wr_u8(until, 0);
  return (key.ptr[key.len - 1] & 1) != 0;
}

static void a_view_is_not_gone_through_without_end(void **state)
{
  (void)state;
  uint8_t out[64];
  linkindex *x = linkindex_open();
  linkindex_view every_second = {.shows = shows_every_second, .until_max = 16};
  linkindex_slice slice;
  for (int i = 0; i <= LINKINDEX_STRETCH_MAX; i++) {
    char key[16];
    char link[64];
    snprintf(key, sizeof key, "/%05d", i);
    snprintf(link, sizeof link, "<%s>;n=v", key);
    assert_int_equal(linkindex_put(x, copal_span_str(key), copal_span_str(link)), COPAL_OK);
  }
  const linkindex_filter narrow = linkindex_filter_of(copal_span_str("href=/000*"));
  const linkindex_filter by_value = linkindex_filter_of(copal_span_str("n=v"));
  const struct {
    const linkindex_filter *filter;
    int err;
  } asks[] = {{NULL, COPAL_ETOOBIG}, {&by_value, COPAL_ETOOBIG}, {&narrow, COPAL_OK}};
  for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++)
    assert_int_equal(linkindex_read(x, asks[i].filter, asks[i].filter != NULL, &every_second, 1000,
                                    0, (copal_mspan){out, sizeof out}, &slice),
                     asks[i].err);
  linkindex_close(x);
}

static void rfc6690_2_unparsed_queries_are_bounded(void **state)
{
  (void)state;
  assert_listing("", SELF);
  assert_listing("=", "");
  assert_listing("*", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc6690_4_listing_follows_the_store),
      TEST(rfc6690_3_3_sz_of_large_bodies_only),
      TEST(rfc7641_6_obs_is_listed_when_configured),
      TEST(rfc6690_4_index_is_filled_from_the_store),
      TEST(rfc6690_4_1_filters),
      TEST(rfc7959_2_4_further_blocks_of_a_merged_listing_look_at_no_link),
      TEST(listings_that_are_kept_do_not_stand_for_each_other),
      TEST(a_view_hides_links_at_any_offset_and_under_filters),
      TEST(rfc7959_2_4_further_blocks_of_a_view_with_a_name_look_at_no_link),
      TEST(what_is_kept_of_listings_is_bounded),
      TEST(a_view_of_a_range_of_paths_is_cut_at_its_ends),
      TEST(a_view_is_not_gone_through_without_end),
      TEST(rfc6690_4_1_each_link_stands_once),
      TEST(rfc6690_2_escaped_values_match_unescaped),
      TEST(rfc6690_2_each_of_many_values_is_found),
      TEST(several_filters_must_all_pass),
      TEST(several_broad_filters_are_4_00_and_broad_prefixes_repeat),
      TEST(rfc6690_4_1_groups_get_no_empty_answer),
      TEST(rfc7252_5_10_1_nothing_is_below_the_listing),
      TEST(rfc3986_4_2_no_path_is_listed_as_another_host),
      TEST(rfc7252_5_8_other_methods_are_4_05),
      TEST(rfc7252_5_10_4_accept_is_40_or_4_06),
      TEST(rfc7252_5_10_6_etag_changes_with_the_listing),
      TEST(rfc7959_2_4_blocks_make_the_whole_listing),
      TEST(linkindex_slices_of_ranges_are_consistent),
      TEST(rfc6690_2_unparsed_queries_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
