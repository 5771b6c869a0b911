/* SPDX-License-Identifier: Apache-2.0 */
/* What the client shows to a server of coaps. Secrets come from files, never from the command line,
 * which everybody on the machine can read. */
#ifndef COPAL_CMD_SECRETS_H
#define COPAL_CMD_SECRETS_H

#include "cmd/copal/args.h"
#include "cmd/copal/status.h"
#include "transport/dtls/credentials.h"

/* Reads the keys that --psk-file or COPAL_PSK_FILE names, with the identity of --identity or
 * COPAL_IDENTITY; `*c` is NULL when none of them is given, else lent for the program's life.
 * Returns STATUS_OK, or STATUS_USAGE with a message. */
status secrets_open(const args *a, dtls_credentials **c, buf *err);

/* At the program's end. */
void secrets_close(void);

#endif
