/* SPDX-License-Identifier: Apache-2.0 */
/* copal: a client for CoAP servers. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/copal/args.h"
#include "cmd/copal/run.h"
#include "cmd/copal/secrets.h"
#include "cmd/std_files.h"
#include "copal/version.h"

static status print_help(const cmd_def *cmd)
{
  const style s = style_for(STDOUT_FILENO, STYLE_COLOR_AUTO);
  buf out = {0};
  if (cmd)
    help_command(cmd, &s, &out);
  else
    help_program(&s, &out);
  const status result = run_print(NULL, &out);
  buf_wipe(&out);
  return result;
}

static status print_version(void)
{
  buf out = {0};
  buf_print(&out, "copal %s\n", copal_version());
  const status result = run_print(NULL, &out);
  buf_wipe(&out);
  return result;
}

static status unknown_command(const char *word)
{
  const char *names[CMD_COUNT];
  for (size_t i = 0; i < CMD_COUNT; i++)
    names[i] = cmd_defs[i].name;
  const char *near = suggest(word, names, CMD_COUNT);
  if (strstr(word, "://") || strchr(word, '/'))
    fprintf(stderr, "copal: '%s' is no command; did you mean 'copal get %s'?\n", word, word);
  else if (near)
    fprintf(stderr, "copal: unknown command '%s'; did you mean 'copal %s'?\n", word, near);
  else
    fprintf(stderr, "copal: unknown command '%s'; see 'copal --help'\n", word);
  return STATUS_USAGE;
}

static status run_command(const cmd_def *cmd, int argc, char **argv)
{
  args a;
  buf err = {0};
  status result = STATUS_USAGE;
  if (args_parse(&a, cmd, argc, argv, &err) != 0)
    fprintf(stderr, "copal: %s: %s; see 'copal %s --help'\n", cmd->name, buf_str(&err), cmd->name);
  else if (a.wants_help)
    result = print_help(cmd);
  else if (cmd->id == CMD_PING)
    result = run_ping(&a);
  else if (cmd->id == CMD_OBSERVE)
    result = run_observe(&a);
  else if (cmd->id == CMD_DISCOVER)
    result = run_discover(&a);
  else if (cmd->id == CMD_LOAD)
    result = run_load(&a);
  else if (cmd->id == CMD_KEYGEN)
    result = run_keygen(&a);
  else
    result = run_request(&a);
  args_wipe(&a);
  buf_wipe(&err);
  return result;
}

static status run_help(int argc, char **argv)
{
  if (argc == 0)
    return print_help(NULL);
  const cmd_def *cmd = cmd_find(argv[0]);
  return cmd ? print_help(cmd) : unknown_command(argv[0]);
}

int main(int argc, char **argv)
{
  std_files_reserve();
  if (argc < 2) {
    fputs("copal: no command given; see 'copal --help'\n", stderr);
    return STATUS_USAGE;
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
    return (int)print_help(NULL);
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
    return (int)print_version();
  if (strcmp(word, "help") == 0)
    return (int)run_help(argc - 2, argv + 2);
  if (word[0] == '-') {
    fprintf(stderr,
            "copal: unknown option '%s'; options stand behind the command, see "
            "'copal --help'\n",
            word);
    return STATUS_USAGE;
  }
  const cmd_def *cmd = cmd_find(word);
  const status result = cmd ? run_command(cmd, argc - 2, argv + 2) : unknown_command(word);
  secrets_close();
  return (int)result;
}
