/* SPDX-License-Identifier: Apache-2.0 */
/* Which datagrams of a batch leave as one message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/udp.h>
#include <string.h>

#include "transport/udp_segment.h"

enum { CAP = 200 };

static udp_batch batch;
static udp_train train;
static uint32_t routes[CAP];
static unsigned count;

static void put_to(uint16_t port, uint32_t route, size_t len)
{
  const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  const unsigned i = count++;
  batch.addrs[i].v4 = to;
  batch.iovs[i] = (struct iovec){udp_batch_bytes(&batch, i), len};
  batch.msgs[i].msg_hdr = (struct msghdr){.msg_name = &batch.addrs[i],
                                          .msg_namelen = sizeof to,
                                          .msg_iov = &batch.iovs[i],
                                          .msg_iovlen = 1};
  routes[i] = route;
}

/* Joins all and compares the number of datagrams in each message with a list ended by 0. */
static void joins_to(const unsigned *lengths)
{
  unsigned messages = 0;
  const bool is_joined = udp_train_join(&train, &batch, routes, 0, count);
  for (; lengths[messages] != 0; messages++)
    assert_int_equal(udp_train_length(&train, messages, count), lengths[messages]);
  assert_int_equal(train.count, messages);
  assert_int_equal(is_joined, messages < count);
}

static int setup(void **state)
{
  (void)state;
  count = 0;
  return udp_batch_init(&batch, CAP, 2048) == 0 && udp_train_init(&train, CAP) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
  (void)state;
  udp_batch_wipe(&batch);
  udp_train_wipe(&train);
  return 0;
}

static void equal_ones_are_joined_and_the_last_may_be_shorter(void **state)
{
  (void)state;
  put_to(1, 1, 40);
  put_to(1, 1, 40);
  put_to(1, 1, 9);
  put_to(1, 1, 9);
  joins_to((const unsigned[]){3, 1, 0});
  const struct msghdr *m = &train.msgs[0].msg_hdr;
  const struct cmsghdr *c = CMSG_FIRSTHDR(m);
  uint16_t size;
  memcpy(&size, CMSG_DATA(c), sizeof size);
  assert_int_equal(m->msg_iovlen, 3);
  assert_int_equal(c->cmsg_type, UDP_SEGMENT);
  assert_int_equal(size, 40);
  assert_null(train.msgs[1].msg_hdr.msg_control);
}

static void those_that_lie_one_behind_the_other_are_one_piece(void **state)
{
  (void)state;
  for (int i = 0; i < 4; i++)
    put_to(1, 1, 40);
  put_to(1, 1, 8);
  for (unsigned i = 1; i < count; i++)
    batch.iovs[i].iov_base = udp_batch_bytes(&batch, 0) + 40 * i;
  joins_to((const unsigned[]){5, 0});
  const struct msghdr *m = &train.msgs[0].msg_hdr;
  assert_int_equal(m->msg_iovlen, 1);
  assert_ptr_equal(m->msg_iov[0].iov_base, udp_batch_bytes(&batch, 0));
  assert_int_equal(m->msg_iov[0].iov_len, 168);
  assert_int_equal(batch.iovs[0].iov_len, 40); /* can still leave alone */
}

static void longer_ones_and_other_routes_are_not(void **state)
{
  (void)state;
  put_to(1, 1, 40);
  put_to(1, 1, 41);
  put_to(2, 2, 41);
  put_to(2, 3, 41);
  joins_to((const unsigned[]){1, 1, 1, 1, 0});
}

static void empty_datagrams_travel_alone(void **state)
{
  (void)state;
  put_to(1, 1, 0);
  put_to(1, 1, 0);
  put_to(1, 1, 4);
  put_to(1, 1, 0);
  joins_to((const unsigned[]){1, 1, 1, 1, 0});
}

static void a_message_has_room_for_so_many_datagrams_and_bytes(void **state)
{
  (void)state;
  for (int i = 0; i < UDP_SEGMENTS_MAX + 1; i++)
    put_to(1, 1, 100);
  joins_to((const unsigned[]){UDP_SEGMENTS_MAX, 1, 0});
  count = 0;
  for (int i = 0; i < 33; i++)
    put_to(1, 1, 2000);
  joins_to((const unsigned[]){UDP_SENT_MESSAGE_MAX / 2000, 33 - UDP_SENT_MESSAGE_MAX / 2000, 0});
}

static void control_data_that_is_there_is_kept(void **state)
{
  (void)state;
  struct in_pktinfo info = {.ipi_ifindex = 7};
  put_to(1, 1, 40);
  put_to(1, 1, 40);
  struct msghdr *first = &batch.msgs[0].msg_hdr;
  first->msg_control = &batch.controls[0];
  first->msg_controllen = CMSG_SPACE(sizeof info);
  struct cmsghdr *c = CMSG_FIRSTHDR(first);
  *c = (struct cmsghdr){
      .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO, .cmsg_len = CMSG_LEN(sizeof info)};
  memcpy(CMSG_DATA(c), &info, sizeof info);
  joins_to((const unsigned[]){2, 0});
  struct msghdr *m = &train.msgs[0].msg_hdr;
  c = CMSG_FIRSTHDR(m);
  assert_int_equal(c->cmsg_type, IP_PKTINFO);
  c = CMSG_NXTHDR(m, c);
  assert_non_null(c);
  assert_int_equal(c->cmsg_type, UDP_SEGMENT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(equal_ones_are_joined_and_the_last_may_be_shorter, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(those_that_lie_one_behind_the_other_are_one_piece, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(longer_ones_and_other_routes_are_not, setup, teardown),
      cmocka_unit_test_setup_teardown(empty_datagrams_travel_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(a_message_has_room_for_so_many_datagrams_and_bytes, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(control_data_that_is_there_is_kept, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
