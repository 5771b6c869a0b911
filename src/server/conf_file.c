/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a configuration file. Every mistake is reported with its place: unknown keys, values of
 * the wrong kind or out of range, missing units. Thread: the main thread only. */
#include <inttypes.h>
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "copal/error.h"
#include "server/conf.h"
#include "server/conf_key.h"
#include "server/conf_scan.h"

enum { FILE_MAX = 1 << 20 }; /* bytes looked at for numbers beyond 32 bits */

/* What is being read. */
typedef struct reading {
  conf *into;
  const char *path;
  conf_errors *errors;
} reading;

/* A key at its place in a file. */
typedef struct place {
  const char *file;
  unsigned line;
  const char *section;
  const char *dot; /* "." between section and name, if any */
  const char *name;
} place;

static place place_of(const reading *r, const config_setting_t *s, const char *section)
{
  const char *file = config_setting_source_file(s);
  return (place){file == NULL ? r->path : file, config_setting_source_line(s), section,
                 *section == '\0' ? "" : ".", config_setting_name(s)};
}

#define PLACE_FORMAT  "%s:%u: %s%s%s: "
#define PLACE_ARGS(p) (p).file, (p).line, (p).section, (p).dot, (p).name

static void report_unknown(const reading *r, const place *p)
{
  char known[512] = "";
  size_t len = 0;
  for (size_t i = 0; i < conf_key_count && len < sizeof known; i++)
    if (strcmp(conf_keys[i].section, p->section) == 0)
      len += (size_t)snprintf(known + len, sizeof known - len, " %s", conf_keys[i].name);
  for (size_t i = 0; *p->section == '\0' && i < conf_key_count && len < sizeof known; i++)
    if (i > 0 && strcmp(conf_keys[i].section, conf_keys[i - 1].section) != 0)
      len += (size_t)snprintf(known + len, sizeof known - len, " %s{}", conf_keys[i].section);
  conf_error(r->errors, PLACE_FORMAT "unknown key; known here:%s", PLACE_ARGS(*p), known);
}

static void report_range(const reading *r, const place *p, const conf_key *k)
{
  char min[CONF_VALUE_TEXT_SIZE], max[CONF_VALUE_TEXT_SIZE];
  conf_value_format(k->min, k->unit, min);
  conf_value_format(k->max, k->unit, max);
  conf_error(r->errors, PLACE_FORMAT "out of range, allowed is %s to %s", PLACE_ARGS(*p), min, max);
}

static const char *expected(const conf_key *k)
{
  if (k->kind == CONF_FACTOR)
    return "a number such as 1.5";
  switch (k->unit) {
  case CONF_PLAIN: return "a number such as 100";
  case CONF_BYTES: return "a size such as 1500 or \"4 MiB\"";
  case CONF_DURATION: return "a duration with its unit such as \"500 ms\" or \"5 s\"";
  case CONF_SECONDS: return "whole seconds with a unit such as \"60 s\" or \"1 h\"";
  }
  return "";
}

/* A setting as an unsigned number; COPAL_EFORMAT when it is none, COPAL_EINVAL when negative or too
 * large. */
static int number_of(const config_setting_t *s, conf_unit unit, uint64_t *value)
{
  const char *text = config_setting_get_string(s);
  if (text != NULL)
    return conf_value_parse(text, unit, value);
  const int type = config_setting_type(s);
  if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
    return COPAL_EFORMAT;
  const long long n =
      type == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_int64(s);
  if (n < 0)
    return COPAL_EINVAL;
  if (n > 0 && (unit == CONF_DURATION || unit == CONF_SECONDS))
    return COPAL_EFORMAT;
  *value = (uint64_t)n;
  return COPAL_OK;
}

static int percent_of(const config_setting_t *s, uint64_t *value)
{
  const int type = config_setting_type(s);
  if (type != CONFIG_TYPE_FLOAT && type != CONFIG_TYPE_INT)
    return COPAL_EFORMAT;
  const double f =
      type == CONFIG_TYPE_INT ? config_setting_get_int(s) : config_setting_get_float(s);
  if (!(f >= 0 && f <= 1000))
    return COPAL_EINVAL;
  *value = (uint64_t)(f * 100 + 0.5);
  return COPAL_OK;
}

static void read_number(const reading *r, const config_setting_t *s, const conf_key *k)
{
  const place p = place_of(r, s, k->section);
  uint64_t value = 0;
  const int rc = k->kind == CONF_FACTOR ? percent_of(s, &value) : number_of(s, k->unit, &value);
  if (rc == COPAL_EFORMAT)
    conf_error(r->errors, PLACE_FORMAT "%s is expected", PLACE_ARGS(p), expected(k));
  else if (k->kind == CONF_FACTOR && (rc < 0 || value < k->min || value > k->max))
    conf_error(r->errors, PLACE_FORMAT "out of range, allowed is %g to %g", PLACE_ARGS(p),
               (double)k->min / 100, (double)k->max / 100);
  else if (rc < 0 || value < k->min || value > k->max)
    report_range(r, &p, k);
  else
    conf_key_set(r->into, k, value);
}

