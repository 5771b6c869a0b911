/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a dump. */
#include "cmd/copald/dump_line.h"

#include <inttypes.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/link.h"
#include "copal/uri.h"
#include "copal/version.h"

enum {
  ETAG_TEXT_SIZE = 2 * STORE_ETAG_SIZE + 1,
  SEGMENT_MAX = 255, /* bytes of a Uri-Path option, RFC 7252 section 5.10 */
};

/* ------------------------------------------------------------------------------------------------
 * writing */

/* Text where it is text, base64 otherwise. */
static int put_bytes(json_t *object, const char *text, const char *base64, copal_span bytes)
{
  const char *at = (const char *)bytes.ptr;
  if (bytes.len == 0)
    return json_object_set_new(object, text, json_string(""));
  json_t *plain = memchr(at, 0, bytes.len) == NULL ? json_stringn(at, bytes.len) : NULL;
  if (plain != NULL)
    return json_object_set_new(object, text, plain);
  const size_t size = BASE64_ENCODE_RAW_LENGTH(bytes.len);
  char *room = malloc(size);
  if (room == NULL)
    return -1;
  base64_encode_raw(room, bytes.len, bytes.ptr);
  const int rc = json_object_set_new(object, base64, json_stringn(room, size));
  free(room);
  return rc;
}

static int put_number(json_t *object, const char *name, uint64_t value)
{
  return json_object_set_new(object, name, json_integer((json_int_t)value));
}

static int put_lifetime(json_t *object, const record *r, uint64_t now)
{
  const uint64_t end = record_expiry(r);
  if (end == 0)
    return 0;
  const uint64_t left = end > now ? (end - now) / COPAL_SECOND : 0;
  return put_number(object, "lifetime", r->item.lifetime_s) |
         put_number(object, "lifetime_left", left);
}

json_t *dump_head_make(const dump_head *head, uint64_t now)
{
  return json_pack("{s:i, s:s, s:I, s:I, s:I}", "copald_dump", DUMP_FORMAT, "version",
                   copal_version(), "revision", (json_int_t)head->rev, "resources",
                   (json_int_t)head->resources, "dumped_us", (json_int_t)now);
}

json_t *dump_item_make(copal_span path, const record *r, uint64_t now)
{
  char etag[ETAG_TEXT_SIZE];
  for (size_t i = 0; i < STORE_ETAG_SIZE; i++)
    snprintf(etag + 2 * i, 3, "%02x", r->item.etag.bytes[i]);
  json_t *o = json_object();
  if (o == NULL)
    return NULL;
  int rc = put_bytes(o, "path", "path_base64", path);
  if (r->item.content_format != STORE_NO_FORMAT)
    rc |= put_number(o, "content_format", r->item.content_format);
  if (r->item.max_age_s != STORE_NO_MAX_AGE)
    rc |= put_number(o, "max_age", r->item.max_age_s);
  if (r->item.attrs.len > 0)
    rc |= put_bytes(o, "attributes", "attributes_base64", r->item.attrs);
  rc |= put_lifetime(o, r, now);
  rc |= put_number(o, "revision", r->item.rev);
  rc |= json_object_set_new(o, "etag", json_string(etag));
  rc |= put_number(o, "written_us", r->wall);
  rc |= put_bytes(o, "text", "base64", r->item.body);
  if (rc == 0)
    return o;
  json_decref(o);
  return NULL;
}

