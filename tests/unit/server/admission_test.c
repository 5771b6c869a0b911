/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in, through the whole pipeline: access rules, limits, and what the log says of it. RFC
 * 7252 sections 5.9.2.2, 5.9.2.4 and 8.2, RFC 7641 section 4.1, RFC 8516. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copal/msg.h"
#include "copal/registry.h"
#include "server/entropy.h"
#include "server/pipeline.h"
#include "transport/mem.h"

enum { SECURE_PORT = 2, PLAIN_PORT = 3, CODE_NONE = 0 };

static const char *const rules_text = "allow psk:dev-* GET,PUT,OBSERVE /devices/{identity}/**\n"
                                      "allow anyone GET /public/**\n"
                                      "allow psk:dev-* POST /forms over oscore\n"
                                      "default deny\n";

/* A service that is observed. */
typedef struct probe {
  service face; /* first */
  copal_subject subject;
  char key[64];
  char who[64];
  bool has_wanted;
  int calls;
  copal_xref deferred;
  bool defers;
  handler_note *note;
} probe;

typedef struct scene {
  admission_sessions sessions; /* first */
  mem_hub *hub;
  entropy entropy;
  pipeline pipeline;
  router router;
  conf conf;
  probe probe;
  identities *people;
  identity_ref session; /* who is behind session 1 */
  logger log;
  copal_time now;
  int log_fds[2];
  void *memory;
  uint16_t mid;
  copal_msg answer;
  mem_slot slot;
} scene;

static int render(copal_subject *subject, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)subject, (void)ep, (void)now;
  *r = (copal_response){.code = COPAL_CODE_CONTENT};
  return COPAL_OK;
}

static int probe_on_request(service *face, const handler_req *req)
{
  probe *p = (probe *)face;
  const copal_code method = req->coap->msg->code;
  p->calls++;
  p->has_wanted = req->coap->wants_observe;
  p->note = req->note;
  snprintf(p->key, sizeof p->key, "%.*s", (int)req->key.len, (const char *)req->key.ptr);
  snprintf(p->who, sizeof p->who, "%s:%.*s", identity_kind_name(req->who->kind),
           (int)req->who->name.len, (const char *)req->who->name.ptr);
  p->subject.key = copal_span_str(p->key);
  if (req->coap->wants_observe)
    assert_int_equal(copal_ep_observe(req->env->ep, &p->subject), COPAL_OK);
  if (p->defers)
    return copal_ep_defer(req->env->ep, &p->deferred) == COPAL_OK ? COPAL_EPENDING : COPAL_ENOSLOT;
  const copal_response r = {.code =
                                method == COPAL_CODE_GET ? COPAL_CODE_CONTENT : COPAL_CODE_CHANGED};
  if (req->note != NULL)
    req->note->on_answer(req->note, r.code);
  return copal_ep_respond(req->env->ep, &r, req->now);
}

static identity_ref identity_behind(admission_sessions *hook, const copal_path *path)
{
  return path->session == 1 ? ((scene *)hook)->session : 0;
}

static copal_addr addr_of(uint16_t port)
{
  return (copal_addr){.ip = {[15] = 1}, .port = port};
}

static void load_rules(scene *s, const char *text)
{
  mistakes m = {.count = 0};
  access_release(s->conf.rules);
  assert_int_equal(access_parse(copal_span_str(text), "rules", &s->conf.rules, &m), COPAL_OK);
}

static void open_endpoint(scene *s)
{
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = mem_sink(s->hub, 0);
  cfg.entropy = &s->entropy.hook;
  cfg.server = &s->pipeline.hook;
  cfg.dedup_count = 256;
  cfg.dedup_per_peer = 256;
  const size_t size = copal_ep_size(&cfg);
  s->memory = malloc(size);
  assert_int_equal(copal_ep_init((copal_mspan){s->memory, size}, &cfg, &s->pipeline.env.ep, s->now),
                   COPAL_OK);
}

