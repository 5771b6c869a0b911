/* SPDX-License-Identifier: Apache-2.0 */
/* Access rules: who may do what to which paths. The first rule that fits decides. RFC 7252 sections
 * 5.9.2.2 and 5.9.2.4; the file is documented in docs/access.md.
 *
 * A set of rules is immutable once it is made; it is read without locks by whoever holds it, and
 * replaced as a whole. Thread: any. */
#ifndef POLICY_ACCESS_H
#define POLICY_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/cursor.h"
#include "copal/span.h"
#include "policy/identity.h"
#include "policy/lines.h"
#include "store/store.h"

/* What is asked for; rules have any number of them. */
enum {
  ACCESS_GET = 1 << 0,
  ACCESS_POST = 1 << 1,
  ACCESS_PUT = 1 << 2,
  ACCESS_DELETE = 1 << 3,
  ACCESS_FETCH = 1 << 4,
  ACCESS_PATCH = 1 << 5,
  ACCESS_IPATCH = 1 << 6,
  ACCESS_OBSERVE = 1 << 7, /* beside GET or FETCH; without it they are answered once. RFC 7641 */
  ACCESS_READ = ACCESS_GET | ACCESS_FETCH | ACCESS_OBSERVE,
  ACCESS_WRITE = ACCESS_POST | ACCESS_PUT | ACCESS_DELETE | ACCESS_PATCH | ACCESS_IPATCH,
  ACCESS_ALL = ACCESS_READ | ACCESS_WRITE,
};

/* How the request is protected; rules have any number of them. */
enum {
  ACCESS_PLAIN = 1 << 0,
  ACCESS_SESSION = 1 << 1, /* DTLS or TLS */
  ACCESS_OSCORE = 1 << 2,
};

enum {
  ACCESS_BROAD_MAX = 256,    /* groups and name patterns, all together */
  ACCESS_BROAD_WORDS = 4,    /* of 64 bits */
  ACCESS_DEPTH_MAX = 32,     /* segments of a path pattern */
  ACCESS_RULE_MAX = 1 << 20, /* rules, each with one path and one who */
};

typedef struct access_rules access_rules;

/* Who asks, as a set of rules knows them. */
typedef struct access_profile {
  const identity *id;                 /* borrowed */
  uint32_t exact;                     /* number of the name, or 0: no rule has it */
  uint64_t broad[ACCESS_BROAD_WORDS]; /* a bit for each group and pattern that takes them in */
  uint8_t over;                       /* one of ACCESS_PLAIN, _SESSION, _OSCORE */
} access_profile;

typedef struct access_verdict {
  bool is_allowed;
  unsigned line; /* of the rule that decided */
} access_verdict;

/* Reads rules from a file, or from a text; `name` is for complaints. They are held once. Returns 0,
 * or COPAL_EINVAL with what is wrong in `m`. */
int access_load(const char *path, access_rules **rules, mistakes *m);
int access_parse(copal_span text, const char *name, access_rules **rules, mistakes *m);

/* Holds them once more; and once less: they end with their last holder. Safe on NULL. */
access_rules *access_hold(access_rules *rules);
void access_release(access_rules *rules);

/* The file's name, the text of a line (without its end), and how many rules there are. */
const char *access_name(const access_rules *rules);
copal_span access_line(const access_rules *rules, unsigned line);
size_t access_count(const access_rules *rules);

/* True when a name fits a pattern, in which LINES_STAR stands for any run of bytes. */
bool access_name_fits(copal_span pattern, copal_span name);

/* How the rules know somebody. */
access_profile access_profile_of(const access_rules *rules, const identity *id, uint8_t over);

/* Writes the words, patterns and groups that take somebody in, separated by ", " and cut at
 * `size`. */
void access_profile_text(const access_rules *rules, const access_profile *who, char *out,
                         size_t size);

/* Whether they may do `right` (one bit) to a canonical path. */
access_verdict access_judge(const access_rules *rules, const access_profile *who, unsigned right,
                            copal_span key);

/* The bit of a method; 0 for one that is none. */
unsigned access_right_of(copal_code method);

/* Reads "GET", "iPATCH", "OBSERVE", ... ; 0 when it is none. */
unsigned access_right_named(const char *name);

enum { ACCESS_UNTIL_MAX = STORE_KEY_MAX + 1 }; /* bytes */

/* The verdict on a key, which holds for all keys from it up to `until`, which is not one of them:
 * so a listing is gone through stretch by stretch. `until` has room for ACCESS_UNTIL_MAX bytes;
 * nothing in it means the end of all keys. */
access_verdict access_stretch(const access_rules *rules, const access_profile *who, unsigned right,
                              copal_span key, copal_wr *until);

#endif
