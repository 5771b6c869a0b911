/* SPDX-License-Identifier: Apache-2.0 */
/* Exit statuses of the client, as documented in copal(1). */
#ifndef COPAL_CMD_STATUS_H
#define COPAL_CMD_STATUS_H

typedef enum status {
  STATUS_OK = 0,            /* a 2.xx response */
  STATUS_INTERNAL = 1,      /* a file, a socket or memory failed here */
  STATUS_USAGE = 2,         /* the command line is wrong */
  STATUS_URI = 3,           /* the URI is not one this program can use */
  STATUS_CLIENT_ERROR = 4,  /* a 4.xx response */
  STATUS_SERVER_ERROR = 5,  /* a 5.xx response */
  STATUS_RESOLVE = 6,       /* no address for the host name */
  STATUS_UNREACHABLE = 7,   /* the network refused the request */
  STATUS_TIMEOUT = 8,       /* no answer in time */
  STATUS_RESET = 9,         /* the server answered with a Reset */
  STATUS_RESPONSE = 10,     /* the response breaks the protocol */
  STATUS_NOT_OBSERVED = 11, /* the server does not notify of this resource */
} status;

#endif
