/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an endpoint may process a message with the options it has. RFC 7252 section 5.4. */
#ifndef COPAL_CORE_WIRE_OPTION_CHECK_H
#define COPAL_CORE_WIRE_OPTION_CHECK_H

#include "copal/option.h"
#include "copal/registry.h"

/* The bit of a critical option (odd, below 64) in a set of those that an endpoint understands. */
#define COPAL_CRITICAL_BIT(number) ((uint32_t)1 << ((number) >> 1))

/* The bit of an option in what a walk over the options of a message has shown. */
#define COPAL_SIGHT_BIT(number) ((uint32_t)1 << ((number)&31))

enum {
  COPAL_CRITICAL_SET_END = 64, /* critical options from here on are never in a set */
};

/* What a walk over the options of a message has shown. */
typedef struct copal_opt_sight {
  uint32_t absent;   /* bit `number % 32` is set when no option has that number; all bits are clear
                        until the walk has come to its end */
  uint16_t offender; /* COPAL_EOPTION: the number of the option that is in the way */
} copal_opt_sight;

/* Whether the walk has shown that there is no such option. */
static inline bool copal_opt_is_absent(uint32_t absent, uint16_t number)
{
  return (absent & COPAL_SIGHT_BIT(number)) != 0;
}

/* Checks the critical options of a run that is known to be well formed.
 * `known` is the set of critical options that this endpoint understands. Returns COPAL_OK, or
 * COPAL_EOPTION, the offender being the first critical option that is
 * not in the set, is shorter or longer than registered, or occurs again without being repeatable.
 * Elective options are not looked at: of those, copal_opt_find_valid() skips the ill-sized, and a
 * second instance is never found. RFC 7252 sections 5.4.1, 5.4.3 and 5.4.5. */
int copal_opt_check(copal_span options, uint32_t known, copal_opt_sight *sight);

#endif
