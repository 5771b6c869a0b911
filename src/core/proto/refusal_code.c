/* SPDX-License-Identifier: Apache-2.0 */
/* The response code of an error. RFC 7252 section 5.9. */
#include "core/proto/refusal.h"

copal_code refusal_code(int err)
{
  const copal_code code = copal_reaction_code(copal_err_reaction(err));
  if (code)
    return code;
  return err == COPAL_ENOTFOUND ? COPAL_CODE_NOT_FOUND : COPAL_CODE_INTERNAL_SERVER_ERROR;
}
