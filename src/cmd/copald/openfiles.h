/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of open files: sockets, and bodies that are being received. Thread: the main thread,
 * before there are others. */
#ifndef COPALD_OPENFILES_H
#define COPALD_OPENFILES_H

#include "server/conf.h"
#include "server/log.h"

/* Raises the soft limit to the hard one, and says so in the log when that is less than the
 * configuration can come to need. */
void openfiles_raise(const conf *c, logger *log);

#endif
