/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of copald, documented in docs/man/copald.8. Thread: the main thread only. */
#ifndef COPALD_ARGS_H
#define COPALD_ARGS_H

#include <stdbool.h>
#include <stdio.h>

#include "server/conf.h"

/* Exit codes. */
enum {
  EXIT_RUNTIME = 1,
  EXIT_USAGE = 2,
  EXIT_CONFIG = 3,
  EXIT_LOST_DATA = 4, /* the data file cannot be read while it is in use */
};

typedef enum args_action {
  ARGS_SERVE,
  ARGS_CHECK,
  ARGS_DUMP,
  ARGS_LOAD,
  ARGS_BACKUP,
  ARGS_DROP,
  ARGS_CHECK_CONFIG,
  ARGS_PRINT_CONFIG,
  ARGS_EXPLAIN,
  ARGS_VERSION,
  ARGS_HELP,
} args_action;

/* Strings point into argv. */
typedef struct args {
  args_action action;
  const char *config_file; /* NULL: none */
  const char *data_dir;    /* NULL: none */
  const char *psk_file;    /* NULL: none */
  const char *credentials; /* NULL: not given */
  const char *access_file; /* NULL: not given */
  const char *question;    /* ARGS_EXPLAIN */
  const char *work_dir;    /* ARGS_CHECK, ARGS_DUMP, ARGS_LOAD, ARGS_BACKUP, ARGS_DROP */
  const char *target;      /* ARGS_BACKUP */
  bool merges;             /* ARGS_LOAD */
  conf_strings listen;     /* the object's own */
  int store;               /* -1: not given */
  int log_level;           /* -1: not given */
  int log_format;          /* -1: not given */
} args;

/* Parses; complaints go to `err`. Returns 0, or EXIT_USAGE. */
int args_parse(args *a, int argc, char **argv, FILE *err);
void args_wipe(args *a);

void args_help(FILE *out);

#endif
