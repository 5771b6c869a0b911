/* SPDX-License-Identifier: Apache-2.0 */
/* SenML in CBOR. RFC 8428 section 6, RFC 8949 section 3. */
#include "service/senml_cbor.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"

enum {
  MAJOR_UINT = 0,
  MAJOR_NINT = 1,
  MAJOR_BYTES = 2,
  MAJOR_TEXT = 3,
  MAJOR_ARRAY = 4,
  MAJOR_MAP = 5,
  MAJOR_TAG = 6,
  MAJOR_SIMPLE = 7,
  INFO_INDEFINITE = 31,
  SIMPLE_FALSE = 20,
  SIMPLE_TRUE = 21,
  SIMPLE_NULL = 22,
  FLOAT_HALF = 25,
  FLOAT_SINGLE = 26,
  FLOAT_DOUBLE = 27,
  TAG_DECIMAL = 4, /* RFC 8949 section 3.4.4 */
  BREAK = 0xff,
  LABEL_LEAST = -6, /* of the table below */
  LABEL_COUNT = 15,
};

/* RFC 8428 table 4, from -6 on. */
static const char *const labels[LABEL_COUNT] = {"bs", "bv", "bu", "bt", "bn", "bver", "n", "u",
                                                "v",  "vs", "vb", "s",  "t",  "ut",   "vd"};

/* ------------------------------------------------------------------------------------------------
 * base64url without padding, RFC 4648 section 5 */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static json_t *to_base64(copal_span bytes)
{
  const size_t len = (bytes.len * 4 + 2) / 3;
  char *text = malloc(len + 1);
  if (text == NULL)
    return NULL;
  uint32_t bits = 0;
  unsigned count = 0;
  size_t at = 0;
  for (size_t i = 0; i < bytes.len; i++) {
    bits = bits << 8 | bytes.ptr[i];
    for (count += 8; count >= 6; count -= 6)
      text[at++] = letters[bits >> (count - 6) & 63];
  }
  if (count > 0)
    text[at++] = letters[bits << (6 - count) & 63];
  json_t *value = json_stringn(text, at);
  free(text);
  return value;
}

/* Decodes in place of `out`, which has room for the text. Returns the length, or COPAL_EINVAL. */
static int from_base64(const char *text, size_t len, uint8_t *out)
{
  uint32_t bits = 0;
  unsigned count = 0;
  int at = 0;
  while (len > 0 && text[len - 1] == '=')
    len--;
  for (size_t i = 0; i < len; i++) {
    const char *letter = text[i] != '\0' ? strchr(letters, text[i]) : NULL;
    if (letter == NULL)
      return COPAL_EINVAL;
    bits = bits << 6 | (uint32_t)(letter - letters);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out[at++] = (uint8_t)(bits >> count);
    }
  }
  return at;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

typedef struct reader {
  copal_rd rd;
  int err; /* beside those of `rd` */
} reader;

/* The head of a data item. */
typedef struct head {
  uint8_t major, info;
  uint64_t argument; /* 0 when indefinite */
} head;

static json_t *fail(reader *r, int err)
{
  if (r->err == COPAL_OK)
    r->err = err;
  return NULL;
}

static head read_head(reader *r)
{
  const uint8_t first = copal_rd_u8(&r->rd);
  head h = {.major = first >> 5, .info = first & 31, .argument = first & 31};
  if (h.info < 24)
    return h;
  h.argument = 0;
  if (h.info == INFO_INDEFINITE)
    return h;
  if (h.info > 27) {
    fail(r, COPAL_EFORMAT);
    return h;
  }
  for (unsigned left = 1u << (h.info - 24); left > 0; left--)
    h.argument = h.argument << 8 | copal_rd_u8(&r->rd);
  return h;
}

static bool is_failed(const reader *r)
{
  return r->err != COPAL_OK || r->rd.err != COPAL_OK;
}

static bool at_break(reader *r)
{
  const copal_span rest = copal_rd_rest(&r->rd);
  if (rest.len == 0 || rest.ptr[0] != BREAK)
    return false;
  copal_rd_u8(&r->rd);
  return true;
}

static json_t *read_item(reader *r, int depth, bool is_data);

