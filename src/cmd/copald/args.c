/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of copald. Thread: the main thread only. */
#include "cmd/copald/args.h"

#include <getopt.h>
#include <string.h>

#include "server/listener.h"
#include "server/log.h"

enum {
  OPT_CHECK_CONFIG = 256,
  OPT_CHECK,
  OPT_DUMP,
  OPT_LOAD,
  OPT_MERGE,
  OPT_BACKUP,
  OPT_DROP,
  OPT_PSK,
  OPT_CREDENTIALS,
  OPT_PRINT,
  OPT_STORE,
  OPT_DATA,
  OPT_LEVEL,
  OPT_FORMAT,
  OPT_ACCESS,
  OPT_EXPLAIN
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, 'l'},
    {"store", required_argument, NULL, OPT_STORE},
    {"data", required_argument, NULL, OPT_DATA},
    {"psk-file", required_argument, NULL, OPT_PSK},
    {"credentials", required_argument, NULL, OPT_CREDENTIALS},
    {"access", required_argument, NULL, OPT_ACCESS},
    {"explain", required_argument, NULL, OPT_EXPLAIN},
    {"check", required_argument, NULL, OPT_CHECK},
    {"dump", required_argument, NULL, OPT_DUMP},
    {"load", required_argument, NULL, OPT_LOAD},
    {"merge", no_argument, NULL, OPT_MERGE},
    {"backup", required_argument, NULL, OPT_BACKUP},
    {"drop-journal", required_argument, NULL, OPT_DROP},
    {"check-config", no_argument, NULL, OPT_CHECK_CONFIG},
    {"print-config", no_argument, NULL, OPT_PRINT},
    {"log-level", required_argument, NULL, OPT_LEVEL},
    {"log-format", required_argument, NULL, OPT_FORMAT},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int usage_error(FILE *err, const char *what, const char *value, const char *advice)
{
  fprintf(err, "copald: %s \"%s\": %s\nTry 'copald --help'.\n", what, value, advice);
  return EXIT_USAGE;
}

static int add_listen(args *a, const char *uri, FILE *err)
{
  copal_addr addr;
  char why[LISTENER_WHY_SIZE];
  if (listener_parse(uri, &addr, why) < 0)
    return usage_error(err, "--listen", uri, why);
  return conf_strings_add(&a->listen, uri) < 0 ? EXIT_RUNTIME : 0;
}

static int take_store(args *a, const char *name, FILE *err)
{
  if (strcmp(name, "memory") == 0)
    a->store = CONF_STORE_MEMORY;
  else if (strcmp(name, "lmdb") == 0)
    a->store = CONF_STORE_LMDB;
  else if (strcmp(name, "journal") == 0)
    a->store = CONF_STORE_JOURNAL;
  else
    return usage_error(err, "--store", name, "the stores are journal, lmdb and memory");
  return 0;
}

/* What works on a directory instead of serving. */
static int take_work(args *a, args_action action, const char *dir, FILE *err)
{
  if (a->work_dir != NULL)
    return usage_error(err, "directory", dir,
                       "one of --check, --dump, --load, --backup and --drop-journal at a time");
  a->action = action;
  a->work_dir = dir;
  return 0;
}

static int take_option(args *a, int option, const char *value, FILE *err)
{
  switch (option) {
  case 'c': a->config_file = value; return 0;
  case 'l': return add_listen(a, value, err);
  case OPT_STORE: return take_store(a, value, err);
  case OPT_DATA: a->data_dir = value; return 0;
  case OPT_PSK: a->psk_file = value; return 0;
  case OPT_CREDENTIALS: a->credentials = value; return 0;
  case OPT_ACCESS: a->access_file = value; return 0;
  case OPT_EXPLAIN:
    a->action = ARGS_EXPLAIN;
    a->question = value;
    return 0;
  case OPT_CHECK: return take_work(a, ARGS_CHECK, value, err);
  case OPT_DUMP: return take_work(a, ARGS_DUMP, value, err);
  case OPT_LOAD: return take_work(a, ARGS_LOAD, value, err);
  case OPT_BACKUP: return take_work(a, ARGS_BACKUP, value, err);
  case OPT_DROP: return take_work(a, ARGS_DROP, value, err);
  case OPT_MERGE: a->merges = true; return 0;
  case OPT_CHECK_CONFIG: a->action = ARGS_CHECK_CONFIG; return 0;
  case OPT_PRINT: a->action = ARGS_PRINT_CONFIG; return 0;
  case OPT_LEVEL:
    a->log_level = log_level_of(value);
    return a->log_level >= 0
               ? 0
               : usage_error(err, "--log-level", value, "expected is error, warn, info or debug");
  case OPT_FORMAT:
    a->log_format = log_format_of(value);
    return a->log_format >= 0
               ? 0
               : usage_error(err, "--log-format", value, "expected is text, json or auto");
  case 'V': a->action = ARGS_VERSION; return 0;
  case 'h': a->action = ARGS_HELP; return 0;
  }
  fprintf(err, "Try 'copald --help'.\n"); /* getopt has said what is wrong */
  return EXIT_USAGE;
}

