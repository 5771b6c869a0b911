/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: commands, options, and what they ask for. */
#ifndef COPAL_CMD_ARGS_H
#define COPAL_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/keygen.h"
#include "cmd/copal/load/load.h"
#include "cmd/copal/optset.h"
#include "cmd/copal/style.h"
#include "copal/code.h"
#include "copal/time.h"

typedef enum cmd_id {
  CMD_GET,
  CMD_PUT,
  CMD_POST,
  CMD_DELETE,
  CMD_FETCH,
  CMD_PATCH,
  CMD_IPATCH,
  CMD_OBSERVE,
  CMD_DISCOVER,
  CMD_PING,
  CMD_LOAD,
  CMD_KEYGEN,
  CMD_COUNT,
} cmd_id;

typedef struct cmd_def {
  cmd_id id;
  const char *name;
  copal_code code;      /* 0 for ping, load and keygen */
  const char *operands; /* "URI" */
  const char *summary;
  const char *examples; /* lines, each ended by a line break */
} cmd_def;

/* What the command line asks for. Strings are lent by argv. */
typedef struct args {
  const cmd_def *cmd;
  const char **operands; /* owned array */
  size_t operand_count;
  bool wants_help;

  optset options;   /* from --option and its shorthands */
  const char *data; /* text, @file or -; NULL: no payload */
  bool is_non;
  bool is_con; /* --con was given */
  bool has_token;
  buf token;
  uint8_t no_response; /* bit map of RFC 7967 section 2.1 */
  uint8_t szx;
  bool has_szx;
  uint8_t block_window; /* blocks under way at once; 0: one */
  bool is_qblock;

  const char *output; /* NULL: standard output */
  const char *write_out;
  bool include;
  bool verbose;
  bool json;
  bool silent;
  bool pretty;
  bool no_pretty;
  style_color color;

  copal_dur timeout;     /* microseconds, 0: the transmission parameters decide */
  copal_dur ack_timeout; /* microseconds, 0: default */
  uint32_t max_retransmit;
  bool has_max_retransmit;
  uint32_t retry;

  const char *host;       /* Uri-Host to send */
  const char *connect_to; /* HOST[:PORT] instead of the URI's */
  int family;             /* AF_UNSPEC, AF_INET, AF_INET6 */

  const char *profile;       /* NULL: the environment's, or that of the host */
  const char *psk_file;      /* keys for coaps; NULL: that of the environment, if any */
  const char *identity;      /* of them; NULL: the environment's, or the first */
  const char *cert, *key;    /* X.509 for coaps; NULL: the environment's, if any; as the next */
  const char *ca, *crl;      /* of the server's certificate */
  const char *raw_key, *pin; /* raw public keys */
  bool is_insecure;          /* any server will do */

  const char *interface; /* for groups; NULL: all */
  uint8_t hops;          /* of multicast datagrams; 0: default */
  bool is_continue;      /* go on with FILE.part */

  copal_code method;   /* of observe: GET or FETCH; 0: by --data */
  copal_time duration; /* microseconds; 0: unlimited */
  copal_time poll;     /* microseconds between requests; 0: no polling */
  const char *exec;    /* command line for sh; NULL: none */
  bool no_reconnect;

  load_args load;     /* of load */
  keygen_args keygen; /* of keygen */

  uint32_t count;     /* pings or notifications; 0: until interrupted */
  copal_dur interval; /* between pings, microseconds */
} args;

/* An option of the command line. */
typedef struct arg_def {
  char letter;       /* 0: none */
  const char *name;  /* without dashes */
  const char *value; /* what to call its value in the help; NULL: a flag */
  uint32_t cmds;     /* bit n: command n takes it */
  const char *group; /* heading in the help */
  const char *help;
  int (*apply)(args *a, const char *value, buf *err); /* 0, or -1 with a message */
} arg_def;

extern const cmd_def cmd_defs[CMD_COUNT];
extern const arg_def arg_defs[];
extern const size_t arg_def_count;

const cmd_def *cmd_find(const char *name);

/* Parses what stands behind the command's name. Returns 0, or -1 with a message in `err`.
 * Wipe `a` in both cases. */
int args_parse(args *a, const cmd_def *cmd, int argc, char **argv, buf *err);
void args_wipe(args *a);

/* The request's method: the command's, or that of --method. */
copal_code args_code(const args *a);

/* True for a word that is a filter of discover, not a host: rt=temperature*. */
bool args_is_filter(const char *word);

/* Checks what options say together; called by args_parse(). */
int args_check(const args *a, buf *err);

/* The name in `names` that differs least from `word`, or NULL when all differ too much. */
const char *suggest(const char *word, const char *const *names, size_t count);

void help_program(const style *s, buf *b);
void help_command(const cmd_def *cmd, const style *s, buf *b);

#endif
