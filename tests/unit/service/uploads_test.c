/* SPDX-License-Identifier: Apache-2.0 */
/* Unfinished uploads: what tells them apart, and their limits. RFC 7959 section 2.5, RFC 9175
 * section 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "server/arena.h"
#include "server/timers.h"
#include "service/ordering.h"
#include "service/uploads.h"

enum { BLOCK = 1024 };

static uploads *table;
static arena room;
static handler_limits limits = {.body_max = 1 << 20};
static handler_env env = {.limits = &limits};
static copal_time now;

/* Whose block it is. */
typedef struct who {
  uint8_t client;
  uint16_t port;
  const char *path;
  const char *tag; /* NULL: none */
  uint32_t session;
} who;

static const who plain = {1, 5683, "/a", NULL, 0};

static upload *whole;
static copal_span body;

/* Feeds block `num`, full of `fill`; the last one has `len` bytes. */
static int put(const who *w, uint32_t num, bool more, char fill, size_t len)
{
  static uint8_t payload[BLOCK];
  uint8_t bytes[32];
  copal_wr wr = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  copal_opt_wr o = copal_opt_wr_init(&wr);
  if (w->tag)
    copal_opt_put(&o, COPAL_OPT_REQUEST_TAG, copal_span_str(w->tag));
  memset(payload, fill, sizeof payload);
  const copal_msg msg = {.code = COPAL_CODE_PUT,
                         .options = copal_wr_done(&wr),
                         .payload = copal_span_of(payload, more ? BLOCK : len)};
  const copal_path path = {.remote = {.ip = {[15] = w->client}, .port = w->port},
                           .session = w->session};
  const copal_req coap = {.msg = &msg,
                          .path = &path,
                          .has_block1 = true,
                          .block1 = {.num = num, .more = more, .szx = 6}};
  const handler_req req = {
      .env = &env, .coap = &coap, .arena = &room, .key = copal_span_str(w->path), .now = now};
  const int err = uploads_take(table, &req, &whole, &body);
  arena_reset(&room);
  return err;
}

static int first(const who *w, char fill)
{
  const int err = put(w, 0, true, fill, BLOCK);
  assert_null(whole);
  return err;
}

/* Finishes an upload whose `count` blocks have come, all full of `fill`. */
static void finish(const who *w, uint32_t count, char fill)
{
  assert_int_equal(put(w, count, false, fill, 10), COPAL_OK);
  assert_non_null(whole);
  assert_int_equal(body.len, count * BLOCK + 10);
  for (size_t i = 0; i < body.len; i++)
    assert_int_equal(body.ptr[i], fill);
  upload_forget(whole);
}

static uploads_counts counts(void)
{
  return uploads_counts_now(table);
}

static void open_with(const uploads_cfg *cfg)
{
  uploads_close(table);
  table = uploads_open(cfg);
  assert_non_null(table);
}

static int setup(void **state)
{
  static const uploads_cfg defaults;
  (void)state;
  now = 1000 * (copal_time)COPAL_SECOND;
  table = NULL;
  open_with(&defaults);
  return arena_init(&room, 4096);
}

static int teardown(void **state)
{
  (void)state;
  uploads_close(table);
  arena_wipe(&room);
  return 0;
}

static void rfc7959_2_5_interleaved_clients_do_not_mix(void **state)
{
  const who others[] = {{1, 5683, "/a", NULL, 0},
                        {2, 5683, "/a", NULL, 0},
                        {1, 5684, "/a", NULL, 0},
                        {1, 5683, "/b", NULL, 0}};
  (void)state;
  for (uint32_t num = 0; num < 3; num++)
    for (size_t i = 0; i < 4; i++)
      assert_int_equal(put(&others[i], num, true, (char)('a' + i), BLOCK), COPAL_OK);
  assert_int_equal(counts().open, 4);
  assert_int_equal(counts().bytes, 12 * BLOCK);
  for (size_t i = 0; i < 4; i++)
    finish(&others[i], 3, (char)('a' + i));
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(counts().finished, 4);
}

