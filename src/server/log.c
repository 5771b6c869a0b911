/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log. Thread: the owner of the logger; lines of several threads do not mix. */
#include "server/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const format_names[] = {"auto", "text", "json"};

/* Characters that stand for ASCII and are not seen, and selectors of variants. */
enum { TAGS = 0xe0000, TAGS_END = 0xe01ef };

/* A line under construction. What does not fit is left out as a whole. */
typedef struct line {
  char *buf;
  size_t len;
  size_t cap;
  bool is_full;
} line;

static void put_char(line *l, char c)
{
  if (l->len == l->cap) {
    l->is_full = true;
    return;
  }
  l->buf[l->len++] = c;
}

static void put_text(line *l, const char *s)
{
  for (; *s != '\0'; s++)
    put_char(l, *s);
}

static void put_number(line *l, uint64_t n)
{
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, n);
  put_text(l, text);
}

/* The bytes of a UTF-8 sequence at `s`, or 0 when there is no valid one. RFC 3629 section 4. */
static size_t utf8_len(const unsigned char *s)
{
  const size_t n = s[0] < 0x80                    ? 1
                   : s[0] >= 0xc2 && s[0] <= 0xdf ? 2
                   : s[0] >= 0xe0 && s[0] <= 0xef ? 3
                   : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                                  : 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
      (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
    return 0;
  return n;
}

/* The number of the character that a valid sequence stands for. */
static unsigned utf8_value(const unsigned char *s, size_t n)
{
  unsigned value = n == 1 ? s[0] : s[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++)
    value = value << 6 | (s[i] & 0x3fu);
  return value;
}

/* What may end a line, move a cursor or turn text around where the log is read: control characters,
 * also those of ISO 6429 beyond ASCII; invisible ones; separators of lines; and those that set the
 * direction of text. A stranger's name must not make a line look like another. */
static bool is_unsafe(unsigned c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x34f || c == 0x61c ||
         c == 0x115f || c == 0x1160 || (c >= 0x180b && c <= 0x180f) ||
         (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0x3164 || c == 0xfeff || c == 0xffa0 ||
         (c >= 0xfff9 && c <= 0xfffb) || (c >= TAGS && c <= TAGS_END);
}

/* As a pair of surrogates when it has more than 16 bits. RFC 8259 section 7. */
static void put_escape(line *l, unsigned c)
{
  char text[16];
  if (c < 0x10000)
    snprintf(text, sizeof text, "\\u%04x", c & 0xffff);
  else
    snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 | ((c - 0x10000) >> 10 & 0x3ff),
             0xdc00 | (c & 0x3ff));
  put_text(l, text);
}

/* A quoted string that is valid JSON whatever the bytes. RFC 8259 section 7. */
static void put_quoted(line *l, const char *text)
{
  const unsigned char *s = (const unsigned char *)text;
  put_char(l, '"');
  while (*s != '\0') {
    const size_t n = utf8_len(s);
    if (n == 0) {
      put_text(l, "\\ufffd");
      s++;
    } else if (is_unsafe(utf8_value(s, n))) {
      put_escape(l, utf8_value(s, n));
      s += n;
    } else {
      if (*s == '"' || *s == '\\')
        put_char(l, '\\');
      for (size_t i = 0; i < n; i++)
        put_char(l, (char)*s++);
    }
  }
  put_char(l, '"');
}

static bool is_bare(const char *text)
{
  if (*text == '\0')
    return false;
  for (; *text != '\0'; text++)
    if (*text <= ' ' || *text == '"' || *text == '=' || *text == '\\' || *text >= 0x7f)
      return false;
  return true;
}

static void put_field_text(line *l, const log_field *f)
{
  put_char(l, ' ');
  put_text(l, f->name);
  put_char(l, '=');
  if (f->text == NULL)
    put_number(l, f->number);
  else if (is_bare(f->text))
    put_text(l, f->text);
  else
    put_quoted(l, f->text);
}

static void put_field_json(line *l, const log_field *f)
{
  put_char(l, ',');
  put_quoted(l, f->name);
  put_char(l, ':');
  if (f->text == NULL)
    put_number(l, f->number);
  else
    put_quoted(l, f->text);
}

static void put_time(line *l, uint64_t unix_us)
{
  const time_t s = (time_t)(unix_us / 1000000u);
  struct tm tm;
  char text[48];
  gmtime_r(&s, &tm);
  const size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(unix_us / 1000u % 1000u));
  put_text(l, text);
}

