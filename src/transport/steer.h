/* SPDX-License-Identifier: Apache-2.0 */
/* Which socket of a SO_REUSEPORT group a peer's datagrams arrive at: a fixed function of the peer's
 * address and port, computed by the kernel for every datagram and by anybody else who wants to
 * know. So a client comes back to the same socket after a restart or a reboot, and what was kept
 * for it is restored where it will be looked for. RFC 7252 section 1.2 (endpoint); RFC 9146
 * section 4.
 *
 * The function is part of the format of saved state: it must never change. It is no secret and no
 * defence: who may choose its ports chooses its socket, as with any hash that the sender can
 * observe. Thread: any; nothing is shared. */
#ifndef TRANSPORT_STEER_H
#define TRANSPORT_STEER_H

#include <stdint.h>

#include "copal/path.h"
#include "copal/span.h"

/* What decides. */
typedef enum steer_rule {
  STEER_BY_ADDRESS, /* steer_index() of the source, always */
  STEER_BY_CID,     /* a record with Connection ID goes where its first CID byte says, whatever its
                       source is now; everything else by address */
} steer_rule;

enum {
  STEER_CID_TYPE = 25,   /* tls12_cid, RFC 9146 section 4 */
  STEER_CID_OFFSET = 11, /* of the CID: behind type, version, epoch and sequence number */
};

/* The index, below `count`, of the socket that receives what `remote` sends. The zone does not
 * count. */
uint32_t steer_index(const copal_addr *remote, uint32_t count);

/* The same under a rule, which may look into the datagram. */
uint32_t steer_datagram(steer_rule rule, const copal_addr *remote, copal_span bytes,
                        uint32_t count);

/* The first byte of a CID whose records are to reach socket `index`; `index` is below 256. */
uint8_t steer_cid_byte(uint32_t index);

/* Has the kernel choose among the `count` sockets of the group that the bound socket `fd` belongs
 * to; indices are in the order of binding. Any socket of the group will do, and doing it again
 * replaces the rule. Until then, and when it fails, the kernel uses a hash of its own that changes
 * with every boot. Nothing is to be done for a single socket. Returns 0 or -errno. */
int steer_attach(int fd, steer_rule rule, uint32_t count);

#endif
