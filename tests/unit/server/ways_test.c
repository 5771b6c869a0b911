/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to clients as they are stored: another process, with other indices, finds the same
 * path. RFC 7252 section 1.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/listener.h"
#include "server/ways.h"
#include "transport/steer.h"

/* A process with one shard. */
typedef struct process {
  udp *udp;
  ways ways;
  uint32_t steered[4];
} process;

static void begin(process *p)
{
  const udp_cfg cfg = {.batch = 0};
  *p = (process){.udp = NULL};
  assert_int_equal(udp_open(&cfg, &p->udp), 0);
  ways_init(&p->ways, p->udp, 0, 1);
  p->ways.steered = p->steered;
}

static copal_addr loopback(uint16_t port)
{
  copal_addr a;
  assert_int_equal(udp_addr_parse("127.0.0.1", port, &a), 0);
  return a;
}

/* Returns the port. */
static uint16_t bind_to(process *p, uint16_t port)
{
  const copal_addr a = loopback(port);
  const int index = udp_bind(p->udp, &a, false);
  assert_true(index >= 0);
  return udp_local_addr(p->udp, index).port;
}

static copal_path path_of(process *p, int socket)
{
  udp_side side = {.socket = socket};
  copal_path path = {.remote = loopback(40000)};
  memcpy(side.ip, path.remote.ip, sizeof side.ip);
  path.local = udp_local_for(p->udp, &side);
  assert_true(path.local != 0);
  return path;
}

static void a_way_leads_to_the_same_path_in_another_process(void **state)
{
  process before, after;
  handler_way way, again;
  copal_path path;
  (void)state;
  begin(&before);
  begin(&after);
  const uint16_t port = bind_to(&before, 0);
  const copal_path first = path_of(&before, 0);
  assert_int_equal(before.ways.hook.describe(&before.ways.hook, &first, &way), COPAL_OK);
  udp_close(before.udp);
  bind_to(&after, 0); /* now it is the second socket */
  bind_to(&after, port);
  assert_true(after.ways.hook.is_mine(&after.ways.hook, &way));
  assert_int_equal(after.ways.hook.recall(&after.ways.hook, &way, &path), COPAL_OK);
  assert_memory_equal(path.remote.ip, first.remote.ip, 16);
  assert_int_equal(path.remote.port, 40000);
  udp_side side;
  assert_true(udp_side_of(after.udp, path.local, &side));
  assert_int_equal(side.socket, 1);
  assert_int_equal(after.ways.hook.describe(&after.ways.hook, &path, &again), COPAL_OK);
  assert_int_equal(again.who_len, way.who_len);
  assert_memory_equal(again.who, way.who, way.who_len);
  assert_int_equal(again.side_len, way.side_len);
  assert_memory_equal(again.side, way.side, way.side_len);
  udp_close(after.udp);
}

static void an_address_that_is_served_no_longer_is_a_way_to_nowhere(void **state)
{
  process before, after;
  handler_way way;
  copal_path path;
  (void)state;
  begin(&before);
  begin(&after);
  bind_to(&before, 0);
  bind_to(&after, 0);
  const copal_path first = path_of(&before, 0);
  assert_int_equal(before.ways.hook.describe(&before.ways.hook, &first, &way), COPAL_OK);
  assert_int_equal(after.ways.hook.recall(&after.ways.hook, &way, &path), COPAL_ENOTFOUND);
  assert_true(after.ways.hook.is_mine(&after.ways.hook, &way)); /* to clear up */
  after.ways.shard = 1;
  assert_false(after.ways.hook.is_mine(&after.ways.hook, &way));
  udp_close(before.udp);
  udp_close(after.udp);
}

static void a_session_that_nobody_keeps_ends_with_the_process(void **state)
{
  process p;
  handler_way way;
  (void)state;
  begin(&p);
  bind_to(&p, 0);
  copal_path path = path_of(&p, 0);
  path.flags = COPAL_PATH_SECURE;
  path.session = 5;
  assert_int_equal(p.ways.hook.describe(&p.ways.hook, &path, &way), COPAL_ENOTFOUND);
  udp_close(p.udp);
}

static void a_client_belongs_to_the_shard_it_is_steered_to(void **state)
{
  process p;
  handler_way way;
  (void)state;
  begin(&p);
  bind_to(&p, 0);
  copal_path path = path_of(&p, 0);
  p.steered[0] = 4;
  p.ways.shards = 4;
  for (uint16_t port = 1000; port < 1064; port++) {
    path.remote.port = port;
    assert_int_equal(p.ways.hook.describe(&p.ways.hook, &path, &way), COPAL_OK);
    int owners = 0;
    for (p.ways.shard = 0; p.ways.shard < 4; p.ways.shard++)
      if (p.ways.hook.is_mine(&p.ways.hook, &way)) {
        owners++;
        assert_int_equal(p.ways.shard, listener_shard(steer_index(&path.remote, 4), 4));
      }
    assert_int_equal(owners, 1);
  }
  udp_close(p.udp);
}

