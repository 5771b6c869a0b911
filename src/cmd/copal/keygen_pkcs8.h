/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys on P-256 as files have them: PKCS #8 in PEM, the key in as many bytes as the curve
 * has, whatever its first ones are. RFC 5208, RFC 5915 section 3, RFC 7468 section 10. */
#ifndef COPAL_CMD_KEYGEN_PKCS8_H
#define COPAL_CMD_KEYGEN_PKCS8_H

#include <gnutls/x509.h>

/* Returns GNUTLS_E_SUCCESS with `pem`, to be wiped and freed with gnutls_free(); or an error of
 * GnuTLS. Keys on other curves are refused. */
int keygen_pkcs8(gnutls_x509_privkey_t key, gnutls_datum_t *pem);

#endif
