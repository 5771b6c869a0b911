/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of keys from a command: nobody is held up, and everything is bounded. RFC 4279. */
#include "policy/lookup/lookup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "copal/error.h"

enum { IDENTITIES = 64, TIMEOUT_MS = 60000, SHORT_MS = 300 };

static char dir[] = "/tmp/lookup_XXXXXX";
static char script[64], noted[64], gate[64];
static identities *all;

/* A handshake that waits. */
typedef struct handshake {
  dtls_psk_wait wait; /* first */
  pthread_mutex_t lock;
  pthread_cond_t has_come;
  unsigned answers;
} handshake;

static void on_answer(dtls_psk_wait *w)
{
  handshake *h = (handshake *)w;
  pthread_mutex_lock(&h->lock);
  h->answers++;
  pthread_cond_signal(&h->has_come);
  pthread_mutex_unlock(&h->lock);
}

static void init(handshake *h)
{
  *h = (handshake){.wait = {.on_answer = on_answer}};
  pthread_mutex_init(&h->lock, NULL);
  pthread_cond_init(&h->has_come, NULL);
}

static void await(handshake *h)
{
  pthread_mutex_lock(&h->lock);
  while (h->answers == 0)
    pthread_cond_wait(&h->has_come, &h->lock);
  pthread_mutex_unlock(&h->lock);
}

/* What the program notes of its questions, and how it answers. */
static void write_script(const char *body)
{
  FILE *out = fopen(script, "w");
  assert_non_null(out);
  fprintf(out, "#!/bin/sh\nread -r q\necho \"$q $*\" >> %s\n%s\n", noted, body);
  fclose(out);
  chmod(script, 0700);
  unlink(noted);
}

static unsigned questions(void)
{
  unsigned lines = 0;
  FILE *in = fopen(noted, "r");
  for (int c; in != NULL && (c = fgetc(in)) != EOF;)
    lines += c == '\n';
  if (in != NULL)
    fclose(in);
  return lines;
}

static const char *args[] = {script, "--id={hex}", "-"};

static lookup_cfg cfg_of(void)
{
  return (lookup_cfg){.command = args,
                      .command_count = 3,
                      .timeout_ms = TIMEOUT_MS,
                      .ttl_s = 100,
                      .negative_ttl_s = 100,
                      .cache = 8,
                      .concurrency = 2,
                      .queue = 4,
                      .all = all};
}

static lookup *open_with(const lookup_cfg *cfg)
{
  lookup *l = NULL;
  char why[LOOKUP_WHY_SIZE];
  if (lookup_open(cfg, &l, why) != COPAL_OK)
    fail_msg("%s", why);
  return l;
}

static int find(lookup *l, const char *id, handshake *h, dtls_psks *keys)
{
  dtls_credentials *c = lookup_credentials(l);
  return c->psk_find(c, copal_span_str(id), h != NULL ? &h->wait : NULL, keys);
}

/* Finds them, waiting if need be. */
static int fetch(lookup *l, const char *id, dtls_psks *keys)
{
  handshake h;
  init(&h);
  const int rc = find(l, id, &h, keys);
  if (rc != COPAL_EPENDING)
    return rc;
  await(&h);
  return find(l, id, NULL, keys);
}

static int vouch(lookup *l, const char *id, bool is_resumed, identity_ref *who)
{
  const gnutls_datum_t datum = {(unsigned char *)(uintptr_t)id, (unsigned)strlen(id)};
  const dtls_claim claim = {
      .kind = DTLS_CLAIM_PSK, .count = 1, .items = &datum, .is_resumed = is_resumed};
  dtls_credentials *c = lookup_credentials(l);
  return c->vouch(c, &claim, who);
}

/* ------------------------------------------------------------------------------------------------
 */

