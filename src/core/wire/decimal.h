/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers in text formats. */
#ifndef COPAL_CORE_WIRE_DECIMAL_H
#define COPAL_CORE_WIRE_DECIMAL_H

#include "copal/cursor.h"

/* Writes `v` without leading zeros. */
void copal_wr_decimal(copal_wr *w, uint32_t v);

#endif
