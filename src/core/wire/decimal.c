/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers in text formats. */
#include <stdbool.h>

#include "core/wire/decimal.h"

void copal_wr_decimal(copal_wr *w, uint32_t v)
{
  static const uint32_t TENS[] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                  10000,      1000,      100,      10,      1};
  bool has_digit = false;
  /* Subtraction instead of division, which small processors lack. */
  for (size_t i = 0; i < sizeof TENS / sizeof TENS[0]; i++) {
    uint8_t digit = '0';
    for (; v >= TENS[i]; v -= TENS[i])
      digit++;
    has_digit = has_digit || digit != '0' || TENS[i] == 1;
    if (has_digit)
      copal_wr_u8(w, digit);
  }
}
