/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of the client, in libconfig's syntax. */
#include "cmd/copal/profile.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <libconfig.h>

#include "policy/lines.h"

/* The file being read. */
typedef struct reading {
  const char *path;
  buf *err;
} reading;

static const struct {
  const char *name;
  bool is_file;
} keys[PROFILE_KEY_COUNT] = {
    [PROFILE_PSK] = {"psk", false},          [PROFILE_IDENTITY] = {"identity", false},
    [PROFILE_PSK_FILE] = {"psk_file", true}, [PROFILE_CERT] = {"cert", true},
    [PROFILE_KEY] = {"key", true},           [PROFILE_CA] = {"ca", true},
    [PROFILE_CRL] = {"crl", true},           [PROFILE_RAW_KEY] = {"raw_key", true},
    [PROFILE_PIN] = {"pin", false},
};

static status wrong(const reading *r, const config_setting_t *s, const char *what)
{
  buf_print(r->err, "%s:%u: %s", r->path, (unsigned)config_setting_source_line(s), what);
  return STATUS_USAGE;
}

/* ------------------------------------------------------------------------------------------------
 * one profile */

/* Relative names are those of the directory the file is in. */
static char *absolute(const reading *r, const char *text)
{
  buf path = {0};
  const char *home = getenv("HOME");
  if (strncmp(text, "~/", 2) == 0 && home)
    buf_print(&path, "%s%s", home, text + 1);
  else if (text[0] == '/')
    buf_text(&path, text);
  else
    buf_print(&path, "%.*s/%s", (int)(strrchr(r->path, '/') - r->path), r->path, text);
  return path.ptr;
}

static status take_value(profile *p, const reading *r, const config_setting_t *s)
{
  const char *name = config_setting_name(s), *text = config_setting_get_string(s);
  for (size_t i = 0; i < PROFILE_KEY_COUNT; i++) {
    if (strcmp(name, keys[i].name) != 0)
      continue;
    if (!text || !*text)
      return wrong(r, s, "a text in quotes is expected");
    free(p->values[i]);
    p->values[i] = keys[i].is_file ? absolute(r, text) : mem_text(copal_span_str(text));
    return STATUS_OK;
  }
  return strcmp(name, "host") == 0
             ? STATUS_OK
             : wrong(r, s,
                     "unknown key; known are host, psk, identity, psk_file, cert, key, ca, "
                     "crl, raw_key and pin");
}

static status take(profile *p, const reading *r, const config_setting_t *s)
{
  status result = STATUS_OK;
  p->name = mem_text(copal_span_str(config_setting_name(s)));
  for (int i = 0; result == STATUS_OK && i < config_setting_length(s); i++)
    result = take_value(p, r, config_setting_get_elem(s, (unsigned)i));
  if (result == STATUS_OK && p->values[PROFILE_PSK] && !p->values[PROFILE_IDENTITY])
    result = wrong(r, s, "psk needs the identity that it is the key of");
  if (result == STATUS_OK && p->values[PROFILE_PSK] && p->values[PROFILE_PSK_FILE])
    result = wrong(r, s, "psk and psk_file exclude each other");
  return result;
}

static bool is_for(const config_setting_t *s, const char *host)
{
  const config_setting_t *hosts = config_setting_get_member(s, "host");
  if (!hosts || !host)
    return false;
  const char *text = config_setting_get_string(hosts);
  if (text)
    return strcasecmp(text, host) == 0;
  for (int i = 0; i < config_setting_length(hosts); i++) {
    text = config_setting_get_string_elem(hosts, i);
    if (text && strcasecmp(text, host) == 0)
      return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------
 * the file */

static status choose(profile *p, const reading *r, const config_setting_t *root, const char *name,
                     const char *host)
{
  for (int i = 0; i < config_setting_length(root); i++) {
    const config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
    if (config_setting_is_group(s) != CONFIG_TRUE)
      return wrong(r, s, "expected is NAME = { ... }");
    if (name ? strcmp(config_setting_name(s), name) == 0 : is_for(s, host))
      return take(p, r, s);
  }
  if (!name)
    return STATUS_OK;
  buf_print(r->err, "--profile: there is no '%s' in %s", name, r->path);
  return STATUS_USAGE;
}

static void wipe_texts(config_setting_t *s)
{
  const char *text = config_setting_get_string(s);
  if (text)
    explicit_bzero((void *)(uintptr_t)text, strlen(text));
  for (int i = 0; config_setting_is_aggregate(s) == CONFIG_TRUE && i < config_setting_length(s);
       i++)
    wipe_texts(config_setting_get_elem(s, (unsigned)i));
}

static status parse(profile *p, const reading *r, const char *text, const char *name,
                    const char *host)
{
  status result = STATUS_USAGE;
  config_t config;
  const unsigned include = lines_include(text);
  if (include > 0) {
    buf_print(r->err, "%s:%u: a file of profiles includes no other", r->path, include);
    return STATUS_USAGE;
  }
  config_init(&config);
  if (config_read_string(&config, text) == CONFIG_TRUE)
    result = choose(p, r, config_root_setting(&config), name, host);
  else
    buf_print(r->err, "%s:%d: %s", r->path, config_error_line(&config), config_error_text(&config));
  wipe_texts(config_root_setting(&config));
  config_destroy(&config);
  return result;
}

static bool put_path(buf *path)
{
  const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
  if (config && config[0] == '/')
    buf_print(path, "%s/copal/profiles", config);
  else if (home && home[0] == '/')
    buf_print(path, "%s/.config/copal/profiles", home);
  return path->len > 0;
}

static status read_file(profile *p, const reading *r, const char *name, const char *host)
{
  copal_mspan bytes;
  mistakes m = {.count = 0};
  if (lines_load(r->path, LINES_SECRET, &bytes, &m) < 0) {
    buf_print(r->err, "%.*s", (int)strcspn(m.text, "\n"), m.text);
    return STATUS_USAGE;
  }
  char *text = mem_text(copal_span_of(bytes.ptr, bytes.len));
  const status result = parse(p, r, text, name, host);
  explicit_bzero(bytes.ptr, bytes.len);
  explicit_bzero(text, bytes.len);
  free(bytes.ptr);
  free(text);
  return result;
}

status profile_find(profile *p, const char *name, const char *host, buf *err)
{
  buf path = {0};
  status result = STATUS_OK;
  const bool is_there = put_path(&path) && access(buf_str(&path), F_OK) == 0;
  if (is_there) {
    const reading r = {buf_str(&path), err};
    result = read_file(p, &r, name, host);
  } else if (name) {
    buf_print(err, "--profile: there is no file %s", path.len > 0 ? buf_str(&path) : "of profiles");
    result = STATUS_USAGE;
  }
  if (result != STATUS_OK)
    profile_wipe(p);
  buf_wipe(&path);
  return result;
}

void profile_wipe(profile *p)
{
  for (size_t i = 0; i < PROFILE_KEY_COUNT; i++) {
    if (p->values[i])
      explicit_bzero(p->values[i], strlen(p->values[i]));
    free(p->values[i]);
  }
  free(p->name);
  *p = (profile){.name = NULL};
}
