/* SPDX-License-Identifier: Apache-2.0 */
/* Concise problem details as text. RFC 9290 sections 2 and 3. */
#include "cmd/copal/problem.h"

#include "cmd/copal/cbor_diag.h"
#include "cmd/copal/style.h"
#include "copal/option.h"

enum {
  KEY_TITLE = -1, /* RFC 9290 section 2 */
  KEY_DETAIL = -2,
  KEY_INSTANCE = -3,
  KEY_UNPROCESSED_OPTION = -8, /* RFC 9290 section 3.1.1 */
  TAG_LANGUAGE = 38,           /* RFC 9290 appendix A */
};

static cbor_item_t *find_entry(const cbor_item_t *map, int key)
{
  const struct cbor_pair *pairs = cbor_map_handle(map);
  for (size_t i = 0; i < cbor_map_size(map); i++)
    if (cbor_isa_negint(pairs[i].key) && cbor_get_int(pairs[i].key) == (uint64_t)(-1 - key))
      return pairs[i].value;
  return NULL;
}

/* A text, or the text of a language-tagged one: 38(["en", "text"]). */
static void put_text(const cbor_item_t *value, buf *b)
{
  buf bytes = {0};
  if (cbor_isa_tag(value) && cbor_tag_value(value) == TAG_LANGUAGE) {
    cbor_item_t *content = cbor_tag_item(value);
    if (cbor_isa_array(content) && cbor_array_size(content) >= 2 &&
        cbor_isa_string(cbor_array_handle(content)[1]))
      cbor_string_bytes(cbor_array_handle(content)[1], &bytes);
    cbor_decref(&content);
  } else if (cbor_isa_string(value)) {
    cbor_string_bytes(value, &bytes);
  }
  safe_line(b, buf_span(&bytes));
  buf_wipe(&bytes);
}

static void put_option(const cbor_item_t *value, buf *b)
{
  const uint64_t number = cbor_isa_uint(value) ? cbor_get_int(value) : UINT64_MAX;
  const char *name = number <= UINT16_MAX ? copal_opt_name((uint16_t)number) : NULL;
  if (name)
    buf_print(b, " %s", name);
  else if (number != UINT64_MAX)
    buf_print(b, " %llu", (unsigned long long)number);
}

static void put_options(const cbor_item_t *value, buf *b)
{
  buf_text(b, b->len > 0 ? " (unprocessed option:" : "(unprocessed option:");
  if (cbor_isa_array(value)) {
    for (size_t i = 0; i < cbor_array_size(value); i++)
      put_option(cbor_array_handle(value)[i], b);
  } else {
    put_option(value, b);
  }
  buf_char(b, ')');
}

static void put_problem(const cbor_item_t *map, buf *b)
{
  const cbor_item_t *title = find_entry(map, KEY_TITLE);
  const cbor_item_t *detail = find_entry(map, KEY_DETAIL);
  const cbor_item_t *instance = find_entry(map, KEY_INSTANCE);
  const cbor_item_t *option = find_entry(map, KEY_UNPROCESSED_OPTION);
  if (title)
    put_text(title, b);
  if (title && detail)
    buf_text(b, ": ");
  if (detail)
    put_text(detail, b);
  if (option)
    put_options(option, b);
  if (instance) {
    buf_text(b, " [");
    put_text(instance, b);
    buf_char(b, ']');
  }
}

bool problem_print(copal_span bytes, buf *b)
{
  size_t used = 0;
  cbor_item_t *item = cbor_item_load(bytes, &used);
  const bool ok = item && used == bytes.len && cbor_isa_map(item) && cbor_map_size(item) > 0;
  if (ok) {
    buf text = {0};
    put_problem(item, &text);
    if (text.len == 0) { /* only entries unknown here */
      const style plain = {0};
      cbor_item_diag(item, &plain, &text);
    }
    buf_put_span(b, buf_span(&text));
    buf_wipe(&text);
  }
  if (item)
    cbor_decref(&item);
  return ok;
}
