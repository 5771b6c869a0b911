/* SPDX-License-Identifier: Apache-2.0 */
/* From the endpoint to a service: hosts, canonical paths, routes, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/msg.h"
#include "copal/registry.h"
#include "server/entropy.h"
#include "server/pipeline.h"
#include "transport/mem.h"

/* Remembers the last key and answers 2.05 with it. */
typedef struct probe {
  service face; /* first */
  char key[256];
  int calls;
  size_t arena_taken; /* takes this much from the arena, and 5.03 when it is refused */
} probe;

/* One server behind a hub, driven by raw datagrams from another node. */
typedef struct scene {
  mem_hub *hub;
  entropy entropy;
  pipeline pipeline;
  router router;
  conf conf;
  probe root, sub;
  void *memory;
  uint16_t mid;
} scene;

static int probe_on_request(service *face, const handler_req *req)
{
  probe *p = (probe *)face;
  p->calls++;
  snprintf(p->key, sizeof p->key, "%.*s", (int)req->key.len, (const char *)req->key.ptr);
  if (p->arena_taken > 0 && arena_take(req->arena, p->arena_taken) == NULL)
    return COPAL_ENOSLOT;
  const copal_response r = {.code = COPAL_CODE_CONTENT, .payload = req->key};
  return copal_ep_respond(req->env->ep, &r, req->now);
}

static copal_addr addr_of(uint16_t port)
{
  return (copal_addr){.ip = {[15] = 1}, .port = port};
}

static scene *open_scene(const char *name)
{
  scene *s = calloc(1, sizeof *s);
  const copal_addr server = addr_of(1), client = addr_of(2);
  s->root.face = (service){.name = "root", .on_request = probe_on_request};
  s->sub.face = (service){.name = "sub", .on_request = probe_on_request};
  entropy_init(&s->entropy);
  router_init(&s->router);
  assert_int_equal(router_mount_at(&s->router, "/a", &s->root.face), COPAL_OK);
  assert_int_equal(router_mount_at(&s->router, "/a/sub", &s->sub.face), COPAL_OK);
  conf_init(&s->conf);
  s->conf.request_memory = 4096;
  s->conf.limits.key_max = 64;
  if (name != NULL)
    assert_int_equal(conf_strings_add(&s->conf.names, name), COPAL_OK);
  assert_int_equal(mem_open(&(mem_cfg){0}, &s->hub), COPAL_OK);
  assert_int_equal(mem_attach(s->hub, &server), 0);
  assert_int_equal(mem_attach(s->hub, &client), 1);
  assert_int_equal(pipeline_init(&s->pipeline, &s->conf, &s->router, NULL, &s->entropy.hook),
                   COPAL_OK);
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = mem_sink(s->hub, 0);
  cfg.entropy = &s->entropy.hook;
  cfg.server = &s->pipeline.hook;
  const size_t size = copal_ep_size(&cfg);
  s->memory = malloc(size);
  assert_int_equal(copal_ep_init((copal_mspan){s->memory, size}, &cfg, &s->pipeline.env.ep, 0),
                   COPAL_OK);
  return s;
}

static void close_scene(scene *s)
{
  copal_ep_wipe(s->pipeline.env.ep, 0);
  pipeline_wipe(&s->pipeline);
  conf_wipe(&s->conf);
  mem_close(s->hub);
  free(s->memory);
  free(s);
}

/* Sends a GET with these options; returns the answer's code and copies its payload. */
static copal_code get(scene *s, const copal_opt *opts, size_t count, char payload[256])
{
  uint8_t out[1024];
  copal_wr w = copal_wr_init((copal_mspan){out, sizeof out});
  const copal_msg request = {.type = COPAL_CON, .code = COPAL_CODE_GET, .mid = ++s->mid};
  assert_int_equal(copal_msg_write(&w, &request, opts, count), COPAL_OK);
  const copal_path from = {.remote = addr_of(2)};
  assert_int_equal(copal_ep_input(s->pipeline.env.ep, &from, (copal_mspan){out, w.len}, 0),
                   COPAL_OK);
  mem_slot slot;
  copal_msg answer;
  assert_int_equal(mem_recv(s->hub, &slot), 1);
  assert_int_equal(copal_msg_parse(copal_span_of(slot.bytes.ptr, slot.bytes.len), &answer),
                   COPAL_OK);
  snprintf(payload, 256, "%.*s", (int)answer.payload.len, (const char *)answer.payload.ptr);
  return answer.code;
}

static copal_opt opt(uint16_t number, const char *value)
{
  return (copal_opt){number, copal_span_str(value)};
}

static void rfc7252_6_5_key_is_the_canonical_path_without_the_query(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt opts[] = {opt(COPAL_OPT_URI_PATH, "a"), opt(COPAL_OPT_URI_PATH, "b?c/d e"),
                            opt(COPAL_OPT_URI_QUERY, "q=?/"), opt(COPAL_OPT_URI_QUERY, "r")};
  assert_int_equal(get(s, opts, 4, text), COPAL_CODE_CONTENT);
  assert_string_equal(s->root.key, "/a/b%3Fc%2Fd%20e");
  assert_string_equal(text, s->root.key);
  close_scene(s);
}

