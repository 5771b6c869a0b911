/* SPDX-License-Identifier: Apache-2.0 */
/* SenML packs as a table of resolved records. Both encodings become the same jansson objects first.
 * RFC 8428 sections 4 to 6. */
#include "cmd/copal/senml.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/copal/cbor_diag.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/table.h"

/* Times below are relative to now. RFC 8428 section 4.5.3. */
#define RELATIVE_TIME_LIMIT 268435456.0 /* 2^28 s */
#define YEAR_10000          253402300800.0

enum { COLUMNS = 4 };

/* Base values in force, RFC 8428 section 4.1. */
typedef struct senml_base {
  const char *name;
  const char *unit;
  double time;
  double value;
  double sum;
} senml_base;

/* CBOR labels, RFC 8428 section 4.3. */
static const char *label_name(int64_t label)
{
  static const char *const names[] = {"bs", "bv", "bu", "bt", "bn", "bver", "n", "u",
                                      "v",  "vs", "vb", "s",  "t",  "ut",   "vd"};
  /* -6 to -1 are the base fields, 0 to 8 the others. */
  return label >= -6 && label <= 8 ? names[label + 6] : NULL;
}

static void put_time(double t, buf *b)
{
  if (fabs(t) < RELATIVE_TIME_LIMIT) {
    buf_text(b, t < 0 ? "" : "+");
    number_put(b, t);
    buf_text(b, " s");
    return;
  }
  struct tm tm;
  char text[40];
  const double rounded = round(t * 1000) / 1000;
  const time_t seconds = fabs(t) < YEAR_10000 ? (time_t)floor(rounded) : 0;
  if (seconds == 0 || !gmtime_r(&seconds, &tm)) {
    number_put(b, t);
    return;
  }
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  buf_text(b, text);
  const int ms = (int)lround((rounded - floor(rounded)) * 1000);
  if (ms > 0)
    buf_print(b, ".%03d", ms);
  buf_char(b, 'Z');
}

static void update_base(senml_base *base, const json_t *record)
{
  const json_t *v;
  if ((v = json_object_get(record, "bn")) != NULL)
    base->name = json_string_value(v);
  if ((v = json_object_get(record, "bu")) != NULL)
    base->unit = json_string_value(v);
  if ((v = json_object_get(record, "bt")) != NULL)
    base->time = json_number_value(v);
  if ((v = json_object_get(record, "bv")) != NULL)
    base->value = json_number_value(v);
  if ((v = json_object_get(record, "bs")) != NULL)
    base->sum = json_number_value(v);
}

static void put_value(const json_t *record, const senml_base *base, buf *b)
{
  const json_t *v;
  if ((v = json_object_get(record, "v")) != NULL)
    number_put(b, base->value + json_number_value(v));
  else if ((v = json_object_get(record, "vs")) != NULL)
    buf_text(b, json_is_string(v) ? json_string_value(v) : "?");
  else if ((v = json_object_get(record, "vb")) != NULL)
    buf_text(b, json_is_true(v) ? "true" : "false");
  else if ((v = json_object_get(record, "vd")) != NULL)
    buf_print(b, "data:%s", json_is_string(v) ? json_string_value(v) : "?");
  else if (!json_object_get(record, "s") && json_object_get(record, "bv"))
    number_put(b, base->value);
  if ((v = json_object_get(record, "s")) != NULL) {
    buf_text(b, b->len > 0 ? " sum " : "sum ");
    number_put(b, base->sum + json_number_value(v));
  }
}

static void put_cell(table *t, buf *cell)
{
  table_put(t, buf_span(cell));
  cell->len = 0;
}

static bool is_base_only(const json_t *record)
{
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)record, key, value) if (key[0] != 'b') return false;
  return true;
}

static void put_record(table *t, const json_t *record, senml_base *base)
{
  buf cell = {0};
  update_base(base, record);
  if (is_base_only(record) && !json_object_get(record, "bv"))
    return;
  const char *name = json_string_value(json_object_get(record, "n"));
  buf_print(&cell, "%s%s", base->name ? base->name : "", name ? name : "");
  put_cell(t, &cell);
  put_value(record, base, &cell);
  put_cell(t, &cell);
  const char *unit = json_string_value(json_object_get(record, "u"));
  unit = unit ? unit : base->unit;
  buf_text(&cell, unit ? unit : "");
  put_cell(t, &cell);
  const json_t *time = json_object_get(record, "t");
  if (time || base->time != 0)
    put_time(base->time + json_number_value(time), &cell);
  put_cell(t, &cell);
  buf_wipe(&cell);
}

