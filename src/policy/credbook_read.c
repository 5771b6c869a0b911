/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a credentials file: libconfig's syntax, as copald.conf has it. Every mistake is told with
 * its line. */
#include <ctype.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/credbook.h"
#include "policy/lines.h"

enum { GROUPS_ROOM = IDENTITY_GROUPS_MAX + 1 };

/* A file being read. */
typedef struct reading {
  credbook *b;
  const char *path;
  mistakes *m;
} reading;

__attribute__((format(printf, 3, 4))) static void wrong(const reading *r, const config_setting_t *s,
                                                        const char *format, ...)
{
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  mistakes_add(r->m, r->path, config_setting_source_line(s), "%s", text);
}

/* ------------------------------------------------------------------------------------------------
 * memory */

/* Room in the book, or NULL without memory. */
static uint8_t *take(const reading *r, size_t len)
{
  book_chunk *c = r->b->chunks;
  if (len > sizeof c->bytes)
    return NULL;
  if (c == NULL || len > sizeof c->bytes - c->used) {
    c = malloc(sizeof *c);
    if (c == NULL)
      return NULL;
    c->next = r->b->chunks;
    c->used = 0;
    r->b->chunks = c;
  }
  uint8_t *at = c->bytes + c->used;
  c->used += len;
  return at;
}

/* A copy in the book with a NUL behind it; empty and a complaint without memory. */
static copal_span copy(const reading *r, const config_setting_t *s, copal_span text)
{
  uint8_t *at = take(r, text.len + 1);
  if (at == NULL) {
    wrong(r, s, "out of memory");
    return copal_span_none();
  }
  if (text.len > 0)
    memcpy(at, text.ptr, text.len);
  at[text.len] = '\0';
  return copal_span_of(at, text.len);
}

/* ------------------------------------------------------------------------------------------------
 * values */

static const char *text_of(const reading *r, const config_setting_t *s)
{
  const char *text = config_setting_get_string(s);
  if (text == NULL)
    wrong(r, s, "a text in quotes is expected");
  return text;
}

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads hexadecimal of 1 to `max` bytes into the book; empty when it is none. */
static copal_span read_hex(const reading *r, const char *text, size_t max)
{
  const size_t len = strlen(text) / 2;
  if (strlen(text) % 2 != 0 || len == 0 || len > max)
    return copal_span_none();
  uint8_t *at = take(r, len);
  for (size_t i = 0; at != NULL && i < len; i++) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return copal_span_none();
    at[i] = (uint8_t)(high << 4 | low);
  }
  return copal_span_of(at, at != NULL ? len : 0);
}

static copal_span read_name(const reading *r, const config_setting_t *s)
{
  const char *text = text_of(r, s);
  if (text == NULL)
    return copal_span_none();
  if (!identity_name_is_valid(copal_span_str(text))) {
    wrong(r, s, "a name has 1 to %d bytes of UTF-8 text without control characters",
          IDENTITY_NAME_MAX);
    return copal_span_none();
  }
  return copy(r, s, copal_span_str(text));
}

/* Elements of a list, or one value by itself. */
static int count_of(const config_setting_t *s)
{
  return config_setting_is_scalar(s) == CONFIG_TRUE ? 1 : config_setting_length(s);
}

static const config_setting_t *element(const config_setting_t *s, int i)
{
  return config_setting_is_scalar(s) == CONFIG_TRUE ? s : config_setting_get_elem(s, (unsigned)i);
}

static copal_span read_groups(const reading *r, const config_setting_t *s)
{
  char list[GROUPS_ROOM];
  size_t len = 0;
  for (int i = 0; i < count_of(s); i++) {
    const config_setting_t *e = element(s, i);
    const char *text = text_of(r, e);
    if (text == NULL)
      return copal_span_none();
    if (!identity_group_is_valid(copal_span_str(text))) {
      wrong(r, e, "a group's name has letters, digits, \"-\", \"_\" and \".\"");
      return copal_span_none();
    }
    const int n = snprintf(list + len, sizeof list - len, "%s%s", len > 0 ? "," : "", text);
    if ((size_t)n >= sizeof list - len) {
      wrong(r, e, "the names of the groups have more than %d bytes", IDENTITY_GROUPS_MAX);
      return copal_span_none();
    }
    len += (size_t)n;
  }
  return copy(r, s, copal_span_of(list, len));
}

