/* SPDX-License-Identifier: Apache-2.0 */
/* SenML packs as a table of resolved records. RFC 8428 sections 4 to 6. */
#ifndef COPAL_CMD_SENML_H
#define COPAL_CMD_SENML_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "copal/span.h"

/* Print one row for each record: name, value, unit, time, base values applied. Return false, with
 * nothing written, when the bytes are not a SenML pack. */
bool senml_print_json(copal_span text, const style *s, buf *b);
bool senml_print_cbor(copal_span bytes, const style *s, buf *b);

#endif
