/* SPDX-License-Identifier: Apache-2.0 */
/* Names of error codes, apart from their reactions so that a device does not link strings. */
#include "copal/error.h"
#include "core/base/error_table.h"

const char *copal_err_name(int err)
{
  if (err > 0)
    return copal_error_names[COPAL_OK];
  return err > -COPAL_ERR_COUNT ? copal_error_names[-err] : "unknown";
}
