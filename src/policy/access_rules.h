/* SPDX-License-Identifier: Apache-2.0 */
/* How a set of access rules is kept: a tree of path segments whose nodes have the rules that end
 * there, sorted so that neither many rules nor many names cost much. Private to access*.c.
 *
 * Rules have numbers in the order of the file; the smallest that fits decides. Somebody is known by
 * at most one number of a name and by a bit for each "broad" term: groups, name patterns, and the
 * words anonymous, authenticated and anyone. */
#ifndef POLICY_ACCESS_RULES_H
#define POLICY_ACCESS_RULES_H

#include <stdatomic.h>

#include "policy/access.h"

enum {
  BROAD_ANYONE,
  BROAD_ANONYMOUS,
  BROAD_AUTHENTICATED,
  BROAD_FREE, /* the first bit for groups and patterns */
  KINDS_ANY = 0xff,
  MARK_SEPARATOR = 0, /* in normalised path patterns: stands for "/" */
  MARK_STAR = 1,      /* the segment "*" */
  MARK_IDENTITY = 2,  /* the segment "{identity}" */
  MARK_REST = 3,      /* the segment "**" */
};

#define RULE_NONE UINT32_MAX /* behind all rules: the default decides */

/* Bytes of the set's own text, which moves while it grows. */
typedef struct access_text {
  uint32_t at;
  uint32_t len;
} access_text;

/* Bits of broad terms. */
typedef struct access_bits {
  uint64_t words[ACCESS_BROAD_WORDS];
} access_bits;

/* An identity that is named in full. Its number is its place in the table, from 1. */
typedef struct access_exact {
  identity_kind kind;
  access_text name;
  access_bits groups;
  uint32_t next; /* in its bucket */
} access_exact;

/* A name pattern, or a group. */
typedef struct access_broad {
  bool is_group;
  uint8_t kinds; /* bits 1 << identity_kind */
  access_text text;
  access_bits implied; /* the groups that it is in, all the way up; and itself */
} access_broad;

typedef struct access_rule {
  uint32_t who; /* a broad term's bit, or ACCESS_BROAD_MAX and the number of a name */
  uint32_t line;
  uint8_t rights;
  uint8_t over;
  bool is_allowed;
  access_text path; /* normalised */
} access_rule;

/* The rules whose paths end at a node: numbers in `places`, first the broad ones by number, then
 * those with a name by name and number. */
typedef struct access_list {
  uint32_t at;
  uint32_t broad_count;
  uint32_t exact_count;
} access_list;

typedef struct access_node {
  uint32_t first;    /* the smallest number of a rule here or further down */
  uint32_t star;     /* child for any segment, or 0 */
  uint32_t identity; /* child for the segment that is the asker's name, or 0 */
  uint32_t literals; /* children for given segments, sorted: a stretch of the table */
  uint32_t literal_count;
  access_list here;  /* paths that end with this segment */
  access_list below; /* paths that go on with "**" */
} access_node;

typedef struct access_literal {
  access_text segment;
  uint32_t node;
} access_literal;

/* A table that grows. */
typedef struct access_table {
  void *items;
  uint32_t count;
  uint32_t cap;
} access_table;

struct access_rules {
  char *name;
  copal_mspan source; /* the file's text */
  access_table text;  /* uint8_t */
  access_table exacts;
  uint32_t *buckets; /* of names; a power of two */
  uint32_t bucket_mask;
  uint32_t broad_count;
  access_broad broads[ACCESS_BROAD_MAX];
  access_table rules;
  access_table nodes; /* the first is the root */
  access_table literals;
  access_table places; /* uint32_t */
  bool allows_by_default;
  unsigned default_line; /* 0: none seen */
  atomic_uint holders;
};

static inline copal_span access_text_span(const access_rules *a, access_text t)
{
  /* Without a single text there is no memory of texts. */
  return t.len > 0 ? copal_span_of((const uint8_t *)a->text.items + t.at, t.len)
                   : copal_span_none();
}

static inline const access_rule *access_rule_at(const access_rules *a, uint32_t i)
{
  return (const access_rule *)a->rules.items + i;
}

static inline access_node *access_node_at(const access_rules *a, uint32_t i)
{
  return (access_node *)a->nodes.items + i;
}

static inline const access_literal *access_literal_at(const access_rules *a, uint32_t i)
{
  return (const access_literal *)a->literals.items + i;
}

static inline access_exact *access_exact_at(const access_rules *a, uint32_t number)
{
  return (access_exact *)a->exacts.items + (number - 1);
}

static inline bool access_bits_has(const uint64_t *words, uint32_t bit)
{
  return (words[bit / 64] >> bit % 64 & 1) != 0;
}

static inline void access_bits_set(uint64_t *words, uint32_t bit)
{
  words[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline void access_bits_join(uint64_t *to, const uint64_t *from)
{
  for (int i = 0; i < ACCESS_BROAD_WORDS; i++)
    to[i] |= from[i];
}

/* Room for one more item of `size` bytes behind the others, or NULL without memory. */
void *access_table_add(access_table *t, size_t size);

/* Appends bytes to the set's text. Returns 0 or COPAL_ENOSPC. */
int access_text_add(access_rules *a, copal_span bytes, access_text *where);

/* The number of a name, or 0. */
uint32_t access_exact_find(const access_rules *a, identity_kind kind, copal_span name);

/* Adds it unless it is there. Returns its number, or 0 without memory. */
uint32_t access_exact_add(access_rules *a, identity_kind kind, copal_span name);

/* Makes the tree of all rules. Returns 0 or COPAL_ENOSPC. */
int access_build(access_rules *a);

#endif
