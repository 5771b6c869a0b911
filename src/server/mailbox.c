/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of pointers from many threads to one: a ring whose cells carry a turn number.
 * A cell at position p is free for writing in turn p and holds a message in turn p + 1. Posting and
 * waking: any thread. Everything else: the owner's thread only. */
#include "server/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "copal/error.h"

typedef struct cell {
  _Atomic size_t turn;
  void *msg;
} cell;

struct mailbox {
  size_t mask;
  int fd;
  size_t head;                      /* next position to take; the owner's */
  _Alignas(64) _Atomic size_t tail; /* next position to write */
  _Atomic uint64_t refused;
  atomic_bool needs_no_signal; /* the owner is awake, or has been signalled */
  cell cells[];
};

int mailbox_open(size_t cap, mailbox **out)
{
  size_t count = 2;
  while (count < cap)
    count *= 2;
  /* Aligned allocation wants a multiple of the alignment. */
  const size_t size = (sizeof(mailbox) + count * sizeof(cell) + 63) / 64 * 64;
  mailbox *m = aligned_alloc(64, size);
  if (m == NULL)
    return -ENOMEM;
  m->mask = count - 1;
  m->head = 0;
  atomic_init(&m->tail, 0);
  atomic_init(&m->refused, 0);
  atomic_init(&m->needs_no_signal, true);
  for (size_t i = 0; i < count; i++) {
    atomic_init(&m->cells[i].turn, i);
    m->cells[i].msg = NULL;
  }
  m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (m->fd < 0) {
    free(m);
    return -errno;
  }
  *out = m;
  return 0;
}

void mailbox_close(mailbox *m)
{
  if (m == NULL)
    return;
  close(m->fd);
  free(m);
}

/* Claims a position to write, or returns false when the ring is full. */
static bool claim(mailbox *m, size_t *pos)
{
  size_t at = atomic_load_explicit(&m->tail, memory_order_relaxed);
  for (;;) {
    const size_t turn = atomic_load_explicit(&m->cells[at & m->mask].turn, memory_order_acquire);
    if (turn == at) {
      if (atomic_compare_exchange_weak_explicit(&m->tail, &at, at + 1, memory_order_relaxed,
                                                memory_order_relaxed)) {
        *pos = at;
        return true;
      }
    } else if ((ptrdiff_t)(turn - at) < 0) {
      return false;
    } else {
      at = atomic_load_explicit(&m->tail, memory_order_relaxed);
    }
  }
}

int mailbox_post(mailbox *m, void *msg)
{
  size_t pos;
  if (!claim(m, &pos)) {
    atomic_fetch_add_explicit(&m->refused, 1, memory_order_relaxed);
    return COPAL_ENOSLOT;
  }
  cell *c = &m->cells[pos & m->mask];
  c->msg = msg;
  atomic_store_explicit(&c->turn, pos + 1, memory_order_release);
  mailbox_wake(m);
  return COPAL_OK;
}

void mailbox_wake(mailbox *m)
{
  /* The flag only changes by exchange, so that all changes are in one order and each sees what the
   * one before has made visible: either this comes first and the owner's look behind mailbox_doze()
   * finds the message, or this finds the owner dozing. */
  if (atomic_exchange(&m->needs_no_signal, true))
    return;
  const uint64_t one = 1;
  /* It can only fail when the counter is full, and then the owner is being woken anyway. */
  const ssize_t n = write(m->fd, &one, sizeof one);
  (void)n;
}

void *mailbox_take(mailbox *m)
{
  cell *c = &m->cells[m->head & m->mask];
  if (atomic_load_explicit(&c->turn, memory_order_acquire) != m->head + 1)
    return NULL;
  void *msg = c->msg;
  atomic_store_explicit(&c->turn, m->head + m->mask + 1, memory_order_release);
  m->head++;
  return msg;
}

void mailbox_doze(mailbox *m)
{
  (void)atomic_exchange(&m->needs_no_signal, false);
}

void mailbox_rouse(mailbox *m)
{
  (void)atomic_exchange(&m->needs_no_signal, true);
}

void mailbox_clear(mailbox *m)
{
  uint64_t count;
  const ssize_t n = read(m->fd, &count, sizeof count);
  (void)n; /* nothing there is as good */
}

int mailbox_fd(const mailbox *m)
{
  return m->fd;
}

uint64_t mailbox_refused(mailbox *m)
{
  return atomic_load_explicit(&m->refused, memory_order_relaxed);
}
