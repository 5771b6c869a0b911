/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables behind copal/error.h. */
#ifndef COPAL_CORE_BASE_ERROR_TABLE_H
#define COPAL_CORE_BASE_ERROR_TABLE_H

#include <stdint.h>

#include "copal/error.h"

/* A copal_reaction for each negated error code. */
extern const uint8_t copal_error_reactions[COPAL_ERR_COUNT];

/* A name for each negated error code; linked only with copal_err_name(). */
extern const char *const copal_error_names[COPAL_ERR_COUNT];

#endif