/* Of a session an upload goes on when the address behind it changes; the same address without it
 * is somebody else. */
static void rfc9146_6_an_upload_follows_its_session(void **state)
{
  const who before = {1, 5683, "/a", NULL, 7}, after = {2, 999, "/a", NULL, 7};
  const who other = {2, 999, "/a", NULL, 8}, plaintext = {2, 999, "/a", NULL, 0};
  (void)state;
  assert_int_equal(first(&before, 'a'), COPAL_OK);
  assert_int_equal(put(&other, 1, false, 'a', 10), COPAL_EINCOMPLETE);
  assert_int_equal(put(&plaintext, 1, false, 'a', 10), COPAL_EINCOMPLETE);
  env.shard = 1; /* which has a session of that number, too */
  assert_int_equal(put(&after, 1, false, 'a', 10), COPAL_EINCOMPLETE);
  env.shard = 0;
  finish(&after, 1, 'a');
}

static void rfc9175_3_request_tags_keep_transfers_apart(void **state)
{
  const who tags[] = {{1, 5683, "/a", NULL, 0},
                      {1, 5683, "/a", "", 0},
                      {1, 5683, "/a", "x", 0},
                      {1, 5683, "/a", "xx", 0}};
  (void)state;
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(first(&tags[i], (char)('a' + i)), COPAL_OK);
  assert_int_equal(counts().open, 4);
  for (size_t i = 0; i < 4; i++)
    finish(&tags[i], 1, (char)('a' + i));
}

