/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration with units, from text and to text. Thread: any. */
#ifndef SERVER_CONF_VALUE_H
#define SERVER_CONF_VALUE_H

#include <stddef.h>
#include <stdint.h>

/* What a number counts. */
typedef enum conf_unit {
  CONF_PLAIN,    /* "100" */
  CONF_BYTES,    /* "4 MiB", "1500", "64 kB"; 1 KiB is 1024 bytes, 1 kB is 1000 */
  CONF_DURATION, /* "500 ms", "2.5 s", "10 min"; microseconds; a unit is required, but for "0" */
  CONF_SECONDS,  /* "60 s", "1 h"; whole seconds; a unit is required, but for "0" */
} conf_unit;

enum { CONF_VALUE_TEXT_SIZE = 32 };

/* Parses a number with its unit. Returns 0; COPAL_EFORMAT (no number, unknown unit, unit missing);
 * or COPAL_EINVAL when it does not fit. */
int conf_value_parse(const char *text, conf_unit unit, uint64_t *value);

/* Writes a value with the largest unit that holds it without a fraction. */
void conf_value_format(uint64_t value, conf_unit unit, char out[CONF_VALUE_TEXT_SIZE]);

#endif
