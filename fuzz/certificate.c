/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of peers: any bytes are refused with a reason that can be shown to people, or are
 * compared with authorities of URIs; nobody is believed whom no CA has signed. RFC 5280, RFC 7252
 * section 9.1.3.3. Input: length of an authority, the authority, a certificate in DER. */
#include <string.h>

#include "copal/error.h"
#include "policy/certs_inside.h"
#include "require.h"

enum { AUTHORITY_MAX = 63 };

/* Once for all inputs: a trust list of nobody. */
static edition *nobody(void)
{
  static edition e;
  if (e.trusted == NULL)
    REQUIRE(gnutls_x509_trust_list_init(&e.trusted, 0) == 0);
  return &e;
}

static void judge(const certs_cfg *cfg, const gnutls_datum_t *der, const char *authority)
{
  const dtls_claim claim = {
      .kind = DTLS_CLAIM_X509, .server_name = authority, .count = 1, .items = der};
  dtls_objection o = {.kind = DTLS_REFUSAL_COUNT};
  uint32_t who = 1;
  REQUIRE(certs_judge(cfg, nobody(), &claim, &who, &o) < 0);
  REQUIRE(who == 0 && o.kind < DTLS_REFUSAL_COUNT);
  REQUIRE(memchr(o.text, '\0', sizeof o.text) != NULL);
  REQUIRE(identity_name_is_valid(copal_span_str(o.text)));
}

static void compare(const gnutls_datum_t *der, const char *authority)
{
  gnutls_x509_crt_t crt;
  REQUIRE(gnutls_x509_crt_init(&crt) == 0);
  if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) == 0) {
    const bool is_for = certs_is_for(crt, authority);
    REQUIRE(!is_for || (authority[0] != '\0' && strchr(authority, '*') == NULL));
  }
  gnutls_x509_crt_deinit(crt);
}

/* Any bytes as a proof: whom nobody trusts is not believed again. */
static void ask_again(const uint8_t *data, size_t size)
{
  uint8_t copy[IDENTITY_PROOF_MAX] = {PROOF_CERTIFICATE};
  const size_t len = size < sizeof copy ? size : sizeof copy - 1;
  memcpy(copy + 1, data, len);
  REQUIRE(!certs_still_believe(nobody(), copal_span_of(copy, len + 1)));
  REQUIRE(!certs_still_believe(nobody(), copal_span_of(data, len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const certs_cfg client = {.is_client = true}, server = {.name = CERTS_NAME_CN};
  char authority[AUTHORITY_MAX + 1] = "";
  const size_t len = size > 0 ? data[0] % (AUTHORITY_MAX + 1) : 0;
  if (size < 1 + len)
    return 0;
  memcpy(authority, data + 1, len);
  const gnutls_datum_t der = {(unsigned char *)data + 1 + len, (unsigned)(size - 1 - len)};
  judge(&client, &der, authority);
  judge(&server, &der, NULL);
  compare(&der, authority);
  ask_again(data, size);
  return 0;
}
