/* SPDX-License-Identifier: Apache-2.0 */
/* The table of configuration keys: name, kind, range and place of each. Thread: any. */
#ifndef SERVER_CONF_KEY_H
#define SERVER_CONF_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/conf.h"
#include "server/conf_value.h"

typedef enum conf_kind {
  CONF_NUMBER, /* an unsigned number, with `unit` */
  CONF_FACTOR, /* a decimal number kept in percent */
  CONF_WORD,   /* one of `words`, kept as an enum */
  CONF_LIST,   /* strings */
  CONF_TEXT,   /* a string in the configuration's own memory */
} conf_kind;

typedef struct conf_key {
  const char *section; /* "" at the top */
  const char *name;
  conf_kind kind;
  conf_unit unit;
  size_t offset;            /* in conf */
  size_t size;              /* bytes of the field */
  uint64_t min, max;        /* of CONF_TEXT only `min`: bytes */
  const char *const *words; /* CONF_WORD; ends with NULL */
  bool is_live;             /* can change while the daemon runs */
} conf_key;

extern const conf_key conf_keys[];
extern const size_t conf_key_count;

const conf_key *conf_key_find(const char *section, const char *name);
bool conf_section_is_known(const char *section);

/* The field of a key as a number. */
uint64_t conf_key_get(const conf *c, const conf_key *k);
void conf_key_set(conf *c, const conf_key *k, uint64_t value);

/* The field of a CONF_TEXT key. */
const char *conf_key_text(const conf *c, const conf_key *k);

/* The field of a CONF_LIST key. */
const conf_strings *conf_key_list(const conf *c, const conf_key *k);

#endif
