/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional query parameters against values. Input: Content-Format (1 byte index), length of the
 * options, options, representation. draft-ietf-core-conditional-attributes. */
#include "service/conditions.h"
#include "copal/registry.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const uint16_t formats[] = {COPAL_CF_TEXT_PLAIN, COPAL_CF_JSON, COPAL_CF_SENML_JSON,
                                     COPAL_CF_SENML_CBOR};
  conditions c;
  conditions_state s;
  problem why;
  copal_time again;
  if (size < 2 || data[1] > size - 2)
    return 0;
  const copal_span options = copal_span_of(data + 2, data[1]);
  const copal_span body = copal_span_of(data + 2 + data[1], size - 2 - data[1]);
  const conditions_value v = conditions_value_of(formats[data[0] % 4], body);
  if (!conditions_parse(&c, options, &why) || !conditions_suit(&c, &v, &why))
    return 0;
  conditions_begin(&s, &c, &v, 1);
  for (copal_time now = 1, i = 0; i < 4; i++, now = again == COPAL_NEVER ? now + 1 : again) {
    (void)conditions_judge(&s, &v, i == 1, now, &again);
    REQUIRE(again > now || !conditions_are_welcome(&c)); /* or the timer would never rest */
  }
  return 0;
}
