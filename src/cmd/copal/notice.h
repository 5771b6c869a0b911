/* SPDX-License-Identifier: Apache-2.0 */
/* One representation of an observed resource, as it is shown. RFC 7641 section 3. */
#ifndef COPAL_CMD_NOTICE_H
#define COPAL_CMD_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/report.h"
#include "cmd/copal/style.h"
#include "copal/time.h"

/* Why a representation may not follow the one before. */
typedef enum notice_gap {
  NOTICE_GAP_NONE,
  NOTICE_GAP_STALE,       /* the one before was older than its Max-Age */
  NOTICE_GAP_RECONNECTED, /* the server was lost in between */
} notice_gap;

typedef struct notice {
  const report *report;
  uint32_t count;    /* representations so far, this one included */
  bool has_sequence; /* it is a notification */
  uint32_t sequence; /* its Observe value */
  uint32_t step;     /* from the sequence number before: many servers count the time, not changes */
  size_t reordered;  /* older notifications dropped since */
  size_t overrun;    /* notifications that gave way to newer ones since */
  notice_gap gap;
  copal_time elapsed; /* since the start, microseconds */
  copal_time since;   /* since the one before, microseconds; 0 for the first */
} notice;

/* A line with time, code and sequence, to tell representations on a terminal apart. */
void notice_title(const notice *n, const style *s, buf *out);

/* One JSON object and a line break. */
void notice_json(const notice *n, buf *out);

#endif
