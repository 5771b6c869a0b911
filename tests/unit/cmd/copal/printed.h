/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the printers share: bytes from hexadecimal text, output compared with text. */
#ifndef TESTS_UNIT_CMD_COPAL_PRINTED_H
#define TESTS_UNIT_CMD_COPAL_PRINTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/optset.h"
#include "cmd/copal/style.h"

static const style plain = {.color = false, .width = 80};

/* The bytes that `hex` spells, blanks ignored; to be wiped. */
static inline buf unhex(const char *hex)
{
  buf digits = {0};
  buf bytes = {0};
  for (; *hex; hex++)
    if (*hex != ' ')
      buf_char(&digits, *hex);
  assert_int_equal(hex_parse(buf_str(&digits), &bytes), 0);
  buf_wipe(&digits);
  return bytes;
}

/* Compares and wipes. */
static inline void expect(buf *out, const char *text)
{
  assert_string_equal(buf_str(out), text);
  buf_wipe(out);
}

#endif
