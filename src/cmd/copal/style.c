/* SPDX-License-Identifier: Apache-2.0 */
/* Colours and harmless text. */
#include "cmd/copal/style.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 40 };

static bool wants_color(int fd, style_color color)
{
  if (color != STYLE_COLOR_AUTO)
    return color == STYLE_COLOR_ALWAYS;
  const char *no_color = getenv("NO_COLOR");
  const char *term = getenv("TERM");
  return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

style style_for(int fd, style_color color)
{
  style s = {.color = wants_color(fd, color), .width = WIDTH_DEFAULT};
  struct winsize w;
  if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col >= WIDTH_MIN)
    s.width = w.ws_col;
  return s;
}

static const char *ink_sequence(ink i)
{
  switch (i) {
  case INK_KEY: return "\033[34;1m";
  case INK_STRING: return "\033[32m";
  case INK_NUMBER: return "\033[36m";
  case INK_WORD: return "\033[35m";
  case INK_DIM: return "\033[2m";
  case INK_GOOD: return "\033[32;1m";
  case INK_BAD: return "\033[31;1m";
  }
  return "";
}

void style_put(const style *s, buf *b, ink i, copal_span text)
{
  if (s->color)
    buf_text(b, ink_sequence(i));
  buf_put_span(b, text);
  if (s->color)
    buf_text(b, "\033[0m");
}

void style_text(const style *s, buf *b, ink i, const char *text)
{
  style_put(s, b, i, copal_span_str(text));
}

/* The smallest value that needs `len` bytes: shorter ones are overlong. */
static uint32_t utf8_floor(size_t len)
{
  static const uint32_t floors[] = {0, 0, 0x80, 0x800, 0x10000};
  return floors[len];
}

size_t utf8_next(copal_span text, uint32_t *cp)
{
  if (text.len == 0)
    return 0;
  const uint8_t head = text.ptr[0];
  *cp = head;
  if (head < 0x80)
    return 1;
  const size_t len = head >= 0xf0 ? 4 : head >= 0xe0 ? 3 : 2;
  if (head < 0xc2 || head > 0xf4 || text.len < len)
    return 0;
  uint32_t v = head & (0x7fu >> len);
  for (size_t i = 1; i < len; i++) {
    if ((text.ptr[i] & 0xc0) != 0x80)
      return 0;
    v = v << 6 | (text.ptr[i] & 0x3fu);
  }
  if (v < utf8_floor(len) || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
    return 0;
  *cp = v;
  return len;
}

static bool is_control(uint32_t cp)
{
  return cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
}

/* Characters that reorder what stands around them; they can make a terminal show a lie. */
static bool is_bidi_control(uint32_t cp)
{
  return cp == 0x200e || cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) ||
         (cp >= 0x2066 && cp <= 0x2069);
}

static void put_safe(buf *b, copal_span text, bool one_line)
{
  while (text.len > 0) {
    uint32_t cp = 0;
    size_t n = utf8_next(text, &cp);
    if (n == 0) {
      buf_print(b, "\\x%02x", text.ptr[0]);
      n = 1;
    } else if (one_line && cp == '\n') {
      buf_text(b, "\\n");
    } else if (one_line && cp == '\t') {
      buf_text(b, "\\t");
    } else if (is_control(cp) && cp != '\n' && cp != '\t') {
      buf_print(b, "\\x%02x", (unsigned)cp);
    } else if (is_bidi_control(cp)) {
      buf_print(b, "\\u%04x", (unsigned)cp);
    } else {
      buf_put(b, text.ptr, n);
    }
    text = copal_span_of(text.ptr + n, text.len - n);
  }
}

void safe_text(buf *b, copal_span text)
{
  put_safe(b, text, false);
}

void safe_line(buf *b, copal_span text)
{
  put_safe(b, text, true);
}

bool safe_is_text(copal_span text)
{
  while (text.len > 0) {
    uint32_t cp = 0;
    const size_t n = utf8_next(text, &cp);
    if (n == 0 || (is_control(cp) && cp != '\n' && cp != '\t' && cp != '\r'))
      return false;
    text = copal_span_of(text.ptr + n, text.len - n);
  }
  return true;
}

size_t utf8_width(copal_span text)
{
  size_t width = 0;
  while (text.len > 0) {
    uint32_t cp;
    size_t n = utf8_next(text, &cp);
    if (n == 0)
      n = 1;
    width++;
    text = copal_span_of(text.ptr + n, text.len - n);
  }
  return width;
}
