/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys on P-256 as PKCS #8. GnuTLS of Debian 12 writes the number with as many bytes as it
 * has, which strict readers refuse. */
#include "cmd/copal/keygen_pkcs8.h"

#include <stdint.h>
#include <string.h>

enum { NUMBER = 32 }; /* bytes of a coordinate, and of the private key */

/* PrivateKeyInfo { 0, { id-ecPublicKey, prime256v1 }, ECPrivateKey { 1, key, [1] 04 x y } }; all of
 * its parts have fixed lengths. */
typedef struct private_key_info {
  uint8_t head[36];
  uint8_t key[NUMBER];
  uint8_t between[6];
  uint8_t x[NUMBER];
  uint8_t y[NUMBER];
} private_key_info;

/* clang-format off */
static const private_key_info form = {
    .head = {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, /* version */
             0x30, 0x13,                         /* id-ecPublicKey, prime256v1 */
             0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
             0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
             0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, /* ECPrivateKey, version */
             0x04, NUMBER},
    .between = {0xa1, 0x44, 0x03, 0x42, 0x00, 0x04}, /* publicKey, uncompressed */
};
/* clang-format on */

_Static_assert(sizeof form == 138, "all parts stand side by side, as the lengths in them say");

/* A number at the end of its place, zeros in front. */
static int place(const gnutls_datum_t *number, uint8_t out[NUMBER])
{
  if (number->size > NUMBER)
    return GNUTLS_E_ILLEGAL_PARAMETER;
  memcpy(out + NUMBER - number->size, number->data, number->size);
  return GNUTLS_E_SUCCESS;
}

static void wipe(gnutls_datum_t *d)
{
  if (d->data != NULL)
    explicit_bzero(d->data, d->size);
  gnutls_free(d->data);
}

int keygen_pkcs8(gnutls_x509_privkey_t key, gnutls_datum_t *pem)
{
  gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
  gnutls_datum_t x = {0}, y = {0}, k = {0};
  private_key_info info = form;
  int rc = gnutls_x509_privkey_export_ecc_raw(key, &curve, &x, &y, &k);
  /* Numbers are signed here: one byte of zeros may be too many. */
  gnutls_datum_t *const all[] = {&x, &y, &k};
  uint8_t *const places[] = {info.x, info.y, info.key};
  if (rc >= 0 && curve != GNUTLS_ECC_CURVE_SECP256R1)
    rc = GNUTLS_E_ECC_UNSUPPORTED_CURVE;
  for (int i = 0; i < 3 && rc >= 0; i++) {
    const size_t skip = all[i]->size == NUMBER + 1 && all[i]->data[0] == 0;
    const gnutls_datum_t number = {all[i]->data + skip, all[i]->size - (unsigned)skip};
    rc = place(&number, places[i]);
  }
  const gnutls_datum_t der = {(unsigned char *)&info, sizeof info};
  if (rc >= 0)
    rc = gnutls_pem_base64_encode2("PRIVATE KEY", &der, pem);
  for (int i = 0; i < 3; i++)
    wipe(all[i]);
  explicit_bzero(&info, sizeof info);
  return rc;
}
