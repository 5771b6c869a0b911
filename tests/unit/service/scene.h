/* SPDX-License-Identifier: Apache-2.0 */
/* A stage for services: a memory store, one shard, and an endpoint that records what is answered.
 * The linker puts scene.c's functions in the place of copal_ep_respond(), copal_ep_defer(),
 * copal_ep_resume() and arena_take(). */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "server/handler.h"
#include "store/memory/memory.h"

enum {
  SCENE_OPT_MAX = 80,
  SCENE_BYTES = 1 << 18,
  SCENE_ARENA = 1 << 16,
};

/* What the service said last. */
typedef struct scene_answer {
  unsigned count; /* answers to the last request */
  copal_code code;
  copal_opt opts[SCENE_OPT_MAX];
  size_t opt_count;
  copal_span payload;
  uint32_t offset, total;
  uint8_t bytes[SCENE_BYTES]; /* option values and payload */
} scene_answer;

/* A request being put together. */
typedef struct scene_ask {
  copal_code code;
  const char *key;
  copal_opt opts[SCENE_OPT_MAX];
  uint8_t uints[SCENE_OPT_MAX][4];
  copal_opt_list list;
  copal_span body;
  bool has_block1, has_block2, is_group;
  copal_block block1, block2;
} scene_ask;

typedef struct scene {
  store *store;
  service *service;
  store_port *port;
  handler_limits limits;
  handler_env env;
  store_engine late; /* of `store` */
  copal_entropy entropy;
  uint64_t entropy_state; /* bytes drawn are a count, unless frozen */
  bool entropy_frozen;
  copal_time now;
  bool defer_fails;
  /* Runs between commit and completion, to interfere. */
  void (*before_drain)(struct scene *s);
  unsigned wakes;
} scene;

extern scene_answer *answered;

/* Opens a store, a port and limits; the caller sets `service`. */
void scene_open(scene *s, const memory_store_cfg *cfg);
void scene_close(scene *s);

/* Starts a request. */
void ask_begin(scene_ask *a, copal_code code, const char *key);
void ask_opt(scene_ask *a, uint16_t number, const void *value, size_t len);
void ask_uint(scene_ask *a, uint16_t number, uint32_t value);
void ask_query(scene_ask *a, const char *argument);
void ask_body(scene_ask *a, const char *text);

/* Performs it, with all that follows from it. Returns the code of the one answer, or 0 when there
 * was none. */
copal_code scene_run(scene *s, scene_ask *a);

/* The same for a request without options but Content-Format (negative: none). */
copal_code scene_do(scene *s, copal_code code, const char *key, int format, const char *body);

/* First option of that number in the answer; fails the test when it is absent. */
copal_span answer_opt(uint16_t number);
bool answer_has(uint16_t number);
uint32_t answer_uint(uint16_t number);

#define assert_payload(text)                                                                       \
  do {                                                                                             \
    assert_int_equal(answered->payload.len, strlen(text));                                         \
    assert_memory_equal(answered->payload.ptr, text, strlen(text));                                \
  } while (0)

#endif
