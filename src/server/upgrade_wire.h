/* SPDX-License-Identifier: Apache-2.0 */
/* What the old and the new process of an upgrade tell each other: messages of fixed size over a
 * pair of SOCK_SEQPACKET sockets, some with descriptors. The two may be of different versions, so
 * the format keeps its beginning for ever. Thread: the main thread only. */
#ifndef SERVER_UPGRADE_WIRE_H
#define SERVER_UPGRADE_WIRE_H

#include <stdint.h>

#include "copal/path.h"

enum {
  UPGRADE_FORMAT = 1,
  UPGRADE_FDS_MAX = 128, /* descriptors of one message; the kernel takes 253 */
  UPGRADE_TEXT_SIZE = 256,
};

/* Where the new process finds its end of the pair. */
#define UPGRADE_VARIABLE "COPALD_UPGRADE_FD"

typedef enum upgrade_kind {
  UPGRADE_NOTHING,  /* nothing has come */
  UPGRADE_CLOSED,   /* the other side has ended */
  UPGRADE_LISTENER, /* old: an address, and `count` sockets of it from `first` on */
  UPGRADE_RESERVED, /* never sent */
  UPGRADE_OFFERED,  /* old: that was all */
  UPGRADE_READY,    /* new: could serve */
  UPGRADE_GO,       /* old: has let go of everything */
  UPGRADE_SERVING,  /* new: serves */
  UPGRADE_FAILED,   /* new: `text` says why it cannot */
} upgrade_kind;

typedef struct upgrade_msg {
  uint32_t format; /* UPGRADE_FORMAT */
  uint32_t kind;
  copal_addr asked;   /* UPGRADE_LISTENER: as configured */
  copal_addr addr;    /* UPGRADE_LISTENER: as bound */
  uint32_t is_secure; /* UPGRADE_LISTENER */
  uint32_t total;     /* UPGRADE_LISTENER: sockets of the address */
  uint32_t first;
  uint32_t count;               /* descriptors with this message */
  char text[UPGRADE_TEXT_SIZE]; /* ends with 0 */
} upgrade_msg;

/* Sends a message with `m->count` descriptors, without waiting. Returns 0 or -errno. */
int upgrade_msg_send(int fd, const upgrade_msg *m, const int *fds);

/* A message without anything but its kind and a text, which may be NULL. */
int upgrade_msg_say(int fd, upgrade_kind kind, const char *text);

/* Waits up to `timeout_ms` (-1: for ever) for a message. Its kind is UPGRADE_NOTHING when the time
 * is over and UPGRADE_CLOSED when none will come. The descriptors are given to the caller. Returns
 * 0, -EPROTO when it is none of ours, or -errno. */
int upgrade_msg_recv(int fd, upgrade_msg *m, int fds[UPGRADE_FDS_MAX], int timeout_ms);

#endif
