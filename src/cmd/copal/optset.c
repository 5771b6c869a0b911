/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a request while it is put together. RFC 7252 section 3.1. */
#include "cmd/copal/optset.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/media.h"
#include "cmd/copal/style.h"
#include "copal/block.h"
#include "copal/cursor.h"
#include "copal/error.h"
#include "copal/registry.h"

void optset_wipe(optset *s)
{
  for (size_t i = 0; i < s->count; i++)
    free((void *)(uintptr_t)s->opts[i].value.ptr);
  free(s->opts);
  *s = (optset){0};
}

void optset_add(optset *s, uint16_t number, copal_span value)
{
  size_t at = s->count;
  while (at > 0 && s->opts[at - 1].number > number)
    at--;
  s->opts = mem_resize(s->opts, (s->count + 1) * sizeof *s->opts);
  memmove(&s->opts[at + 1], &s->opts[at], (s->count - at) * sizeof *s->opts);
  s->opts[at] = (copal_opt){.number = number, .value = copal_span_of(mem_text(value), value.len)};
  s->count++;
}

void optset_add_uint(optset *s, uint16_t number, uint32_t value)
{
  uint8_t bytes[4];
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  copal_wr_be(&w, value, copal_uint_size(value));
  optset_add(s, number, copal_wr_done(&w));
}

void optset_remove(optset *s, uint16_t number)
{
  size_t kept = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (s->opts[i].number == number)
      free((void *)(uintptr_t)s->opts[i].value.ptr);
    else
      s->opts[kept++] = s->opts[i];
  }
  s->count = kept;
}

void optset_set(optset *s, uint16_t number, copal_span value)
{
  optset_remove(s, number);
  optset_add(s, number, value);
}

void optset_set_uint(optset *s, uint16_t number, uint32_t value)
{
  optset_remove(s, number);
  optset_add_uint(s, number, value);
}

bool optset_has(const optset *s, uint16_t number)
{
  for (size_t i = 0; i < s->count; i++)
    if (s->opts[i].number == number)
      return true;
  return false;
}

void optset_merge(optset *s, const optset *from)
{
  for (size_t i = 0; i < from->count; i++) {
    copal_opt_def def;
    const uint16_t number = from->opts[i].number;
    const bool is_first = i == 0 || from->opts[i - 1].number != number;
    if (is_first && copal_opt_def_find(number, &def) && !def.repeatable)
      optset_remove(s, number);
    optset_add(s, number, from->opts[i].value);
  }
}

void optset_copy(optset *to, const optset *from)
{
  *to = (optset){0};
  for (size_t i = 0; i < from->count; i++)
    optset_add(to, from->opts[i].number, from->opts[i].value);
}

size_t optset_wire_size(const optset *s)
{
  enum { HEAD_MAX = 5 }; /* RFC 7252 section 3.1 */
  size_t size = 0;
  for (size_t i = 0; i < s->count; i++)
    size += HEAD_MAX + s->opts[i].value.len;
  return size;
}

int hex_parse(const char *text, buf *out)
{
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
    text += 2;
  if (strlen(text) % 2 != 0 || text[strspn(text, "0123456789abcdefABCDEF")] != '\0')
    return -1;
  for (; *text; text += 2) {
    const char digits[] = {text[0], text[1], '\0'};
    buf_char(out, (char)strtoul(digits, NULL, 16));
  }
  return 0;
}