static bool is_named(const config_setting_t *s, const char *name)
{
  return strcmp(config_setting_name(s), name) == 0;
}

/* The n-th member of a group of settings; anything else is complained of. */
static const config_setting_t *member(const config_setting_t *s, int i)
{
  return config_setting_get_elem(s, (unsigned)i);
}

static bool is_group(const reading *r, const config_setting_t *s, const char *example)
{
  if (config_setting_is_group(s) == CONFIG_TRUE)
    return true;
  wrong(r, s, "expected is %s", example);
  return false;
}

/* ------------------------------------------------------------------------------------------------
 * pre-shared keys */

/* One that has no name of its own. */
static void name_psk(const reading *r, const config_setting_t *s, book_psk *p)
{
  char name[IDENTITY_NAME_MAX + 1];
  if (identity_name_of_psk(p->identity, name))
    p->name = copy(r, s, copal_span_str(name));
  else
    wrong(r, s, "an identity this long needs a name");
}

/* As in a file of keys: what begins with "#" is hexadecimal. */
static void read_psk_identity(const reading *r, const config_setting_t *s, book_psk *p)
{
  const char *text = text_of(r, s);
  if (text == NULL)
    return;
  if (text[0] == '#')
    p->identity = read_hex(r, text + 1, DTLS_PSK_IDENTITY_MAX);
  else if (strlen(text) <= DTLS_PSK_IDENTITY_MAX && identity_name_is_valid(copal_span_str(text)))
    p->identity = copy(r, s, copal_span_str(text));
  if (p->identity.len == 0)
    wrong(r, s, "an identity has 1 to %d bytes of UTF-8 text, or hexadecimal behind #",
          DTLS_PSK_IDENTITY_MAX);
  else if (p->name.len == 0)
    name_psk(r, s, p);
}

static void read_keys(const reading *r, const config_setting_t *s, book_psk *p)
{
  const int count = count_of(s);
  if (count < 1 || count > DTLS_PSK_COUNT) {
    wrong(r, s, "an identity has one key, or two while it is being changed");
    return;
  }
  for (int i = 0; i < count; i++) {
    const config_setting_t *e = element(s, i);
    const char *text = text_of(r, e);
    if (text == NULL)
      return;
    p->keys[i] = read_hex(r, text, DTLS_PSK_SIZE_MAX);
    if (p->keys[i].len == 0)
      wrong(r, e, "a key has 1 to %d bytes in hexadecimal", DTLS_PSK_SIZE_MAX);
  }
}

static void read_psk(const reading *r, const config_setting_t *s, book_psk *p)
{
  if (!is_group(r, s, "{ identity = \"NAME\"; key = \"HEX\"; }"))
    return;
  const config_setting_t *name = config_setting_get_member(s, "name");
  p->line = config_setting_source_line(s);
  p->name = name != NULL ? read_name(r, name) : copal_span_none();
  for (int i = 0; i < config_setting_length(s); i++) {
    const config_setting_t *e = member(s, i);
    if (is_named(e, "identity"))
      read_psk_identity(r, e, p);
    else if (is_named(e, "key") || is_named(e, "keys"))
      read_keys(r, e, p);
    else if (is_named(e, "groups"))
      p->groups = read_groups(r, e);
    else if (!is_named(e, "name"))
      wrong(r, e, "unknown key \"%s\"; known here: identity key keys name groups",
            config_setting_name(e));
  }
  if (config_setting_get_member(s, "identity") == NULL)
    wrong(r, s, "there is no identity");
  if (p->keys[0].len == 0 && config_setting_get_member(s, "key") == NULL &&
      config_setting_get_member(s, "keys") == NULL)
    wrong(r, s, "there is no key");
}

