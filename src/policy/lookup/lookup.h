/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-shared keys of large fleets, asked of an external command or an HTTP endpoint. Handshakes
 * wait without holding up anybody: a few threads ask, and what they learn is kept for a while; so
 * is who is not known. RFC 7252 section 9.1.3.1, RFC 4279.
 *
 * What is asked is one JSON object, {"kind":"psk","identity":"...","identity_hex":"..."}; the
 * answer is one as well, see lookup/answer.h. copald.conf(5) documents both. Thread: any. */
#ifndef POLICY_LOOKUP_LOOKUP_H
#define POLICY_LOOKUP_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "policy/identity.h"
#include "transport/dtls/credentials.h"

enum {
  LOOKUP_WHY_SIZE = 256,
  LOOKUP_ARGS_MAX = 32,
  LOOKUP_TTL_MAX = 7 * 24 * 3600, /* seconds an answer is kept at most */
};

/* Told of lookups that failed: `why` is a sentence. By one thread at a time, from any. */
typedef struct lookup_watcher {
  void (*on_failure)(struct lookup_watcher *w, const char *identity, const char *why);
} lookup_watcher;

/* Texts are copied. Either `command` or `url` is there. */
typedef struct lookup_cfg {
  const char *const *command; /* a program by its absolute name, and its arguments, in which {hex}
                                 stands for the identity in hexadecimal; NULL: none */
  size_t command_count;
  const char *url;        /* http or https; NULL: none */
  const char *ca;         /* https: file of CAs, PEM; NULL: those of the system */
  const char *token_file; /* a secret that is sent along as Bearer; NULL: none */
  uint32_t timeout_ms;
  uint32_t ttl_s, negative_ttl_s;
  uint32_t fallback_s;     /* beyond its time an answer holds when nobody can be asked */
  uint32_t cache;          /* identities that are remembered; of these a quarter unknown ones */
  uint32_t concurrency;    /* lookups at a time */
  uint32_t queue;          /* that wait for their turn */
  identities *all;         /* lent for the object's life, as the next */
  dtls_credentials *first; /* PSKs that are asked before; NULL: none */
  lookup_watcher *watcher; /* NULL: none */
} lookup_cfg;

typedef struct lookup_stats {
  uint64_t asked;       /* lookups begun */
  uint64_t found;       /* of these, with a key */
  uint64_t unknown;     /* with the answer that there is none */
  uint64_t failed;      /* with no answer that can be used */
  uint64_t timed_out;   /* of the failed ones */
  uint64_t hits;        /* handshakes for which the key was known already */
  uint64_t refusals;    /* and for which it was known that there is none */
  uint64_t waits;       /* that had to wait */
  uint64_t overflown;   /* that were refused because too many lookups wait */
  uint64_t malformed;   /* of identities that are no text */
  uint64_t fallbacks;   /* the answer from before was taken: failed, or no room to ask */
  uint64_t evicted;     /* answers forgotten before their time */
  uint32_t known;       /* identities with a key that is remembered now */
  uint32_t outstanding; /* lookups that wait or are under way now */
} lookup_stats;

typedef struct lookup lookup;

/* Starts the threads. Returns 0, or COPAL_EINVAL or COPAL_ENOSPC with a sentence in `why`. */
int lookup_open(const lookup_cfg *cfg, lookup **l, char why[LOOKUP_WHY_SIZE]);

/* After all handshakes are over: gives up what is under way. Safe on NULL. */
void lookup_close(lookup *l);

/* Forgets all answers; those to questions under way are used once. */
void lookup_flush(lookup *l);

lookup_stats lookup_stats_now(lookup *l);

/* The face for handshakes. Lent. */
dtls_credentials *lookup_credentials(lookup *l);

#endif
