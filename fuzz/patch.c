/* SPDX-License-Identifier: Apache-2.0 */
/* Patches and selections: any document on any representation yields a result within its limit or a
 * problem. RFC 8132, RFC 6902, RFC 7396, RFC 8790. Input: formats, length of the document,
 * document, representation. */
#include <stdlib.h>

#include "copal/registry.h"
#include "require.h"
#include "service/patch.h"

enum { HEAD = 2, RESULT_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const uint16_t formats[] = {COPAL_CF_JSON_PATCH, COPAL_CF_MERGE_PATCH,
                                     COPAL_CF_SENML_ETCH_JSON, COPAL_CF_SENML_ETCH_CBOR};
  static const uint16_t targets[] = {COPAL_CF_JSON, COPAL_CF_SENML_JSON, COPAL_CF_SENML_CBOR};
  if (size < HEAD)
    return 0;
  const size_t left = size - HEAD;
  const size_t len = data[1] < left ? data[1] : left;
  const patch_job job = {.format = formats[data[0] & 3],
                         .document = copal_span_of(data + HEAD, len),
                         .target_format = targets[(data[0] >> 2) % 3],
                         .target = copal_span_of(data + HEAD + len, left - len),
                         .input_max = UINT32_MAX,
                         .result_max = RESULT_MAX};
  copal_mspan result;
  problem why;
  uint16_t format;
  if (patch_apply(&job, &result, &why)) {
    REQUIRE(result.len <= RESULT_MAX);
    free(result.ptr);
  } else {
    REQUIRE(copal_code_class(why.code) >= COPAL_CLASS_CLIENT_ERROR);
  }
  if (patch_select(&job, REPLY_ANY_FORMAT, &result, &format, &why))
    free(result.ptr);
  return 0;
}
