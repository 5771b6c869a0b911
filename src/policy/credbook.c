/* SPDX-License-Identifier: Apache-2.0 */
/* What a credentials file said: looking things up. Certificates are looked at only after they have
 * been verified. RFC 5280 sections 4.1.2.6 and 4.2.1.6. */
#include "policy/credbook.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "policy/access.h"

#define OID_SERIAL_NUMBER "2.5.4.5" /* RFC 4519 section 2.31 */

enum { VALUE_SIZE = 256, ALTERNATIVES_MAX = 64 };

const char *const credbook_parts[SUBJECT_PART_COUNT] = {"CN",           "O",   "OU",  "C",
                                                        "serialNumber", "DNS", "URI", "email"};

void credbook_wipe(credbook *b)
{
  while (b->chunks != NULL) {
    book_chunk *next = b->chunks->next;
    explicit_bzero(b->chunks, sizeof *b->chunks);
    free(b->chunks);
    b->chunks = next;
  }
  free(b->psks);
  free(b->raw_keys);
  free(b->subjects);
  *b = (credbook){.chunks = NULL};
}

/* ------------------------------------------------------------------------------------------------
 * keys */

static int compare_spans(copal_span x, copal_span y)
{
  const size_t len = x.len < y.len ? x.len : y.len;
  const int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;
  return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

const book_psk *credbook_psk(const credbook *b, copal_span id)
{
  size_t from = 0, to = b->psk_count;
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    const int order = compare_spans(id, b->psks[middle].identity);
    if (order == 0)
      return &b->psks[middle];
    if (order < 0)
      to = middle;
    else
      from = middle + 1;
  }
  return NULL;
}

