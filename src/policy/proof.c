/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of identities. */
#include "policy/proof.h"

#include <string.h>

#include "copal/error.h"

proof proof_of_psk(copal_span psk_identity, copal_span name)
{
  proof p = {.len = 1, .bytes = {PROOF_PSK}};
  if (copal_span_is_equal(psk_identity, name) || psk_identity.len >= sizeof p.bytes)
    return p;
  memcpy(p.bytes + 1, psk_identity.ptr, psk_identity.len);
  p.len += psk_identity.len;
  return p;
}

copal_span proof_psk(const identity *id)
{
  return id->proof.len > 1 ? copal_span_of(id->proof.ptr + 1, id->proof.len - 1) : id->name;
}

proof proof_of_raw_key(const fingerprint *whole)
{
  proof p = {.len = 1 + FINGERPRINT_SIZE, .bytes = {PROOF_RAW_KEY}};
  memcpy(p.bytes + 1, whole->bytes, FINGERPRINT_SIZE);
  return p;
}

bool proof_raw_key(const identity *id, fingerprint *whole)
{
  if (proof_kind(id) != PROOF_RAW_KEY || id->proof.len != 1 + FINGERPRINT_SIZE)
    return false;
  *whole = (fingerprint){.len = FINGERPRINT_SIZE};
  memcpy(whole->bytes, id->proof.ptr + 1, FINGERPRINT_SIZE);
  return true;
}

int proof_readmit(identities *all, identity_ref was, copal_span name, copal_span groups,
                  identity_ref *now)
{
  identity id = *identity_of(all, was);
  *now = was;
  if (copal_span_is_equal(id.name, name) && copal_span_is_equal(id.groups, groups))
    return COPAL_OK;
  id.name = name;
  id.groups = groups;
  return identity_hold_as(all, &id, now);
}