static void rfc7959_2_9_2_a_gap_ends_the_upload(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(put(&plain, 2, true, 'a', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(counts().broken, 2);
}

static void rfc7959_2_5_block_0_starts_over(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(first(&plain, 'b'), COPAL_OK);
  assert_int_equal(counts().open, 1);
  assert_int_equal(counts().bytes, BLOCK);
  finish(&plain, 1, 'b');
}

static void a_repeated_block_is_counted_once(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(counts().bytes, 2 * BLOCK);
  finish(&plain, 2, 'a');
}

static void rfc7959_2_5_a_block_repeated_with_other_bytes_ends_the_upload(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(first(&plain, 'b'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'b', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(put(&plain, 2, false, 'a', 10), COPAL_EINCOMPLETE);
  assert_int_equal(put(&plain, 2, false, 'b', 10), COPAL_EINCOMPLETE);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(counts().broken, 3);
  assert_int_equal(counts().failed, 0);
}

static void rfc7959_2_5_a_last_block_within_the_body_ends_the_upload(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 2, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 1, false, 'b', 10), COPAL_EINCOMPLETE);
  assert_null(whole);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().broken, 1);
}

static const who tagged = {1, 5683, "/a", "x", 0};

static void rfc9175_3_1_a_tag_lets_blocks_come_ahead_of_others(void **state)
{
  (void)state;
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 3, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 2, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 3, true, 'a', BLOCK), COPAL_OK); /* it is there already */
  assert_int_equal(put(&tagged, 5, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(counts().bytes, 6 * BLOCK);
  assert_int_equal(put(&tagged, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 4, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(counts().bytes, 6 * BLOCK);
  finish(&tagged, 6, 'a');
  assert_int_equal(counts().bytes, 0);
}

static void a_block_ahead_repeated_with_other_bytes_ends_the_upload(void **state)
{
  (void)state;
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 3, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 3, true, 'z', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(counts().open, 0);
}

static void rfc7959_2_5_the_last_block_needs_all_others(void **state)
{
  (void)state;
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 2, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 3, false, 'a', 10), COPAL_EINCOMPLETE);
  assert_int_equal(put(&tagged, 1, true, 'a', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 2, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 1, false, 'a', 10),
                   COPAL_EINCOMPLETE); /* what is behind the end? */
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(counts().broken, 3);
}

static void a_block_too_far_ahead_ends_the_upload(void **state)
{
  (void)state;
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 1 + ORDERING_AHEAD, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&tagged, 2 + ORDERING_AHEAD, true, 'a', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(counts().open, 0);
}

static void the_first_block_forgets_those_ahead(void **state)
{
  (void)state;
  assert_int_equal(first(&tagged, 'a'), COPAL_OK);
  assert_int_equal(put(&tagged, 2, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(first(&tagged, 'b'), COPAL_OK);
  assert_int_equal(put(&tagged, 1, true, 'b', BLOCK), COPAL_OK);
  finish(&tagged, 2, 'b');
}

static void blocks_ahead_go_through_the_file(void **state)
{
  const uint32_t count = 200;
  (void)state;
  assert_int_equal(first(&tagged, 'f'), COPAL_OK);
  for (uint32_t num = 1; num + 1 < count; num += 2) {
    assert_int_equal(put(&tagged, num + 1, true, 'f', BLOCK), COPAL_OK);
    assert_int_equal(put(&tagged, num, true, 'f', BLOCK), COPAL_OK);
  }
  finish(&tagged, count - 1, 'f');
}

static void run_timers(timers *clock)
{
  for (copal_timer *due; (due = copal_timerq_pop(timers_queue(clock), now)) != NULL;) {
    service_timer *timer = (service_timer *)due; /* its first member */
    timer->on_due(timer, now);
  }
}

/* Nothing has to come for it. */
static void what_is_left_alone_is_freed_by_a_timer(void **state)
{
  const uploads_cfg cfg = {.lifetime = 10 * COPAL_SECOND};
  const who other = {2, 5683, "/a", NULL, 0};
  timers *clock = timers_open(now);
  (void)state;
  assert_non_null(clock);
  env.timers = timers_queue(clock);
  open_with(&cfg);
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  now += 6 * COPAL_SECOND;
  assert_int_equal(first(&other, 'b'), COPAL_OK);
  now += 5 * COPAL_SECOND;
  run_timers(clock);
  assert_int_equal(counts().open, 1);
  assert_int_equal(counts().bytes, BLOCK);
  now += 6 * COPAL_SECOND;
  run_timers(clock);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(counts().expired, 2);
  assert_true(timers_deadline(clock) > now + 3600 * (copal_time)COPAL_SECOND);
  assert_int_equal(first(&plain, 'a'), COPAL_OK); /* and again */
  now += 11 * COPAL_SECOND;
  run_timers(clock);
  assert_int_equal(counts().expired, 3);
  env.timers = NULL;
  timers_close(clock);
}

/* ------------------------------------------------------------------------------------------------
 * several shards at once */

enum { SHARDS = 4, ROUNDS = 300, BLOCKS = 5 };

typedef struct shard {
  pthread_t thread;
  uint8_t number;
  handler_env env;
  arena room;
  unsigned finished, wrong;
} shard;

/* Returns what uploads_take() says. */
static int shard_put(shard *h, uint32_t num, upload **done, copal_span *whole_body)
{
  const bool more = num + 1 < BLOCKS;
  uint8_t payload[BLOCK];
  memset(payload, 'a' + h->number, sizeof payload);
  const copal_msg msg = {.code = COPAL_CODE_PUT, .payload = copal_span_of(payload, BLOCK)};
  const copal_path path = {.remote = {.ip = {[15] = h->number}, .port = 5683}};
  const copal_req coap = {.msg = &msg,
                          .path = &path,
                          .has_block1 = true,
                          .block1 = {.num = num, .more = more, .szx = 6}};
  const handler_req req = {.env = &h->env,
                           .coap = &coap,
                           .arena = &h->room,
                           .key = copal_span_str("/a"),
                           .now = 1000 * (copal_time)COPAL_SECOND};
  const int err = uploads_take(table, &req, done, whole_body);
  arena_reset(&h->room);
  return err;
}

static bool is_full_of(copal_span bytes, uint8_t letter)
{
  for (size_t i = 0; i < bytes.len; i++)
    if (bytes.ptr[i] != letter)
      return false;
  return bytes.len == BLOCKS * BLOCK;
}

static void *upload_often(void *arg)
{
  shard *h = arg;
  for (unsigned round = 0; round < ROUNDS; round++) {
    upload *done = NULL;
    copal_span whole_body;
    int err = COPAL_OK;
    for (uint32_t num = 0; num < BLOCKS && err == COPAL_OK; num++)
      err = shard_put(h, num, &done, &whole_body);
    if (done == NULL)
      continue; /* it gave way to another */
    h->finished++;
    h->wrong += !is_full_of(whole_body, (uint8_t)('a' + h->number));
    upload_forget(done);
  }
  return NULL;
}

/* There is room for fewer uploads than there are shards: each ends those of others while they are
 * written. */
static void shards_write_side_by_side_and_end_each_others_uploads(void **state)
{
  const uploads_cfg cfg = {.count_max = SHARDS - 1};
  shard shards[SHARDS];
  unsigned finished = 0;
  (void)state;
  open_with(&cfg);
  for (uint8_t i = 0; i < SHARDS; i++) {
    shards[i] = (shard){.number = i, .env = {.limits = &limits}};
    assert_int_equal(arena_init(&shards[i].room, 4096), 0);
    assert_int_equal(pthread_create(&shards[i].thread, NULL, upload_often, &shards[i]), 0);
  }
  for (uint8_t i = 0; i < SHARDS; i++) {
    pthread_join(shards[i].thread, NULL);
    assert_int_equal(shards[i].wrong, 0);
    finished += shards[i].finished;
    arena_wipe(&shards[i].room);
  }
  assert_true(finished > 0);
  assert_int_equal(counts().finished, finished);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
}

static void an_upload_expires_when_its_next_block_is_late(void **state)
{
  const uploads_cfg cfg = {.lifetime = 10 * COPAL_SECOND};
  const who other = {2, 5683, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(first(&other, 'b'), COPAL_OK);
  now += 9 * COPAL_SECOND;
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  now += 9 * COPAL_SECOND;
  finish(&plain, 2, 'a');
  assert_int_equal(counts().expired, 1);
  assert_int_equal(put(&other, 1, false, 'b', 1), COPAL_EINCOMPLETE);
}

/* Nobody's block waits until all are freed, and none of them goes on. */
static void a_crowd_expires_some_at_a_time(void **state)
{
  enum { CROWD = 100, AT_ONCE = 16 };
  const uploads_cfg cfg = {.lifetime = 10 * COPAL_SECOND};
  const who other = {2, 5683, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  for (uint16_t i = 1; i <= CROWD; i++)
    assert_int_equal(first(&(who){1, i, "/a", NULL, 0}, 'a'), COPAL_OK);
  now += 11 * COPAL_SECOND;
  assert_int_equal(first(&other, 'b'), COPAL_OK);
  assert_int_equal(counts().expired, AT_ONCE);
  assert_int_equal(put(&(who){1, CROWD, "/a", NULL, 0}, 1, true, 'a', BLOCK), COPAL_EINCOMPLETE);
  assert_int_equal(counts().expired, 2 * AT_ONCE + 1);
  for (uint32_t num = 1; counts().open > 1; num++)
    assert_int_equal(put(&other, num, true, 'b', BLOCK), COPAL_OK);
  assert_int_equal(counts().expired, CROWD);
}

static void another_shards_clock_may_be_behind(void **state)
{
  (void)state;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  now -= COPAL_SECOND;
  finish(&plain, 1, 'a');
  assert_int_equal(counts().expired, 0);
}

static void one_client_has_only_its_share(void **state)
{
  const uploads_cfg cfg = {.per_client = 2};
  const who three[] = {{1, 1, "/a", NULL, 0}, {1, 1, "/b", NULL, 0}, {1, 1, "/c", NULL, 0}};
  const who other = {2, 1, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&other, 'o'), COPAL_OK);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(first(&three[i], 'a'), COPAL_OK);
  assert_int_equal(counts().evicted, 1);
  assert_int_equal(put(&three[0], 1, false, 'a', 1), COPAL_EINCOMPLETE); /* its oldest */
  finish(&three[1], 1, 'a');
  finish(&three[2], 1, 'a');
  finish(&other, 1, 'o'); /* older than all of them */
}

static void clients_behind_one_address_do_not_evict_each_other(void **state)
{
  const uploads_cfg cfg = {.per_client = 1};
  (void)state;
  open_with(&cfg);
  for (uint16_t i = 1; i <= 64; i++)
    assert_int_equal(first(&(who){1, i, "/a", NULL, 0}, (char)i), COPAL_OK);
  assert_int_equal(counts().evicted, 0);
  for (uint16_t i = 1; i <= 64; i++)
    finish(&(who){1, i, "/a", NULL, 0}, 1, (char)i);
}

static void an_address_with_more_than_half_takes_no_place_of_others(void **state)
{
  const uploads_cfg cfg = {.count_max = 4};
  const who other = {2, 1, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&other, 'o'), COPAL_OK);
  for (uint16_t i = 1; i <= 10; i++)
    assert_int_equal(first(&(who){1, i, "/a", NULL, 0}, 'a'), COPAL_OK);
  assert_int_equal(counts().open, 4);
  assert_int_equal(counts().evicted, 7);
  finish(&other, 1, 'o'); /* older than all of them */
}

/* A session counts for the address that it is at now. */
static void a_session_that_moves_takes_its_share_along(void **state)
{
  const uploads_cfg cfg = {.count_max = 4};
  const who other = {9, 1, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&(who){1, 1, "/m", NULL, 7}, 'm'), COPAL_OK);
  assert_int_equal(first(&other, 'o'), COPAL_OK);
  assert_int_equal(first(&(who){2, 1, "/b", NULL, 0}, 'b'), COPAL_OK);
  assert_int_equal(first(&(who){2, 2, "/c", NULL, 0}, 'c'), COPAL_OK);
  assert_int_equal(put(&(who){2, 3, "/m", NULL, 7}, 1, true, 'm', BLOCK), COPAL_OK);
  assert_int_equal(first(&(who){3, 1, "/d", NULL, 0}, 'd'), COPAL_OK); /* address 2 has three */
  assert_int_equal(counts().evicted, 1);
  assert_int_equal(put(&(who){2, 1, "/b", NULL, 0}, 1, false, 'b', 1), COPAL_EINCOMPLETE);
  finish(&(who){4, 1, "/m", NULL, 7}, 2, 'm');
  finish(&other, 1, 'o');
}

static void beyond_the_count_the_oldest_gives_way(void **state)
{
  const uploads_cfg cfg = {.count_max = 2};
  const who three[] = {{1, 1, "/a", NULL, 0}, {2, 1, "/a", NULL, 0}, {3, 1, "/a", NULL, 0}};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&three[0], 'a'), COPAL_OK);
  assert_int_equal(first(&three[1], 'b'), COPAL_OK);
  assert_int_equal(put(&three[0], 1, true, 'a', BLOCK), COPAL_OK); /* has been heard of since */
  assert_int_equal(first(&three[2], 'c'), COPAL_OK);
  assert_int_equal(counts().open, 2);
  assert_int_equal(counts().evicted, 1);
  assert_int_equal(put(&three[1], 1, false, 'b', 1), COPAL_EINCOMPLETE);
  finish(&three[0], 2, 'a');
  finish(&three[2], 1, 'c');
}

