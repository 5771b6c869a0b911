/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration with units. Thread: any. */
#include "server/conf_value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "copal/error.h"

typedef struct unit_name {
  conf_unit unit;
  const char *name;
  uint64_t factor;
  bool is_preferred; /* used for writing */
} unit_name;

/* Largest first within a unit. */
static const unit_name unit_names[] = {
    {CONF_BYTES, "GiB", 1u << 30, true},
    {CONF_BYTES, "GB", 1000000000u, false},
    {CONF_BYTES, "MiB", 1u << 20, true},
    {CONF_BYTES, "MB", 1000000u, false},
    {CONF_BYTES, "KiB", 1u << 10, true},
    {CONF_BYTES, "kB", 1000u, false},
    {CONF_BYTES, "B", 1, true},
    {CONF_DURATION, "h", 3600000000u, true},
    {CONF_DURATION, "min", 60000000u, true},
    {CONF_DURATION, "s", 1000000u, true},
    {CONF_DURATION, "ms", 1000u, true},
    {CONF_DURATION, "us", 1, true},
    {CONF_SECONDS, "d", 86400u, true},
    {CONF_SECONDS, "h", 3600u, true},
    {CONF_SECONDS, "min", 60u, true},
    {CONF_SECONDS, "s", 1, true},
};

enum { UNIT_NAME_COUNT = sizeof unit_names / sizeof unit_names[0] };

/* The factor of a unit's name, or 0 when it is unknown. */
static uint64_t factor_of(conf_unit unit, const char *name)
{
  for (size_t i = 0; i < UNIT_NAME_COUNT; i++)
    if (unit_names[i].unit == unit && strcmp(unit_names[i].name, name) == 0)
      return unit_names[i].factor;
  return 0;
}

/* A decimal number, "12" or "12.5", as an integer and the power of ten that divides it. */
typedef struct decimal {
  uint64_t digits;
  uint64_t divisor;
} decimal;

static bool is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static int parse_decimal(const char **text, decimal *d)
{
  const char *s = *text;
  *d = (decimal){0, 1};
  if (!is_digit(*s))
    return COPAL_EFORMAT;
  bool has_point = false;
  for (; is_digit(*s) || (*s == '.' && !has_point && is_digit(s[1])); s++) {
    if (*s == '.') {
      has_point = true;
      continue;
    }
    if (d->digits > UINT64_MAX / 10 - 1 || d->divisor > UINT32_MAX)
      return COPAL_EINVAL;
    d->digits = d->digits * 10 + (uint64_t)(*s - '0');
    if (has_point)
      d->divisor *= 10;
  }
  *text = s;
  return COPAL_OK;
}

int conf_value_parse(const char *text, conf_unit unit, uint64_t *value)
{
  decimal d;
  const int rc = parse_decimal(&text, &d);
  if (rc < 0)
    return rc;
  while (*text == ' ')
    text++;
  uint64_t factor = 1;
  if (*text != '\0')
    factor = factor_of(unit, text);
  else if ((unit == CONF_DURATION || unit == CONF_SECONDS) && d.digits != 0)
    factor = 0;
  if (factor == 0)
    return COPAL_EFORMAT;
  if (d.digits > UINT64_MAX / factor)
    return COPAL_EINVAL;
  if (d.digits * factor % d.divisor != 0)
    return COPAL_EFORMAT;
  *value = d.digits * factor / d.divisor;
  return COPAL_OK;
}

void conf_value_format(uint64_t value, conf_unit unit, char out[CONF_VALUE_TEXT_SIZE])
{
  for (size_t i = 0; value != 0 && i < UNIT_NAME_COUNT; i++) {
    const unit_name *u = &unit_names[i];
    if (u->unit != unit || !u->is_preferred || value % u->factor != 0)
      continue;
    snprintf(out, CONF_VALUE_TEXT_SIZE, "%" PRIu64 " %s", value / u->factor, u->name);
    return;
  }
  snprintf(out, CONF_VALUE_TEXT_SIZE, "%" PRIu64, value);
}