/* Fingerprints may be cut to different lengths, so only what all of them have is in order. */
const book_raw_key *credbook_raw_key(const credbook *b, const fingerprint *whole)
{
  size_t from = 0, to = b->raw_key_count;
  while (from < to) {
    const size_t middle = from + (to - from) / 2;
    if (memcmp(b->raw_keys[middle].print.bytes, whole->bytes, FINGERPRINT_MIN) < 0)
      from = middle + 1;
    else
      to = middle;
  }
  for (; from < b->raw_key_count &&
         memcmp(b->raw_keys[from].print.bytes, whole->bytes, FINGERPRINT_MIN) == 0;
       from++)
    if (fingerprint_is_of(&b->raw_keys[from].print, whole))
      return &b->raw_keys[from];
  return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * subjects */

/* A value of a certificate. */
typedef struct value {
  size_t len;
  char text[VALUE_SIZE];
} value;

static bool keep(value *v, size_t len)
{
  v->len = len;
  return len < sizeof v->text && identity_name_is_valid(copal_span_of(v->text, len));
}

static bool of_subject(gnutls_x509_crt_t crt, const char *oid, unsigned index, value *v)
{
  size_t len = sizeof v->text;
  if (gnutls_x509_crt_get_dn_by_oid(crt, oid, index, 0, v->text, &len) < 0)
    return false;
  return keep(v, len);
}

/* Host names do not tell case apart. RFC 4343 */
static void lower(value *v)
{
  for (size_t i = 0; i < v->len; i++)
    v->text[i] = (char)tolower((unsigned char)v->text[i]);
}

/* The n-th alternative name of a type. */
static bool of_alternatives(gnutls_x509_crt_t crt, gnutls_x509_subject_alt_name_t type,
                            unsigned index, value *v)
{
  for (unsigned i = 0; i < ALTERNATIVES_MAX; i++) {
    size_t len = sizeof v->text;
    const int rc = gnutls_x509_crt_get_subject_alt_name(crt, i, v->text, &len, NULL);
    if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
      return false;
    if (rc != (int)type || index-- > 0)
      continue;
    return keep(v, len);
  }
  return false;
}

/* The n-th value of a part; false when there is none, or it is no text. */
static bool value_of(gnutls_x509_crt_t crt, subject_part part, unsigned index, value *v)
{
  bool is_there = false;
  switch (part) {
  case SUBJECT_CN: return of_subject(crt, GNUTLS_OID_X520_COMMON_NAME, index, v);
  case SUBJECT_O: return of_subject(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, index, v);
  case SUBJECT_OU: return of_subject(crt, GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, index, v);
  case SUBJECT_C: return of_subject(crt, GNUTLS_OID_X520_COUNTRY_NAME, index, v);
  case SUBJECT_SERIAL: return of_subject(crt, OID_SERIAL_NUMBER, index, v);
  case SUBJECT_URI: return of_alternatives(crt, GNUTLS_SAN_URI, index, v);
  case SUBJECT_EMAIL: return of_alternatives(crt, GNUTLS_SAN_RFC822NAME, index, v);
  case SUBJECT_DNS:
    is_there = of_alternatives(crt, GNUTLS_SAN_DNSNAME, index, v);
    lower(v);
    return is_there;
  case SUBJECT_PART_COUNT: break;
  }
  return false;
}

/* Finds the value that fits: a part may have several. */
static bool find_fitting(gnutls_x509_crt_t crt, const book_pattern *p, value *v)
{
  for (unsigned i = 0; i < ALTERNATIVES_MAX && value_of(crt, p->part, i, v); i++)
    if (access_name_fits(p->text, copal_span_of(v->text, v->len)))
      return true;
  return false;
}

/* What a part stands for in the name: the value that fitted its pattern, else its first. */
static bool filling(const book_subject *s, gnutls_x509_crt_t crt, subject_part part, value *v)
{
  for (size_t i = 0; i < s->count; i++)
    if (s->patterns[i].part == part)
      return find_fitting(crt, &s->patterns[i], v);
  return value_of(crt, part, 0, v);
}

/* The part that "{...}" at the start of a text names, and how long that is; false for any other
 * text. */
static bool read_field(copal_span text, subject_part *part, size_t *len)
{
  const uint8_t *end = text.len > 0 && text.ptr[0] == '{' ? memchr(text.ptr, '}', text.len) : NULL;
  if (end == NULL)
    return false;
  *len = (size_t)(end - text.ptr) + 1;
  for (*part = SUBJECT_CN; *part < SUBJECT_PART_COUNT; *part = (subject_part)(*part + 1))
    if (copal_span_is_equal(copal_span_of(text.ptr + 1, *len - 2),
                            copal_span_str(credbook_parts[*part])))
      return true;
  return false;
}

static bool make_name(const book_subject *s, gnutls_x509_crt_t crt,
                      char name[IDENTITY_NAME_MAX + 1])
{
  copal_wr w = copal_wr_init((copal_mspan){(uint8_t *)name, IDENTITY_NAME_MAX});
  subject_part part;
  size_t len;
  for (size_t i = 0; i < s->name.len;) {
    if (!read_field(copal_span_of(s->name.ptr + i, s->name.len - i), &part, &len)) {
      copal_wr_u8(&w, s->name.ptr[i++]);
      continue;
    }
    value v;
    if (!filling(s, crt, part, &v))
      return false;
    copal_wr_span(&w, copal_span_of(v.text, v.len));
    i += len;
  }
  name[w.len] = '\0';
  return w.err == COPAL_OK && identity_name_is_valid(copal_span_of(name, w.len));
}

static bool subject_fits(const book_subject *s, gnutls_x509_crt_t crt)
{
  value v;
  for (size_t i = 0; i < s->count; i++)
    if (!find_fitting(crt, &s->patterns[i], &v))
      return false;
  return true;
}

const book_subject *credbook_subject(const credbook *b, gnutls_x509_crt_t crt,
                                     char name[IDENTITY_NAME_MAX + 1])
{
  for (size_t i = 0; i < b->subject_count; i++)
    if (subject_fits(&b->subjects[i], crt))
      return make_name(&b->subjects[i], crt, name) ? &b->subjects[i] : NULL;
  return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * marks */

static bool hash_text(gnutls_hash_hd_t h, copal_span text)
{
  const uint8_t len[2] = {(uint8_t)(text.len >> 8), (uint8_t)text.len};
  return gnutls_hash(h, len, sizeof len) >= 0 && gnutls_hash(h, text.ptr, text.len) >= 0;
}

/* A mark of zeros is nobody's. */
void credbook_mark(book_subject *s)
{
  uint8_t whole[32] = {0};
  gnutls_hash_hd_t h;
  memset(s->mark, 0, sizeof s->mark);
  if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) < 0)
    return;
  bool is_good = hash_text(h, s->name);
  for (size_t i = 0; i < s->count; i++) {
    const uint8_t part = (uint8_t)s->patterns[i].part;
    is_good = is_good && gnutls_hash(h, &part, 1) >= 0 && hash_text(h, s->patterns[i].text);
  }
  gnutls_hash_deinit(h, whole);
  if (is_good)
    memcpy(s->mark, whole, sizeof s->mark);
}

const book_subject *credbook_rule(const credbook *b, const uint8_t mark[PROOF_RULE_SIZE])
{
  static const uint8_t none[PROOF_RULE_SIZE];
  for (size_t i = 0; i < b->subject_count; i++)
    if (memcmp(b->subjects[i].mark, mark, PROOF_RULE_SIZE) == 0 &&
        memcmp(mark, none, PROOF_RULE_SIZE) != 0)
      return &b->subjects[i];
  return NULL;
}
