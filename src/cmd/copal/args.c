/* SPDX-License-Identifier: Apache-2.0 */
/* Parses the command line by the tables of args_table.c. */
#include "cmd/copal/args.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "copal/registry.h"

enum { SUGGEST_LENGTH_MAX = 32, PINGS_DEFAULT = 4 };

const cmd_def *cmd_find(const char *name)
{
  for (size_t i = 0; i < CMD_COUNT; i++)
    if (strcmp(cmd_defs[i].name, name) == 0)
      return &cmd_defs[i];
  return NULL;
}

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
  size_t row[SUGGEST_LENGTH_MAX + 1];
  const size_t n = strlen(b);
  if (n > SUGGEST_LENGTH_MAX)
    return SUGGEST_LENGTH_MAX;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      const size_t above = row[j];
      row[j] = least(least(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1] ? 1 : 0));
      diagonal = above;
    }
  }
  return row[n];
}

const char *suggest(const char *word, const char *const *names, size_t count)
{
  const char *best = NULL;
  size_t limit = strlen(word) / 3 + 1; /* a third of the letters may be wrong */
  for (size_t i = 0; i < count; i++) {
    const size_t d = distance(word, names[i]);
    if (d < limit || (d == limit && !best && names[i][0] == word[0])) {
      best = names[i];
      limit = d;
    }
  }
  return best;
}

static bool takes(const cmd_def *cmd, const arg_def *def)
{
  return (def->cmds >> cmd->id & 1) != 0;
}

static const arg_def *find_long(const cmd_def *cmd, const char *name, size_t len)
{
  for (size_t i = 0; i < arg_def_count; i++)
    if (takes(cmd, &arg_defs[i]) && strlen(arg_defs[i].name) == len &&
        memcmp(arg_defs[i].name, name, len) == 0)
      return &arg_defs[i];
  return NULL;
}

static const arg_def *find_letter(const cmd_def *cmd, char letter)
{
  for (size_t i = 0; i < arg_def_count; i++)
    if (takes(cmd, &arg_defs[i]) && arg_defs[i].letter == letter)
      return &arg_defs[i];
  return NULL;
}

static int unknown(const cmd_def *cmd, const char *option, buf *err)
{
  const char *names[64];
  size_t count = 0;
  for (size_t i = 0; i < arg_def_count && count < sizeof names / sizeof names[0]; i++)
    if (takes(cmd, &arg_defs[i]))
      names[count++] = arg_defs[i].name;
  const size_t dashes = strspn(option, "-");
  const char *near = dashes == 2 ? suggest(option + dashes, names, count) : NULL;
  buf_print(err, "unknown option '%s'", option);
  if (near)
    buf_print(err, ", did you mean '--%s'?", near);
  return -1;
}

typedef struct cursor {
  int argc;
  char **argv;
  int at;
} cursor;

static int apply(args *a, const arg_def *def, const char *value, buf *err)
{
  buf why = {0};
  const int result = def->apply(a, value, &why);
  if (result != 0)
    buf_print(err, "--%s: %s", def->name, buf_str(&why));
  buf_wipe(&why);
  return result;
}

static int parse_long(args *a, cursor *c, buf *err)
{
  const char *text = c->argv[c->at++];
  const char *name = text + 2;
  const size_t len = strcspn(name, "=");
  const arg_def *def = find_long(a->cmd, name, len);
  if (!def) {
    char *shown = mem_text(copal_span_of(text, len + 2));
    unknown(a->cmd, shown, err);
    free(shown);
    return -1;
  }
  const char *value = name[len] == '=' ? name + len + 1 : NULL;
  if (!def->value && value) {
    buf_print(err, "option '--%s' takes no value", def->name);
    return -1;
  }
  if (def->value && !value) {
    if (c->at >= c->argc) {
      buf_print(err, "option '--%s' needs a value: --%s %s", def->name, def->name, def->value);
      return -1;
    }
    value = c->argv[c->at++];
  }
  return apply(a, def, value, err);
}

static int parse_letters(args *a, cursor *c, buf *err)
{
  const char *text = c->argv[c->at++];
  for (const char *p = text + 1; *p; p++) {
    const arg_def *def = find_letter(a->cmd, *p);
    if (!def) {
      const char shown[] = {'-', *p, '\0'};
      return unknown(a->cmd, shown, err);
    }
    if (!def->value) {
      if (apply(a, def, NULL, err) != 0)
        return -1;
      continue;
    }
    if (p[1] == '\0' && c->at >= c->argc) {
      buf_print(err, "option '-%c' needs a value: -%c %s", *p, *p, def->value);
      return -1;
    }
    return apply(a, def, p[1] != '\0' ? p + 1 : c->argv[c->at++], err);
  }
  return 0;
}

static void put_operand(args *a, const char *text)
{
  const size_t size = (a->operand_count + 1) * sizeof *a->operands;
  a->operands = mem_resize((void *)a->operands, size);
  a->operands[a->operand_count++] = text;
}