static void key_is_asked_for_once_and_kept(void **state)
{
  (void)state;
  dtls_psks keys;
  identity_ref who;
  write_script("echo '{\"keys\":[\"0102\",\"03\"],\"name\":\"lamp\",\"groups\":[\"x\"]}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(fetch(l, "-dev \"1", &keys), COPAL_OK);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.keys[0].bytes, "\x01\x02", 2);
  }
  assert_int_equal(vouch(l, "-dev \"1", false, &who), COPAL_OK);
  assert_true(copal_span_is_equal(identity_of(all, who)->name, copal_span_str("lamp")));
  assert_true(copal_span_is_equal(identity_of(all, who)->groups, copal_span_str("x")));
  lookup_credentials(l)->release(lookup_credentials(l), who);
  char line[256] = "";
  FILE *in = fopen(noted, "r");
  assert_non_null(fgets(line, sizeof line, in));
  fclose(in);
  assert_string_equal(line, "{\"kind\":\"psk\",\"identity\":\"-dev \\\"1\",\"identity_hex\":"
                            "\"2d646576202231\"} --id=2d646576202231 -\n");
  assert_int_equal(questions(), 1);
  const lookup_stats s = lookup_stats_now(l);
  assert_int_equal(s.asked, 1);
  assert_int_equal(s.found, 1);
  assert_int_equal(s.hits, 3);
  assert_int_equal(s.waits, 1);
  assert_int_equal(s.known, 1);
  lookup_close(l);
}

static void nobody_is_remembered_as_well(void **state)
{
  (void)state;
  dtls_psks keys;
  identity_ref who;
  write_script("echo '{}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_ENOTFOUND);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_ENOTFOUND);
  assert_int_equal(vouch(l, "dev", false, &who), COPAL_ENOTFOUND);
  assert_int_equal(questions(), 1);
  assert_int_equal(lookup_stats_now(l).unknown, 1);
  lookup_close(l);
}

static void many_wait_for_one_answer(void **state)
{
  enum { WAITERS = 20 };
  (void)state;
  handshake h[WAITERS];
  dtls_psks keys;
  write_script("while [ ! -e $(dirname $0)/gate ]; do sleep 0.05; done; echo '{\"key\":\"01\"}'");
  unlink(gate);
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  for (int i = 0; i < WAITERS; i++) {
    init(&h[i]);
    assert_int_equal(find(l, "dev", &h[i], &keys), COPAL_EPENDING);
  }
  dtls_credentials *c = lookup_credentials(l);
  c->psk_cancel(c, &h[3].wait);
  c->psk_cancel(c, &h[0].wait);
  c->psk_cancel(c, &h[WAITERS - 1].wait);
  c->psk_cancel(c, &h[3].wait); /* once more: harmless */
  fclose(fopen(gate, "w"));
  for (int i = 1; i < WAITERS - 1; i++)
    if (i != 3)
      await(&h[i]);
  assert_int_equal(h[3].answers + h[0].answers + h[WAITERS - 1].answers, 0);
  assert_int_equal(find(l, "dev", NULL, &keys), COPAL_OK);
  assert_int_equal(questions(), 1);
  lookup_close(l);
}

static void too_many_questions_are_refused(void **state)
{
  (void)state;
  handshake h[8];
  dtls_psks keys;
  char id[16];
  unsigned pending = 0, refused = 0;
  write_script("while [ ! -e $(dirname $0)/gate ]; do sleep 0.05; done; echo '{}'");
  unlink(gate);
  lookup_cfg cfg = cfg_of();
  cfg.concurrency = 1;
  cfg.queue = 2;
  lookup *l = open_with(&cfg);
  for (int i = 0; i < 8; i++) {
    init(&h[i]);
    snprintf(id, sizeof id, "dev-%d", i);
    const int rc = find(l, id, &h[i], &keys);
    pending += rc == COPAL_EPENDING;
    refused += rc == COPAL_ENOSLOT;
  }
  assert_true(pending >= 2 && pending <= 3);
  assert_int_equal(pending + refused, 8);
  assert_int_equal(lookup_stats_now(l).overflown, refused);
  fclose(fopen(gate, "w"));
  await(&h[0]);
  lookup_close(l);
}

static void assert_fails(const char *body, uint32_t timeout_ms, bool is_timeout)
{
  dtls_psks keys;
  write_script(body);
  lookup_cfg cfg = cfg_of();
  cfg.timeout_ms = timeout_ms;
  lookup *l = open_with(&cfg);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_ENOTFOUND);
  const lookup_stats s = lookup_stats_now(l);
  assert_int_equal(s.failed, 1);
  assert_int_equal(s.unknown, 0);
  assert_int_equal(s.timed_out, is_timeout);
  lookup_close(l);
}

