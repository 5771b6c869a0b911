/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that say what is wrong and what to do: a diagnostic payload (RFC 7252 section 5.5.2), or
 * concise problem details (RFC 9290) when the client accepts them. */
#ifndef SERVICE_PROBLEM_H
#define SERVICE_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

#include "server/handler.h"
#include "service/reply.h"

enum { PROBLEM_DETAIL_SIZE = 192 };

/* An error to be answered. */
typedef struct problem {
  copal_code code;
  bool has_size1; /* 4.13: the largest body accepted, bytes */
  uint32_t size1;
  bool has_retry; /* 5.03: seconds until it may be worth trying again */
  uint32_t retry_s;
  char detail[PROBLEM_DETAIL_SIZE]; /* UTF-8, NUL-terminated; longer text is cut */
} problem;

/* Fills in an error; `format` as for printf. */
__attribute__((format(printf, 3, 4))) void problem_set(problem *p, copal_code code,
                                                       const char *format, ...);

/* 4.13 with Size1. RFC 7252 section 5.9.2.9. */
void problem_set_too_large(problem *p, uint32_t limit);

/* 5.03 with Max-Age. RFC 7252 section 5.9.3.4. */
__attribute__((format(printf, 3, 4))) void problem_set_unavailable(problem *p, uint32_t retry_s,
                                                                   const char *format, ...);

/* Answers with the error, now or on a deferred exchange. Returns what the endpoint returned. */
int problem_send(const problem *p, const reply *r);

/* Answers the request being handled: problem_set() and problem_send(). */
__attribute__((format(printf, 3, 4))) int problem_reply(const handler_req *req, copal_code code,
                                                        const char *format, ...);

#endif
