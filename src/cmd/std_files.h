/* SPDX-License-Identifier: Apache-2.0 */
/* The three standard files of a program. */
#ifndef COPAL_CMD_STD_FILES_H
#define COPAL_CMD_STD_FILES_H

/* Takes the places of standard files that are closed, before anything else is opened: else a
 * socket or a data file would get the number, and what is meant for people. Reading and writing
 * them go on failing. */
void std_files_reserve(void);

#endif
