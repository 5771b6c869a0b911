/* SPDX-License-Identifier: Apache-2.0 */
/* Parses or writes a message of the comparison many times, to count the instructions of it: the
 * difference of two runs. RFC 7252 section 3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference.h"

int main(int argc, char **argv)
{
  uint8_t out[REFERENCE_RESPONSE_SIZE] = {0};
  if (argc != 3) {
    fputs("usage: codec parse|serialise COUNT\n", stderr);
    return 2;
  }
  const bool is_parse = strcmp(argv[1], "parse") == 0;
  bool is_right = true;
  for (long n = atol(argv[2]); n > 0 && is_right; n--)
    is_right = is_parse ? reference_parse() : reference_serialise(out);
  if (!is_right || (!is_parse && !reference_is_response(out))) {
    fputs("codec: wrong result\n", stderr);
    return 1;
  }
  return 0;
}
