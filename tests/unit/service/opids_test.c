/* SPDX-License-Identifier: Apache-2.0 */
/* Names of operations: what makes two requests the same one. RFC 7252 section 4.5. */
#include "service/opids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/arena.h"
#include "store/memory/memory.h"

static int on_describe(handler_ways *w, const copal_path *path, handler_way *way)
{
  (void)w;
  if (path->remote.port == 0)
    return COPAL_ENOTFOUND; /* ends with the process */
  *way = (handler_way){.who_len = sizeof path->remote};
  memcpy(way->who, &path->remote, sizeof path->remote);
  return COPAL_OK;
}

typedef struct bed {
  store *store;
  store_port *port;
  handler_ways ways;
  handler_env env;
  arena arena;
  opids *opids;
  copal_path path;
  copal_msg msg;
} bed;

static bed *b;

static int setup(void **state)
{
  (void)state;
  b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->store = memory_store_open(NULL);
  assert_int_equal(store_port_open(b->store, NULL, &b->port), COPAL_OK);
  assert_int_equal(arena_init(&b->arena, 4096), 0);
  b->ways.describe = on_describe;
  b->env = (handler_env){.store = b->port, .ways = &b->ways};
  b->opids = opids_open();
  assert_non_null(b->opids);
  b->path = (copal_path){.remote = {.ip = {[15] = 1}, .port = 5683}};
  b->msg = (copal_msg){.type = COPAL_CON,
                       .code = COPAL_CODE_POST,
                       .mid = 7,
                       .token = copal_span_str("to"),
                       .options = copal_span_str("\xb1"
                                                 "a"),
                       .payload = copal_span_str("x")};
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  opids_close(b->opids);
  arena_wipe(&b->arena);
  store_port_close(b->port);
  store_close(b->store);
  free(b);
  return 0;
}

static store_opid name_by(opids *o, const copal_msg *msg, const copal_path *path)
{
  const copal_req coap = {.msg = msg, .path = path};
  const handler_req req = {.env = &b->env, .coap = &coap, .arena = &b->arena};
  const store_opid id = opids_name(o, &req);
  arena_reset(&b->arena);
  return id;
}

static store_opid name_of(const copal_msg *msg)
{
  return name_by(b->opids, msg, &b->path);
}

static bool is_same(const store_opid *x, const store_opid *y)
{
  return memcmp(x, y, sizeof *x) == 0;
}

static bool is_none(const store_opid *x)
{
  const store_opid none = {.bytes = {0}};
  return is_same(x, &none);
}

static void rfc7252_4_5_a_request_that_comes_again_has_its_name_again(void **state)
{
  (void)state;
  opids_start(b->opids, &b->env, 0);
  const store_opid first = name_of(&b->msg), again = name_of(&b->msg);
  assert_false(is_none(&first));
  assert_true(is_same(&first, &again));
}

static void rfc7252_4_4_every_part_of_the_message_counts(void **state)
{
  (void)state;
  opids_start(b->opids, &b->env, 0);
  const store_opid first = name_of(&b->msg);
  copal_msg others[6] = {b->msg, b->msg, b->msg, b->msg, b->msg, b->msg};
  others[0].type = COPAL_NON;
  others[1].code = COPAL_CODE_PATCH;
  others[2].mid = 8;
  others[3].token = copal_span_str("t");
  others[4].options = copal_span_str("\xb1"
                                     "b");
  others[5].payload = copal_span_str("y");
  for (size_t i = 0; i < 6; i++) {
    const store_opid other = name_of(&others[i]);
    assert_false(is_same(&first, &other));
  }
  copal_path path = b->path;
  path.remote.port++;
  const store_opid other = name_by(b->opids, &b->msg, &path);
  assert_false(is_same(&first, &other));
}

/* Bytes that move from one part to the next make another message. */
static void the_parts_do_not_run_together(void **state)
{
  (void)state;
  opids_start(b->opids, &b->env, 0);
  copal_msg moved = b->msg;
  b->msg.token = copal_span_str("ab");
  b->msg.options = copal_span_str("cd");
  moved.token = copal_span_str("a");
  moved.options = copal_span_str("bcd");
  const store_opid first = name_of(&b->msg), other = name_of(&moved);
  assert_false(is_same(&first, &other));
}

/* Another process on the same store, and another store. */
static void the_key_is_kept_in_the_store(void **state)
{
  (void)state;
  opids_start(b->opids, &b->env, 0);
  const store_opid first = name_of(&b->msg);
  opids *heir = opids_open();
  opids_start(heir, &b->env, 0);
  const store_opid again = name_by(heir, &b->msg, &b->path);
  assert_true(is_same(&first, &again));
  opids_close(heir);
  store *strange = memory_store_open(NULL);
  store_port *port;
  assert_int_equal(store_port_open(strange, NULL, &port), COPAL_OK);
  b->env.store = port;
  opids *stranger = opids_open();
  opids_start(stranger, &b->env, 0);
  const store_opid other = name_by(stranger, &b->msg, &b->path);
  assert_false(is_none(&other));
  assert_false(is_same(&first, &other));
  opids_close(stranger);
  store_port_close(port);
  store_close(strange);
}

static void what_cannot_be_named_has_no_name(void **state)
{
  (void)state;
  const store_opid before = name_of(&b->msg); /* no key yet */
  assert_true(is_none(&before));
  opids_start(b->opids, &b->env, 0);
  copal_path path = b->path;
  path.remote.port = 0;
  const store_opid pathless = name_by(b->opids, &b->msg, &path);
  assert_true(is_none(&pathless));
  static uint8_t large[8192];
  b->msg.payload = copal_span_of(large, sizeof large); /* beyond the arena */
  const store_opid beyond = name_of(&b->msg);
  assert_true(is_none(&beyond));
  b->env.ways = NULL; /* nothing outlives the process */
  b->msg.payload = copal_span_str("x");
  const store_opid fleeting = name_of(&b->msg);
  assert_true(is_none(&fleeting));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_5_a_request_that_comes_again_has_its_name_again),
      TEST(rfc7252_4_4_every_part_of_the_message_counts),
      TEST(the_parts_do_not_run_together),
      TEST(the_key_is_kept_in_the_store),
      TEST(what_cannot_be_named_has_no_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
