/* SPDX-License-Identifier: Apache-2.0 */
/* The one value of a representation. RFC 8428 section 4 for SenML. */
#include "service/conditions_value.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "copal/registry.h"
#include "service/json_text.h"
#include "service/senml.h"
#include "service/senml_cbor.h"
#include "store/store.h"

enum { NUMBER_SIZE = 64 }; /* characters of a number in text, with the NUL */

static bool is_blank(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static copal_span without_blanks(copal_span s)
{
  while (s.len > 0 && is_blank(s.ptr[0])) {
    s.ptr++;
    s.len--;
  }
  while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
    s.len--;
  return s;
}

static bool is_word(copal_span s, const char *word)
{
  return copal_span_is_equal(s, copal_span_str(word));
}

/* Decimal notation with an optional exponent; strtod() alone would also take "inf" and "0x1". */
static bool read_number(copal_span s, double *number)
{
  char text[NUMBER_SIZE];
  char *end;
  if (s.len == 0 || s.len >= sizeof text)
    return false;
  memcpy(text, s.ptr, s.len);
  text[s.len] = '\0';
  if (strspn(text, "+-.0123456789eE") != s.len)
    return false;
  *number = strtod(text, &end);
  return end == text + s.len && *number - *number == 0; /* neither infinite nor not a number */
}

static conditions_value value_of_text(copal_span text)
{
  const copal_span s = without_blanks(text);
  conditions_value v = {.is_number = false};
  v.is_number = read_number(s, &v.number);
  v.truth = is_word(s, "1") || is_word(s, "true");
  v.is_truth = v.truth || is_word(s, "0") || is_word(s, "false");
  return v;
}

static conditions_value value_of_json(const json_t *value)
{
  return (conditions_value){.is_number = json_is_number(value),
                            .is_truth = json_is_boolean(value),
                            .number = json_number_value(value),
                            .truth = json_is_true(value)};
}

static conditions_value value_of_pack(const json_t *pack)
{
  conditions_value v = {.is_number = false};
  problem ignored;
  json_t *records = senml_resolve(pack, &ignored);
  if (records != NULL && json_array_size(records) == 1) {
    const json_t *record = json_array_get(records, 0);
    const json_t *number = json_object_get(record, "v");
    v = value_of_json(number != NULL ? number : json_object_get(record, "vb"));
  }
  json_decref(records);
  return v;
}

conditions_value conditions_value_of(uint16_t format, copal_span body)
{
  conditions_value v = {.is_number = false};
  int err;
  if (body.len > CONDITIONS_BODY_MAX)
    return v;
  if (format == COPAL_CF_TEXT_PLAIN || format == STORE_NO_FORMAT)
    return value_of_text(body);
  if (format != COPAL_CF_JSON && format != COPAL_CF_SENML_JSON && format != COPAL_CF_SENML_CBOR)
    return v;
  json_t *document =
      format == COPAL_CF_SENML_CBOR ? senml_cbor_read(body, &err) : json_text_read(body, NULL);
  if (document != NULL)
    v = format == COPAL_CF_JSON ? value_of_json(document) : value_of_pack(document);
  json_decref(document);
  return v;
}
