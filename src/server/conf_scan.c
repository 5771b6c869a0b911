/* SPDX-License-Identifier: Apache-2.0 */
/* Finds numbers in a configuration file that libconfig would cut to 32 bits. Thread: any. */
#include "server/conf_scan.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A place in the text. */
typedef struct scan {
  const char *at;
  const char *end;
  unsigned line;
} scan;

static bool is_at(const scan *s, const char *word)
{
  const size_t len = strlen(word);
  return (size_t)(s->end - s->at) >= len && memcmp(s->at, word, len) == 0;
}

static void step(scan *s)
{
  if (s->at < s->end && *s->at++ == '\n')
    s->line++;
}

/* Goes behind the next `word`, or to the end. */
static void skip_behind(scan *s, const char *word)
{
  while (s->at < s->end && !is_at(s, word))
    step(s);
  for (size_t i = strlen(word); i > 0; i--)
    step(s);
}

static void skip_string(scan *s)
{
  step(s);
  while (s->at < s->end && *s->at != '"') {
    if (*s->at == '\\')
      step(s);
    step(s);
  }
  step(s);
}

/* Goes behind a name or a number; true when it is a wide number. */
static bool skip_word(scan *s)
{
  const char *from = s->at;
  uint64_t value = 0;
  while (s->at < s->end && isdigit((unsigned char)*s->at) && value <= INT32_MAX)
    value = value * 10 + (uint64_t)(*s->at++ - '0');
  const bool is_wide = s->at > from && value > INT32_MAX;
  while (s->at < s->end && isdigit((unsigned char)*s->at))
    s->at++;
  const char next = s->at < s->end ? *s->at : '\0';
  while (s->at < s->end && (isalnum((unsigned char)*s->at) || strchr("_.-*", *s->at) != NULL))
    s->at++;
  return is_wide && next != 'L' && next != '.' && next != 'e' && next != 'E';
}

unsigned conf_scan_wide_number(copal_span text)
{
  scan s = {(const char *)text.ptr, (const char *)text.ptr + text.len, 1};
  while (s.at < s.end) {
    if (*s.at == '"')
      skip_string(&s);
    else if (*s.at == '#' || is_at(&s, "//"))
      skip_behind(&s, "\n");
    else if (is_at(&s, "/*"))
      skip_behind(&s, "*/");
    else if (!isalnum((unsigned char)*s.at))
      step(&s);
    else if (skip_word(&s))
      return s.line;
  }
  return 0;
}
