/* SPDX-License-Identifier: Apache-2.0 */
/* Error responses without a payload: what refusal.c is on a device that has no room for texts.
 * RFC 7252 section 5.5.2 recommends a payload and demands none. */
#include "core/proto/refusal.h"

static const uint8_t retry_value[] = {1}; /* seconds, RFC 7252 section 5.9.3.4 */
static const copal_opt retry = {COPAL_OPT_MAX_AGE, {retry_value, sizeof retry_value}};

void refusal_make(refusal *f, int err, uint16_t offender, bool wants_problem)
{
  (void)offender, (void)wants_problem;
  f->response = (copal_response){.code = refusal_code(err), .opts = &retry};
  f->response.opt_count = f->response.code == COPAL_CODE_SERVICE_UNAVAILABLE;
}
