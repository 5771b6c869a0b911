/* SPDX-License-Identifier: Apache-2.0 */
/* The worlds run on a core with all features. */
#include "world.h"

const bool sim_has_blocks = true;
