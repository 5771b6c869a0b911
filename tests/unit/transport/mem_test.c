/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams within a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <string.h>

#include "copal/error.h"
#include "transport/mem.h"

static copal_addr addr_of(uint16_t port)
{
  return (copal_addr){.ip = {[15] = 1}, .port = port};
}

static void send_text(mem_hub *hub, int node, uint16_t to, const char *text)
{
  const copal_path path = {.remote = addr_of(to)};
  copal_sink *sink = mem_sink(hub, node);
  const copal_mspan room = sink->reserve(sink, &path, strlen(text));
  assert_non_null(room.ptr);
  memcpy(room.ptr, text, strlen(text));
  sink->commit(sink, &path, strlen(text));
}

static mem_hub *open_with_two(const mem_cfg *cfg)
{
  mem_hub *hub = NULL;
  assert_int_equal(mem_open(cfg, &hub), COPAL_OK);
  const copal_addr a = addr_of(1), b = addr_of(2);
  assert_int_equal(mem_attach(hub, &a), 0);
  assert_int_equal(mem_attach(hub, &b), 1);
  return hub;
}

static void mem_delivers_in_order_with_the_sender_as_remote(void **state)
{
  (void)state;
  mem_hub *hub = open_with_two(&(mem_cfg){0});
  send_text(hub, 0, 2, "one");
  send_text(hub, 1, 1, "two");
  mem_slot slot;
  assert_int_equal(mem_recv(hub, &slot), 1);
  assert_int_equal(slot.path.remote.port, 1);
  assert_int_equal(slot.bytes.len, 3);
  assert_memory_equal(slot.bytes.ptr, "one", 3);
  assert_int_equal(mem_recv(hub, &slot), 0);
  assert_int_equal(slot.path.remote.port, 2);
  assert_int_equal(mem_recv(hub, &slot), COPAL_ENOTFOUND);
  assert_int_equal(mem_stats_now(hub)->delivered, 2);
  mem_close(hub);
}

static void mem_full_queue_and_long_datagrams_are_refused(void **state)
{
  (void)state;
  mem_hub *hub = open_with_two(&(mem_cfg){.queue = 2, .datagram_max = 8});
  copal_sink *sink = mem_sink(hub, 0);
  const copal_path path = {.remote = addr_of(2)};
  assert_null(sink->reserve(sink, &path, 9).ptr);
  send_text(hub, 0, 2, "a");
  send_text(hub, 0, 2, "b");
  assert_null(sink->reserve(sink, &path, 1).ptr);
  assert_int_equal(mem_stats_now(hub)->no_room, 2);
  mem_slot slot;
  assert_int_equal(mem_recv(hub, &slot), 1);
  send_text(hub, 0, 2, "c");
  assert_int_equal(mem_recv(hub, &slot), 1);
  assert_int_equal(mem_recv(hub, &slot), 1);
  assert_int_equal(slot.bytes.ptr[0], 'c');
  mem_close(hub);
}

static void mem_unknown_destination_is_counted(void **state)
{
  (void)state;
  mem_hub *hub = open_with_two(&(mem_cfg){0});
  send_text(hub, 0, 9, "x");
  mem_slot slot;
  assert_int_equal(mem_recv(hub, &slot), COPAL_ENOTFOUND);
  assert_int_equal(mem_stats_now(hub)->no_address, 1);
  mem_close(hub);
}

static void mem_addresses_are_unique_and_nodes_bounded(void **state)
{
  (void)state;
  mem_hub *hub = open_with_two(&(mem_cfg){.node_max = 2});
  const copal_addr again = addr_of(1), more = addr_of(3);
  assert_int_equal(mem_attach(hub, &again), COPAL_EINVAL);
  assert_int_equal(mem_attach(hub, &more), COPAL_ENOSLOT);
  mem_close(hub);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(mem_delivers_in_order_with_the_sender_as_remote),
      cmocka_unit_test(mem_full_queue_and_long_datagrams_are_refused),
      cmocka_unit_test(mem_unknown_destination_is_counted),
      cmocka_unit_test(mem_addresses_are_unique_and_nodes_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
