/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing the remote ends of paths. RFC 7252 sections 1.2, 4.4 and 5.3.2. */
#include <assert.h>
#include <string.h>

#include "copal/path.h"

static_assert(sizeof(copal_addr) == 20, "an address has no padding, so bytes can be compared");
static_assert(sizeof(copal_path) == 28, "a path has no padding");

bool copal_path_is_same_peer(const copal_path *a, const copal_path *b)
{
  if (a->session != b->session)
    return false;
  /* The peer of a session is who has its keys, wherever it is. RFC 9146 section 6. */
  return a->session != 0 || memcmp(&a->remote, &b->remote, sizeof a->remote) == 0;
}