static int compare_psks(const void *a, const void *b)
{
  const copal_span x = ((const book_psk *)a)->identity, y = ((const book_psk *)b)->identity;
  const size_t len = x.len < y.len ? x.len : y.len;
  const int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;
  return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static void sort_psks(const reading *r)
{
  const credbook *b = r->b;
  qsort(b->psks, b->psk_count, sizeof *b->psks, compare_psks);
  for (size_t i = 1; i < b->psk_count; i++)
    if (b->psks[i].identity.len > 0 && compare_psks(&b->psks[i], &b->psks[i - 1]) == 0) {
      const unsigned x = b->psks[i].line, y = b->psks[i - 1].line;
      mistakes_add(r->m, r->path, x > y ? x : y,
                   "this identity stands in line %u already; give it two keys there",
                   x > y ? y : x);
    }
}

/* ------------------------------------------------------------------------------------------------
 * raw public keys */

static void read_raw_key(const reading *r, const config_setting_t *s, book_raw_key *k)
{
  if (!is_group(r, s, "{ fingerprint = \"sha256:HEX\"; identity = \"NAME\"; }"))
    return;
  k->line = config_setting_source_line(s);
  for (int i = 0; i < config_setting_length(s); i++) {
    const config_setting_t *e = member(s, i);
    if (is_named(e, "fingerprint")) {
      const char *text = text_of(r, e);
      const char *why = text != NULL ? fingerprint_read(text, &k->print) : NULL;
      if (why != NULL)
        wrong(r, e, "%s", why);
    } else if (is_named(e, "identity")) {
      k->name = read_name(r, e);
    } else if (is_named(e, "groups")) {
      k->groups = read_groups(r, e);
    } else {
      wrong(r, e, "unknown key \"%s\"; known here: fingerprint identity groups",
            config_setting_name(e));
    }
  }
  if (config_setting_get_member(s, "fingerprint") == NULL)
    wrong(r, s, "there is no fingerprint");
}

static int compare_prints(const void *a, const void *b)
{
  return memcmp(((const book_raw_key *)a)->print.bytes, ((const book_raw_key *)b)->print.bytes,
                FINGERPRINT_MIN);
}

static void sort_raw_keys(const reading *r)
{
  const credbook *b = r->b;
  qsort(b->raw_keys, b->raw_key_count, sizeof *b->raw_keys, compare_prints);
  for (size_t i = 1; i < b->raw_key_count; i++) {
    const book_raw_key *k = &b->raw_keys[i];
    if (k->print.len > 0 && k[-1].print.len > 0 && compare_prints(k, k - 1) == 0)
      mistakes_add(r->m, r->path, k->line > k[-1].line ? k->line : k[-1].line,
                   "this key stands in line %u already",
                   k->line > k[-1].line ? k[-1].line : k->line);
  }
}

/* ------------------------------------------------------------------------------------------------
 * subjects of certificates */

/* CN=lamp-*: a part and what it must be. */
static void read_pattern(const reading *r, const config_setting_t *s, book_subject *subject)
{
  const char *text = text_of(r, s);
  const char *equals = text != NULL ? strchr(text, '=') : NULL;
  subject_part part = SUBJECT_CN;
  if (text == NULL)
    return;
  while (equals != NULL && part < SUBJECT_PART_COUNT &&
         (strlen(credbook_parts[part]) != (size_t)(equals - text) ||
          strncmp(credbook_parts[part], text, (size_t)(equals - text)) != 0))
    part = (subject_part)(part + 1);
  if (equals == NULL || part == SUBJECT_PART_COUNT || equals[1] == '\0') {
    wrong(r, s, "expected is CN=, O=, OU=, C=, serialNumber=, DNS=, URI= or email= and a pattern");
    return;
  }
  if (strlen(equals + 1) >= SUBJECT_PATTERN_SIZE || subject->count == SUBJECT_PATTERNS_MAX) {
    wrong(r, s, "a rule has %d patterns of %d bytes, not more", SUBJECT_PATTERNS_MAX,
          SUBJECT_PATTERN_SIZE - 1);
    return;
  }
  const copal_span pattern = copy(r, s, copal_span_str(equals + 1));
  uint8_t *bytes = (uint8_t *)(uintptr_t)pattern.ptr;
  for (size_t i = 0; i < pattern.len; i++) {
    if (bytes[i] == '*')
      bytes[i] = LINES_STAR;
    else if (part == SUBJECT_DNS)
      bytes[i] = (uint8_t)tolower(bytes[i]);
  }
  subject->patterns[subject->count++] = (book_pattern){part, pattern};
}

static void read_subject(const reading *r, const config_setting_t *s, book_subject *subject)
{
  if (!is_group(r, s, "{ match = \"CN=lamp-*\"; identity = \"{CN}\"; }"))
    return;
  subject->name = copal_span_str("{CN}");
  for (int i = 0; i < config_setting_length(s); i++) {
    const config_setting_t *e = member(s, i);
    if (is_named(e, "match"))
      for (int at = 0; at < count_of(e); at++)
        read_pattern(r, element(e, at), subject);
    else if (is_named(e, "identity"))
      subject->name = read_name(r, e);
    else if (is_named(e, "groups"))
      subject->groups = read_groups(r, e);
    else
      wrong(r, e, "unknown key \"%s\"; known here: match identity groups", config_setting_name(e));
  }
  credbook_mark(subject);
  const config_setting_t *match = config_setting_get_member(s, "match");
  if (match == NULL || count_of(match) == 0)
    wrong(r, s, "there is nothing to match; \"CN=*\" takes every certificate that has a name");
}

/* ------------------------------------------------------------------------------------------------
 * the file */

/* A zeroed array for the elements of a list, which are counted. NULL for a list of none, and after
 * a mistake. */
static void *array_for(const reading *r, const config_setting_t *s, size_t size, size_t *count)
{
  if (config_setting_is_list(s) != CONFIG_TRUE) {
    wrong(r, s, "expected is a list in parentheses");
    return NULL;
  }
  *count = (size_t)config_setting_length(s);
  void *items = *count > 0 ? calloc(*count, size) : NULL;
  if (*count > 0 && items == NULL) {
    wrong(r, s, "out of memory");
    *count = 0;
  }
  return items;
}

static void read_psks(const reading *r, const config_setting_t *s)
{
  r->b->psks = array_for(r, s, sizeof *r->b->psks, &r->b->psk_count);
  for (size_t i = 0; i < r->b->psk_count; i++)
    read_psk(r, config_setting_get_elem(s, (unsigned)i), &r->b->psks[i]);
  if (r->b->psk_count > 0)
    sort_psks(r);
}

static void read_raw_keys(const reading *r, const config_setting_t *s)
{
  r->b->raw_keys = array_for(r, s, sizeof *r->b->raw_keys, &r->b->raw_key_count);
  for (size_t i = 0; i < r->b->raw_key_count; i++)
    read_raw_key(r, config_setting_get_elem(s, (unsigned)i), &r->b->raw_keys[i]);
  if (r->b->raw_key_count > 0)
    sort_raw_keys(r);
}

static void read_subjects(const reading *r, const config_setting_t *s)
{
  r->b->has_subjects = true;
  r->b->subjects = array_for(r, s, sizeof *r->b->subjects, &r->b->subject_count);
  for (size_t i = 0; i < r->b->subject_count; i++)
    read_subject(r, config_setting_get_elem(s, (unsigned)i), &r->b->subjects[i]);
}

/* Relative names are those of the file's directory. */
static void add_file(const reading *r, const config_setting_t *s, book_files *files)
{
  const char *text = text_of(r, s);
  const char *slash = strrchr(r->path, '/');
  const size_t dir =
      text != NULL && text[0] != '/' && slash != NULL ? (size_t)(slash - r->path) + 1 : 0;
  uint8_t *at = text != NULL ? take(r, dir + strlen(text) + 1) : NULL;
  if (at == NULL)
    return;
  memcpy(at, r->path, dir);
  memcpy(at + dir, text, strlen(text) + 1);
  files->items[files->count++] = (const char *)at;
}

static void read_files(const reading *r, const config_setting_t *s, credfile_name what)
{
  const int count = count_of(s);
  const bool has_many = what == CREDFILE_CERTIFICATE || what == CREDFILE_KEY;
  if (count > (has_many ? CREDFILE_FILES_MAX : 1))
    wrong(r, s, "%d names of files are more than there may be", count);
  else
    for (int i = 0; i < count; i++)
      add_file(r, element(s, i), &r->b->files[what]);
}

static bool read_file_name(const reading *r, const config_setting_t *s)
{
  static const char *const names[CREDFILE_NAME_COUNT] = {"certificate", "key", "ca", "crl",
                                                         "raw_key"};
  for (size_t i = 0; i < CREDFILE_NAME_COUNT; i++) {
    if (!is_named(s, names[i]))
      continue;
    read_files(r, s, (credfile_name)i);
    return true;
  }
  return false;
}

static void read_root(const reading *r, const config_setting_t *root)
{
  for (int i = 0; i < config_setting_length(root); i++) {
    const config_setting_t *s = member(root, i);
    if (is_named(s, "psk"))
      read_psks(r, s);
    else if (is_named(s, "raw_keys"))
      read_raw_keys(r, s);
    else if (is_named(s, "subjects"))
      read_subjects(r, s);
    else if (!read_file_name(r, s))
      wrong(r, s,
            "unknown key \"%s\"; known here: psk raw_keys subjects certificate key ca crl raw_key",
            config_setting_name(s));
  }
}

/* libconfig frees what it has read, but does not wipe it. */
static void wipe_texts(config_setting_t *s)
{
  const char *text = config_setting_get_string(s);
  if (text != NULL)
    explicit_bzero((void *)(uintptr_t)text, strlen(text));
  for (int i = 0; config_setting_is_aggregate(s) == CONFIG_TRUE && i < config_setting_length(s);
       i++)
    wipe_texts(config_setting_get_elem(s, (unsigned)i));
}

static void parse(const reading *r, const char *text)
{
  config_t config;
  const unsigned include = lines_include(text);
  if (include > 0) {
    mistakes_add(r->m, r->path, include, "a credentials file includes no other");
    return;
  }
  config_init(&config);
  if (config_read_string(&config, text) == CONFIG_TRUE)
    read_root(r, config_root_setting(&config));
  else
    mistakes_add(r->m, r->path, (unsigned)config_error_line(&config), "%s",
                 config_error_text(&config));
  wipe_texts(config_root_setting(&config));
  config_destroy(&config);
}

int credbook_read(credbook *b, const char *path, mistakes *m)
{
  copal_mspan bytes;
  const reading r = {b, path, m};
  const size_t before = m->count;
  if (lines_load(path, LINES_SECRET, &bytes, m) < 0)
    return COPAL_EINVAL;
  char *text = malloc(bytes.len + 1);
  if (text == NULL) {
    mistakes_add(m, path, 0, "out of memory");
  } else if (memchr(bytes.ptr, 0, bytes.len) != NULL) {
    mistakes_add(m, path, 0, "there is a byte 0 in it");
  } else {
    memcpy(text, bytes.ptr, bytes.len);
    text[bytes.len] = '\0';
    parse(&r, text);
  }
  if (text != NULL)
    explicit_bzero(text, bytes.len);
  free(text);
  explicit_bzero(bytes.ptr, bytes.len);
  free(bytes.ptr);
  if (m->count == before)
    return COPAL_OK;
  credbook_wipe(b);
  return COPAL_EINVAL;
}