static json_t *read_integer(reader *r, const head *h)
{
  if (h->argument > INT64_MAX)
    return fail(r, COPAL_EINVAL);
  const int64_t n = (int64_t)h->argument;
  return json_integer(h->major == MAJOR_NINT ? -1 - n : n);
}

/* RFC 8428 section 6 wants strings of definite length. */
static json_t *read_string(reader *r, const head *h, bool is_data)
{
  if (h->info == INFO_INDEFINITE || h->argument > r->rd.left)
    return fail(r, COPAL_EFORMAT);
  const copal_span s = copal_rd_span(&r->rd, (size_t)h->argument);
  if (h->major == MAJOR_BYTES)
    return is_data ? to_base64(s) : fail(r, COPAL_EINVAL);
  json_t *text = json_stringn((const char *)s.ptr, s.len);
  return text != NULL ? text : fail(r, COPAL_EFORMAT); /* not UTF-8 */
}

static json_t *read_array(reader *r, const head *h, int depth)
{
  json_t *array = json_array();
  const bool is_open = h->info == INFO_INDEFINITE;
  for (uint64_t i = 0; is_open ? !at_break(r) : i < h->argument; i++) {
    json_t *item = read_item(r, depth + 1, false);
    if (item == NULL || json_array_append_new(array, item) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

/* A map key: a label's name, or its text. The caller frees. */
static char *read_label(reader *r)
{
  const head h = read_head(r);
  if (is_failed(r))
    return NULL;
  if (h.major == MAJOR_UINT || h.major == MAJOR_NINT) {
    const int64_t n = h.argument > LABEL_COUNT ? LABEL_COUNT : (int64_t)h.argument;
    const int64_t at = (h.major == MAJOR_NINT ? -1 - n : n) - LABEL_LEAST;
    if (at < 0 || at >= LABEL_COUNT) {
      fail(r, COPAL_EINVAL);
      return NULL;
    }
    return strdup(labels[at]);
  }
  if (h.major != MAJOR_TEXT || h.info == INFO_INDEFINITE || h.argument > r->rd.left) {
    fail(r, h.major == MAJOR_TEXT ? COPAL_EFORMAT : COPAL_EINVAL);
    return NULL;
  }
  const copal_span s = copal_rd_span(&r->rd, (size_t)h.argument);
  if (s.len > 0 && memchr(s.ptr, 0, s.len) != NULL) {
    fail(r, COPAL_EINVAL);
    return NULL;
  }
  char *text = malloc(s.len + 1);
  if (text == NULL)
    return NULL;
  if (s.len > 0)
    memcpy(text, s.ptr, s.len);
  text[s.len] = '\0';
  return text;
}

static bool read_member(reader *r, json_t *map, int depth)
{
  char *label = read_label(r);
  if (label == NULL)
    return false;
  json_t *value = read_item(r, depth + 1, strcmp(label, "vd") == 0);
  bool is_kept = false;
  if (value != NULL && json_object_get(map, label) != NULL) {
    fail(r, COPAL_EFORMAT); /* a key twice, RFC 8949 section 5.6 */
    json_decref(value);
  } else if (value != NULL) {
    is_kept = json_object_set_new(map, label, value) == 0;
    if (!is_kept)
      fail(r, COPAL_EFORMAT); /* not UTF-8 */
  }
  free(label);
  return is_kept;
}

static json_t *read_map(reader *r, const head *h, int depth)
{
  json_t *map = json_object();
  const bool is_open = h->info == INFO_INDEFINITE;
  for (uint64_t i = 0; is_open ? !at_break(r) : i < h->argument; i++)
    if (!read_member(r, map, depth)) {
      json_decref(map);
      return NULL;
    }
  return map;
}

/* [exponent, mantissa]: mantissa * 10^exponent. */
static json_t *read_decimal(reader *r, int depth)
{
  json_t *pair = read_item(r, depth + 1, false);
  const json_t *exponent = json_array_get(pair, 0);
  const json_t *mantissa = json_array_get(pair, 1);
  json_t *value = NULL;
  if (json_array_size(pair) == 2 && json_is_integer(exponent) && json_is_integer(mantissa)) {
    char text[64];
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "E%" JSON_INTEGER_FORMAT,
             json_integer_value(mantissa), json_integer_value(exponent));
    value = json_real(strtod(text, NULL)); /* NULL when infinite */
  }
  json_decref(pair);
  return value != NULL ? value : fail(r, COPAL_EINVAL);
}

/* Appendix D of RFC 8949, by way of the single-precision format. */
static double half_to_double(uint16_t half)
{
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
  const uint32_t exponent = half >> 10 & 31;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {
    const double tiny = (double)fraction / 16777216.0; /* 2^-24 */
    return sign != 0 ? -tiny : tiny;
  }
  const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

static json_t *read_float(reader *r, const head *h)
{
  double value;
  if (h->info == FLOAT_DOUBLE) {
    memcpy(&value, &h->argument, sizeof value);
  } else if (h->info == FLOAT_SINGLE) {
    const uint32_t bits = (uint32_t)h->argument;
    float single;
    memcpy(&single, &bits, sizeof single);
    value = (double)single;
  } else {
    value = half_to_double((uint16_t)h->argument);
  }
  json_t *real = json_real(value);
  return real != NULL ? real : fail(r, COPAL_EINVAL); /* not a number, or infinite */
}

static json_t *read_simple(reader *r, const head *h)
{
  switch (h->info) {
  case SIMPLE_FALSE: return json_false();
  case SIMPLE_TRUE: return json_true();
  case SIMPLE_NULL: return json_null();
  case FLOAT_HALF:
  case FLOAT_SINGLE:
  case FLOAT_DOUBLE: return read_float(r, h);
  default: return fail(r, h->info == INFO_INDEFINITE ? COPAL_EFORMAT : COPAL_EINVAL);
  }
}

static json_t *read_item(reader *r, int depth, bool is_data)
{
  const head h = read_head(r);
  if (is_failed(r) || depth > SENML_CBOR_DEPTH_MAX)
    return fail(r, COPAL_EFORMAT);
  if (h.info == INFO_INDEFINITE && (h.major < MAJOR_BYTES || h.major == MAJOR_TAG))
    return fail(r, COPAL_EFORMAT);
  switch (h.major) {
  case MAJOR_UINT:
  case MAJOR_NINT: return read_integer(r, &h);
  case MAJOR_BYTES:
  case MAJOR_TEXT: return read_string(r, &h, is_data);
  case MAJOR_ARRAY: return read_array(r, &h, depth);
  case MAJOR_MAP: return read_map(r, &h, depth);
  case MAJOR_TAG: return h.argument == TAG_DECIMAL ? read_decimal(r, depth) : fail(r, COPAL_EINVAL);
  default: return read_simple(r, &h);
  }
}

json_t *senml_cbor_read(copal_span bytes, int *err)
{
  reader r = {.rd = copal_rd_init(bytes)};
  json_t *value = read_item(&r, 0, false);
  if (value != NULL && r.rd.left > 0) {
    json_decref(value);
    value = fail(&r, COPAL_EFORMAT);
  }
  *err = value != NULL ? COPAL_OK : r.rd.err != COPAL_OK ? r.rd.err : r.err;
  if (value == NULL && *err == COPAL_OK)
    *err = COPAL_ENOSPC;
  return value;
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static void put_head(copal_wr *w, uint8_t major, uint64_t argument)
{
  const uint8_t top = (uint8_t)(major << 5);
  if (argument < 24) {
    copal_wr_u8(w, (uint8_t)(top | argument));
    return;
  }
  const unsigned power = argument <= 0xff         ? 0
                         : argument <= 0xffff     ? 1
                         : argument <= 0xffffffff ? 2
                                                  : 3;
  copal_wr_u8(w, (uint8_t)(top | (24 + power)));
  if (power == 3)
    copal_wr_be(w, (uint32_t)(argument >> 32), 4);
  copal_wr_be(w, (uint32_t)argument, power == 3 ? 4 : (size_t)1 << power);
}

static void put_integer(copal_wr *w, json_int_t n)
{
  if (n >= 0)
    put_head(w, MAJOR_UINT, (uint64_t)n);
  else
    put_head(w, MAJOR_NINT, (uint64_t)(-1 - n));
}

static void put_text(copal_wr *w, const char *text, size_t len)
{
  put_head(w, MAJOR_TEXT, len);
  copal_wr_span(w, copal_span_of(text, len));
}

/* In single precision when that is exact: RFC 8949 section 4.1. */
static void put_real(copal_wr *w, double value)
{
  const float single = (float)value;
  const bool is_exact = value >= -3.4e38 && value <= 3.4e38 && (double)single == value;
  uint64_t bits = 0;
  if (is_exact) {
    uint32_t word;
    memcpy(&word, &single, sizeof word);
    copal_wr_u8(w, MAJOR_SIMPLE << 5 | FLOAT_SINGLE);
    copal_wr_be(w, word, 4);
    return;
  }
  memcpy(&bits, &value, sizeof bits);
  copal_wr_u8(w, MAJOR_SIMPLE << 5 | FLOAT_DOUBLE);
  copal_wr_be(w, (uint32_t)(bits >> 32), 4);
  copal_wr_be(w, (uint32_t)bits, 4);
}

static int put_data(copal_wr *w, const json_t *value)
{
  const size_t len = json_string_length(value);
  uint8_t *bytes = malloc(len + 1);
  if (bytes == NULL)
    return COPAL_ENOSPC;
  const int size = from_base64(json_string_value(value), len, bytes);
  if (size >= 0) {
    put_head(w, MAJOR_BYTES, (uint64_t)size);
    copal_wr_span(w, copal_span_of(bytes, (size_t)size));
  }
  free(bytes);
  return size < 0 ? size : COPAL_OK;
}

static void put_label(copal_wr *w, const char *label)
{
  for (int i = 0; i < LABEL_COUNT; i++)
    if (strcmp(label, labels[i]) == 0) {
      put_integer(w, i + LABEL_LEAST);
      return;
    }
  put_text(w, label, strlen(label));
}

static int put_value(copal_wr *w, const json_t *value, int depth);

static int put_map(copal_wr *w, const json_t *map, int depth)
{
  json_t *m = (json_t *)map; /* the iterator is not const-correct */
  put_head(w, MAJOR_MAP, json_object_size(map));
  int err = COPAL_OK;
  for (void *it = json_object_iter(m); it != NULL && err == COPAL_OK;
       it = json_object_iter_next(m, it)) {
    const char *label = json_object_iter_key(it);
    const json_t *member = json_object_iter_value(it);
    put_label(w, label);
    err = strcmp(label, "vd") == 0 && json_is_string(member) ? put_data(w, member)
                                                             : put_value(w, member, depth + 1);
  }
  return err;
}

static int put_array(copal_wr *w, const json_t *array, int depth)
{
  put_head(w, MAJOR_ARRAY, json_array_size(array));
  int err = COPAL_OK;
  for (size_t i = 0; i < json_array_size(array) && err == COPAL_OK; i++)
    err = put_value(w, json_array_get(array, i), depth + 1);
  return err;
}

static int put_value(copal_wr *w, const json_t *value, int depth)
{
  if (depth > SENML_CBOR_DEPTH_MAX)
    return COPAL_EINVAL;
  switch (json_typeof(value)) {
  case JSON_OBJECT: return put_map(w, value, depth);
  case JSON_ARRAY: return put_array(w, value, depth);
  case JSON_STRING: put_text(w, json_string_value(value), json_string_length(value)); break;
  case JSON_INTEGER: put_integer(w, json_integer_value(value)); break;
  case JSON_REAL: put_real(w, json_real_value(value)); break;
  case JSON_TRUE: copal_wr_u8(w, MAJOR_SIMPLE << 5 | SIMPLE_TRUE); break;
  case JSON_FALSE: copal_wr_u8(w, MAJOR_SIMPLE << 5 | SIMPLE_FALSE); break;
  case JSON_NULL: copal_wr_u8(w, MAJOR_SIMPLE << 5 | SIMPLE_NULL); break;
  }
  return COPAL_OK;
}

int senml_cbor_write(const json_t *value, size_t max, copal_mspan *bytes)
{
  uint8_t *room = malloc(max + 1);
  if (room == NULL)
    return COPAL_ENOSPC;
  copal_wr w = copal_wr_init((copal_mspan){room, max});
  const int err = put_value(&w, value, 0);
  if (err != COPAL_OK || w.err != COPAL_OK) {
    free(room);
    return err != COPAL_OK ? err : COPAL_ETOOBIG;
  }
  *bytes = (copal_mspan){room, w.len};
  return COPAL_OK;
}
