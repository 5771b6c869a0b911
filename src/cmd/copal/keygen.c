/* SPDX-License-Identifier: Apache-2.0 */
/* copal keygen: makes credentials. */
#include "cmd/copal/keygen.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "cmd/copal/keygen_file.h"
#include "cmd/copal/keygen_x509.h"
#include "cmd/copal/run.h"
#include "policy/identity.h"
#include "transport/dtls/credentials.h"

enum { PSK_BYTES = 16, NAME_BYTES = 4 };

static void put_hex(const uint8_t *bytes, size_t len, buf *out)
{
  for (size_t i = 0; i < len; i++)
    buf_print(out, "%02x", bytes[i]);
}

static status refuse(const char *text, buf *err)
{
  buf_text(err, text);
  return STATUS_USAGE;
}

/* ------------------------------------------------------------------------------------------------
 * what is told */

static status print_made(const args *a, const keygen_made *m)
{
  const char *const files[] = {buf_str(&m->certificate), buf_str(&m->key), buf_str(&m->crl)};
  static const char *const names[] = {"certificate", "key", "crl"};
  buf out = {0};
  json_t *o = json_object();
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    if (*files[i] == '\0')
      continue;
    json_object_set_new(o, names[i], json_string(files[i]));
    buf_print(&out, "%s: %s\n", names[i], files[i]);
  }
  if (m->print[0])
    json_object_set_new(o, "fingerprint", json_string(m->print));
  if (m->expires[0]) {
    json_object_set_new(o, "expires", json_string(m->expires));
    buf_print(&out, "expires: %s\n", m->expires);
  }
  char *text = a->json ? json_dumps(o, JSON_COMPACT) : NULL;
  if (text) {
    out.len = 0;
    buf_print(&out, "%s\n", text);
  } else if (m->print[0] && !m->expires[0]) { /* of a key by itself it is what is needed */
    out.len = 0;
    buf_print(&out, "%s\n", m->print);
  }
  const status result = run_print(a, &out);
  free(text);
  json_decref(o);
  buf_wipe(&out);
  return result;
}

/* ------------------------------------------------------------------------------------------------
 * pre-shared keys */

/* Writes the identity as a file of keys does. Returns false when it cannot be one. */
static bool put_identity(const char *name, buf *out)
{
  const size_t len = strlen(name);
  if (!identity_name_is_valid(copal_span_of(name, len)) || len > DTLS_PSK_IDENTITY_MAX)
    return false;
  if (name[0] == '#' || strchr(name, ':')) {
    buf_char(out, '#');
    put_hex((const uint8_t *)name, len, out);
  } else {
    buf_text(out, name);
  }
  return true;
}

static status make_psk(const keygen_args *k, buf *who, buf *key, buf *err)
{
  uint8_t bytes[DTLS_PSK_SIZE_MAX], name[NAME_BYTES];
  const size_t len = k->bytes ? k->bytes : PSK_BYTES;
  if (gnutls_rnd(GNUTLS_RND_KEY, bytes, len) < 0 ||
      gnutls_rnd(GNUTLS_RND_NONCE, name, sizeof name) < 0) {
    buf_text(err, "there is no randomness");
    return STATUS_INTERNAL;
  }
  put_hex(bytes, len, key);
  explicit_bzero(bytes, sizeof bytes);
  if (!k->identity) {
    buf_text(who, "device-");
    put_hex(name, sizeof name, who);
  } else if (!put_identity(k->identity, who)) {
    return refuse("an identity has 1 to 128 bytes of UTF-8 text without control characters", err);
  }
  return STATUS_OK;
}

/* Keys that an identity has in a file; 0 when there is no file yet. */
static unsigned count_keys(const char *path, const buf *who)
{
  unsigned count = 0;
  buf text = {0}, ignored = {0};
  if (access(path, F_OK) == 0 && keygen_read(path, false, &text, &ignored) == STATUS_OK)
    for (const char *at = buf_str(&text); at && *at; at = strchr(at, '\n')) {
      at += *at == '\n';
      count += strncmp(at, buf_str(who), who->len) == 0 && at[who->len] == ':';
    }
  keygen_forget(&text);
  buf_wipe(&ignored);
  return count;
}

static status write_psk(const args *a, const buf *who, const buf *line, buf *err)
{
  if (a->keygen.is_append && count_keys(a->output, who) >= DTLS_PSK_COUNT)
    return refuse("this identity has two keys in the file already; take the older line out", err);
  if (a->keygen.is_append)
    return keygen_append(a->output, buf_span(line), err);
  const keygen_file file = {a->output, buf_span(line), true, a->keygen.is_force};
  return keygen_write(&file, err);
}

/* The key is shown only when it goes nowhere else. */
static status print_psk(const args *a, const buf *who, const buf *key)
{
  buf out = {0};
  if (a->json) {
    json_t *o = json_pack("{s:s}", "identity", buf_str(who));
    json_object_set_new(o, a->output ? "file" : "key",
                        json_string(a->output ? a->output : buf_str(key)));
    char *text = json_dumps(o, JSON_COMPACT);
    buf_print(&out, "%s\n", text ? text : "");
    if (text)
      explicit_bzero(text, strlen(text));
    free(text);
    json_decref(o);
  } else if (a->output) {
    buf_print(&out, "%s\n", buf_str(who));
  } else {
    buf_print(&out, "%s:%s\n", buf_str(who), buf_str(key));
  }
  const status result = run_print(a, &out);
  keygen_forget(&out);
  return result;
}

