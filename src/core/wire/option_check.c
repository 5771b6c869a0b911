/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an endpoint may process a message with the options it has. RFC 7252
 * sections 5.4.1, 5.4.3, 5.4.5 and 5.10.7. */
#include "core/wire/option_check.h"
#include "copal/error.h"
#include "copal/registry.h"

static bool is_known(uint32_t known, uint16_t number)
{
  return number < COPAL_CRITICAL_SET_END && (known & COPAL_CRITICAL_BIT(number)) != 0;
}

/* Numbers kept for further Location-* options: 128, 132, 136 and 140. RFC 7252 section 5.10.7. */
static bool is_reserved_location(uint16_t number)
{
  enum { FIRST = 128, BITS = 12 };
  return (number & ~BITS) == FIRST;
}

static bool is_location(uint16_t number)
{
  return number == COPAL_OPT_LOCATION_PATH || number == COPAL_OPT_LOCATION_QUERY;
}

/* `def` is that of the last option that was looked at: paths repeat one. */
static bool is_acceptable(const copal_opt *opt, copal_opt_def *def)
{
  const bool is_again = opt->number == def->number;
  if (is_again ? !def->repeatable : !copal_opt_def_find(opt->number, def))
    return false;
  return opt->value.len >= def->min_len && opt->value.len <= def->max_len;
}

int copal_opt_check(copal_span options, uint32_t known, copal_opt_sight *sight)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  copal_opt opt;
  copal_opt_def def = {.number = 0}; /* none has this one: RFC 7252 section 12.2 reserves it */
  uint32_t present = 0;
  bool has_location = false;
  while (copal_opt_next(&it, &opt)) {
    present |= COPAL_SIGHT_BIT(opt.number);
    has_location |= is_location(opt.number);
    if (!copal_opt_is_critical(opt.number) && !(has_location && is_reserved_location(opt.number)))
      continue;
    if (is_known(known, opt.number) && is_acceptable(&opt, &def))
      continue;
    *sight = (copal_opt_sight){.offender = opt.number};
    return COPAL_EOPTION;
  }
  sight->absent = ~present;
  return COPAL_OK;
}
