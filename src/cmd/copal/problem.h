/* SPDX-License-Identifier: Apache-2.0 */
/* Concise problem details as text. RFC 9290 sections 2 and 3. */
#ifndef COPAL_CMD_PROBLEM_H
#define COPAL_CMD_PROBLEM_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "copal/span.h"

/* Writes "title: detail" and what else is known in brackets, on one line, harmless. Returns false,
 * with nothing written, when the bytes are not problem details. */
bool problem_print(copal_span bytes, buf *b);

#endif