json_t *dump_end_make(uint64_t resources)
{
  return json_pack("{s:b, s:I}", "end", 1, "resources", (json_int_t)resources);
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static bool refuse(char why[DUMP_WHY_SIZE], const char *name, const char *what)
{
  snprintf(why, DUMP_WHY_SIZE, "\"%s\" %s", name, what);
  return false;
}

/* A number from `min` to `max`; `*has` tells whether it is there. */
static bool get_number(const json_t *line, const char *name, uint64_t min, uint64_t max,
                       uint64_t *value, bool *has, char why[DUMP_WHY_SIZE])
{
  const json_t *v = json_object_get(line, name);
  *has = v != NULL;
  if (v == NULL)
    return true;
  const json_int_t n = json_integer_value(v);
  if (!json_is_integer(v) || n < 0 || (uint64_t)n < min || (uint64_t)n > max) {
    snprintf(why, DUMP_WHY_SIZE, "\"%s\" must be a number from %" PRIu64 " to %" PRIu64, name, min,
             max);
    return false;
  }
  *value = (uint64_t)n;
  return true;
}

static bool decode(const json_t *v, uint8_t **room, copal_span *bytes)
{
  struct base64_decode_ctx ctx;
  const size_t len = json_string_length(v);
  size_t size = BASE64_DECODE_LENGTH(len);
  *room = malloc(size + 1);
  if (*room == NULL)
    return false;
  base64_decode_init(&ctx);
  if (base64_decode_update(&ctx, &size, *room, len, json_string_value(v)) != 1 ||
      base64_decode_final(&ctx) != 1)
    return false;
  *bytes = copal_span_of(*room, size);
  return true;
}

/* One of two members, or, if `is_optional`, none. */
static bool get_bytes(const json_t *line, const char *names[2], bool is_optional, uint8_t **room,
                      copal_span *bytes, char why[DUMP_WHY_SIZE])
{
  const json_t *text = json_object_get(line, names[0]);
  const json_t *base64 = json_object_get(line, names[1]);
  if (text == NULL && base64 == NULL)
    return is_optional ? true : refuse(why, names[0], "is missing");
  if (text != NULL && base64 != NULL)
    return refuse(why, names[1], "is given beside the same as text");
  const char *name = text != NULL ? names[0] : names[1];
  const json_t *v = text != NULL ? text : base64;
  if (!json_is_string(v))
    return refuse(why, name, "must be a string");
  if (base64 != NULL)
    return decode(v, room, bytes) ? true : refuse(why, name, "is not base64");
  *bytes = copal_span_of(json_string_value(v), json_string_length(v));
  return true;
}

static int nibble(char c)
{
  const char *digits = "0123456789abcdef";
  const char *at = c != '\0' ? strchr(digits, c) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

static bool get_etag(const json_t *line, dump_item *item, char why[DUMP_WHY_SIZE])
{
  const json_t *v = json_object_get(line, "etag");
  item->has_etag = v != NULL;
  if (v == NULL)
    return true;
  const char *text = json_string_value(v);
  if (text == NULL || json_string_length(v) != ETAG_TEXT_SIZE - 1)
    return refuse(why, "etag", "must be 16 hexadecimal digits");
  for (size_t i = 0; i < STORE_ETAG_SIZE; i++) {
    const int high = nibble(text[2 * i]);
    const int low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return refuse(why, "etag", "must be 16 hexadecimal digits, small letters");
    item->rec.item.etag.bytes[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

/* What a Uri-Path option can say. RFC 7252 sections 5.10 and 6.5. */
static bool is_segment(copal_span s)
{
  const bool is_dots = (s.len == 1 || s.len == 2) && memcmp(s.ptr, "..", s.len) == 0;
  return s.len <= SEGMENT_MAX && !is_dots;
}

/* Clients ask for the canonical spelling only: another would never be found. */
static bool is_canonical(copal_span path)
{
  uint8_t plain[STORE_KEY_MAX];
  uint8_t again[3 * STORE_KEY_MAX];
  if (path.len == 0 || path.len > STORE_KEY_MAX || path.ptr[0] != '/')
    return false;
  copal_wr out = copal_wr_init((copal_mspan){again, sizeof again});
  for (size_t at = 0; at < path.len;) {
    size_t end = ++at;
    while (end < path.len && path.ptr[end] != '/')
      end++;
    copal_wr w = copal_wr_init((copal_mspan){plain, sizeof plain});
    if (copal_uri_decode(copal_span_of(path.ptr + at, end - at), &w) != 0)
      return false;
    if (!is_segment(copal_wr_done(&w)))
      return false;
    copal_wr_u8(&out, '/');
    copal_uri_put_segment(&out, copal_wr_done(&w));
    at = end;
  }
  return copal_span_is_equal(copal_wr_done(&out), path);
}

static bool are_attributes(copal_span attrs)
{
  static const char target[] = "</x>";
  copal_link link;
  if (attrs.len == 0)
    return true;
  if (attrs.len > STORE_ATTRS_MAX)
    return false;
  const size_t size = sizeof target - 1 + attrs.len;
  uint8_t *document = malloc(size);
  if (document == NULL)
    return false;
  memcpy(document, target, sizeof target - 1);
  memcpy(document + sizeof target - 1, attrs.ptr, attrs.len);
  copal_link_iter it = copal_link_iter_init(copal_span_of(document, size));
  const bool is_one = copal_link_next(&it, &link) && copal_span_is_equal(link.attrs, attrs);
  free(document);
  return is_one;
}

/* A name that is misspelt must not be passed over. */
static bool knows_all(const json_t *line, char why[DUMP_WHY_SIZE])
{
  static const char *const known[] = {
      "path",     "content_format", "max_age",  "attributes", "attributes_base64",
      "lifetime", "lifetime_left",  "revision", "etag",       "written_us",
      "text",     "base64"};
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)line, name, value)
  {
    bool is_known = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      is_known |= strcmp(name, known[i]) == 0;
    if (!is_known) {
      snprintf(why, DUMP_WHY_SIZE, "there is no \"%.60s\" in a dump", name);
      return false;
    }
  }
  return true;
}

static bool get_numbers(const json_t *line, dump_item *item, char why[DUMP_WHY_SIZE])
{
  store_item *i = &item->rec.item;
  uint64_t format = STORE_NO_FORMAT;
  uint64_t max_age = STORE_NO_MAX_AGE;
  uint64_t lifetime = 0;
  bool has;
  if (!get_number(line, "content_format", 0, STORE_NO_FORMAT - 1, &format, &has, why) ||
      !get_number(line, "max_age", 0, STORE_NO_MAX_AGE - 1, &max_age, &has, why) ||
      !get_number(line, "lifetime", 1, UINT32_MAX, &lifetime, &has, why) ||
      !get_number(line, "revision", 1, INT64_MAX, &i->rev, &item->has_rev, why) ||
      !get_number(line, "written_us", 0, INT64_MAX, &item->rec.wall, &item->has_wall, why))
    return false;
  i->content_format = (uint16_t)format;
  i->max_age_s = (uint32_t)max_age;
  i->lifetime_s = (uint32_t)lifetime;
  return true;
}

bool dump_item_read(const json_t *line, dump_item *item, char why[DUMP_WHY_SIZE])
{
  static const char *path[] = {"path", "path_base64"};
  static const char *attrs[] = {"attributes", "attributes_base64"};
  static const char *body[] = {"text", "base64"};
  uint8_t *none = NULL;
  record *r = &item->rec;
  *item = (dump_item){.body = NULL};
  if (!knows_all(line, why) || !get_numbers(line, item, why) || !get_etag(line, item, why) ||
      !get_bytes(line, path, false, &none, &r->path, why) ||
      !get_bytes(line, attrs, true, &item->attrs, &r->item.attrs, why) ||
      !get_bytes(line, body, false, &item->body, &r->item.body, why))
    return false;
  if (!is_canonical(r->path))
    return refuse(why, "path", "is not a canonical path such as \"/a/b%20c\"");
  if (!are_attributes(r->item.attrs))
    return refuse(why, "attributes", "is not link-format such as \";rt=\\\"x\\\"\"");
  if (r->item.body.len > UINT32_MAX)
    return refuse(why, "text", "is too long");
  return true;
}

bool dump_head_read(const json_t *line, dump_head *head, char why[DUMP_WHY_SIZE])
{
  uint64_t format = 0;
  bool has;
  *head = (dump_head){.rev = 0};
  if (json_object_get(line, "copald_dump") == NULL) {
    snprintf(why, DUMP_WHY_SIZE, "this is no dump of copald: \"copald_dump\" is missing");
    return false;
  }
  return get_number(line, "copald_dump", 1, DUMP_FORMAT, &format, &has, why) &&
         get_number(line, "revision", 0, INT64_MAX - 1, &head->rev, &has, why) &&
         get_number(line, "resources", 0, INT64_MAX, &head->resources, &has, why);
}

bool dump_end_read(const json_t *line, uint64_t *resources)
{
  const json_t *count = json_object_get(line, "resources");
  *resources = (uint64_t)json_integer_value(count);
  return json_is_true(json_object_get(line, "end")) && json_is_integer(count);
}

void dump_item_wipe(dump_item *item)
{
  free(item->body);
  free(item->attrs);
  *item = (dump_item){.body = NULL};
}
