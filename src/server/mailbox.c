/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded queue of pointers from many threads to one: a ring whose cells carry a turn number.
 * A cell at position p is free for writing in turn p and holds a message in turn p + 1; it keeps
 * the distance of its turn from its index, so that a ring of untouched, zeroed pages is ready.
 * Posting and waking: any thread. Everything else: the owner's thread only. */
#include "server/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "copal/error.h"

typedef struct cell {
  _Atomic size_t ahead; /* turn minus index */
  void *msg;
} cell;

struct mailbox {
  size_t size; /* bytes of the mapping */
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
  const size_t size = sizeof(mailbox) + count * sizeof(cell);
  mailbox *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED)
    return -errno;
  m->size = size;
  m->mask = count - 1;
  atomic_init(&m->needs_no_signal, true);
  m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (m->fd < 0) {
    const int rc = -errno;
    munmap(m, size);
    return rc;
  }
  *out = m;
  return 0;
}

void mailbox_close(mailbox *m)
{
  if (m == NULL)
    return;
  close(m->fd);
  munmap(m, m->size);
}

/* The turn of the cell at a position. */
static size_t turn_at(mailbox *m, size_t pos)
{
  const size_t index = pos & m->mask;
  return atomic_load_explicit(&m->cells[index].ahead, memory_order_acquire) + index;
}

/* Says that what the cell holds, or that it holds nothing, may be seen. */
static void set_turn(mailbox *m, size_t pos, size_t turn)
{
  const size_t index = pos & m->mask;
  atomic_store_explicit(&m->cells[index].ahead, turn - index, memory_order_release);
}

/* Claims a position to write, or returns false when the ring is full. */
static bool claim(mailbox *m, size_t *pos)
{
  size_t at = atomic_load_explicit(&m->tail, memory_order_relaxed);
  for (;;) {
    const size_t turn = turn_at(m, at);
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
  m->cells[pos & m->mask].msg = msg;
  set_turn(m, pos, pos + 1);
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
  if (turn_at(m, m->head) != m->head + 1)
    return NULL;
  void *msg = m->cells[m->head & m->mask].msg;
  set_turn(m, m->head, m->head + m->mask + 1);
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