static void pipeline_routes_by_the_longest_prefix(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt opts[] = {opt(COPAL_OPT_URI_PATH, "a"), opt(COPAL_OPT_URI_PATH, "sub")};
  assert_int_equal(get(s, opts, 1, text), COPAL_CODE_CONTENT);
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_CONTENT);
  assert_int_equal(s->root.calls, 1);
  assert_int_equal(s->sub.calls, 1);
  assert_int_equal(s->pipeline.stats.requests, 2);
  close_scene(s);
}

static void pipeline_without_a_route_answers_not_found(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt path = opt(COPAL_OPT_URI_PATH, "b");
  assert_int_equal(get(s, &path, 1, text), COPAL_CODE_NOT_FOUND);
  assert_int_equal(get(s, NULL, 0, text), COPAL_CODE_NOT_FOUND);
  assert_int_equal(s->pipeline.stats.no_routes, 2);
  close_scene(s);
}

static void rfc7252_6_3_names_compare_without_regard_to_case(void **state)
{
  (void)state;
  scene *s = open_scene("a.example");
  char text[256];
  copal_opt opts[] = {opt(COPAL_OPT_URI_HOST, "A.EXAMPLE"), opt(COPAL_OPT_URI_PATH, "a")};
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_CONTENT);
  assert_int_equal(get(s, opts + 1, 1, text), COPAL_CODE_CONTENT);
  opts[0] = opt(COPAL_OPT_URI_HOST, "a.example.org");
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_NOT_FOUND);
  opts[0] = opt(COPAL_OPT_URI_HOST, "a.exampl");
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_NOT_FOUND);
  assert_int_equal(s->pipeline.stats.foreign_hosts, 2);
  close_scene(s);
}

static void pipeline_without_names_serves_every_host(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt opts[] = {opt(COPAL_OPT_URI_HOST, "who.ever"), opt(COPAL_OPT_URI_PATH, "a")};
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_CONTENT);
  close_scene(s);
}

static void pipeline_reload_changes_names_and_limits(void **state)
{
  (void)state;
  scene *s = open_scene("a.example");
  char text[256];
  const copal_opt opts[] = {opt(COPAL_OPT_URI_HOST, "b.example"), opt(COPAL_OPT_URI_PATH, "a")};
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_NOT_FOUND);
  conf_strings names = {NULL, 0};
  assert_int_equal(conf_strings_add(&names, "b.example"), COPAL_OK);
  handler_limits limits = s->pipeline.limits;
  limits.key_max = 2;
  const admission_cfg admitted = conf_admission(&s->conf);
  pipeline_reload(&s->pipeline, &limits, names, &admitted, 0);
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_CONTENT);
  assert_int_equal(s->pipeline.env.limits->key_max, 2);
  close_scene(s);
}

static void pipeline_path_beyond_the_limit_is_a_bad_request(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256], segment[64];
  memset(segment, 'x', sizeof segment);
  segment[61] = '\0';
  copal_opt opts[] = {opt(COPAL_OPT_URI_PATH, "a"), opt(COPAL_OPT_URI_PATH, segment)};
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_CONTENT); /* 2 + 1 + 61 is just 64 */
  segment[61] = 'x';
  segment[62] = '\0';
  opts[1] = opt(COPAL_OPT_URI_PATH, segment);
  assert_int_equal(get(s, opts, 2, text), COPAL_CODE_BAD_REQUEST);
  assert_string_equal(text, "Path longer than 64 bytes");
  assert_int_equal(s->pipeline.stats.long_paths, 1);
  close_scene(s);
}

static void pipeline_arena_is_reset_after_every_request(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt path = opt(COPAL_OPT_URI_PATH, "a");
  s->root.arena_taken = 3000;
  for (int i = 0; i < 5; i++)
    assert_int_equal(get(s, &path, 1, text), COPAL_CODE_CONTENT);
  assert_int_equal(s->pipeline.arena.used, 0);
  s->root.arena_taken = 5000;
  assert_int_equal(get(s, &path, 1, text), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(s->pipeline.arena.used, 0);
  close_scene(s);
}

static void pipeline_without_memory_for_the_path_is_unavailable(void **state)
{
  (void)state;
  scene *s = open_scene(NULL);
  char text[256];
  const copal_opt path = opt(COPAL_OPT_URI_PATH, "a");
  s->pipeline.arena.cap = 4;
  assert_int_equal(get(s, &path, 1, text), COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_int_equal(s->pipeline.stats.no_memory, 1);
  s->pipeline.arena.cap = 4096;
  close_scene(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_6_5_key_is_the_canonical_path_without_the_query),
      cmocka_unit_test(pipeline_routes_by_the_longest_prefix),
      cmocka_unit_test(pipeline_without_a_route_answers_not_found),
      cmocka_unit_test(rfc7252_6_3_names_compare_without_regard_to_case),
      cmocka_unit_test(pipeline_without_names_serves_every_host),
      cmocka_unit_test(pipeline_reload_changes_names_and_limits),
      cmocka_unit_test(pipeline_path_beyond_the_limit_is_a_bad_request),
      cmocka_unit_test(pipeline_arena_is_reset_after_every_request),
      cmocka_unit_test(pipeline_without_memory_for_the_path_is_unavailable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
