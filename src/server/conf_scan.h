/* SPDX-License-Identifier: Apache-2.0 */
/* Finds numbers in a configuration file that libconfig would cut to 32 bits without a word. Thread:
 * any. */
#ifndef SERVER_CONF_SCAN_H
#define SERVER_CONF_SCAN_H

#include "copal/span.h"

/* Line of the first bare integer beyond 32 bits that has no "L" behind it, counted from 1; 0 when
 * there is none. Strings and comments are skipped. */
unsigned conf_scan_wide_number(copal_span text);

#endif
