/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a command; what the commands share. */
#ifndef COPAL_CMD_RUN_H
#define COPAL_CMD_RUN_H

#include "cmd/copal/args.h"
#include "cmd/copal/buf.h"
#include "cmd/copal/download.h"
#include "cmd/copal/progress.h"
#include "cmd/copal/report.h"
#include "cmd/copal/session.h"
#include "cmd/copal/status.h"
#include "cmd/copal/target.h"
#include "cmd/copal/transfer.h"

/* get, put, post, delete, fetch, patch, ipatch, observe, discover, ping, load and keygen. */
status run_request(const args *a);
status run_observe(const args *a);
status run_discover(const args *a);
status run_ping(const args *a);
status run_load(const args *a);
status run_keygen(const args *a);

/* Prints "copal: ...", unless --silent; `a` may be NULL. */
void run_complain(const args *a, const buf *message);

/* Writes all to a descriptor. Returns 0, or -1 with errno. */
int run_write(int fd, copal_span bytes);

/* Writes all to standard output; complains when it cannot, unless nobody reads it any more. `a` may
 * be NULL. Returns STATUS_OK or STATUS_INTERNAL. */
status run_print(const args *a, const buf *out);

/* Reads what --data names: text, @FILE or - for standard input. Returns STATUS_OK, or
 * STATUS_INTERNAL with a message. */
status run_read_data(const char *data, buf *out, buf *err);

/* The transmission parameters of the command line; copal_params_check() tells whether they go
 * together. */
copal_params run_params(const args *a);

/* Opens a session with the transmission parameters of the command line; complains when it
 * cannot. */
status run_open_session(const args *a, trace *t, session **s);

/* What a whole request needs and yields. Zeroed it is valid; wipe it always. */
typedef struct job {
  target target;
  optset options;
  buf body; /* to send */
  transfer_result result;
  const copal_path *path;
  trace trace;
  download download; /* with --output */
  bool is_kept;      /* what came of the body waits for --continue */
  progress progress;
} job;

/* Prepares the request for `uri`, resolves its host and reads --data; complains on failure. */
status job_prepare(job *j, const args *a, const char *uri);

/* The request as it goes to `path`. */
transfer job_transfer(const job *j, const args *a, const copal_path *path);

/* True when the request goes to a group. */
bool job_is_group(const job *j);

/* True when bodies are to be formatted. */
bool run_is_pretty(const args *a);

/* What the message about an error response cannot hold of its body, to standard error. */
void run_complain_body(const transfer_result *r, const args *a);

/* Sends it, to one address after the other until one is reached, as often as --retry allows. The
 * outcome is in `j->result`. */
status job_run(job *j, const args *a);

/* Collects what is to be told. Wipe `r->error`. */
void job_report(const job *j, const args *a, report *r);

/* Prints what the options ask for and the message of a failure. Returns the exit status. */
status job_finish(const job *j, const args *a);
void job_wipe(job *j);

#endif