static void beyond_the_bytes_the_one_that_waits_gives_way(void **state)
{
  const uploads_cfg cfg = {.byte_max = 3 * BLOCK};
  const who idle = {2, 1, "/a", NULL, 0};
  (void)state;
  open_with(&cfg);
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(first(&idle, 'b'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 2, true, 'a', BLOCK), COPAL_OK); /* is the older, but active */
  assert_int_equal(counts().evicted, 1);
  assert_int_equal(counts().bytes, 3 * BLOCK);
  assert_int_equal(put(&plain, 3, true, 'a', BLOCK), COPAL_ENOSLOT); /* too large alone */
  assert_int_equal(counts().failed, 1);
  assert_int_equal(counts().open, 0);
  assert_int_equal(counts().bytes, 0);
}

static void rfc7959_2_9_3_too_large_ends_the_upload(void **state)
{
  (void)state;
  limits.body_max = 2 * BLOCK;
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  assert_int_equal(put(&plain, 1, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(put(&plain, 2, false, 'a', 1), COPAL_ETOOBIG);
  assert_int_equal(counts().open, 0);
  limits.body_max = 1 << 20;
}

static void a_large_body_goes_through_a_file(void **state)
{
  (void)state;
  for (uint32_t i = 0; i < 200; i++)
    assert_int_equal(put(&plain, i, true, 'a', BLOCK), COPAL_OK);
  assert_int_equal(counts().bytes, 200 * BLOCK);
  finish(&plain, 200, 'a');
}

static void without_a_place_for_files_large_bodies_fail(void **state)
{
  staging_place nowhere = {.dir = "/nonexistent"};
  const uploads_cfg cfg = {.place = &nowhere};
  uint32_t i = 0;
  int err = COPAL_OK;
  (void)state;
  open_with(&cfg);
  for (; err == COPAL_OK && i < 100; i++)
    err = put(&plain, i, true, 'a', BLOCK);
  assert_int_equal(err, COPAL_ENOSLOT);
  assert_int_equal(i, 65); /* 64 KiB are held in memory */
  assert_int_equal(counts().failed, 1);
  assert_int_equal(counts().bytes, 0);
  assert_int_equal(first(&plain, 'a'), COPAL_OK);
  finish(&plain, 1, 'a'); /* small ones still work */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7959_2_5_interleaved_clients_do_not_mix),
      TEST(rfc9146_6_an_upload_follows_its_session),
      TEST(rfc9175_3_request_tags_keep_transfers_apart),
      TEST(rfc7959_2_9_2_a_gap_ends_the_upload),
      TEST(rfc7959_2_5_block_0_starts_over),
      TEST(a_repeated_block_is_counted_once),
      TEST(rfc7959_2_5_a_block_repeated_with_other_bytes_ends_the_upload),
      TEST(rfc7959_2_5_a_last_block_within_the_body_ends_the_upload),
      TEST(a_block_ahead_repeated_with_other_bytes_ends_the_upload),
      TEST(rfc9175_3_1_a_tag_lets_blocks_come_ahead_of_others),
      TEST(rfc7959_2_5_the_last_block_needs_all_others),
      TEST(a_block_too_far_ahead_ends_the_upload),
      TEST(the_first_block_forgets_those_ahead),
      TEST(blocks_ahead_go_through_the_file),
      TEST(what_is_left_alone_is_freed_by_a_timer),
      TEST(shards_write_side_by_side_and_end_each_others_uploads),
      TEST(an_upload_expires_when_its_next_block_is_late),
      TEST(a_crowd_expires_some_at_a_time),
      TEST(another_shards_clock_may_be_behind),
      TEST(one_client_has_only_its_share),
      TEST(clients_behind_one_address_do_not_evict_each_other),
      TEST(an_address_with_more_than_half_takes_no_place_of_others),
      TEST(a_session_that_moves_takes_its_share_along),
      TEST(beyond_the_count_the_oldest_gives_way),
      TEST(beyond_the_bytes_the_one_that_waits_gives_way),
      TEST(rfc7959_2_9_3_too_large_ends_the_upload),
      TEST(a_large_body_goes_through_a_file),
      TEST(without_a_place_for_files_large_bodies_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
