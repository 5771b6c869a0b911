/* SPDX-License-Identifier: Apache-2.0 */
/* Who a peer has proved to be. Not tied to a transport: DTLS and TLS sessions, and OSCORE contexts,
 * refer to one by a number of 4 bytes. RFC 7252 section 9.1.
 *
 * Identities are interned: equal ones share a number, which lives while it is held. Those with
 * other groups are not equal: who was put into another group is another.
 * Thread: any. */
#ifndef POLICY_IDENTITY_H
#define POLICY_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"

typedef enum identity_kind {
  IDENTITY_ANONYMOUS, /* nobody: NoSec */
  IDENTITY_PSK,       /* `name` is the PSK identity, RFC 4279 section 5.1 */
  IDENTITY_RPK,       /* `name` is the one the credentials give the key, else
                         "sha-256:" and the SPKI fingerprint in lower-case hex */
  IDENTITY_X509,      /* `name` is the subject's name that the credentials' rule selects */
  IDENTITY_OSCORE,    /* `name` is the context's */
} identity_kind;

enum {
  IDENTITY_NAME_MAX = 255, /* bytes */
  IDENTITY_GROUPS_MAX = 255,
  IDENTITY_PROOF_MAX = 255,
};

/* Lent while its number is held. `name` is well-formed UTF-8 without control characters. */
typedef struct identity {
  identity_kind kind;
  copal_span name;
  copal_span groups; /* that its credentials put it in: names, separated by "," */
  copal_span
      proof; /* by which its credentials know it again, any bytes: see proof.h; may be empty */
  uint64_t serial; /* never used twice; 0: anonymous. Tells it from others with its number */
} identity;

/* The number of an identity; 0 is anonymous, for which nothing need be held. */
typedef uint32_t identity_ref;

typedef struct identities identities;

/* True for 1 to IDENTITY_NAME_MAX bytes of well-formed UTF-8 without control characters. */
bool identity_name_is_valid(copal_span name);

/* What a PSK identity, as it is on the wire, is called in rules and in the log, wherever its key
 * comes from: what it is when it is text that does not begin with "#", otherwise "#" and its bytes
 * in hexadecimal, small letters. So no two have one name. False: it would be too long. */
bool identity_name_of_psk(copal_span psk_identity, char name[IDENTITY_NAME_MAX + 1]);

/* True for a name of letters, digits, "-", "_" and "."; and for a list of such. */
bool identity_group_is_valid(copal_span group);
bool identity_groups_are_valid(copal_span groups);

/* Takes the first name from a list of groups. False at its end. */
bool identity_next_group(copal_span *groups, copal_span *group);

/* At most `max` identities at a time. Returns NULL without memory. */
identities *identities_open(uint32_t max);
void identities_close(identities *all);

/* Holds the number of an identity once, making it when it is new; `name` is copied. Returns 0 or
 * COPAL_ENOSLOT, or COPAL_EINVAL for a name that cannot be one. */
int identity_hold(identities *all, identity_kind kind, copal_span name, identity_ref *ref);

/* The same, in groups: a list that identity_groups_are_valid(), or nothing. */
int identity_hold_in(identities *all, identity_kind kind, copal_span name, copal_span groups,
                     identity_ref *ref);

/* The same, with a proof. Those with another proof are not equal. `serial` is not looked at. */
int identity_hold_as(identities *all, const identity *id, identity_ref *ref);

/* Holds it once more. */
void identity_hold_again(identities *all, identity_ref ref);

void identity_release(identities *all, identity_ref ref);

/* What the number means; anonymous for 0. Lent while it is held. Never blocks for long; called for
 * every request. */
const identity *identity_of(const identities *all, identity_ref ref);

/* How many are held. */
uint32_t identities_count(identities *all);

/* "psk", "rpk", "x509", "oscore", "anonymous". */
const char *identity_kind_name(identity_kind kind);

#endif
