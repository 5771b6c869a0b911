/* SPDX-License-Identifier: Apache-2.0 */
/* What is done on the wire about an error. RFC 7252 sections 4.2, 4.3, 5.4.1 and 5.9, as data in
 * docs/registry/errors.csv. */
#include "copal/error.h"
#include "copal/registry.h"
#include "core/base/error_table.h"

copal_reaction copal_err_reaction(int err)
{
  if (err > 0 || err <= -COPAL_ERR_COUNT)
    return COPAL_REACT_NONE;
  return (copal_reaction)copal_error_reactions[-err];
}

copal_code copal_reaction_code(copal_reaction reaction)
{
  switch (reaction) {
  case COPAL_REACT_BAD_REQUEST: return COPAL_CODE_BAD_REQUEST;
  case COPAL_REACT_BAD_OPTION: return COPAL_CODE_BAD_OPTION;
  case COPAL_REACT_INCOMPLETE: return COPAL_CODE_REQUEST_ENTITY_INCOMPLETE;
  case COPAL_REACT_TOO_LARGE: return COPAL_CODE_REQUEST_ENTITY_TOO_LARGE;
  case COPAL_REACT_UNAVAILABLE: return COPAL_CODE_SERVICE_UNAVAILABLE;
  case COPAL_REACT_PROXYING_NOT_SUPPORTED: return COPAL_CODE_PROXYING_NOT_SUPPORTED;
  case COPAL_REACT_NONE:
  case COPAL_REACT_IGNORE:
  case COPAL_REACT_RESET:
  case COPAL_REACT_ABORT: break;
  }
  return COPAL_CODE_EMPTY;
}
