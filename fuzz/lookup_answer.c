/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a lookup: any bytes are refused with a sentence, or give keys, names and groups that
 * can be such; and nothing is left of them in memory. Input: the answer. */
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/lookup/answer.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  answer a;
  char why[LOOKUP_WHY_SIZE] = "";
  uint8_t *copy = malloc(size + 1);
  REQUIRE(copy != NULL);
  if (size > 0)
    memcpy(copy, data, size);
  const int rc = answer_read(&a, (copal_mspan){copy, size}, why);
  for (size_t i = 0; i < size; i++)
    REQUIRE(copy[i] == 0);
  if (rc == COPAL_OK) {
    REQUIRE(a.psks.count <= DTLS_PSK_COUNT);
    for (size_t i = 0; i < a.psks.count; i++)
      REQUIRE(a.psks.keys[i].len > 0 && a.psks.keys[i].len <= DTLS_PSK_SIZE_MAX);
    REQUIRE(a.name[0] == '\0' || identity_name_is_valid(copal_span_str(a.name)));
    REQUIRE(a.groups[0] == '\0' || identity_groups_are_valid(copal_span_str(a.groups)));
    REQUIRE(a.ttl_s >= ANSWER_TTL_UNSAID && a.ttl_s <= LOOKUP_TTL_MAX);
  } else {
    REQUIRE(rc == COPAL_EFORMAT && why[0] != '\0');
  }
  free(copy);
  return 0;
}