static void programs_that_fail(void **state)
{
  (void)state;
  assert_fails("echo rubbish", TIMEOUT_MS, false);
  assert_fails("echo '{\"key\":\"01\"}'; exit 1", TIMEOUT_MS, false);
  assert_fails("kill -9 $$", TIMEOUT_MS, false);
  assert_fails("exec >&-; sleep 60", SHORT_MS, true);
  assert_fails("sleep 60", SHORT_MS, true);
  assert_fails("sleep 60 & echo '{\"key\":\"01\"}'", SHORT_MS, true); /* who holds the pipe */
  assert_fails("head -c 100000 /dev/zero", TIMEOUT_MS, false);
}

/* As the process that started us may have left it: the system forgets how a program ended. */
static void programs_answer_while_sigchld_is_ignored(void **state)
{
  const lookup_cfg cfg = cfg_of();
  dtls_psks keys;
  identity_ref who;
  (void)state;
  write_script("echo '{\"key\":\"0102\"}'");
  signal(SIGCHLD, SIG_IGN);
  lookup *l = open_with(&cfg);
  assert_int_equal(fetch(l, "dev-1", &keys), COPAL_OK);
  assert_int_equal(keys.count, 1);
  assert_int_equal(vouch(l, "dev-1", false, &who), COPAL_OK);
  signal(SIGCHLD, SIG_DFL);
  identity_release(all, who);
  lookup_close(l);
}

static void who_was_looked_up_stays_through_a_reload(void **state)
{
  const lookup_cfg cfg = cfg_of();
  dtls_psks keys;
  identity_ref who, now = 0, other;
  (void)state;
  write_script("echo '{\"key\":\"0102\"}'");
  lookup *l = open_with(&cfg);
  dtls_credentials *c = lookup_credentials(l);
  assert_int_equal(fetch(l, "dev-1", &keys), COPAL_OK);
  assert_int_equal(vouch(l, "dev-1", false, &who), COPAL_OK);
  const unsigned asked = questions();
  lookup_flush(l);
  assert_int_equal(c->readmit(c, who, &now), COPAL_OK);
  assert_int_equal(now, who);
  assert_int_equal(questions(), asked);
  const identity of_a_file = {
      .kind = IDENTITY_PSK, .name = copal_span_str("dev-1"), .proof = copal_span_str("P")};
  assert_int_equal(identity_hold_as(all, &of_a_file, &other), COPAL_OK);
  assert_int_equal(c->readmit(c, other, &now), COPAL_ENOTFOUND); /* there is no file any more */
  identity_release(all, who);
  identity_release(all, other);
  lookup_close(l);
}