/* Sessions of the test: one, found by its CID or not. */
typedef struct one_session {
  ways_sessions hook; /* first */
  ways_session session;
} one_session;

static bool describe_one(ways_sessions *hook, uint32_t session, ways_session *out)
{
  *out = ((one_session *)hook)->session;
  return session == out->path.session;
}

static bool find_one(ways_sessions *hook, copal_span key, ways_session *out)
{
  *out = ((one_session *)hook)->session;
  return copal_span_is_equal(key, copal_span_of(out->key, out->key_len));
}

static one_session session_of(process *p, bool has_cid)
{
  one_session one = {
      .hook = {describe_one, find_one},
      .session = {.path = {.remote = loopback(40000), .session = 77, .flags = COPAL_PATH_SECURE},
                  .local = path_of(p, 0).local,
                  .has_cid = has_cid,
                  .key_len = 5,
                  .key = {2, 'n', 'a', 'm', 'e'}}};
  return one;
}

static void a_session_with_a_cid_is_the_same_client_wherever_it_is(void **state)
{
  process p;
  handler_way way, moved;
  copal_path path;
  (void)state;
  begin(&p);
  bind_to(&p, 0);
  one_session one = session_of(&p, true);
  p.ways.sessions = &one.hook;
  handler_ways *hook = &p.ways.hook;
  assert_int_equal(hook->describe(hook, &one.session.path, &way), COPAL_OK);
  one.session.path.remote = loopback(40001);
  assert_int_equal(hook->describe(hook, &one.session.path, &moved), COPAL_OK);
  assert_int_equal(way.who_len, moved.who_len);
  assert_memory_equal(way.who, moved.who, way.who_len);
  one.session.path.session = 99; /* as after a restart */
  assert_int_equal(hook->recall(hook, &way, &path), COPAL_OK);
  assert_memory_equal(&path, &one.session.path, sizeof path);
  one.session.key[1]++;
  assert_int_equal(hook->recall(hook, &way, &path), COPAL_ENOTFOUND);
  p.ways.sessions = NULL;
  assert_int_equal(hook->recall(hook, &way, &path), COPAL_ENOTFOUND);
  udp_close(p.udp);
}

static void a_session_belongs_to_the_shard_its_records_are_steered_to(void **state)
{
  process p;
  handler_way way;
  (void)state;
  begin(&p);
  bind_to(&p, 0);
  p.steered[0] = 16;
  p.ways.shards = 4;
  for (uint8_t lane = 0; lane < 64; lane++) {
    one_session one = session_of(&p, lane % 2 == 0);
    one.session.path.remote.port = (uint16_t)(1000 + lane);
    one.session.key[0] = lane;
    p.ways.sessions = &one.hook;
    assert_int_equal(p.ways.hook.describe(&p.ways.hook, &one.session.path, &way), COPAL_OK);
    const uint32_t index =
        one.session.has_cid ? lane % 16 : steer_index(&one.session.path.remote, 16);
    for (p.ways.shard = 0; p.ways.shard < 4; p.ways.shard++)
      assert_int_equal(p.ways.hook.is_mine(&p.ways.hook, &way),
                       listener_shard(index, 4) == p.ways.shard);
  }
  udp_close(p.udp);
}

static void damaged_bytes_lead_nowhere(void **state)
{
  process p;
  handler_way good, bad;
  copal_path path;
  (void)state;
  begin(&p);
  bind_to(&p, 0);
  path = path_of(&p, 0);
  handler_ways *hook = &p.ways.hook;
  assert_int_equal(hook->describe(hook, &path, &good), COPAL_OK);
  for (bad = good; bad.who_len > 0;) {
    bad.who_len--;
    assert_int_equal(hook->recall(hook, &bad, &path), COPAL_ENOTFOUND);
    (void)hook->is_mine(hook, &bad);
  }
  for (bad = good; bad.side_len > 0;) {
    bad.side_len--;
    assert_int_equal(hook->recall(hook, &bad, &path), COPAL_ENOTFOUND);
    (void)hook->is_mine(hook, &bad);
  }
  bad = good;
  bad.who[0]++; /* version */
  assert_int_equal(hook->recall(hook, &bad, &path), COPAL_ENOTFOUND);
  bad = good;
  bad.who_len++; /* bytes behind the end */
  assert_int_equal(hook->recall(hook, &bad, &path), COPAL_ENOTFOUND);
  assert_int_equal(hook->recall(hook, &good, &path), COPAL_OK);
  udp_close(p.udp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_way_leads_to_the_same_path_in_another_process),
      cmocka_unit_test(an_address_that_is_served_no_longer_is_a_way_to_nowhere),
      cmocka_unit_test(a_session_that_nobody_keeps_ends_with_the_process),
      cmocka_unit_test(a_client_belongs_to_the_shard_it_is_steered_to),
      cmocka_unit_test(a_session_with_a_cid_is_the_same_client_wherever_it_is),
      cmocka_unit_test(a_session_belongs_to_the_shard_its_records_are_steered_to),
      cmocka_unit_test(damaged_bytes_lead_nowhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
