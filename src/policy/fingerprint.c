/* SPDX-License-Identifier: Apache-2.0 */
/* Fingerprints of public keys. RFC 6920. */
#include "policy/fingerprint.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <gnutls/crypto.h>

enum { BITS_WHOLE = 256, BITS_128 = 128, BITS_120 = 120, HEX_BASE = 16 };

static const char not_one[] = "is no fingerprint: SHA-256 of a public key, sha256:HEX, "
                              "ni:///sha-256;..., nih:sha-256-120;... or pin-sha256:BASE64";

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value of a character of base64, or of base64url. RFC 4648 sections 4 and 5. */
static int sextet(char c)
{
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (c == '\0')
    return -1;
  if (c == '-' || c == '_')
    c = c == '-' ? '+' : '/';
  const char *at = strchr(alphabet, c);
  return at != NULL ? (int)(at - alphabet) : -1;
}

/* RFC 6920 section 7: Luhn's algorithm for 16 digits, from the right. */
static int check_digit(const char *hex, size_t len, char separator)
{
  int sum = 0, factor = 2;
  while (len > 0) {
    const char c = hex[--len];
    if (c == separator)
      continue;
    const int addend = factor * digit(c);
    sum += addend / HEX_BASE + addend % HEX_BASE;
    factor = 3 - factor;
  }
  return (HEX_BASE - sum % HEX_BASE) % HEX_BASE;
}

/* Reads exactly f->len bytes from `len` characters. */
static bool read_hex(const char *hex, size_t len, char separator, fingerprint *f)
{
  size_t count = 0;
  for (size_t i = 0; i < len; i++) {
    const int d = digit(hex[i]);
    if (d < 0 && hex[i] == separator)
      continue;
    if (d < 0 || count == 2u * f->len)
      return false;
    f->bytes[count / 2] = (uint8_t)(f->bytes[count / 2] << 4 | d);
    count++;
  }
  return count == 2u * f->len;
}

static bool read_base64(const char *text, fingerprint *f)
{
  uint32_t bits = 0;
  unsigned held = 0;
  size_t count = 0, len = strcspn(text, "=");
  for (size_t i = 0; i < len; i++) {
    const int six = sextet(text[i]);
    if (six < 0)
      return false;
    bits = bits << 6 | (uint32_t)six;
    held += 6;
    if (held < 8)
      continue;
    held -= 8;
    if (count == f->len)
      return false;
    f->bytes[count++] = (uint8_t)(bits >> held);
  }
  return count == f->len && (bits & ((1u << held) - 1)) == 0 && strspn(text + len, "=") < 3 &&
         text[len + strspn(text + len, "=")] == '\0';
}

/* Takes the name of the hash function up to `end`. NULL when it is one of ours. */
static const char *read_hash(const char **text, char end, fingerprint *f)
{
  static const struct {
    const char *name;
    int bits;
  } hashes[] = {
      {"sha-256", BITS_WHOLE},   {"sha256", BITS_WHOLE},    {"sha-256-256", BITS_WHOLE},
      {"sha-256-128", BITS_128}, {"sha-256-120", BITS_120},
  };
  const char *at = strchr(*text, end);
  const size_t len = at != NULL ? (size_t)(at - *text) : 0;
  for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
    if (len != strlen(hashes[i].name) || strncasecmp(*text, hashes[i].name, len) != 0)
      continue;
    f->len = (uint8_t)(hashes[i].bits / 8);
    *text = at + 1;
    return NULL;
  }
  return len >= 7 && strncasecmp(*text, "sha-256", 7) == 0
             ? "is cut to less than 120 bits, which anybody could forge"
             : not_one;
}

/* ni://AUTHORITY/sha-256;BASE64URL?query */
static const char *read_ni(const char *text, fingerprint *f)
{
  char value[FINGERPRINT_TEXT];
  const char *at = strchr(text, '/');
  if (at == NULL)
    return not_one;
  at++;
  const char *wrong = read_hash(&at, ';', f);
  const size_t len = strcspn(at, "?");
  if (wrong != NULL || len >= sizeof value)
    return wrong != NULL ? wrong : not_one;
  memcpy(value, at, len);
  value[len] = '\0';
  return read_base64(value, f) ? NULL : not_one;
}

/* nih:sha-256-120;5326-9057-...;f */
static const char *read_nih(const char *text, fingerprint *f)
{
  const char *wrong = read_hash(&text, ';', f);
  const size_t len = strcspn(text, ";");
  if (wrong != NULL)
    return wrong;
  if (!read_hex(text, len, '-', f))
    return not_one;
  if (text[len] == '\0')
    return NULL;
  const bool is_right = text[len + 1] != '\0' && text[len + 2] == '\0' &&
                        digit(text[len + 1]) == check_digit(text, len, '-');
  return is_right ? NULL : "has a check digit that does not fit: there is a slip in it";
}

static const char *read_plain(const char *text, fingerprint *f)
{
  f->len = FINGERPRINT_SIZE;
  if (strncasecmp(text, "sha", 3) == 0) {
    const char *wrong = read_hash(&text, ':', f);
    if (wrong != NULL)
      return wrong;
  }
  return read_hex(text, strlen(text), ':', f) ? NULL : not_one;
}

const char *fingerprint_read(const char *text, fingerprint *f)
{
  static const char gnutls_pin[] = "pin-sha256:", curl_pin[] = "sha256//", ni[] = "ni://",
                    nih[] = "nih:";
  *f = (fingerprint){.len = FINGERPRINT_SIZE};
  if (strncasecmp(text, ni, sizeof ni - 1) == 0)
    return read_ni(text + sizeof ni - 1, f);
  if (strncasecmp(text, nih, sizeof nih - 1) == 0)
    return read_nih(text + sizeof nih - 1, f);
  if (strncmp(text, gnutls_pin, sizeof gnutls_pin - 1) == 0)
    return read_base64(text + sizeof gnutls_pin - 1, f) ? NULL : not_one;
  if (strncmp(text, curl_pin, sizeof curl_pin - 1) == 0)
    return read_base64(text + sizeof curl_pin - 1, f) ? NULL : not_one;
  return read_plain(text, f);
}

bool fingerprint_of(copal_span spki, fingerprint *f)
{
  f->len = FINGERPRINT_SIZE;
  return gnutls_hash_fast(GNUTLS_DIG_SHA256, spki.ptr, spki.len, f->bytes) >= 0;
}

bool fingerprint_is_of(const fingerprint *f, const fingerprint *whole)
{
  return memcmp(f->bytes, whole->bytes, f->len) == 0;
}

void fingerprint_write(const fingerprint *f, char text[FINGERPRINT_TEXT])
{
  size_t len = (size_t)snprintf(text, FINGERPRINT_TEXT, "sha-256:");
  for (size_t i = 0; i < f->len; i++, len += 2)
    snprintf(text + len, FINGERPRINT_TEXT - len, "%02x", f->bytes[i]);
}
