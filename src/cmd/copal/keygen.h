/* SPDX-License-Identifier: Apache-2.0 */
/* Makes credentials: pre-shared keys, raw public keys and small certification authorities. */
#ifndef COPAL_CMD_KEYGEN_H
#define COPAL_CMD_KEYGEN_H

#include <stdbool.h>
#include <stdint.h>

enum { KEYGEN_HOSTS_MAX = 16 };

/* What the command line says of them. Strings are lent by argv. */
typedef struct keygen_args {
  const char *identity; /* NULL: a random one */
  uint32_t bytes;       /* of a PSK; 0: default */
  bool is_append;
  bool is_force;
  const char *ca;   /* directory */
  const char *name; /* of the CA */
  const char *hosts[KEYGEN_HOSTS_MAX];
  uint32_t host_count;
  const char *client;
  uint32_t days; /* 0: default */
} keygen_args;

#endif
