/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log: an event name and fields, one line each; text for people, JSON for programs.
 * Never payloads, never keys. Each thread has a logger of its own; a line is one write(), so lines
 * of threads do not mix. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/time.h"

typedef enum log_level {
  LOG_LEVEL_ERROR,
  LOG_LEVEL_WARN,
  LOG_LEVEL_INFO,
  LOG_LEVEL_DEBUG,
} log_level;

typedef enum log_format {
  LOG_FORMAT_AUTO, /* text when the descriptor is a terminal, JSON otherwise */
  LOG_FORMAT_TEXT,
  LOG_FORMAT_JSON,
} log_format;

/* A named value. */
typedef struct log_field {
  const char *name;
  const char *text; /* NULL: `number` is meant */
  uint64_t number;
} log_field;

static inline log_field log_text(const char *name, const char *text)
{
  return (log_field){name, text == NULL ? "" : text, 0};
}

static inline log_field log_number(const char *name, uint64_t number)
{
  return (log_field){name, NULL, number};
}

enum {
  LOG_LINE_MAX = 8192,           /* bytes; fields that do not fit are left out */
  LOG_LIMIT_SLOTS = 64,          /* event and subject pairs limited at a time */
  LOG_LIMIT_BURST = 5,           /* lines of a pair at once, then one per LOG_LIMIT_INTERVAL */
  LOG_LIMIT_INTERVAL = 10000000, /* microseconds */
  LOG_ALL_BURST = 100,           /* limited lines of all subjects at once */
  LOG_ALL_INTERVAL = 100000,     /* microseconds for one more */
  LOG_LIMITED_FIELDS = 8,
};

/* The allowance of one event and subject. */
typedef struct log_limit {
  uint32_t key;
  uint32_t tokens;
  uint64_t suppressed;
  copal_time refilled;
} log_limit;

typedef struct logger {
  int fd; /* borrowed */
  log_level level;
  bool is_json;
  log_limit all; /* all limited lines together */
  log_limit limits[LOG_LIMIT_SLOTS];
} logger;

void log_init(logger *l, int fd, log_level level, log_format format);

static inline bool log_is_on(const logger *l, log_level level)
{
  return level <= l->level;
}

/* Writes one line when `level` is on. `event` is a lower-case word with underscores. */
void log_event(logger *l, log_level level, const char *event, const log_field *fields,
               size_t count);

/* The same, but a burst of lines of one event about one subject (a peer's address) is cut short,
 * and so is a burst about ever new subjects; the next line that passes carries the number left out
 * as "suppressed". At most LOG_LIMITED_FIELDS fields. */
void log_limited(logger *l, log_level level, const char *event, const char *subject,
                 const log_field *fields, size_t count, copal_time now);

/* log_event() with the fields written in place. */
#define LOG(l, level, event, ...)                                                                  \
  log_event((l), (level), (event), (const log_field[]){__VA_ARGS__},                               \
            sizeof((const log_field[]){__VA_ARGS__}) / sizeof(log_field))

/* Formats a line with its newline into `out`; returns its length. `unix_us` is the wall clock. */
size_t log_format_line(bool is_json, log_level level, uint64_t unix_us, const char *event,
                       const log_field *fields, size_t count, char out[LOG_LINE_MAX]);

/* "error", "warn", "info" or "debug"; and back: the level, or COPAL_ENOTFOUND. */
const char *log_level_name(log_level level);
int log_level_of(const char *name);

/* "auto", "text" or "json"; and back: the format, or COPAL_ENOTFOUND. */
const char *log_format_name(log_format format);
int log_format_of(const char *name);

#endif
