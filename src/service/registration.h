/* SPDX-License-Identifier: Apache-2.0 */
/* A registration as it is stored: all that is needed to go on with an observation after a restart.
 * RFC 7641 section 4.1. The layout is documented in docs/restart.md. Thread: any. */
#ifndef SERVICE_REGISTRATION_H
#define SERVICE_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/cursor.h"
#include "server/handler.h"

/* All keys of registrations begin so. */
#define REGISTRATION_PREFIX "observe/"

enum {
  REGISTRATION_KEY_MAX = sizeof REGISTRATION_PREFIX - 1 + 1 + HANDLER_WHO_MAX + 8,
  REGISTRATION_QUERY_MAX = 2048, /* bytes of options; longer ones are not kept */
};

/* Spans are borrowed. */
typedef struct registration {
  handler_way way;
  copal_span token;
  copal_code request_code;
  bool has_block2; /* the client asked for blocks of `szx` */
  uint8_t szx;
  uint16_t content_format; /* that the observation began with */
  copal_span key;          /* canonical path of the resource */
  copal_span query;        /* options: those Uri-Query that are conditions; a run of its own */
  bool is_fetch;
  uint16_t fetch_format; /* of the document */
  uint32_t accept;
  copal_span fetch; /* the document */
} registration;

/* Writes the key under which the registration of that client and token is stored. */
void registration_put_key(copal_wr *w, const handler_way *way, copal_span token);

/* Bytes of the value, at most; and the value. */
size_t registration_size(const registration *r);
void registration_put(copal_wr *w, const registration *r);

/* Reads both; the spans point into them. Returns false when they are damaged or of a version that
 * is not known. */
bool registration_get(registration *r, copal_span key, copal_span value);

#endif
