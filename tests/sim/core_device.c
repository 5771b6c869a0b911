/* SPDX-License-Identifier: Apache-2.0 */
/* The worlds run on the core of the smallest device. */
#include "world.h"

const bool sim_has_blocks = false;