int args_parse(args *a, const cmd_def *cmd, int argc, char **argv, buf *err)
{
  cursor c = {.argc = argc, .argv = argv};
  *a = (args){.cmd = cmd,
              .family = AF_UNSPEC,
              .count = cmd->id == CMD_PING ? PINGS_DEFAULT : 0,
              .interval = COPAL_SECOND};
  bool only_operands = false;
  while (c.at < argc) {
    const char *text = argv[c.at];
    int result = 0;
    if (only_operands || text[0] != '-' || text[1] == '\0') {
      put_operand(a, text);
      c.at++;
    } else if (strcmp(text, "--") == 0) {
      only_operands = true;
      c.at++;
    } else {
      result = text[1] == '-' ? parse_long(a, &c, err) : parse_letters(a, &c, err);
    }
    if (result != 0)
      return result;
    if (a->wants_help)
      return 0;
  }
  return args_check(a, err);
}

void args_wipe(args *a)
{
  free((void *)a->operands);
  optset_wipe(&a->options);
  buf_wipe(&a->token);
  *a = (args){0};
}

static bool takes_data(const args *a)
{
  return a->cmd->id != CMD_GET && a->cmd->id != CMD_DELETE && a->cmd->id != CMD_DISCOVER &&
         a->cmd->id != CMD_PING;
}

static copal_code load_method(const args *a)
{
  if (a->load.method != 0)
    return a->load.method;
  return a->data || a->load.has_size ? COPAL_CODE_PUT : COPAL_CODE_GET;
}

copal_code args_code(const args *a)
{
  if (a->cmd->id == CMD_LOAD)
    return load_method(a);
  if (a->cmd->id != CMD_OBSERVE)
    return a->cmd->code;
  if (a->method != 0)
    return a->method;
  return a->data ? COPAL_CODE_FETCH : COPAL_CODE_GET;
}

/* No host has "=" in its name, and no URI before its query. */
bool args_is_filter(const char *word)
{
  const size_t n = strcspn(word, "=/:?[");
  return n > 0 && word[n] == '=';
}

static int check_observe(const args *a, buf *err)
{
  if (a->cmd->id == CMD_OBSERVE && a->data && args_code(a) != COPAL_CODE_FETCH) {
    buf_text(err, "a GET request carries no payload; use --method fetch");
    return -1;
  }
  if (a->exec && a->output) {
    buf_text(err, "--exec and --output exclude each other");
    return -1;
  }
  return 0;
}

static int check_continue(const args *a, buf *err)
{
  if (a->is_continue && (!a->output || strcmp(a->output, "-") == 0)) {
    buf_text(err, "--continue needs the file to go on with: --output FILE");
    return -1;
  }
  if (a->is_continue && optset_has(&a->options, COPAL_OPT_BLOCK2)) {
    buf_text(err, "--continue and --option Block2 exclude each other");
    return -1;
  }
  return 0;
}

static int check_load(const args *a, buf *err)
{
  const load_args *l = &a->load;
  const bool has_body = a->data || l->has_size;
  const copal_code code = args_code(a);
  if (a->data && l->has_size)
    buf_text(err, "--data and --size exclude each other");
  else if (!l->observes && has_body && (code == COPAL_CODE_GET || code == COPAL_CODE_DELETE))
    buf_print(err, "a %s request carries no payload", copal_code_name(code));
  else if (l->observes && (l->method != 0 || a->is_non || l->expect_body || l->expect != 0))
    buf_text(err, "--observe excludes --method, --non, --expect and --expect-body");
  else if (l->observes && (l->threads > 1 || l->window > 1))
    buf_text(err, "--observe has one thread and one registration for each client");
  else if (l->threads > (l->clients > 0 ? l->clients : LOAD_CLIENTS))
    buf_text(err, "there are more threads than clients");
  else if (l->is_random && l->paths == 0)
    buf_text(err, "--random draws a number of --paths, which is not given");
  else if ((uint64_t)(l->clients > 0 ? l->clients : LOAD_CLIENTS) * l->window > LOAD_PLACES_MAX)
    buf_print(err, "--clients times --window is more than %d", LOAD_PLACES_MAX);
  else if (l->requests > 0 && a->duration > 0)
    buf_text(err, "--requests and --duration exclude each other");
  else if (l->requests > 0 && l->has_warmup && l->warmup > 0)
    buf_text(err, "--requests are all measured, without --warmup");
  return err->len == 0 ? 0 : -1;
}

int args_check(const args *a, buf *err)
{
  if (a->cmd->id == CMD_KEYGEN)
    return 0; /* run_keygen() knows what it needs */
  if (a->operand_count == 0 && a->cmd->id != CMD_DISCOVER) {
    buf_text(err, "no URI given");
    return -1;
  }
  if (a->operand_count > 1 && a->cmd->id != CMD_DISCOVER) {
    buf_print(err, "one URI at a time, '%s' is too much", a->operands[1]);
    return -1;
  }
  if (a->data && !takes_data(a)) {
    buf_print(err, "a %s request carries no payload; use fetch, put, post or patch", a->cmd->name);
    return -1;
  }
  if (a->is_non && a->is_con) {
    buf_text(err, "--con and --non exclude each other");
    return -1;
  }
  if (a->json && (a->output || a->include)) {
    buf_print(err, "--json and --%s exclude each other", a->output ? "output" : "include");
    return -1;
  }
  if (a->pretty && a->no_pretty) {
    buf_text(err, "--pretty and --no-pretty exclude each other");
    return -1;
  }
  if (check_observe(a, err) != 0 || check_continue(a, err) != 0)
    return -1;
  return a->cmd->id == CMD_LOAD ? check_load(a, err) : 0;
}