static void put_head(line *l, bool is_json, log_level level, uint64_t unix_us, const char *event)
{
  put_text(l, is_json ? "{\"time\":\"" : "");
  put_time(l, unix_us);
  put_text(l, is_json ? "\",\"level\":\"" : " ");
  put_text(l, level_names[level]);
  if (!is_json && strlen(level_names[level]) < 5)
    put_char(l, ' ');
  put_text(l, is_json ? "\",\"event\":\"" : " ");
  put_text(l, event);
  put_text(l, is_json ? "\"" : "");
}

size_t log_format_line(bool is_json, log_level level, uint64_t unix_us, const char *event,
                       const log_field *fields, size_t count, char out[LOG_LINE_MAX])
{
  line l = {.buf = out, .cap = LOG_LINE_MAX - 2}; /* room for the end of the line */
  put_head(&l, is_json, level, unix_us, event);
  for (size_t i = 0; i < count; i++) {
    const size_t before = l.len;
    if (is_json)
      put_field_json(&l, &fields[i]);
    else
      put_field_text(&l, &fields[i]);
    if (l.is_full) {
      l.len = before;
      l.is_full = false;
    }
  }
  l.cap = LOG_LINE_MAX;
  put_text(&l, is_json ? "}\n" : "\n");
  return l.len;
}

void log_init(logger *l, int fd, log_level level, log_format format)
{
  memset(l, 0, sizeof *l);
  l->fd = fd;
  l->level = level;
  l->all.tokens = LOG_ALL_BURST;
  l->is_json = format == LOG_FORMAT_JSON || (format == LOG_FORMAT_AUTO && isatty(fd) == 0);
}

void log_event(logger *l, log_level level, const char *event, const log_field *fields, size_t count)
{
  if (!log_is_on(l, level))
    return;
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  const uint64_t us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
  char out[LOG_LINE_MAX];
  const size_t len = log_format_line(l->is_json, level, us, event, fields, count, out);
  const ssize_t n = write(l->fd, out, len);
  (void)n; /* there is nowhere to report that the log is gone */
}

static uint32_t limit_key(const char *event, const char *subject)
{
  uint32_t h = 2166136261u;
  for (; *event != '\0'; event++)
    h = (h ^ (uint8_t)*event) * 16777619u;
  h *= 16777619u;
  for (; *subject != '\0'; subject++)
    h = (h ^ (uint8_t)*subject) * 16777619u;
  return h;
}

/* Gives a token for each interval gone by. */
static void refill(log_limit *limit, uint32_t burst, uint32_t interval, copal_time now)
{
  const uint64_t due = now < limit->refilled ? 0 : (now - limit->refilled) / interval;
  if (due == 0)
    return;
  limit->tokens = due >= burst - limit->tokens ? burst : limit->tokens + (uint32_t)due;
  limit->refilled += due * interval;
}

/* The allowance of `key`; one that lost its slot to another pair starts afresh. */
static log_limit *find_limit(logger *l, uint32_t key, copal_time now)
{
  log_limit *limit = &l->limits[key % LOG_LIMIT_SLOTS];
  if (limit->key != key || limit->refilled == 0)
    *limit = (log_limit){key, LOG_LIMIT_BURST, 0, now == 0 ? 1 : now};
  refill(limit, LOG_LIMIT_BURST, LOG_LIMIT_INTERVAL, now);
  return limit;
}

void log_limited(logger *l, log_level level, const char *event, const char *subject,
                 const log_field *fields, size_t count, copal_time now)
{
  if (!log_is_on(l, level))
    return;
  log_limit *limit = find_limit(l, limit_key(event, subject), now);
  refill(&l->all, LOG_ALL_BURST, LOG_ALL_INTERVAL, now);
  if (limit->tokens == 0 || l->all.tokens == 0) {
    l->all.suppressed++;
    return;
  }
  limit->tokens--;
  l->all.tokens--;
  log_field with[LOG_LIMITED_FIELDS + 1];
  if (count > LOG_LIMITED_FIELDS)
    count = LOG_LIMITED_FIELDS;
  memcpy(with, fields, count * sizeof *fields);
  with[count] = log_number("suppressed", l->all.suppressed);
  log_event(l, level, event, with, l->all.suppressed == 0 ? count : count + 1);
  l->all.suppressed = 0;
}

static int index_of(const char *name, const char *const *names, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0)
      return (int)i;
  return COPAL_ENOTFOUND;
}

const char *log_level_name(log_level level)
{
  return level_names[level];
}

int log_level_of(const char *name)
{
  return index_of(name, level_names, sizeof level_names / sizeof level_names[0]);
}

const char *log_format_name(log_format format)
{
  return format_names[format];
}

int log_format_of(const char *name)
{
  return index_of(name, format_names, sizeof format_names / sizeof format_names[0]);
}