int args_parse(args *a, int argc, char **argv, FILE *err)
{
  *a = (args){.store = -1, .log_level = -1, .log_format = -1};
  int option;
  while ((option = getopt_long(argc, argv, "c:l:Vh", long_options, NULL)) != -1) {
    const int rc = take_option(a, option, optarg, err);
    if (rc != 0)
      return rc;
    if (a->action == ARGS_HELP || a->action == ARGS_VERSION)
      return 0;
  }
  if (a->data_dir != NULL && a->store == CONF_STORE_MEMORY)
    return usage_error(err, "--data", a->data_dir, "--store memory keeps nothing in files");
  if (a->data_dir != NULL && (*a->data_dir == '\0' || strlen(a->data_dir) >= CONF_TEXT_SIZE))
    return usage_error(err, "--data", a->data_dir, "not the name of a directory");
  if (a->psk_file != NULL && strlen(a->psk_file) >= CONF_TEXT_SIZE)
    return usage_error(err, "--psk-file", a->psk_file, "not the name of a file");
  if (a->credentials != NULL &&
      (*a->credentials == '\0' || strlen(a->credentials) >= CONF_TEXT_SIZE))
    return usage_error(err, "--credentials", a->credentials, "not the name of a file");
  if (a->access_file != NULL &&
      (*a->access_file == '\0' || strlen(a->access_file) >= CONF_TEXT_SIZE))
    return usage_error(err, "--access", a->access_file, "not the name of a file");
  if (a->merges && a->action != ARGS_LOAD)
    return usage_error(err, "option", "--merge", "goes with --load only");
  if (a->action == ARGS_BACKUP && optind == argc)
    return usage_error(err, "--backup", a->work_dir, "the directory of the copy is missing");
  if (a->action == ARGS_BACKUP)
    a->target = argv[optind++];
  if (optind < argc)
    return usage_error(err, "argument", argv[optind], "copald takes options only");
  return 0;
}

void args_wipe(args *a)
{
  conf_strings_wipe(&a->listen);
}

void args_help(FILE *out)
{
  fputs("copald - CoAP server\n"
        "\n"
        "Usage: copald [options]\n"
        "\n"
        "  -c, --config FILE     read the configuration from FILE, see copald.conf(5)\n"
        "  -l, --listen URI      serve this address, such as coap://192.0.2.1 or coap://[::];\n"
        "                        may be repeated; replaces the addresses of the configuration\n"
        "      --data DIR        keep what clients rely on in files below DIR; without it below\n"
        "                        /var/lib/copal as root, else ~/.local/state/copal\n"
        "      --store KIND      journal (the default) or lmdb: in files, so that what was\n"
        "                        acknowledged survives; or memory: nothing survives\n"
        "      --psk-file FILE   serve coaps to clients whose keys are in FILE, lines of\n"
        "                        identity:hexkey\n"
        "      --credentials FILE  serve coaps to those whom FILE names, see\n"
        "                        copald.credentials(5)\n"
        "      --access FILE     the access rules: who may do what, see copald.access(5)\n"
        "      --explain TEXT    say which access rule decides on 'IDENTITY METHOD PATH', such as\n"
        "                        'psk:dev-1 PUT /devices/dev-1/t', and exit: 0 allowed, 1 denied\n"
        "      --log-level L     error, warn, info or debug\n"
        "      --log-format F    text, json, or auto: text on a terminal\n"
        "      --check DIR       read all files below DIR, say what is damaged, and exit\n"
        "      --dump DIR        write the resources below DIR as lines of JSON, and exit\n"
        "      --load DIR        read such lines into DIR, and exit; with --merge also where\n"
        "                        there are resources\n"
        "      --backup DIR TARGET\n"
        "                        copy what is stored below DIR to TARGET, also while a copald\n"
        "                        serves it, and exit\n"
        "      --drop-journal DIR\n"
        "                        go on without a journal that cannot be read: with what data.mdb\n"
        "                        has, which is older by some seconds; and exit\n"
        "      --check-config    check the configuration and exit\n"
        "      --print-config    print the configuration in effect and exit\n"
        "  -V, --version         print the version and exit\n"
        "  -h, --help            print this help and exit\n"
        "\n"
        "Without --config and --listen it serves the loopback interface only.\n"
        "What was acknowledged survives the process unless --store memory is given.\n"
        "Exit codes: 0 ended as asked, 1 failed, 2 wrong usage, 3 wrong configuration.\n",
        out);
}
