/* SPDX-License-Identifier: Apache-2.0 */
/* URIs: the URI of a URI's options has the same options and is in normal form. */
#include "copal/error.h"
#include "uri_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static uri_trip first, second;
  if (size > URI_TRIP_TEXT_MAX || !uri_trip_run(copal_span_of(data, size), &first))
    return 0;
  const copal_span composed = copal_wr_done(&first.composed);
  REQUIRE(first.err == COPAL_OK || first.err == COPAL_EURI);
  /* What is encoded in a host may decode to something with a meaning of its own. */
  if (first.err != COPAL_OK || first.has_encoded_host)
    return 0;
  REQUIRE(uri_trip_run(composed, &second) && second.err == COPAL_OK);
  REQUIRE(copal_span_is_equal(copal_wr_done(&first.run), copal_wr_done(&second.run)));
  REQUIRE(copal_span_is_equal(composed, copal_wr_done(&second.composed)));
  return 0;
}
