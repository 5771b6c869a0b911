/* SPDX-License-Identifier: Apache-2.0 */
/* The generated tables behind copal/registry.h, copal/code.h and copal/option.h. Each lives in an
 * object of its own, so that a device links only those it uses. */
#ifndef COPAL_CORE_WIRE_REGISTRY_TABLE_H
#define COPAL_CORE_WIRE_REGISTRY_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/option.h"
#include "copal/registry.h"

/* What is registered of an option, in one word: number (16 bits), longest value (11), shortest
 * value (2), repeatable (1), format (2). */
#define COPAL_OPTION_ROW(number, min_len, max_len, repeatable, format)                             \
  ((uint32_t)(number) << 16 | (uint32_t)(max_len) << 5 | (uint32_t)(min_len) << 3 |                \
   (uint32_t)(repeatable) << 2 | (uint32_t)(format))

/* Ascending by number. */
extern const uint32_t copal_option_rows[];
extern const size_t copal_option_row_count;

typedef struct copal_code_row {
  copal_code code;
  const char *name;
} copal_code_row;

/* Ascending by code. */
extern const copal_code_row copal_code_rows[];
extern const size_t copal_code_row_count;

/* A registered number and its name. */
typedef struct copal_name_row {
  uint16_t number;
  const char *name;
} copal_name_row;

/* Ascending by number. */
extern const copal_name_row copal_option_name_rows[];
extern const size_t copal_option_name_row_count;
extern const copal_name_row copal_cf_rows[];
extern const size_t copal_cf_row_count;

#endif
