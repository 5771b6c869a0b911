/* SPDX-License-Identifier: Apache-2.0 */
/* Message codes: a class and a detail in one byte, written c.dd. RFC 7252 section 3; the registered
 * ones are in copal/registry.h (COPAL_CODE_GET, COPAL_CODE_CONTENT, ...). */
#ifndef COPAL_CODE_H
#define COPAL_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/platform.h"

COPAL_BEGIN_DECLS

typedef uint8_t copal_code;

enum {
  COPAL_CLASS_REQUEST = 0,
  COPAL_CLASS_SUCCESS = 2,
  COPAL_CLASS_CLIENT_ERROR = 4,
  COPAL_CLASS_SERVER_ERROR = 5,
  COPAL_CLASS_SIGNAL = 7, /* RFC 8323 section 5 */
};

/* The code c.dd of a class (0 to 7) and a detail (0 to 31), and its two parts. */
static inline copal_code copal_code_of(unsigned cls, unsigned detail)
{
  return (copal_code)(cls << 5 | (detail & 31));
}

static inline unsigned copal_code_class(copal_code c)
{
  return (unsigned)c >> 5;
}

static inline unsigned copal_code_detail(copal_code c)
{
  return (unsigned)c & 31;
}

/* What a message with the code is: 0.00 Empty, a request (class 0), a response (classes 2, 4 and
 * 5), or a signal of a reliable transport (class 7). RFC 7252 section 3, RFC 8323 section 5. */
static inline bool copal_code_is_empty(copal_code c)
{
  return c == 0;
}

static inline bool copal_code_is_request(copal_code c)
{
  return copal_code_class(c) == COPAL_CLASS_REQUEST && c != 0;
}

static inline bool copal_code_is_response(copal_code c)
{
  return copal_code_class(c) == COPAL_CLASS_SUCCESS ||
         copal_code_class(c) == COPAL_CLASS_CLIENT_ERROR ||
         copal_code_class(c) == COPAL_CLASS_SERVER_ERROR;
}

static inline bool copal_code_is_signal(copal_code c)
{
  return copal_code_class(c) == COPAL_CLASS_SIGNAL;
}

/* GET and FETCH: no effect on the resource. RFC 7252 section 5.1, RFC 8132 section 2. */
COPAL_API bool copal_code_is_safe(copal_code c);

/* Registered name ("GET", "Content", "Bad Request"), or NULL. Static storage. */
COPAL_API const char *copal_code_name(copal_code c);

/* Writes "c.dd" and a NUL into `out`. */
COPAL_API void copal_code_format(copal_code c, char out[5]);

COPAL_END_DECLS

#endif
