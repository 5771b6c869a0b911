/* SPDX-License-Identifier: Apache-2.0 */
/* The version of libcopal at run time. */
#include "copal/version.h"

const char *copal_version(void)
{
  return COPAL_VERSION;
}
