/* SPDX-License-Identifier: Apache-2.0 */
/* Unpredictable bytes from the kernel. Thread: the owner's only. */
#include "server/entropy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void fetch(uint8_t *to, size_t len)
{
  while (len > 0) {
    const ssize_t n = getrandom(to, len, 0);
    if (n > 0) {
      to += n;
      len -= (size_t)n;
    } else if (n < 0 && errno != EINTR) {
      /* Tokens and Message IDs that an attacker can guess are worse than no service. */
      abort();
    }
  }
}

static void entropy_fill(copal_entropy *hook, copal_mspan out)
{
  entropy *e = (entropy *)hook;
  while (out.len > 0) {
    if (e->left == 0) {
      fetch(e->batch, sizeof e->batch);
      e->left = sizeof e->batch;
    }
    const size_t n = out.len < e->left ? out.len : e->left;
    uint8_t *from = e->batch + sizeof e->batch - e->left;
    memcpy(out.ptr, from, n);
    explicit_bzero(from, n);
    e->left -= n;
    out.ptr += n;
    out.len -= n;
  }
}

void entropy_init(entropy *e)
{
  e->hook.fill = entropy_fill;
  e->left = 0;
}

void entropy_wipe(entropy *e)
{
  explicit_bzero(e, sizeof *e);
}
