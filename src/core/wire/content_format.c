/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Formats and their media types. RFC 7252 section 12.3. */
#include "copal/error.h"
#include "core/wire/registry_table.h"
#include "core/wire/text.h"

const char *copal_cf_name(uint16_t cf)
{
  for (size_t i = 0; i < copal_cf_row_count; i++) {
    if (copal_cf_rows[i].number == cf)
      return copal_cf_rows[i].name;
  }
  return NULL;
}

/* True when `asked`, without its spaces, is `name` or ends before the parameters of `name`. */
static bool is_asked(const char *name, const char *asked)
{
  for (;; name++, asked++) {
    while (*asked == ' ')
      asked++;
    if (*asked == '\0')
      return *name == '\0' || *name == ';';
    if (ascii_lower(*name) != ascii_lower(*asked))
      return false;
  }
}

/* What follows "application/", or NULL. */
static const char *subtype(const char *name)
{
  const char *prefix = "application/";
  while (*prefix != '\0' && *prefix == *name) {
    prefix++;
    name++;
  }
  return *prefix == '\0' ? name : NULL;
}

int copal_cf_of(const char *name)
{
  /* The plain form of a media type has the smallest identifier, but for yang-data+cbor: an exact
   * match must win over one without parameters. */
  int found = COPAL_ENOTFOUND;
  for (size_t i = 0; i < copal_cf_row_count; i++) {
    const char *full = copal_cf_rows[i].name;
    const char *sub = subtype(full);
    if (!is_asked(full, name) && (sub == NULL || !is_asked(sub, name)))
      continue;
    const char *end = full;
    while (*end != '\0' && *end != ';')
      end++;
    if (*end == '\0')
      return copal_cf_rows[i].number;
    if (found == COPAL_ENOTFOUND)
      found = copal_cf_rows[i].number;
  }
  return found;
}
