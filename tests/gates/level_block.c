/* SPDX-License-Identifier: Apache-2.0 */
/* What a device calls that also takes uploads in blocks; responses in blocks need no call. Linked
 * beside level_message.c for the level "block" of tools/gates; it is measured, never run. */
#include "copal/assembly.h"

/* A request with Block1. */
int level_on_block(copal_assembly *a, const copal_req *req, copal_assembly_step *step);
int level_on_block(copal_assembly *a, const copal_req *req, copal_assembly_step *step)
{
  return copal_assembly_take(a, req, COPAL_ASSEMBLY_NO_FORMAT, step);
}
