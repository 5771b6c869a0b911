/* SPDX-License-Identifier: Apache-2.0 */
/* The initializers of public structs name every field, so that they warn nowhere; compiled by
 * check as C17 and as C++17. */
#include "copal/endpoint.h"
#include "copal/transfer.h"

copal_dur initialized(void);
copal_dur initialized(void)
{
  const copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  const copal_request request = COPAL_REQUEST_INIT;
  const copal_transfer_request transfer = COPAL_TRANSFER_REQUEST_INIT;
  return cfg.timer_tick + request.timeout + transfer.timeout;
}