static status run_psk(const args *a, buf *err)
{
  buf who = {0}, key = {0}, line = {0};
  status s = make_psk(&a->keygen, &who, &key, err);
  if (s == STATUS_OK && a->output) {
    buf_print(&line, "%s:%s\n", buf_str(&who), buf_str(&key));
    s = write_psk(a, &who, &line, err);
  }
  if (s == STATUS_OK)
    s = print_psk(a, &who, &key);
  buf_wipe(&who);
  keygen_forget(&key);
  keygen_forget(&line);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * what takes files */

/* What the files of a certificate are called: as asked for, or after whom it is for. */
static status put_prefix(const args *a, buf *prefix, buf *err)
{
  const keygen_args *k = &a->keygen;
  const char *name = k->client ? k->client : k->hosts[0];
  if (a->output) {
    buf_text(prefix, a->output);
    return STATUS_OK;
  }
  if (name[0] == '.' || strchr(name, '/'))
    return refuse("no file can have this name: say with --output PREFIX what to call them", err);
  buf_print(prefix, "%s/%s", k->ca, name);
  return STATUS_OK;
}

static status run_cert(const args *a, keygen_made *m, buf *err)
{
  const keygen_args *k = &a->keygen;
  buf prefix = {0};
  status s = STATUS_OK;
  if (!k->ca)
    s = refuse("give the CA's directory: --ca DIR", err);
  else if ((k->client != NULL) == (k->host_count > 0))
    s = refuse("give --host NAME for a server, or --client NAME", err);
  if (s == STATUS_OK)
    s = put_prefix(a, &prefix, err);
  if (s == STATUS_OK)
    s = keygen_cert(k, buf_str(&prefix), m, err);
  buf_wipe(&prefix);
  return s;
}

static status run_files(const args *a, keygen_made *m, buf *err)
{
  const char *kind = a->operands[0];
  const char *file = a->operand_count > 1 ? a->operands[1] : NULL;
  if (strcmp(kind, "raw") == 0)
    return a->output ? keygen_raw(&a->keygen, a->output, m, err)
                     : refuse("say where the key goes: --output FILE", err);
  if (strcmp(kind, "ca") == 0)
    return a->output ? keygen_ca(&a->keygen, a->output, m, err)
                     : refuse("say where the CA goes: --output DIR", err);
  if (strcmp(kind, "cert") == 0)
    return run_cert(a, m, err);
  if (strcmp(kind, "show") == 0)
    return file ? keygen_show(file, m, err) : refuse("which file?", err);
  if (!a->keygen.ca)
    return refuse("give the CA's directory: --ca DIR", err);
  if (strcmp(kind, "revoke") == 0 && !file)
    return refuse("which certificate? Name its file", err);
  return keygen_crl(&a->keygen, file, m, err);
}

/* The words of a kind of credentials; NULL when there is none. */
static const char *kind_of(const args *a, buf *err)
{
  static const char *const kinds[] = {"psk", "raw", "ca", "cert", "revoke", "crl", "show"};
  const size_t count = sizeof kinds / sizeof *kinds;
  const char *word = a->operand_count > 0 ? a->operands[0] : NULL;
  for (size_t i = 0; word && i < count; i++)
    if (strcmp(word, kinds[i]) == 0)
      return kinds[i];
  const char *near = word ? suggest(word, kinds, count) : NULL;
  if (near)
    buf_print(err, "'%s' cannot be made; did you mean '%s'?", word, near);
  else
    buf_text(err, "what is to be made? psk, raw, ca, cert, crl; or revoke, show");
  return NULL;
}

static status check_operands(const args *a, const char *kind, buf *err)
{
  const bool takes_file = strcmp(kind, "revoke") == 0 || strcmp(kind, "show") == 0;
  if (a->operand_count <= (takes_file ? 2u : 1u))
    return STATUS_OK;
  buf_print(err, "'%s' is too much", a->operands[a->operand_count - 1]);
  return STATUS_USAGE;
}

status run_keygen(const args *a)
{
  buf err = {0};
  keygen_made m = {.print = ""};
  const char *kind = kind_of(a, &err);
  status s = kind ? check_operands(a, kind, &err) : STATUS_USAGE;
  if (s == STATUS_OK && a->keygen.is_append && (strcmp(kind, "psk") != 0 || !a->output))
    s = refuse("--append is for psk with --output FILE", &err);
  if (s == STATUS_OK && strcmp(kind, "psk") == 0) {
    s = run_psk(a, &err);
  } else if (s == STATUS_OK) {
    s = run_files(a, &m, &err);
    if (s == STATUS_OK)
      s = print_made(a, &m);
  }
  if (err.len > 0)
    run_complain(a, &err);
  keygen_made_wipe(&m);
  buf_wipe(&err);
  return s;
}