static bool print_pack(const json_t *pack, const style *s, buf *b)
{
  static const char *const head[COLUMNS] = {"NAME", "VALUE", "UNIT", "TIME"};
  senml_base base = {0};
  const json_t *record;
  size_t i;
  if (!json_is_array(pack) || json_array_size(pack) == 0)
    return false;
  json_array_foreach(pack, i, record) if (!json_is_object(record)) return false;
  table t = table_init(COLUMNS);
  for (size_t c = 0; c < COLUMNS; c++)
    table_put(&t, copal_span_str(head[c]));
  json_array_foreach(pack, i, record) put_record(&t, record, &base);
  table_print(&t, true, s, b);
  table_wipe(&t);
  return true;
}

bool senml_print_json(copal_span text, const style *s, buf *b)
{
  json_t *pack = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_INT_AS_REAL, NULL);
  const bool ok = pack && print_pack(pack, s, b);
  json_decref(pack);
  return ok;
}

static json_t *string_to_json(const cbor_item_t *item)
{
  buf bytes = {0};
  buf text = {0};
  json_t *v;
  cbor_string_bytes(item, &bytes);
  if (cbor_isa_string(item)) {
    v = json_stringn(buf_str(&bytes), bytes.len);
  } else {
    base64_put(&text, buf_span(&bytes));
    v = json_string(buf_str(&text));
  }
  buf_wipe(&bytes);
  buf_wipe(&text);
  return v;
}

/* A field's value; NULL for what SenML does not use. */
static json_t *value_to_json(const cbor_item_t *item)
{
  switch (cbor_typeof(item)) {
  case CBOR_TYPE_UINT: return json_real((double)cbor_get_int(item));
  case CBOR_TYPE_NEGINT: return json_real(-1.0 - (double)cbor_get_int(item));
  case CBOR_TYPE_BYTESTRING:
  case CBOR_TYPE_STRING: return string_to_json(item);
  case CBOR_TYPE_FLOAT_CTRL:
    if (!cbor_float_ctrl_is_ctrl(item))
      return json_real(cbor_float_get_float(item));
    return cbor_is_bool(item) ? json_boolean(cbor_ctrl_value(item) == CBOR_CTRL_TRUE) : NULL;
  case CBOR_TYPE_ARRAY:
  case CBOR_TYPE_MAP:
  case CBOR_TYPE_TAG: return NULL;
  }
  return NULL;
}

static bool put_field(json_t *record, const struct cbor_pair *pair)
{
  buf key = {0};
  if (cbor_isa_uint(pair->key) && cbor_get_int(pair->key) <= 8) {
    buf_text(&key, label_name((int64_t)cbor_get_int(pair->key)));
  } else if (cbor_isa_negint(pair->key) && cbor_get_int(pair->key) < 6) {
    buf_text(&key, label_name(-1 - (int64_t)cbor_get_int(pair->key)));
  } else if (cbor_isa_string(pair->key)) {
    cbor_string_bytes(pair->key, &key);
  }
  json_t *value = key.len > 0 ? value_to_json(pair->value) : NULL;
  const bool ok = value && json_object_set_new(record, buf_str(&key), value) == 0;
  buf_wipe(&key);
  return ok;
}

static json_t *record_to_json(const cbor_item_t *item)
{
  if (!cbor_isa_map(item))
    return NULL;
  json_t *record = json_object();
  const struct cbor_pair *pairs = cbor_map_handle(item);
  for (size_t i = 0; i < cbor_map_size(item); i++)
    if (!put_field(record, &pairs[i])) {
      json_decref(record);
      return NULL;
    }
  return record;
}

static json_t *pack_to_json(const cbor_item_t *item)
{
  if (!cbor_isa_array(item))
    return NULL;
  json_t *pack = json_array();
  cbor_item_t **items = cbor_array_handle(item);
  for (size_t i = 0; i < cbor_array_size(item); i++)
    if (json_array_append_new(pack, record_to_json(items[i])) != 0) {
      json_decref(pack);
      return NULL;
    }
  return pack;
}

bool senml_print_cbor(copal_span bytes, const style *s, buf *b)
{
  size_t used = 0;
  cbor_item_t *item = cbor_item_load(bytes, &used);
  if (!item)
    return false;
  json_t *pack = used == bytes.len ? pack_to_json(item) : NULL;
  cbor_decref(&item);
  const bool ok = pack && print_pack(pack, s, b);
  json_decref(pack);
  return ok;
}
