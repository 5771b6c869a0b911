/* SPDX-License-Identifier: Apache-2.0 */
/* Shows a follower of the store what the store held before. */
#include "service/backfill.h"

#include <signal.h>
#include <string.h>

#include "copal/error.h"
#include "store/keytree.h"

enum { PAGE = 500 }; /* resources shown while changes wait */

static int show_one(void *ctx, copal_span key, const store_item *item)
{
  backfill *b = ctx;
  b->show(b, key, item);
  memcpy(b->last, key.ptr, key.len);
  b->last_len = key.len;
  return 0;
}

/* Shows the next page. A view that begins under the lock has every change that the follower was
 * told to leave out. Returns whether there may be more. */
static bool show_page(backfill *b)
{
  pthread_mutex_lock(&b->page_lock);
  store_view_renew(b->port);
  /* The listing must not stand on memory that show_one() writes. */
  uint8_t after[STORE_KEY_MAX];
  memcpy(after, b->last, b->last_len);
  const store_range page = {.after = copal_span_of(after, b->last_len), .max = PAGE};
  /* At no time: what has expired is shown, and its end is told like any other. */
  const int n = store_list(b->port, &page, show_one, b, 0);
  b->is_complete = n < PAGE;
  pthread_mutex_unlock(&b->page_lock);
  return n == PAGE;
}

static bool is_stopping(backfill *b)
{
  pthread_mutex_lock(&b->state_lock);
  const bool stops = b->is_stopping;
  pthread_mutex_unlock(&b->state_lock);
  return stops;
}

static void show_all(backfill *b)
{
  while (!is_stopping(b) && show_page(b)) {
  }
  store_port_close(b->port);
  b->port = NULL;
  pthread_mutex_lock(&b->state_lock);
  b->is_over = b->is_complete;
  pthread_mutex_unlock(&b->state_lock);
}

static void *backfill_main(void *arg)
{
  (void)pthread_setname_np(pthread_self(), "backfill");
  show_all(arg);
  return NULL;
}

static int start_thread(backfill *b)
{
  /* Signals are for the threads that wait for them. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  b->has_thread = pthread_create(&b->thread, NULL, backfill_main, b) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return b->has_thread ? COPAL_OK : COPAL_ENOSLOT;
}

int backfill_open(backfill *b, store *s)
{
  pthread_mutex_init(&b->page_lock, NULL);
  pthread_mutex_init(&b->state_lock, NULL);
  if (store_port_open(s, NULL, &b->port) != COPAL_OK)
    return COPAL_ENOSLOT;
  if (store_usage_now(s).resources > BACKFILL_AT_ONCE)
    return start_thread(b);
  show_all(b);
  return COPAL_OK;
}

bool backfill_enter(backfill *b, copal_span key)
{
  pthread_mutex_lock(&b->page_lock);
  return b->is_complete || keytree_compare(key, copal_span_of(b->last, b->last_len)) <= 0;
}

void backfill_leave(backfill *b)
{
  pthread_mutex_unlock(&b->page_lock);
}

bool backfill_is_over(backfill *b)
{
  pthread_mutex_lock(&b->state_lock);
  const bool is_over = b->is_over;
  pthread_mutex_unlock(&b->state_lock);
  return is_over;
}

void backfill_stop(backfill *b)
{
  pthread_mutex_lock(&b->state_lock);
  b->is_stopping = true;
  pthread_mutex_unlock(&b->state_lock);
  if (b->has_thread)
    pthread_join(b->thread, NULL);
  b->has_thread = false;
}

void backfill_wipe(backfill *b)
{
  store_port_close(b->port);
  b->port = NULL;
  pthread_mutex_destroy(&b->page_lock);
  pthread_mutex_destroy(&b->state_lock);
}
