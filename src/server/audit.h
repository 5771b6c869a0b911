/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log that say who was refused what, and who changed what. Documented in
 * docs/access.md. Thread: the shard's only.
 *
 *   access_refused   a rule, or that there was none, has refused a request: 4.01 or 4.03
 *   rate_refused     a request came too soon: 4.29
 *   changed          a request with an unsafe method has succeeded: 2.xx
 *
 * All are at level info and limited as the log's other lines about peers are. */
#ifndef SERVER_AUDIT_H
#define SERVER_AUDIT_H

#include "policy/access.h"
#include "server/handler.h"
#include "server/log.h"

typedef enum audit_mode {
  AUDIT_OFF,
  AUDIT_REFUSALS,
  AUDIT_CHANGES, /* and refusals */
} audit_mode;

enum {
  AUDIT_OPEN_MAX = 1024, /* changes under way that are followed at a time */
  AUDIT_PATH_MAX = 255,  /* bytes of a path that are told */
};

/* A change that is followed until its answer. */
typedef struct audit_item audit_item;

typedef struct audit {
  audit_mode mode;
  logger *log;       /* lent */
  audit_item *items; /* AUDIT_OPEN_MAX, or NULL: not yet needed */
  audit_item *free;
  uint64_t missed;         /* changes that could not be followed */
  const copal_time *clock; /* the shard's present instant */
} audit;

/* What is told of a request. Spans are borrowed for the call. */
typedef struct audit_request {
  const identity *who;
  const copal_path *path;
  copal_code method;
  copal_span key;
} audit_request;

/* `line` is that of the rule, 0 for none. */
void audit_refused(audit *a, const char *event, const audit_request *r, copal_code code,
                   unsigned line, copal_time now);

/* Follows a request whose method may change something; NULL when it is not followed. What is
 * returned goes into the request as its note. */
handler_note *audit_follow(audit *a, const audit_request *r);

/* The request has been handled without a deferral: nothing more will be heard of it, unless it was
 * answered already. Safe on NULL. */
void audit_forget(audit *a, handler_note *note);

/* Frees what it has. Safe on a zeroed object. */
void audit_wipe(audit *a);

#endif
