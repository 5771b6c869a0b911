/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a server from being used as a reflector: how large a response may be that goes to an
 * address which nobody has verified. RFC 7252 section 11.3, RFC 9175 section 2.4.
 *
 * An endpoint works without a guard; then all responses may leave. */
#ifndef COPAL_GUARD_H
#define COPAL_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/path.h"
#include "copal/platform.h"
#include "copal/span.h"
#include "copal/time.h"

COPAL_BEGIN_DECLS

enum { COPAL_ECHO_SIZE = 12 }; /* bytes of the Echo values made here; RFC 9175 allows 1 to 40 */

typedef struct copal_guard {
  /* True when a datagram of `len` bytes may go to an address that sent one request. May draw on a
   * budget. */
  bool (*allows)(struct copal_guard *g, const copal_path *path, size_t len, copal_time now);

  /* Writes an Echo value for that endpoint; it must be told from forged and outdated ones later. */
  void (*challenge)(struct copal_guard *g, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                    copal_time now);

  /* A request carried this Echo value: when it is a fresh one made for that endpoint, the endpoint
   * is verified. */
  void (*on_echo)(struct copal_guard *g, const copal_path *path, copal_span echo, copal_time now);

  /* True when the endpoint should be pinged after a response that drew on a budget: `*mid` receives
   * an unpredictable Message ID. An ordinary client answers with a Reset, and is verified before
   * its budget is used up. RFC 7252 section 4.3. */
  bool (*probe)(struct copal_guard *g, const copal_path *path, uint16_t *mid, copal_time now);

  /* A Reset with this Message ID belongs to nothing else. True when it answers a probe: then the
   * endpoint is verified. */
  bool (*on_reset)(struct copal_guard *g, const copal_path *path, uint16_t mid, copal_time now);

  /* The endpoint acknowledged an unpredictable Message ID, so it receives what is sent to it. */
  void (*on_acknowledged)(struct copal_guard *g, const copal_path *path, copal_time now);
} copal_guard;

COPAL_END_DECLS

#endif
