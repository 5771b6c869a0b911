/* SPDX-License-Identifier: Apache-2.0 */
/* What the client shows to a server of coaps. Secrets come from files, never from the command line,
 * which everybody on the machine can read. */
#ifndef COPAL_CMD_SECRETS_H
#define COPAL_CMD_SECRETS_H

#include <stdbool.h>

#include "cmd/copal/args.h"
#include "cmd/copal/status.h"
#include "transport/dtls/credentials.h"

/* Finds the profile of --profile or COPAL_PROFILE, or else the one for a host. Before
 * secrets_open(). Returns as that. */
status secrets_choose(const args *a, const char *host, buf *err);

/* Reads what the command line, or else the environment, or else the profile names: the keys of
 * --psk-file with the identity of --identity, and the certificates and raw public keys of --cert,
 * --key, --ca,
 * --raw-key and --pin. `*c` is NULL when there are none, else lent for the program's life. Returns
 * STATUS_OK, or STATUS_USAGE with a message. */
status secrets_open(const args *a, dtls_credentials **c, buf *err);

/* Whom sessions are with: the authority of the URI, as dtls_claim has it. Copied. False when they
 * are with another one already. */
bool secrets_set_server(const char *authority);

/* It, lent for the program's life; NULL: nobody. */
const char *secrets_server(void);

/* At the program's end. */
void secrets_close(void);

#endif
