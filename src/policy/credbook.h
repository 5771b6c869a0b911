/* SPDX-License-Identifier: Apache-2.0 */
/* What a credentials file said when it was read: tables that do not change any more. Private to
 * credfile*.c and credbook*.c. */
#ifndef POLICY_CREDBOOK_H
#define POLICY_CREDBOOK_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/x509.h>

#include "policy/credfile.h"
#include "policy/fingerprint.h"
#include "policy/proof.h"

enum {
  SUBJECT_PATTERNS_MAX = 8,   /* of a rule, all of which must fit */
  SUBJECT_PATTERN_SIZE = 256, /* bytes, with the end */
};

/* A pre-shared key's owner. Texts lie in the book's own memory. */
typedef struct book_psk {
  copal_span identity; /* as it is on the wire */
  copal_span name;     /* of the identity */
  copal_span groups;
  copal_span keys[DTLS_PSK_COUNT]; /* the second may be empty */
  unsigned line;
} book_psk;

typedef struct book_raw_key {
  fingerprint print; /* may be a cut one */
  copal_span name;   /* empty: the fingerprint */
  copal_span groups;
  unsigned line;
} book_raw_key;

/* What part of a certificate a pattern looks at. */
typedef enum subject_part {
  SUBJECT_CN,
  SUBJECT_O,
  SUBJECT_OU,
  SUBJECT_C,
  SUBJECT_SERIAL, /* serialNumber of the subject */
  SUBJECT_DNS,    /* of the SubjectAltName, as the next */
  SUBJECT_URI,
  SUBJECT_EMAIL,
  SUBJECT_PART_COUNT,
} subject_part;

typedef struct book_pattern {
  subject_part part;
  copal_span text; /* LINES_STAR stands for any run of bytes */
} book_pattern;

/* Who comes with a certificate that fits. */
typedef struct book_subject {
  size_t count;
  book_pattern patterns[SUBJECT_PATTERNS_MAX];
  copal_span name;               /* with {CN} and the like to be filled in */
  uint8_t mark[PROOF_RULE_SIZE]; /* of patterns and name: the same rule has the same one */
  copal_span groups;
} book_subject;

/* Names of files. */
typedef struct book_files {
  size_t count;
  const char *items[CREDFILE_FILES_MAX];
} book_files;

/* Memory that never moves, and is wiped when it is given back: it holds keys. */
typedef struct book_chunk {
  struct book_chunk *next;
  size_t used;
  uint8_t bytes[64 * 1024];
} book_chunk;

typedef struct credbook {
  book_chunk *chunks;
  size_t psk_count, raw_key_count, subject_count;
  book_psk *psks;         /* sorted by identity */
  book_raw_key *raw_keys; /* sorted by the bytes that all fingerprints have */
  book_subject *subjects; /* in the order of the file */
  bool has_subjects;      /* there is a list of them, though it may be empty */
  book_files files[CREDFILE_NAME_COUNT];
} credbook;

/* Reads a file into a zeroed book. Returns as credfile_open(); the book is wiped on failure. */
int credbook_read(credbook *b, const char *path, mistakes *m);

/* Safe on a zeroed object. */
void credbook_wipe(credbook *b);

/* Who has that pre-shared key, or that raw public key; NULL: nobody. */
const book_psk *credbook_psk(const credbook *b, copal_span id);
const book_raw_key *credbook_raw_key(const credbook *b, const fingerprint *whole);

/* The first rule that fits a certificate, with the name it gives its owner; NULL: none does, or the
 * name it makes cannot be one. */
const book_subject *credbook_subject(const credbook *b, gnutls_x509_crt_t crt,
                                     char name[IDENTITY_NAME_MAX + 1]);

/* The rule with that mark, or NULL. */
const book_subject *credbook_rule(const credbook *b, const uint8_t mark[PROOF_RULE_SIZE]);

/* Makes the mark of a rule that has been read. */
void credbook_mark(book_subject *s);

/* "CN", "O", ... of each part. */
extern const char *const credbook_parts[SUBJECT_PART_COUNT];

#endif
