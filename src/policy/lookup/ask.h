/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a question to a command or an HTTP endpoint, and waits for the answer. Thread: one of the
 * lookup's, which may wait. */
#ifndef POLICY_LOOKUP_ASK_H
#define POLICY_LOOKUP_ASK_H

#include <stdatomic.h>

#include "policy/lookup/answer.h"

/* How to ask; all lent. */
typedef struct ask_cfg {
  const char *const *command; /* as in lookup_cfg */
  size_t command_count;
  const char *url, *ca, *token_file;
  const struct httplib *lib; /* open, when there is a URL */
  uint32_t timeout_ms;
  const atomic_bool *is_over; /* becomes true when nobody waits any more */
} ask_cfg;

typedef struct ask_http ask_http;

/* All return 0; COPAL_ENOTFOUND when the other side says that there is nobody of that identity;
 * COPAL_ETIMEDOUT; or another error, with a sentence in `why`. `*len` bytes of the answer are in
 * `room`, to be wiped by the caller in any case. */
int ask_command(const ask_cfg *cfg, const question *q, copal_mspan room, size_t *len,
                char why[LOOKUP_WHY_SIZE]);
int ask_http_run(ask_http *h, const question *q, copal_mspan room, size_t *len,
                 char why[LOOKUP_WHY_SIZE]);

/* A connection that is kept from question to question. NULL without memory. */
ask_http *ask_http_open(const ask_cfg *cfg);
void ask_http_close(ask_http *h);

/* Tells whether the URL, the CAs and the token can be used: NULL, or what is wrong. */
int ask_http_check(const ask_cfg *cfg, char why[LOOKUP_WHY_SIZE]);

#endif
