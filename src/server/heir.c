/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of a running server, the side of the new process. Thread: the main thread only. */
#include "server/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/upgrade_wire.h"

enum {
  OFFER_MS = 10000,   /* what it takes to send a few messages, and a busy machine */
  GO_MS = 60000,      /* shards of the old process answer, its state is saved */
  SOCKETS_MAX = 4096, /* of an address; the configuration allows fewer */
};

int heir_open(heir *h)
{
  const char *text = getenv(UPGRADE_VARIABLE);
  char *end = NULL;
  *h = (heir){.fd = -1};
  if (text == NULL)
    return 0;
  errno = 0;
  const long n = strtol(text, &end, 10);
  const bool is_number = end != text && *end == '\0' && errno == 0 && n > 2 && n < INT_MAX;
  (void)unsetenv(UPGRADE_VARIABLE); /* not for the next one */
  if (!is_number || fcntl((int)n, F_SETFD, FD_CLOEXEC) != 0)
    return -EINVAL;
  h->fd = (int)n;
  return 0;
}

static void end_talk(heir *h)
{
  if (h->fd >= 0)
    close(h->fd);
  h->fd = -1;
}

void heir_close(heir *h)
{
  end_talk(h);
  listener_set_close(&h->offers);
}

/* The listener that the message continues, or a new one. */
static listener *find_or_add(heir *h, const upgrade_msg *m)
{
  listener_set *set = &h->offers;
  if (m->first > 0)
    return set->count > 0 ? &set->items[set->count - 1] : NULL;
  listener l;
  if (m->total == 0 || m->total > SOCKETS_MAX ||
      listener_expect(&m->asked, &m->addr, m->total, &l) < 0)
    return NULL;
  l.is_secure = m->is_secure != 0;
  if (listener_set_add(set, &l) < 0) {
    listener_close(&l);
    return NULL;
  }
  return &set->items[set->count - 1];
}

/* Takes the descriptors of a message on success. */
static int take_listener(heir *h, const upgrade_msg *m, const int *fds)
{
  listener *l = find_or_add(h, m);
  if (l == NULL || l->count != m->total || m->first > l->count || m->count > l->count - m->first)
    return -EPROTO;
  for (uint32_t i = 0; i < m->count; i++)
    l->fds[m->first + i] = fds[i];
  return 0;
}

static int take_message(heir *h, const upgrade_msg *m, const int *fds)
{
  switch ((upgrade_kind)m->kind) {
  case UPGRADE_LISTENER: return take_listener(h, m, fds);
  case UPGRADE_OFFERED: return m->count == 0 ? 0 : -EPROTO;
  case UPGRADE_NOTHING: return -ETIMEDOUT;
  case UPGRADE_CLOSED: return -ECONNRESET;
  case UPGRADE_RESERVED:
  case UPGRADE_READY:
  case UPGRADE_GO:
  case UPGRADE_SERVING:
  case UPGRADE_FAILED: break;
  }
  return -EPROTO;
}

static bool is_complete(const listener_set *set)
{
  for (size_t i = 0; i < set->count; i++)
    for (uint32_t k = 0; k < set->items[i].count; k++)
      if (set->items[i].fds[k] < 0)
        return false;
  return true;
}

int heir_take(heir *h, char why[HEIR_WHY_SIZE])
{
  upgrade_msg m = {.kind = UPGRADE_NOTHING};
  int rc = 0;
  while (rc == 0 && m.kind != UPGRADE_OFFERED) {
    int fds[UPGRADE_FDS_MAX];
    rc = upgrade_msg_recv(h->fd, &m, fds, OFFER_MS);
    if (rc < 0)
      break;
    rc = take_message(h, &m, fds);
    for (uint32_t i = 0; rc < 0 && i < m.count; i++)
      close(fds[i]);
  }
  if (rc == 0 && !is_complete(&h->offers))
    rc = -EPROTO;
  if (rc < 0)
    snprintf(why, HEIR_WHY_SIZE, "cannot take the sockets over: %s", strerror(-rc));
  return rc;
}

int heir_wait(heir *h, char why[HEIR_WHY_SIZE])
{
  upgrade_msg m = {.kind = UPGRADE_NOTHING};
  int fds[UPGRADE_FDS_MAX];
  int rc = upgrade_msg_say(h->fd, UPGRADE_READY, NULL);
  if (rc == 0)
    rc = upgrade_msg_recv(h->fd, &m, fds, GO_MS);
  for (uint32_t i = 0; rc == 0 && i < m.count; i++)
    close(fds[i]);
  if (rc == 0 && m.kind == UPGRADE_GO)
    return 0;
  if (rc == 0)
    rc = m.kind == UPGRADE_NOTHING ? -ETIMEDOUT : -ECONNRESET;
  snprintf(why, HEIR_WHY_SIZE, "the old process does not make way: %s", strerror(-rc));
  return rc;
}

void heir_serves(heir *h)
{
  if (h->fd >= 0)
    (void)upgrade_msg_say(h->fd, UPGRADE_SERVING, NULL);
  end_talk(h);
}

void heir_fails(heir *h, const char *why)
{
  if (h->fd >= 0)
    (void)upgrade_msg_say(h->fd, UPGRADE_FAILED, why);
  end_talk(h);
}
