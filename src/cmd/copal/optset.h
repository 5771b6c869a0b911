/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a request while it is put together: sorted, values owned. RFC 7252 section 3.1;
 * and option values as people write them. */
#ifndef COPAL_CMD_OPTSET_H
#define COPAL_CMD_OPTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/copal/buf.h"
#include "copal/option.h"
#include "copal/span.h"

/* A zeroed optset is empty and valid. `opts` is sorted by number, instances of one number in the
 * order they were added. */
typedef struct optset {
  copal_opt *opts;
  size_t count;
} optset;

void optset_wipe(optset *s);
void optset_add(optset *s, uint16_t number, copal_span value);
void optset_add_uint(optset *s, uint16_t number, uint32_t value);
void optset_remove(optset *s, uint16_t number);

/* Replaces all instances of `number` by one. */
void optset_set(optset *s, uint16_t number, copal_span value);
void optset_set_uint(optset *s, uint16_t number, uint32_t value);

bool optset_has(const optset *s, uint16_t number);

/* Adds all options of `from`; instances of options that are not repeatable replace those here. */
void optset_merge(optset *s, const optset *from);

void optset_copy(optset *to, const optset *from);

/* Bytes the options take on the wire, at most. */
size_t optset_wire_size(const optset *s);

/* Parses "NAME=VALUE" or "NUMBER=VALUE" and adds the option. The value is read by the registered
 * format: a number (or a Content-Format name, or NUM[/M]/SIZE for Block options) for uint, text for
 * string, 0x and hexadecimal digits or text for opaque. Given by name, the value must have a
 * registered length. Returns 0, or -1 with a message in `err`. */
int optset_parse(optset *s, const char *text, buf *err);

/* "Uri-Path", or "65000" when the option is not registered. */
void option_name(uint16_t number, buf *out);

/* The value for people: text, number, Content-Format name, NUM/M/SIZE, 0x and hexadecimal digits.
 */
void option_value(const copal_opt *opt, buf *out);

/* Parses hexadecimal digits, optionally behind 0x, into `out`. -1 for anything else. */
int hex_parse(const char *text, buf *out);

#endif