static void read_word(const reading *r, const config_setting_t *s, const conf_key *k)
{
  const char *text = config_setting_get_string(s);
  for (uint64_t i = 0; text != NULL && k->words[i] != NULL; i++) {
    if (strcmp(text, k->words[i]) == 0) {
      conf_key_set(r->into, k, i);
      return;
    }
  }
  char known[128] = "";
  size_t len = 0;
  for (size_t i = 0; k->words[i] != NULL && len < sizeof known; i++)
    len += (size_t)snprintf(known + len, sizeof known - len, " \"%s\"", k->words[i]);
  const place p = place_of(r, s, k->section);
  conf_error(r->errors, PLACE_FORMAT "one of these is expected:%s", PLACE_ARGS(p), known);
}

static void add_string(const reading *r, const config_setting_t *s, const place *p,
                       conf_strings *list)
{
  const char *text = config_setting_get_string(s);
  if (text == NULL)
    conf_error(r->errors, PLACE_FORMAT "strings are expected", PLACE_ARGS(*p));
  else if (conf_strings_add(list, text) < 0)
    conf_error(r->errors, PLACE_FORMAT "out of memory", PLACE_ARGS(*p));
}

static void read_list(const reading *r, const config_setting_t *s, const conf_key *k)
{
  conf_strings *list = (conf_strings *)(void *)((uint8_t *)r->into + k->offset);
  const place p = place_of(r, s, k->section);
  conf_strings_wipe(list);
  if (!config_setting_is_aggregate(s)) {
    add_string(r, s, &p, list);
    return;
  }
  const int count = config_setting_length(s);
  for (int i = 0; i < count; i++)
    add_string(r, config_setting_get_elem(s, (unsigned)i), &p, list);
}

static void read_text(const reading *r, const config_setting_t *s, const conf_key *k)
{
  const char *text = config_setting_get_string(s);
  const place p = place_of(r, s, k->section);
  if (text == NULL || strlen(text) < k->min)
    conf_error(r->errors, PLACE_FORMAT "a string is expected", PLACE_ARGS(p));
  else if (strlen(text) >= k->size)
    conf_error(r->errors, PLACE_FORMAT "longer than %zu bytes", PLACE_ARGS(p), k->size - 1);
  else
    memcpy((char *)r->into + k->offset, text, strlen(text) + 1);
}

static void read_key(const reading *r, const config_setting_t *s, const char *section)
{
  const place p = place_of(r, s, section);
  const conf_key *k = conf_key_find(section, p.name);
  if (k == NULL) {
    report_unknown(r, &p);
    return;
  }
  switch (k->kind) {
  case CONF_NUMBER:
  case CONF_FACTOR: read_number(r, s, k); return;
  case CONF_WORD: read_word(r, s, k); return;
  case CONF_LIST: read_list(r, s, k); return;
  case CONF_TEXT: read_text(r, s, k); return;
  }
}

static void read_section(const reading *r, const config_setting_t *group)
{
  const char *section = config_setting_name(group);
  const int count = config_setting_length(group);
  for (int i = 0; i < count; i++)
    read_key(r, config_setting_get_elem(group, (unsigned)i), section);
}

static void read_root(const reading *r, const config_setting_t *root)
{
  const int count = config_setting_length(root);
  for (int i = 0; i < count; i++) {
    const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
    if (config_setting_is_group(s) && conf_section_is_known(config_setting_name(s)))
      read_section(r, s);
    else
      read_key(r, s, "");
  }
}

static void report_syntax(const config_t *file, const char *path, conf_errors *errors)
{
  if (config_error_type(file) == CONFIG_ERR_FILE_IO) {
    conf_error(errors, "%s: cannot be read", path);
    return;
  }
  const char *where = config_error_file(file);
  conf_error(errors, "%s:%d: %s", where == NULL ? path : where, config_error_line(file),
             config_error_text(file));
}

/* Memory for that much at once would be more than a file needs; and freeing it would make malloc()
 * take the large tables of the server from the heap, where they have to be cleared, and not from
 * fresh pages. */
static size_t bytes_to_scan(FILE *in)
{
  struct stat st;
  if (fstat(fileno(in), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
    return FILE_MAX;
  return (size_t)st.st_size;
}

/* libconfig reads numbers beyond 32 bits as something else, so they are looked for first. */
static void report_wide_numbers(const char *path, conf_errors *errors)
{
  FILE *in = fopen(path, "re");
  if (in == NULL)
    return; /* libconfig says so */
  const size_t size = bytes_to_scan(in);
  char *text = malloc(size + 1);
  const size_t len = text == NULL ? 0 : fread(text, 1, size, in);
  const unsigned line = conf_scan_wide_number(copal_span_of(text, len));
  if (line != 0)
    conf_error(errors, "%s:%u: a number this large needs quotes: \"5000000000\"", path, line);
  free(text);
  fclose(in);
}

int conf_read_file(conf *c, const char *path, conf_errors *errors)
{
  const size_t before = errors->count;
  config_t file;
  config_init(&file);
  report_wide_numbers(path, errors);
  if (config_read_file(&file, path) == CONFIG_FALSE)
    report_syntax(&file, path, errors);
  else if (errors->count == before)
    read_root(&(reading){c, path, errors}, config_root_setting(&file));
  config_destroy(&file);
  return errors->count > before ? COPAL_EINVAL : COPAL_OK;
}
