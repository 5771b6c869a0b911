/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Formats by the names people use. RFC 7252 section 12.3. */
#include "cmd/copal/media.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/copal/print_json.h"
#include "cmd/copal/style.h"
#include "copal/error.h"
#include "copal/registry.h"

typedef struct alias {
  const char *name;
  uint16_t cf;
} alias;

/* Names that are neither media types nor their last parts. */
static const alias aliases[] = {
    {"text", COPAL_CF_TEXT_PLAIN},
    {"txt", COPAL_CF_TEXT_PLAIN},
    {"plain", COPAL_CF_TEXT_PLAIN},
    {"link", COPAL_CF_LINK_FORMAT},
    {"links", COPAL_CF_LINK_FORMAT},
    {"octets", COPAL_CF_OCTET_STREAM},
    {"octet", COPAL_CF_OCTET_STREAM},
    {"bytes", COPAL_CF_OCTET_STREAM},
    {"binary", COPAL_CF_OCTET_STREAM},
    {"merge-patch", COPAL_CF_MERGE_PATCH},
    {"json-patch", COPAL_CF_JSON_PATCH},
    {"senml", COPAL_CF_SENML_JSON},
    {"problem", COPAL_CF_PROBLEM_DETAILS},
    {"problem-details", COPAL_CF_PROBLEM_DETAILS},
    {"senml-etch", COPAL_CF_SENML_ETCH_JSON},
};

static int parse_number(const char *text)
{
  char *end;
  const long v = strtol(text, &end, 10);
  return *end == '\0' && v >= 0 && v <= UINT16_MAX ? (int)v : COPAL_ENOTFOUND;
}

int media_parse(const char *text)
{
  if (*text >= '0' && *text <= '9')
    return parse_number(text);
  for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
    if (strcasecmp(aliases[i].name, text) == 0)
      return aliases[i].cf;
  return copal_cf_of(text);
}

void media_name(uint32_t cf, buf *out)
{
  const char *name = cf <= UINT16_MAX ? copal_cf_name((uint16_t)cf) : NULL;
  if (name)
    buf_text(out, name);
  else
    buf_print(out, "%u", (unsigned)cf);
}

void media_short_name(uint32_t cf, buf *out)
{
  static const char tree[] = "application/";
  const char *name = cf <= UINT16_MAX ? copal_cf_name((uint16_t)cf) : NULL;
  if (!name) {
    buf_print(out, "%u", (unsigned)cf);
    return;
  }
  if (strncmp(name, tree, sizeof tree - 1) == 0)
    name += sizeof tree - 1;
  /* Only the parameter of text/plain says nothing. */
  buf_put(out, name, cf == COPAL_CF_TEXT_PLAIN ? strcspn(name, ";") : strlen(name));
}

static media_kind kind_of_bytes(copal_span payload)
{
  if (!safe_is_text(payload))
    return MEDIA_BINARY;
  const bool is_composite = payload.len > 1 && (payload.ptr[0] == '{' || payload.ptr[0] == '[');
  return is_composite && json_is_valid(payload) ? MEDIA_JSON : MEDIA_TEXT;
}

static bool has_suffix(const char *name, const char *suffix)
{
  const size_t len = strcspn(name, ";");
  const size_t n = strlen(suffix);
  return len >= n && memcmp(name + len - n, suffix, n) == 0;
}

static media_kind kind_of_name(const char *name)
{
  if (strstr(name, ";coding="))
    return MEDIA_BINARY;
  if (has_suffix(name, "json"))
    return MEDIA_JSON;
  if (has_suffix(name, "cbor-seq"))
    return MEDIA_CBOR_SEQ;
  if (has_suffix(name, "cbor"))
    return MEDIA_CBOR;
  return strncmp(name, "text/", 5) == 0 || has_suffix(name, "xml") ? MEDIA_TEXT : MEDIA_BINARY;
}

media_kind media_kind_of(int32_t cf, copal_span payload)
{
  switch (cf) {
  case MEDIA_NONE: return kind_of_bytes(payload);
  case COPAL_CF_LINK_FORMAT: return MEDIA_LINKS;
  case COPAL_CF_SENML_JSON:
  case COPAL_CF_SENSML_JSON: return MEDIA_SENML_JSON;
  case COPAL_CF_SENML_CBOR:
  case COPAL_CF_SENSML_CBOR: return MEDIA_SENML_CBOR;
  case COPAL_CF_PROBLEM_DETAILS: return MEDIA_PROBLEM;
  case COPAL_CF_CWT:
  case COPAL_CF_COSE_ENCRYPT0:
  case COPAL_CF_COSE_MAC0:
  case COPAL_CF_COSE_SIGN1:
  case COPAL_CF_COSE_KEY: return MEDIA_CBOR;
  default: break;
  }
  const char *name = cf >= 0 && cf <= UINT16_MAX ? copal_cf_name((uint16_t)cf) : NULL;
  return name ? kind_of_name(name) : kind_of_bytes(payload);
}