static bool is_hex(const char *text)
{
  return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

static bool is_block(uint16_t number)
{
  return number == COPAL_OPT_BLOCK1 || number == COPAL_OPT_BLOCK2 || number == COPAL_OPT_Q_BLOCK1 ||
         number == COPAL_OPT_Q_BLOCK2;
}

static int put_uint(buf *out, uint32_t v)
{
  uint8_t bytes[4];
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  copal_wr_be(&w, v, copal_uint_size(v));
  buf_put_span(out, copal_wr_done(&w));
  return 0;
}

static int parse_number(const char *text, uint32_t max, uint32_t *v)
{
  char *end;
  if (!isdigit((unsigned char)*text))
    return -1;
  const unsigned long long n = strtoull(text, &end, is_hex(text) ? 16 : 10);
  if (*end != '\0' || n > max)
    return -1;
  *v = (uint32_t)n;
  return 0;
}

/* NUM/SIZE or NUM/M/SIZE. RFC 7959 section 2.2. */
static int parse_block(const char *text, uint32_t *v)
{
  unsigned num = 0, more = 0, size = 0;
  int used = 0;
  if (sscanf(text, "%u/%u/%u%n", &num, &more, &size, &used) != 3 || text[used] != '\0') {
    more = 0;
    if (sscanf(text, "%u/%u%n", &num, &size, &used) != 2 || text[used] != '\0')
      return parse_number(text, UINT32_MAX, v);
  }
  const uint8_t szx = copal_block_szx_for(size);
  if (num > COPAL_BLOCK_NUM_MAX || more > 1 || copal_block_size(szx) != size)
    return -1;
  *v = copal_block_value((copal_block){.num = num, .more = more != 0, .szx = szx});
  return 0;
}

static int parse_uint_value(uint16_t number, const char *text, buf *out)
{
  uint32_t v;
  int cf;
  if (is_block(number))
    return parse_block(text, &v) == 0 ? put_uint(out, v) : -1;
  if (parse_number(text, UINT32_MAX, &v) == 0)
    return put_uint(out, v);
  if (number != COPAL_OPT_CONTENT_FORMAT && number != COPAL_OPT_ACCEPT)
    return -1;
  cf = media_parse(text);
  return cf >= 0 ? put_uint(out, (uint32_t)cf) : -1;
}

static int parse_value(uint16_t number, copal_opt_format format, const char *text, buf *out)
{
  switch (format) {
  case COPAL_OPT_EMPTY: return *text == '\0' ? 0 : -1;
  case COPAL_OPT_UINT: return parse_uint_value(number, text, out);
  case COPAL_OPT_STRING: buf_text(out, text); return 0;
  case COPAL_OPT_OPAQUE:
    if (is_hex(text))
      return hex_parse(text, out);
    buf_text(out, text);
    return 0;
  }
  return -1;
}

static const char *format_hint(copal_opt_format format)
{
  switch (format) {
  case COPAL_OPT_EMPTY: return "nothing";
  case COPAL_OPT_UINT: return "a number";
  case COPAL_OPT_STRING: return "text";
  case COPAL_OPT_OPAQUE: return "0x and hexadecimal digits, or text";
  }
  return "";
}

/* What the registry says of a number; an unregistered option takes anything. */
static copal_opt_def definition(uint16_t number)
{
  copal_opt_def def;
  if (!copal_opt_def_find(number, &def))
    def = (copal_opt_def){.number = number, .max_len = UINT16_MAX, .format = COPAL_OPT_OPAQUE};
  return def;
}

int optset_parse(optset *s, const char *text, buf *err)
{
  const size_t name_len = strcspn(text, "=");
  const char *value = text[name_len] == '=' ? text + name_len + 1 : "";
  char *name = mem_text(copal_span_of(text, name_len));
  buf bytes = {0};
  uint32_t number = 0;
  int result = -1;
  const bool is_number = parse_number(name, UINT16_MAX, &number) == 0;
  const int registered = is_number ? (int)number : copal_opt_number_of(name);
  if (registered < 0) {
    buf_print(err, "unknown option name '%s'; use a registered name or a number up to 65535", name);
    goto done;
  }
  const copal_opt_def def = definition((uint16_t)registered);
  if (parse_value(def.number, def.format, value, &bytes) != 0) {
    buf_print(err, "'%s' is not a value for option %s, which takes %s", value, name,
              format_hint(def.format));
    goto done;
  }
  if (!is_number && (bytes.len < def.min_len || bytes.len > def.max_len)) {
    buf_print(err,
              "the value of option %s has %zu bytes, allowed are %u to %u; give the option by "
              "number to send it all the same",
              name, bytes.len, def.min_len, def.max_len);
    goto done;
  }
  optset_add(s, def.number, buf_span(&bytes));
  result = 0;
done:
  buf_wipe(&bytes);
  free(name);
  return result;
}

void option_name(uint16_t number, buf *out)
{
  const char *name = copal_opt_name(number);
  if (name)
    buf_text(out, name);
  else
    buf_print(out, "%u", number);
}

static void put_hex(copal_span bytes, buf *out)
{
  buf_text(out, "0x");
  for (size_t i = 0; i < bytes.len; i++)
    buf_print(out, "%02x", bytes.ptr[i]);
}

static void put_uint_value(const copal_opt *opt, buf *out)
{
  uint32_t v;
  copal_block block;
  if (copal_opt_uint(opt->value, &v) != COPAL_OK)
    put_hex(opt->value, out);
  else if (opt->number == COPAL_OPT_CONTENT_FORMAT || opt->number == COPAL_OPT_ACCEPT)
    media_name(v, out);
  else if (is_block(opt->number) && copal_block_parse(opt->value, &block) == COPAL_OK)
    buf_print(out, "%u/%u/%zu", (unsigned)block.num, block.more ? 1 : 0,
              copal_block_size(block.szx));
  else
    buf_print(out, "%u", (unsigned)v);
}

void option_value(const copal_opt *opt, buf *out)
{
  switch (definition(opt->number).format) {
  case COPAL_OPT_EMPTY:
    if (opt->value.len > 0)
      put_hex(opt->value, out);
    return;
  case COPAL_OPT_UINT: put_uint_value(opt, out); return;
  case COPAL_OPT_STRING: safe_line(out, opt->value); return;
  case COPAL_OPT_OPAQUE: put_hex(opt->value, out); return;
  }
}
