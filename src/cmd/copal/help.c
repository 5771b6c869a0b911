/* SPDX-License-Identifier: Apache-2.0 */
/* The help texts, made from the tables of args_table.c. */
#include <string.h>

#include "cmd/copal/args.h"

enum { HELP_COLUMN = 32 };

static void put_heading(const style *s, buf *b, const char *text)
{
  buf_char(b, '\n');
  style_text(s, b, INK_KEY, text);
  buf_text(b, ":\n");
}

static void put_aligned(buf *b, size_t begin, const char *help)
{
  const size_t used = b->len - begin;
  if (used + 1 >= HELP_COLUMN) {
    buf_char(b, '\n');
    buf_fill(b, ' ', HELP_COLUMN);
  } else {
    buf_fill(b, ' ', HELP_COLUMN - used);
  }
  buf_text(b, help);
  buf_char(b, '\n');
}

static void put_option(const arg_def *def, buf *b)
{
  const size_t begin = b->len;
  if (def->letter)
    buf_print(b, "  -%c, --%s", def->letter, def->name);
  else
    buf_print(b, "      --%s", def->name);
  if (def->value)
    buf_print(b, " %s", def->value);
  put_aligned(b, begin, def->help);
}

static void put_options(const cmd_def *cmd, const style *s, buf *b)
{
  const char *group = NULL;
  for (size_t i = 0; i < arg_def_count; i++) {
    const arg_def *def = &arg_defs[i];
    const bool is_other_data =
        strcmp(def->name, "data") == 0 && (cmd->id == CMD_GET || cmd->id == CMD_DELETE ||
                                           cmd->id == CMD_DISCOVER || cmd->id == CMD_PING);
    if ((def->cmds >> cmd->id & 1) == 0 || is_other_data)
      continue;
    if (group != def->group)
      put_heading(s, b, def->group);
    group = def->group;
    put_option(def, b);
  }
}

static void put_statuses(buf *b)
{
  buf_text(b, "  0  2.xx response              6  host name not resolved\n"
              "  1  failure on this side       7  refused or unreachable\n"
              "  2  wrong command line         8  no answer in time\n"
              "  3  URI not usable             9  reset by the server\n"
              "  4  4.xx response             10  invalid response\n"
              "  5  5.xx response             11  not observable\n");
}

void help_program(const style *s, buf *b)
{
  buf_text(b, "Usage: copal COMMAND [OPTION...] URI\n\nA client for CoAP servers.\n");
  put_heading(s, b, "Commands");
  for (size_t i = 0; i < CMD_COUNT; i++)
    buf_print(b, "  %-10s%s\n", cmd_defs[i].name, cmd_defs[i].summary);
  put_heading(s, b, "Examples");
  buf_text(b, "  copal get localhost/status\n"
              "  copal put -d 21.5 localhost/control/setpoint\n"
              "  copal observe localhost/sensors/temperature\n"
              "  copal discover\n"
              "  copal ping 192.0.2.1\n");
  put_heading(s, b, "Exit status");
  put_statuses(b);
  buf_text(b,
           "\n'copal COMMAND --help' lists the options of a command, 'copal --version' tells the "
           "version;\nall is explained in copal(1).\n");
}

void help_command(const cmd_def *cmd, const style *s, buf *b)
{
  buf_print(b, "Usage: copal %s [OPTION...] %s\n\n%c%s.\n", cmd->name, cmd->operands,
            cmd->summary[0] - 'a' + 'A', cmd->summary + 1);
  put_options(cmd, s, b);
  put_heading(s, b, "Examples");
  buf_text(b, cmd->examples);
  put_heading(s, b, "Exit status");
  put_statuses(b);
}