static scene *open_scene(const rate_cfg *limits, audit_mode mode)
{
  scene *s = calloc(1, sizeof *s);
  s->now = 1000 * COPAL_SECOND;
  s->sessions.identity = identity_behind;
  s->probe = (probe){.face = {.name = "probe", .on_request = probe_on_request},
                     .subject = {.render = render}};
  entropy_init(&s->entropy);
  router_init(&s->router);
  assert_int_equal(router_mount_at(&s->router, "/", &s->probe.face), COPAL_OK);
  conf_init(&s->conf);
  load_rules(s, rules_text);
  if (limits != NULL)
    s->conf.rate = *limits;
  s->conf.audit = mode;
  s->people = identities_open(8);
  assert_int_equal(identity_hold(s->people, IDENTITY_PSK, copal_span_str("dev-1"), &s->session), 0);
  const copal_addr addrs[] = {addr_of(1), addr_of(SECURE_PORT), addr_of(PLAIN_PORT)};
  assert_int_equal(mem_open(&(mem_cfg){0}, &s->hub), COPAL_OK);
  for (int i = 0; i < 3; i++)
    assert_int_equal(mem_attach(s->hub, &addrs[i]), i);
  assert_int_equal(pipeline_init(&s->pipeline, &s->conf, &s->router, NULL, &s->entropy.hook),
                   COPAL_OK);
  assert_int_equal(pipe(s->log_fds), 0);
  log_init(&s->log, s->log_fds[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
  s->pipeline.admission.people = s->people;
  s->pipeline.admission.sessions = &s->sessions;
  s->pipeline.admission.audit.log = &s->log;
  s->pipeline.admission.audit.clock = &s->now;
  open_endpoint(s);
  return s;
}

static void close_scene(scene *s)
{
  copal_ep_wipe(s->pipeline.env.ep, s->now);
  pipeline_wipe(&s->pipeline);
  conf_wipe(&s->conf);
  identities_close(s->people);
  mem_close(s->hub);
  close(s->log_fds[0]);
  close(s->log_fds[1]);
  free(s->memory);
  free(s);
}

/* Takes the next datagram sent; its code, or CODE_NONE when there is none. */
static copal_code next(scene *s)
{
  if (mem_recv(s->hub, &s->slot) < 0)
    return CODE_NONE;
  assert_int_equal(copal_msg_parse(copal_span_of(s->slot.bytes.ptr, s->slot.bytes.len), &s->answer),
                   COPAL_OK);
  return s->answer.code;
}

static copal_path secure_path(void)
{
  return (copal_path){.remote = addr_of(SECURE_PORT), .session = 1, .flags = COPAL_PATH_SECURE};
}

static copal_path plain_path(void)
{
  return (copal_path){.remote = addr_of(PLAIN_PORT)};
}

/* Sends a request for /`first`/`second`; the code of the answer. */
static copal_code ask(scene *s, const copal_path *path, copal_code method, const char *first,
                      const char *second, bool wants_observe)
{
  uint8_t out[256];
  copal_opt opts[3];
  size_t count = 0;
  if (wants_observe)
    opts[count++] = (copal_opt){COPAL_OPT_OBSERVE, copal_span_none()};
  opts[count++] = (copal_opt){COPAL_OPT_URI_PATH, copal_span_str(first)};
  if (second != NULL)
    opts[count++] = (copal_opt){COPAL_OPT_URI_PATH, copal_span_str(second)};
  copal_wr w = copal_wr_init((copal_mspan){out, sizeof out});
  const bool is_group = (path->flags & COPAL_PATH_GROUP) != 0;
  const copal_msg request = {
      .type = is_group ? COPAL_NON : COPAL_CON, .code = method, .mid = ++s->mid};
  assert_int_equal(copal_msg_write(&w, &request, opts, count), COPAL_OK);
  assert_int_equal(copal_ep_input(s->pipeline.env.ep, path, (copal_mspan){out, w.len}, s->now),
                   COPAL_OK);
  return next(s);
}

static copal_code secure(scene *s, copal_code method, const char *first, const char *second)
{
  const copal_path path = secure_path();
  return ask(s, &path, method, first, second, false);
}

static copal_code plain(scene *s, copal_code method, const char *first, const char *second)
{
  const copal_path path = plain_path();
  return ask(s, &path, method, first, second, false);
}

static const char *logged(scene *s)
{
  static char text[8192];
  assert_true(write(s->log_fds[1], "\n", 1) == 1);
  const ssize_t n = read(s->log_fds[0], text, sizeof text - 1);
  assert_true(n > 0);
  text[n] = '\0';
  return text;
}

static bool has_option(const scene *s, uint16_t number, uint32_t *value)
{
  copal_span span;
  return copal_opt_find(s->answer.options, number, &span) && copal_opt_uint(span, value) == 0;
}

static void rfc7252_5_9_2_2_who_is_not_authenticated_gets_unauthorized(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  assert_int_equal(plain(s, COPAL_CODE_GET, "devices", "dev-1"), COPAL_CODE_UNAUTHORIZED);
  assert_true(s->answer.payload.len > 0);
  assert_int_equal(plain(s, COPAL_CODE_PUT, "public", NULL), COPAL_CODE_UNAUTHORIZED);
  assert_int_equal(s->probe.calls, 0);
  assert_int_equal(plain(s, COPAL_CODE_GET, "public", "a"), COPAL_CODE_CONTENT);
  assert_string_equal(s->probe.who, "anonymous:");
  assert_int_equal(admission_stats_now(&s->pipeline.admission).unauthorized, 2);
  close_scene(s);
}

static void rfc7252_5_9_2_4_who_may_not_gets_forbidden(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  assert_int_equal(secure(s, COPAL_CODE_PUT, "devices", "dev-2"), COPAL_CODE_FORBIDDEN);
  assert_int_equal(secure(s, COPAL_CODE_DELETE, "devices", "dev-1"), COPAL_CODE_FORBIDDEN);
  assert_int_equal(secure(s, COPAL_CODE_POST, "forms", NULL), COPAL_CODE_FORBIDDEN);
  assert_int_equal(s->probe.calls, 0);
  assert_int_equal(secure(s, COPAL_CODE_PUT, "devices", "dev-1"), COPAL_CODE_CHANGED);
  assert_string_equal(s->probe.who, "psk:dev-1");
  assert_int_equal(admission_stats_now(&s->pipeline.admission).forbidden, 3);
  close_scene(s);
}

static void a_refusal_comes_before_what_exists_is_told(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  router_init(&s->router);
  assert_int_equal(plain(s, COPAL_CODE_GET, "nowhere", NULL), COPAL_CODE_UNAUTHORIZED);
  assert_int_equal(plain(s, COPAL_CODE_GET, "public", NULL), COPAL_CODE_NOT_FOUND);
  close_scene(s);
}

static void rfc7252_8_2_a_group_hears_nothing_of_refusals(void **state)
{
  (void)state;
  const rate_cfg limits = {.address = {1, 2}, .prefix = {0, 1}, .silent_after = 100};
  scene *s = open_scene(&limits, AUDIT_OFF);
  copal_path path = plain_path();
  path.flags = COPAL_PATH_GROUP;
  for (int i = 0; i < 3; i++)
    assert_int_equal(ask(s, &path, COPAL_CODE_GET, "devices", NULL, false), CODE_NONE);
  copal_ep_expire(s->pipeline.env.ep, s->now + 60 * COPAL_SECOND);
  assert_int_equal(next(s), CODE_NONE);
  assert_int_equal(admission_stats_now(&s->pipeline.admission).group_refused, 3);
  close_scene(s);
}

static void rfc7641_4_1_who_may_not_observe_is_answered_once(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  const copal_path path = plain_path();
  uint32_t observe;
  assert_int_equal(ask(s, &path, COPAL_CODE_GET, "public", NULL, true), COPAL_CODE_CONTENT);
  assert_false(s->probe.has_wanted);
  assert_false(has_option(s, COPAL_OPT_OBSERVE, &observe));
  assert_int_equal(copal_ep_usage(s->pipeline.env.ep).relations, 0);
  assert_int_equal(admission_stats_now(&s->pipeline.admission).observe_denied, 1);
  close_scene(s);
}

static void reload(scene *s, const char *text)
{
  load_rules(s, text);
  const admission_cfg cfg = conf_admission(&s->conf);
  pipeline_reload(&s->pipeline, &s->pipeline.limits, (conf_strings){NULL, 0}, &cfg, s->now);
}

static void rfc7641_4_2_a_reload_that_takes_the_right_ends_the_relation(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  const copal_path path = secure_path();
  uint32_t observe;
  assert_int_equal(ask(s, &path, COPAL_CODE_GET, "devices", "dev-1", true), COPAL_CODE_CONTENT);
  assert_true(has_option(s, COPAL_OPT_OBSERVE, &observe));
  reload(s, rules_text);
  assert_int_equal(next(s), CODE_NONE);
  reload(s, "allow anyone GET /**\ndefault deny\n"); /* no right to observe */
  assert_int_equal(next(s), COPAL_CODE_FORBIDDEN);
  assert_false(has_option(s, COPAL_OPT_OBSERVE, &observe));
  assert_int_equal(s->answer.type, COPAL_CON); /* and goes on until it is acknowledged */
  uint8_t ack[] = {0x60, 0, (uint8_t)(s->answer.mid >> 8), (uint8_t)s->answer.mid};
  assert_int_equal(
      copal_ep_input(s->pipeline.env.ep, &path, (copal_mspan){ack, sizeof ack}, s->now), COPAL_OK);
  assert_int_equal(copal_ep_usage(s->pipeline.env.ep).relations, 0);
  assert_int_equal(secure(s, COPAL_CODE_GET, "devices", "dev-2"), COPAL_CODE_CONTENT);
  assert_int_equal(admission_stats_now(&s->pipeline.admission).observe_ended, 1);
  close_scene(s);
}

static void without_rules_everything_is_allowed(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_OFF);
  access_release(s->conf.rules);
  s->conf.rules = NULL;
  const admission_cfg cfg = conf_admission(&s->conf);
  pipeline_reload(&s->pipeline, &s->pipeline.limits, (conf_strings){NULL, 0}, &cfg, s->now);
  assert_int_equal(plain(s, COPAL_CODE_DELETE, "devices", NULL), COPAL_CODE_CHANGED);
  close_scene(s);
}

static void rfc8516_3_too_many_requests_say_how_long_to_wait(void **state)
{
  (void)state;
  const rate_cfg limits = {.address = {1, 2}, .prefix = {0, 1}, .silent_after = 3};
  scene *s = open_scene(&limits, AUDIT_OFF);
  const copal_path path = plain_path();
  uint32_t max_age = 0;
  for (int i = 0; i < 2; i++)
    assert_int_equal(plain(s, COPAL_CODE_GET, "public", NULL), COPAL_CODE_CONTENT);
  for (int i = 0; i < 3; i++) {
    assert_false(admission_is_silent(&s->pipeline.admission, &path, s->now));
    assert_int_equal(plain(s, COPAL_CODE_GET, "public", NULL), COPAL_CODE_TOO_MANY_REQUESTS);
    assert_true(has_option(s, COPAL_OPT_MAX_AGE, &max_age));
    assert_int_equal(max_age, 1);
  }
  assert_true(admission_is_silent(&s->pipeline.admission, &path, s->now));
  assert_int_equal(secure(s, COPAL_CODE_GET, "public", NULL), COPAL_CODE_CONTENT);
  s->now += COPAL_SECOND;
  assert_int_equal(plain(s, COPAL_CODE_GET, "public", NULL), COPAL_CODE_CONTENT);
  const admission_stats stats = admission_stats_now(&s->pipeline.admission);
  assert_int_equal(stats.rate.addresses, 3);
  assert_int_equal(stats.rate.silenced, 1);
  close_scene(s);
}

static void audit_tells_refusals_and_no_changes(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_REFUSALS);
  plain(s, COPAL_CODE_PUT, "devices", "dev-1");
  secure(s, COPAL_CODE_PUT, "devices", "a b");
  secure(s, COPAL_CODE_PUT, "devices", "dev-1");
  const char *text = logged(s);
  assert_non_null(strstr(text, "access_refused who=anonymous peer="));
  assert_non_null(strstr(text, " method=PUT path=/devices/dev-1 code=4.01 rule=4"));
  assert_non_null(strstr(text, "who=psk:dev-1 "));
  assert_non_null(strstr(text, "path=/devices/a%20b code=4.03 rule=4"));
  assert_null(strstr(text, "changed"));
  close_scene(s);
}

