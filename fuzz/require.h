/* SPDX-License-Identifier: Apache-2.0 */
/* Assertions of fuzz harnesses; they hold in builds without assert() too. */
#ifndef COPAL_FUZZ_REQUIRE_H
#define COPAL_FUZZ_REQUIRE_H

#include <stdlib.h>

#define REQUIRE(condition)                                                                         \
  do {                                                                                             \
    if (!(condition))                                                                              \
      abort();                                                                                     \
  } while (0)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif
