/* SPDX-License-Identifier: Apache-2.0 */
/* What a lookup asks and hears, as JSON. An answer is an object on the first line:
 *
 *   key     the key in hexadecimal; null or missing: there is nobody of that identity
 *   keys    or two of them while it is being changed
 *   name    who it is to the access rules; default is the identity
 *   groups  a list of names of groups
 *   ttl     seconds for which the answer holds; default is the configuration's
 *
 * Thread: any; nothing is shared. */
#ifndef POLICY_LOOKUP_ANSWER_H
#define POLICY_LOOKUP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/identity.h"
#include "policy/lookup/lookup.h"
#include "transport/dtls/credentials.h"

enum {
  QUESTION_SIZE = 1024,    /* bytes, with the end */
  ANSWER_SIZE = 16 * 1024, /* bytes of an answer that are looked at */
  ANSWER_TTL_UNSAID = -1,
};

/* A question; `identity` is a valid name of at most DTLS_PSK_IDENTITY_MAX bytes. */
typedef struct question {
  uint8_t identity[DTLS_PSK_IDENTITY_MAX + 1]; /* with an end */
  size_t identity_len;
  char hex[2 * DTLS_PSK_IDENTITY_MAX + 1];
  char json[QUESTION_SIZE]; /* with a line break behind it */
  size_t json_len;
} question;

/* Wiped by its owner. */
typedef struct answer {
  dtls_psks psks;                   /* none: the identity is not known */
  char name[IDENTITY_NAME_MAX + 1]; /* "": the identity */
  char groups[IDENTITY_GROUPS_MAX + 1];
  int64_t ttl_s;
} answer;

/* Writes a question. */
void question_write(question *q, copal_span id);

/* Reads an answer, whose bytes are wiped. Returns 0 or COPAL_EFORMAT with a sentence. */
int answer_read(answer *a, copal_mspan bytes, char why[LOOKUP_WHY_SIZE]);

#endif
