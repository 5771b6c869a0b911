/* SPDX-License-Identifier: Apache-2.0 */
/* The key log for debugging: when SSLKEYLOGFILE is set, GnuTLS writes the secrets of handshakes
 * there in the form that Wireshark reads. Thread: any. */
#ifndef TRANSPORT_DTLS_KEYLOG_H
#define TRANSPORT_DTLS_KEYLOG_H

/* The name of the file, which exists then and, when it is new, is nobody's but its owner's; or NULL
 * when there is no key log. Lent for the process's life. */
const char *keylog_file(void);

#endif
