/* SPDX-License-Identifier: Apache-2.0 */
/* What a lookup asks and hears, as JSON. */
#include "policy/lookup/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "copal/error.h"

/* ------------------------------------------------------------------------------------------------
 * questions */

static size_t put_escaped(const question *q, char *out, size_t cap)
{
  size_t len = 0;
  for (size_t i = 0; i < q->identity_len && len + 2 < cap; i++) {
    const char c = (char)q->identity[i];
    if (c == '"' || c == '\\') /* there are no control characters */
      out[len++] = '\\';
    out[len++] = c;
  }
  out[len] = '\0';
  return len;
}

void question_write(question *q, copal_span id)
{
  static const char digits[] = "0123456789abcdef";
  char text[2 * DTLS_PSK_IDENTITY_MAX + 2];
  *q = (question){.identity_len = id.len};
  memcpy(q->identity, id.ptr, id.len);
  for (size_t i = 0; i < id.len; i++) {
    q->hex[2 * i] = digits[id.ptr[i] >> 4];
    q->hex[2 * i + 1] = digits[id.ptr[i] & 15];
  }
  put_escaped(q, text, sizeof text);
  q->json_len = (size_t)snprintf(q->json, sizeof q->json,
                                 "{\"kind\":\"psk\",\"identity\":\"%s\",\"identity_hex\":\"%s\"}\n",
                                 text, q->hex);
}

/* ------------------------------------------------------------------------------------------------
 * answers */

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char *add_key(answer *a, const json_t *value)
{
  const char *text = json_string_value(value);
  const size_t len = text != NULL ? strlen(text) : 0;
  if (a->psks.count == DTLS_PSK_COUNT)
    return "there are more than two keys";
  if (len == 0 || len % 2 != 0 || len / 2 > DTLS_PSK_SIZE_MAX)
    return "a key is not hexadecimal of 1 to 64 bytes";
  uint8_t *bytes = a->psks.keys[a->psks.count].bytes;
  for (size_t i = 0; i < len / 2; i++) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return "a key is not hexadecimal of 1 to 64 bytes";
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  a->psks.keys[a->psks.count++].len = len / 2;
  return NULL;
}

static const char *read_keys(answer *a, const json_t *object)
{
  const json_t *key = json_object_get(object, "key"), *keys = json_object_get(object, "keys");
  const char *wrong = key != NULL && !json_is_null(key) ? add_key(a, key) : NULL;
  if (keys != NULL && !json_is_array(keys))
    return "\"keys\" is no list";
  for (size_t i = 0; wrong == NULL && i < json_array_size(keys); i++)
    wrong = add_key(a, json_array_get(keys, i));
  return wrong;
}

static const char *read_name(answer *a, const json_t *object)
{
  const json_t *value = json_object_get(object, "name");
  const char *text = json_string_value(value);
  if (value == NULL)
    return NULL;
  if (text == NULL || !identity_name_is_valid(copal_span_str(text)))
    return "\"name\" is no name of 1 to 255 bytes without control characters";
  memcpy(a->name, text, strlen(text) + 1);
  return NULL;
}

static const char *read_groups(answer *a, const json_t *object)
{
  const json_t *list = json_object_get(object, "groups");
  size_t len = 0;
  if (list != NULL && !json_is_array(list))
    return "\"groups\" is no list";
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *text = json_string_value(json_array_get(list, i));
    if (text == NULL || !identity_group_is_valid(copal_span_str(text)))
      return "the name of a group has letters, digits, \"-\", \"_\" and \".\"";
    const int n =
        snprintf(a->groups + len, sizeof a->groups - len, "%s%s", len > 0 ? "," : "", text);
    if ((size_t)n >= sizeof a->groups - len)
      return "the names of the groups have more than 255 bytes";
    len += (size_t)n;
  }
  return NULL;
}

static const char *read_ttl(answer *a, const json_t *object)
{
  const json_t *value = json_object_get(object, "ttl");
  if (value == NULL)
    return NULL;
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return "\"ttl\" is no number of seconds";
  a->ttl_s = json_integer_value(value);
  if (a->ttl_s > LOOKUP_TTL_MAX)
    a->ttl_s = LOOKUP_TTL_MAX;
  return NULL;
}

static const char *read_object(answer *a, const json_t *object)
{
  if (!json_is_object(object))
    return "the answer is no JSON object";
  const char *wrong = read_keys(a, object);
  if (wrong == NULL)
    wrong = read_name(a, object);
  if (wrong == NULL)
    wrong = read_groups(a, object);
  return wrong != NULL ? wrong : read_ttl(a, object);
}

/* The library frees what it has read, but does not wipe it. */
static void wipe_texts(json_t *value)
{
  const char *text = json_string_value(value);
  json_t *part;
  const char *name;
  size_t i;
  if (text != NULL)
    explicit_bzero((void *)(uintptr_t)text, strlen(text));
  json_object_foreach(value, name, part) wipe_texts(part);
  json_array_foreach(value, i, part) wipe_texts(part);
}

int answer_read(answer *a, copal_mspan bytes, char why[LOOKUP_WHY_SIZE])
{
  const uint8_t *end = bytes.len > 0 ? memchr(bytes.ptr, '\n', bytes.len) : NULL;
  const size_t len = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len;
  *a = (answer){.ttl_s = ANSWER_TTL_UNSAID};
  json_t *object = json_loadb((const char *)bytes.ptr, len, JSON_REJECT_DUPLICATES, NULL);
  const char *wrong = read_object(a, object);
  wipe_texts(object);
  json_decref(object);
  if (bytes.len > 0)
    explicit_bzero(bytes.ptr, bytes.len);
  if (wrong == NULL)
    return COPAL_OK;
  snprintf(why, LOOKUP_WHY_SIZE, "%s", wrong);
  explicit_bzero(a, sizeof *a);
  return COPAL_EFORMAT;
}
