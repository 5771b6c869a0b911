/* SPDX-License-Identifier: Apache-2.0 */
/* How a process that others wait for uses malloc(). */
#ifndef SERVER_HEAP_H
#define SERVER_HEAP_H

/* Has small pieces of memory joined with their neighbours as they are freed, not all of a long time
 * together when somebody asks for a large piece: that would hold up his thread for a tenth of a
 * second after some hundred thousand. Does nothing where the C library has no such choice. Thread:
 * the main thread, before there are others. */
void heap_settle(void);

#endif
