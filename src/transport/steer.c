/* SPDX-License-Identifier: Apache-2.0 */
/* Which socket of a SO_REUSEPORT group a peer's datagrams arrive at: the function in C, and as a
 * classic BPF program. RFC 7252 section 1.2 (endpoint); RFC 9146 section 4. Thread: any. */
#include "transport/steer.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include <linux/filter.h>

#include "transport/udp.h"
#include "transport/udp_socket.h"

/* Multipliers of the hash: the golden ratio for the words, the finisher of MurmurHash3, under which
 * every bit of the input reaches every bit of the result. */
#define MIX_WORD UINT32_C(0x9e3779b1)
#define MIX_A    UINT32_C(0x85ebca6b)
#define MIX_B    UINT32_C(0xc2b2ae35)

enum {
  PROGRAM_MAX = 64,
  IPV4_SOURCE = 12, /* RFC 791 section 3.1 */
  IPV6_LENGTH = 4,  /* RFC 8200 section 3 */
  IPV6_NEXT = 6,
  IPV6_SOURCE = 8,
  IPV6_SIZE = 40,
  UDP_SIZE = 8,
  UDP_PROTOCOL = 17,
  WORD = 4,
  IPV4_WORDS = 1,
  IPV6_WORDS = 4,
  HASH = 0, /* scratch memory that holds the hash so far */
};

/* ------------------------------------------------------------------------------------------------
 * the function */

static uint32_t word_at(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t finish(uint32_t h)
{
  h = (h ^ h >> 16) * MIX_A;
  h = (h ^ h >> 13) * MIX_B;
  return h ^ h >> 16;
}

uint32_t steer_index(const copal_addr *remote, uint32_t count)
{
  const bool is_ipv4 = udp_addr_is_ipv4(remote);
  uint32_t h = remote->port;
  for (size_t at = is_ipv4 ? 12 : 0; at < sizeof remote->ip; at += WORD)
    h = h * MIX_WORD ^ word_at(remote->ip + at);
  return count == 0 ? 0 : finish(h) % count;
}

uint32_t steer_datagram(steer_rule rule, const copal_addr *remote, copal_span bytes, uint32_t count)
{
  const bool has_cid = rule == STEER_BY_CID && bytes.len > STEER_CID_OFFSET &&
                       bytes.ptr[0] == STEER_CID_TYPE && count != 0;
  return has_cid ? bytes.ptr[STEER_CID_OFFSET] % count : steer_index(remote, count);
}

uint8_t steer_cid_byte(uint32_t index)
{
  return (uint8_t)index;
}

/* ------------------------------------------------------------------------------------------------
 * the same for the kernel: offsets from 0 are the payload's, those from SKF_NET_OFF the IP
 * header's. A load beyond the datagram ends the program with 0. */

typedef struct program {
  uint16_t len;
  struct sock_filter code[PROGRAM_MAX];
} program;

static void put(program *p, uint16_t code, uint32_t k)
{
  p->code[p->len++] = (struct sock_filter)BPF_STMT(code, k);
}

static void put_jump(program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
  p->code[p->len++] = (struct sock_filter)BPF_JUMP(code, k, if_true, if_false);
}

static uint32_t in_header(uint32_t offset)
{
  return (uint32_t)SKF_NET_OFF + offset;
}

/* A = the source port. The header has options sometimes. */
static void put_port_v4(program *p)
{
  put(p, BPF_LDX | BPF_B | BPF_MSH, in_header(0));
  put(p, BPF_LD | BPF_H | BPF_IND, in_header(0));
}

/* A = the source port. With extension headers, UDP's header ends where the payload begins, which
 * the lengths tell; but what follows the payload would mislead there, so not without need. */
static void put_port_v6(program *p)
{
  put(p, BPF_LD | BPF_B | BPF_ABS, in_header(IPV6_NEXT));
  put_jump(p, BPF_JMP | BPF_JEQ | BPF_K, UDP_PROTOCOL, 0, 2);
  put(p, BPF_LD | BPF_H | BPF_ABS, in_header(IPV6_SIZE));
  put_jump(p, BPF_JMP | BPF_JA, 6, 0, 0);
  put(p, BPF_LD | BPF_W | BPF_LEN, 0);
  put(p, BPF_MISC | BPF_TAX, 0);
  put(p, BPF_LD | BPF_H | BPF_ABS, in_header(IPV6_LENGTH));
  put(p, BPF_ALU | BPF_SUB | BPF_X, 0);
  put(p, BPF_MISC | BPF_TAX, 0);
  put(p, BPF_LD | BPF_H | BPF_IND, in_header(IPV6_SIZE - UDP_SIZE));
}

/* A = A * MIX_WORD ^ the word at an offset of the header. */
static void put_word(program *p, uint32_t offset)
{
  put(p, BPF_ALU | BPF_MUL | BPF_K, MIX_WORD);
  put(p, BPF_ST, HASH);
  put(p, BPF_LDX | BPF_MEM, HASH);
  put(p, BPF_LD | BPF_W | BPF_ABS, in_header(offset));
  put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* A = A ^ A >> shift. */
static void put_fold(program *p, uint32_t shift)
{
  put(p, BPF_MISC | BPF_TAX, 0);
  put(p, BPF_ALU | BPF_RSH | BPF_K, shift);
  put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

static void put_finish(program *p)
{
  put_fold(p, 16);
  put(p, BPF_ALU | BPF_MUL | BPF_K, MIX_A);
  put_fold(p, 13);
  put(p, BPF_ALU | BPF_MUL | BPF_K, MIX_B);
  put_fold(p, 16);
}

static void put_result(program *p, uint32_t count)
{
  put(p, BPF_ALU | BPF_MOD | BPF_K, count);
  put(p, BPF_RET | BPF_A, 0);
}

/* Returns with what the CID says, or goes on behind. */
static void put_cid(program *p, uint32_t count)
{
  put(p, BPF_LD | BPF_W | BPF_LEN, 0);
  put_jump(p, BPF_JMP | BPF_JGT | BPF_K, STEER_CID_OFFSET, 0, 5);
  put(p, BPF_LD | BPF_B | BPF_ABS, 0);
  put_jump(p, BPF_JMP | BPF_JEQ | BPF_K, STEER_CID_TYPE, 0, 3);
  put(p, BPF_LD | BPF_B | BPF_ABS, STEER_CID_OFFSET);
  put_result(p, count);
}

static void put_address(program *p, bool is_ipv4, uint32_t count)
{
  const uint32_t source = is_ipv4 ? IPV4_SOURCE : IPV6_SOURCE;
  const uint32_t words = is_ipv4 ? IPV4_WORDS : IPV6_WORDS;
  if (is_ipv4)
    put_port_v4(p);
  else
    put_port_v6(p);
  for (uint32_t i = 0; i < words; i++)
    put_word(p, source + i * WORD);
  put_finish(p);
  put_result(p, count);
}

int steer_attach(int fd, steer_rule rule, uint32_t count)
{
  copal_addr local;
  program p = {.len = 0};
  const int rc = udp_socket_local(fd, &local);
  if (rc < 0 || count < 2)
    return rc;
  if (rule == STEER_BY_CID)
    put_cid(&p, count);
  put_address(&p, udp_addr_is_ipv4(&local), count);
  const struct sock_fprog all = {.len = p.len, .filter = p.code};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &all, sizeof all) == 0 ? 0 : -errno;
}