static void audit_tells_changes_when_they_are_answered(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_CHANGES);
  secure(s, COPAL_CODE_GET, "devices", "dev-1");
  assert_null(s->probe.note);
  s->probe.defers = true;
  assert_int_equal(secure(s, COPAL_CODE_PUT, "devices", "dev-1"), CODE_NONE);
  assert_non_null(s->probe.note);
  assert_null(strstr(logged(s), "changed"));
  s->probe.note->on_answer(s->probe.note, COPAL_CODE_CREATED);
  const char *text = logged(s);
  assert_non_null(strstr(text, "changed who=psk:dev-1 peer="));
  assert_non_null(strstr(text, " method=PUT path=/devices/dev-1 code=2.01"));
  copal_ep_abandon(s->pipeline.env.ep, s->probe.deferred, s->now);
  next(s);
  close_scene(s);
}

static void audit_follows_a_bounded_number_of_changes(void **state)
{
  (void)state;
  scene *s = open_scene(NULL, AUDIT_CHANGES);
  const copal_path path = secure_path();
  const identity id = {.kind = IDENTITY_PSK, .name = copal_span_str("a"), .serial = 1};
  const audit_request r = {&id, &path, COPAL_CODE_PUT, copal_span_str("/a")};
  audit *a = &s->pipeline.admission.audit;
  handler_note *last = NULL;
  for (int i = 0; i < AUDIT_OPEN_MAX; i++)
    assert_non_null(last = audit_follow(a, &r));
  assert_null(audit_follow(a, &r));
  assert_int_equal(admission_stats_now(&s->pipeline.admission).audit_missed, 1);
  last->on_answer(last, COPAL_CODE_NOT_FOUND);
  assert_ptr_equal(audit_follow(a, &r), last);
  audit_forget(a, last);
  audit_forget(a, last);
  assert_ptr_equal(audit_follow(a, &r), last);
  close_scene(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_5_9_2_2_who_is_not_authenticated_gets_unauthorized),
      cmocka_unit_test(rfc7252_5_9_2_4_who_may_not_gets_forbidden),
      cmocka_unit_test(a_refusal_comes_before_what_exists_is_told),
      cmocka_unit_test(rfc7252_8_2_a_group_hears_nothing_of_refusals),
      cmocka_unit_test(rfc7641_4_1_who_may_not_observe_is_answered_once),
      cmocka_unit_test(rfc7641_4_2_a_reload_that_takes_the_right_ends_the_relation),
      cmocka_unit_test(without_rules_everything_is_allowed),
      cmocka_unit_test(rfc8516_3_too_many_requests_say_how_long_to_wait),
      cmocka_unit_test(audit_tells_refusals_and_no_changes),
      cmocka_unit_test(audit_tells_changes_when_they_are_answered),
      cmocka_unit_test(audit_follows_a_bounded_number_of_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
