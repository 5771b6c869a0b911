/* SPDX-License-Identifier: Apache-2.0 */
/* The file that tells the process id to those who want to send signals. Thread: the main thread
 * only. */
#ifndef COPALD_PIDFILE_H
#define COPALD_PIDFILE_H

/* Writes this process's id, in one step for readers; whatever the file said is replaced. Does
 * nothing when `path` is empty. Returns 0 or -errno. */
int pidfile_write(const char *path);

/* Removes the file if it still names this process: a successor may have written its own id. Does
 * nothing when `path` is empty. */
void pidfile_remove(const char *path);

#endif