static void unreadable_identities_are_not_asked_for(void **state)
{
  (void)state;
  dtls_psks keys;
  handshake h;
  write_script("echo '{\"key\":\"01\"}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  init(&h);
  assert_int_equal(find(l, "a\nb", &h, &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(l, "\xff", &h, &keys), COPAL_ENOTFOUND);
  assert_int_equal(find(l, "", &h, &keys), COPAL_ENOTFOUND);
  assert_int_equal(lookup_stats_now(l).malformed, 3);
  assert_int_equal(lookup_stats_now(l).asked, 0);
  lookup_close(l);
}

static void answers_hold_for_their_time_and_until_a_flush(void **state)
{
  static const struct timespec two_seconds = {.tv_sec = 2};
  (void)state;
  dtls_psks keys;
  write_script("echo '{\"key\":\"01\",\"ttl\":1}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_OK);
  nanosleep(&two_seconds, NULL);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_OK);
  assert_int_equal(questions(), 2);
  lookup_flush(l);
  assert_int_equal(lookup_stats_now(l).known, 0);
  assert_int_equal(fetch(l, "dev", &keys), COPAL_OK);
  assert_int_equal(questions(), 3);
  lookup_close(l);
}

static void failures_fall_back_to_what_was_known(void **state)
{
  static const struct timespec two_seconds = {.tv_sec = 2};
  (void)state;
  dtls_psks keys;
  lookup_cfg cfg = cfg_of();
  cfg.ttl_s = 1;
  cfg.negative_ttl_s = 1;
  for (int fallback_s = 0; fallback_s <= 60; fallback_s += 60) {
    write_script("echo '{\"key\":\"01\"}'");
    cfg.fallback_s = (uint32_t)fallback_s;
    lookup *l = open_with(&cfg);
    assert_int_equal(fetch(l, "dev", &keys), COPAL_OK);
    write_script("exit 1");
    nanosleep(&two_seconds, NULL);
    assert_int_equal(fetch(l, "dev", &keys), fallback_s > 0 ? COPAL_OK : COPAL_ENOTFOUND);
    assert_int_equal(lookup_stats_now(l).fallbacks, fallback_s > 0);
    assert_int_equal(questions(), 1);
    write_script("echo '{}'"); /* it works again, and knows him no more */
    nanosleep(&two_seconds, NULL);
    assert_int_equal(fetch(l, "dev", &keys), COPAL_ENOTFOUND);
    assert_int_equal(lookup_stats_now(l).known, 0);
    lookup_close(l);
  }
}

/* Strangers fill the queue: who was known is good for as long as an answer holds when nobody can be
 * asked, and not longer. */
static void what_was_known_is_good_in_a_crowd_up_to_its_end(void **state)
{
  static const struct timespec two_seconds = {.tv_sec = 2};
  (void)state;
  dtls_psks keys;
  identity_ref who;
  lookup_cfg cfg = cfg_of();
  cfg.ttl_s = 1;
  cfg.concurrency = 1;
  cfg.queue = 1;
  for (int fallback_s = 0; fallback_s <= 60; fallback_s += 60) {
    const bool is_good = fallback_s > 0;
    handshake strangers[4];
    char id[16];
    cfg.fallback_s = (uint32_t)fallback_s;
    write_script("echo '{\"key\":\"01\"}'");
    lookup *l = open_with(&cfg);
    assert_int_equal(fetch(l, "dev", &keys), COPAL_OK);
    write_script("sleep 60");
    nanosleep(&two_seconds, NULL);
    for (int i = 0; i < 4; i++) {
      init(&strangers[i]);
      snprintf(id, sizeof id, "stranger-%d", i);
      (void)find(l, id, &strangers[i], &keys);
      while (i == 0 && questions() == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_int_equal(lookup_stats_now(l).overflown, 2);
    assert_int_equal(find(l, "dev", NULL, &keys), is_good ? COPAL_OK : COPAL_ENOSLOT);
    assert_int_equal(vouch(l, "dev", true, &who), is_good ? COPAL_OK : COPAL_ENOTFOUND);
    assert_int_equal(lookup_stats_now(l).fallbacks, is_good ? 2 : 0);
    if (is_good)
      lookup_credentials(l)->release(lookup_credentials(l), who);
    for (int i = 0; i < 4; i++)
      lookup_credentials(l)->psk_cancel(lookup_credentials(l), &strangers[i].wait);
    lookup_close(l);
  }
}

static void resumed_sessions_are_asked_about(void **state)
{
  static const struct timespec nap = {.tv_nsec = 20000000};
  (void)state;
  identity_ref who;
  write_script("echo '{\"key\":\"01\"}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  assert_int_equal(vouch(l, "dev", true, &who), COPAL_ENOTFOUND);
  while (lookup_stats_now(l).found == 0)
    nanosleep(&nap, NULL);
  assert_int_equal(vouch(l, "dev", true, &who), COPAL_OK);
  assert_true(copal_span_is_equal(identity_of(all, who)->name, copal_span_str("dev")));
  lookup_credentials(l)->release(lookup_credentials(l), who);
  lookup_close(l);
}

/* Nobody is called what the bytes of another identity are called by a file of keys. */
static void who_begins_with_a_hash_is_not_called_so(void **state)
{
  (void)state;
  dtls_psks keys;
  identity_ref who;
  write_script("echo '{\"key\":\"01\"}'");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  assert_int_equal(fetch(l, "#00ff", &keys), COPAL_OK);
  assert_int_equal(vouch(l, "#00ff", false, &who), COPAL_OK);
  assert_true(copal_span_is_equal(identity_of(all, who)->name, copal_span_str("#2330306666")));
  lookup_credentials(l)->release(lookup_credentials(l), who);
  lookup_close(l);
}

static void closing_does_not_wait_for_answers(void **state)
{
  (void)state;
  dtls_psks keys;
  handshake h;
  write_script("sleep 60");
  const lookup_cfg cfg = cfg_of();
  lookup *l = open_with(&cfg);
  init(&h);
  const time_t before = time(NULL);
  assert_int_equal(find(l, "dev", &h, &keys), COPAL_EPENDING);
  dtls_credentials *c = lookup_credentials(l);
  c->psk_cancel(c, &h.wait);
  lookup_close(l);
  assert_true(time(NULL) - before < 50);
}

/* True when a program that is started now would have a connection to this port. */
static bool would_inherit(in_port_t port)
{
  struct sockaddr_in peer;
  for (int fd = 0; fd < 1024; fd++) {
    socklen_t len = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_port == port &&
        (fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
      return true;
  }
  return false;
}

/* A connection is kept, and a live upgrade starts another program meanwhile. */
static void connections_are_not_for_other_programs(void **state)
{
  static const char reply[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  char url[64], text[2048];
  handshake h;
  dtls_psks keys;
  (void)state;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(server, 1), 0);
  assert_int_equal(getsockname(server, (struct sockaddr *)&at, &len), 0);
  snprintf(url, sizeof url, "http://127.0.0.1:%u/", (unsigned)ntohs(at.sin_port));
  lookup_cfg cfg = cfg_of();
  cfg.command_count = 0;
  cfg.url = url;
  cfg.concurrency = 1;
  lookup *l = open_with(&cfg);
  init(&h);
  assert_int_equal(find(l, "lamp", &h, &keys), COPAL_EPENDING);
  const int accepted = accept(server, NULL, NULL);
  assert_true(recv(accepted, text, sizeof text, 0) > 0);
  assert_false(would_inherit(at.sin_port));
  assert_int_equal(send(accepted, reply, sizeof reply - 1, 0), sizeof reply - 1);
  await(&h);
  assert_int_equal(find(l, "lamp", NULL, &keys), COPAL_ENOTFOUND);
  lookup_close(l);
  close(accepted);
  close(server);
}

static void refuse(const lookup_cfg *cfg, const char *reason)
{
  lookup *l = NULL;
  char why[LOOKUP_WHY_SIZE] = "";
  assert_int_equal(lookup_open(cfg, &l, why), COPAL_EINVAL);
  assert_non_null(strstr(why, reason));
}

static void what_cannot_be_asked_is_refused_at_the_start(void **state)
{
  static const char *relative[] = {"sh"}, *missing[] = {"/nonexistent"};
  (void)state;
  lookup_cfg cfg = cfg_of();
  cfg.url = "http://127.0.0.1/";
  refuse(&cfg, "one of them");
  cfg.command_count = 0;
  cfg.url = "file:///etc/passwd";
  refuse(&cfg, "not an http or https URL");
  cfg.url = "https://me:secret@127.0.0.1/";
  refuse(&cfg, "a password is not for the URL");
  cfg.url = "https://127.0.0.1/";
  cfg.token_file = "/nonexistent";
  refuse(&cfg, "/nonexistent");
  FILE *out = fopen(gate, "w");
  fputs("secret\n", out);
  fclose(out);
  chmod(gate, 0644);
  cfg.token_file = gate;
  refuse(&cfg, "others may read it");
  cfg = cfg_of();
  cfg.command_count = 1;
  cfg.command = relative;
  refuse(&cfg, "absolute name");
  cfg.command = missing;
  refuse(&cfg, "no program");
}

/* ------------------------------------------------------------------------------------------------
 */

static int set_up(void **state)
{
  (void)state;
  all = identities_open(IDENTITIES);
  if (mkdtemp(dir) == NULL || all == NULL)
    return 1;
  snprintf(script, sizeof script, "%s/script", dir);
  snprintf(noted, sizeof noted, "%s/noted", dir);
  snprintf(gate, sizeof gate, "%s/gate", dir);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  identities_close(all);
  unlink(script);
  unlink(noted);
  unlink(gate);
  return rmdir(dir);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(key_is_asked_for_once_and_kept),
      cmocka_unit_test(nobody_is_remembered_as_well),
      cmocka_unit_test(many_wait_for_one_answer),
      cmocka_unit_test(too_many_questions_are_refused),
      cmocka_unit_test(programs_that_fail),
      cmocka_unit_test(programs_answer_while_sigchld_is_ignored),
      cmocka_unit_test(who_was_looked_up_stays_through_a_reload),
      cmocka_unit_test(unreadable_identities_are_not_asked_for),
      cmocka_unit_test(answers_hold_for_their_time_and_until_a_flush),
      cmocka_unit_test(failures_fall_back_to_what_was_known),
      cmocka_unit_test(what_was_known_is_good_in_a_crowd_up_to_its_end),
      cmocka_unit_test(resumed_sessions_are_asked_about),
      cmocka_unit_test(who_begins_with_a_hash_is_not_called_so),
      cmocka_unit_test(closing_does_not_wait_for_answers),
      cmocka_unit_test(connections_are_not_for_other_programs),
      cmocka_unit_test(what_cannot_be_asked_is_refused_at_the_start),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
