/* SPDX-License-Identifier: Apache-2.0 */
/* copald --explain: which access rule decides, and why. RFC 7252 sections 5.9.2.2 and 5.9.2.4.
 * Thread: the main thread only. */
#include "cmd/copald/explain.h"

#include <string.h>

#include "cmd/copald/args.h"
#include "copal/error.h"
#include "copal/uri.h"
#include "policy/credfile.h"

enum {
  DENIED = 1,
  TEXT_SIZE = 4096,
  SEGMENT_MAX = 255, /* bytes of a Uri-Path option, RFC 7252 section 5.10 */
};

/* The question, taken apart. */
typedef struct question {
  identity id;
  uint8_t over;
  unsigned right;
  copal_span key;
  const char *refused; /* what no request can have in its path; NULL: nothing */
  char name[LINES_ITEM_MAX + 1];
  char groups[IDENTITY_GROUPS_MAX + 1];
  char method[LINES_ITEM_MAX + 1];
  uint8_t path[3 * LINES_ITEM_MAX];
} question;

/* Stars that are not quoted are stars here. */
static void take_item(const lines *l, char out[LINES_ITEM_MAX + 1])
{
  for (size_t i = 0; i <= l->len; i++)
    out[i] = l->item[i] == LINES_STAR ? '*' : l->item[i];
}

static bool read_identity(lines *l, question *q)
{
  static const identity_kind kinds[] = {IDENTITY_PSK, IDENTITY_RPK, IDENTITY_X509, IDENTITY_OSCORE};
  if (!lines_item(l, ""))
    return false;
  take_item(l, q->name);
  q->over = ACCESS_SESSION;
  if (strcmp(q->name, "anonymous") == 0) {
    q->id = (identity){.kind = IDENTITY_ANONYMOUS};
    q->over = ACCESS_PLAIN;
    return true;
  }
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    const char *kind = identity_kind_name(kinds[i]);
    const size_t len = strlen(kind);
    if (strncmp(q->name, kind, len) != 0 || q->name[len] != ':')
      continue;
    q->id = (identity){.kind = kinds[i], .name = copal_span_str(q->name + len + 1), .serial = 1};
    if (kinds[i] == IDENTITY_OSCORE)
      q->over = ACCESS_OSCORE;
    return identity_name_is_valid(q->id.name);
  }
  return false;
}

/* Why a request with such a segment is refused before any rule is asked, or NULL. RFC 7252 section
 * 5.10.1. */
static const char *wrong_with(copal_span segment)
{
  if (copal_span_is_equal(segment, copal_span_str(".")) ||
      copal_span_is_equal(segment, copal_span_str("..")))
    return "4.00 (Bad Request): no path has a segment \".\" or \"..\"";
  return segment.len > SEGMENT_MAX ? "4.02 (Bad Option): no segment is longer than 255 bytes"
                                   : NULL;
}

/* Writes the canonical form of a path. */
static bool read_path(lines *l, question *q)
{
  char text[LINES_ITEM_MAX + 1];
  if (!lines_item(l, "") || l->item[0] != '/')
    return false;
  take_item(l, text);
  copal_wr w = copal_wr_init((copal_mspan){q->path, sizeof q->path});
  for (const char *at = text; *at == '/';) {
    const size_t len = strcspn(at + 1, "/");
    uint8_t plain[LINES_ITEM_MAX];
    copal_wr decoded = copal_wr_init((copal_mspan){plain, sizeof plain});
    if (copal_uri_decode(copal_span_of(at + 1, len), &decoded) < 0)
      return false;
    const copal_span segment = copal_wr_done(&decoded);
    if (q->refused == NULL)
      q->refused = wrong_with(segment);
    copal_wr_u8(&w, '/');
    copal_uri_put_segment(&w, segment);
    at += 1 + len;
  }
  q->key = copal_wr_done(&w);
  return w.err == COPAL_OK;
}

static bool read_over(const char *text, question *q)
{
  if (strcmp(text, "any") == 0)
    q->over = ACCESS_PLAIN;
  else if (strcmp(text, "secure") == 0)
    q->over = ACCESS_SESSION;
  else if (strcmp(text, "oscore") == 0)
    q->over = ACCESS_OSCORE;
  else
    return false;
  return true;
}

/* Groups that the question puts somebody in: those of a lookup and of the subjects of certificates
 * are told when somebody comes only. */
static bool read_groups(const char *text, question *q)
{
  const size_t len = strlen(text);
  if (len >= sizeof q->groups || q->id.kind == IDENTITY_ANONYMOUS ||
      !identity_groups_are_valid(copal_span_str(text)))
    return false;
  memcpy(q->groups, text, len + 1);
  q->id.groups = copal_span_str(q->groups);
  return true;
}

/* over HOW, in GROUP,GROUP; each may be missing. */
static bool read_circumstances(lines *l, question *q)
{
  while (!lines_is_over(l)) {
    if (!lines_item(l, ""))
      return false;
    const bool is_over = strcmp(l->item, "over") == 0;
    if ((!is_over && strcmp(l->item, "in") != 0) || lines_is_over(l) || !lines_item(l, ""))
      return false;
    if (is_over ? !read_over(l->item, q) : !read_groups(l->item, q))
      return false;
  }
  return true;
}

static bool read_question(const char *text, question *q)
{
  mistakes m = {.count = 0};
  q->refused = NULL;
  lines l = {.file = "--explain", .left = copal_span_str(text), .mistakes = &m};
  if (!lines_next(&l) || !read_identity(&l, q) || !lines_item(&l, ""))
    return false;
  take_item(&l, q->method);
  q->right = access_right_named(q->method);
  return q->right != 0 && read_path(&l, q) && read_circumstances(&l, q);
}

static int show(const access_rules *rules, const question *q, FILE *out)
{
  char known[TEXT_SIZE];
  const access_profile who = access_profile_of(rules, &q->id, q->over);
  const access_verdict v = access_judge(rules, &who, q->right, q->key);
  const copal_span line = access_line(rules, v.line);
  const bool is_anonymous = q->id.kind == IDENTITY_ANONYMOUS;
  access_profile_text(rules, &who, known, sizeof known);
  if (v.is_allowed)
    fprintf(out, "allowed\n");
  else
    fprintf(out, "denied with %s\n",
            is_anonymous ? "4.01 (Unauthorized): who asks is not known" : "4.03 (Forbidden)");
  fprintf(out, "%s:%u: %.*s\n", access_name(rules), v.line, (int)line.len, (const char *)line.ptr);
  fprintf(out, "%s is taken in by: %s%s%s\n", q->name, known, who.exact != 0 ? ", " : "",
          who.exact != 0 ? "its own name" : "");
  fprintf(out, "no line above that one fits %s %.*s\n", q->method, (int)q->key.len,
          (const char *)q->key.ptr);
  return v.is_allowed ? 0 : DENIED;
}

/* The groups that the credentials file puts somebody in, unless the question has said which. False
 * when it cannot be read, which has been said. */
static bool add_groups(const conf *c, question *q, FILE *err)
{
  mistakes m = {.count = 0};
  credfile *f = NULL;
  const bool is_asked = c->credentials[0] != '\0' && q->id.groups.len == 0;
  identities *nobody = is_asked ? identities_open(1) : NULL;
  if (nobody == NULL)
    return true;
  const int rc = credfile_open(c->credentials, nobody, &f, &m);
  if (rc < 0)
    fprintf(err, "%s", m.text);
  else if (credfile_groups(f, q->id.kind, q->id.name, q->groups))
    q->id.groups = copal_span_str(q->groups);
  credfile_close(f);
  identities_close(nobody);
  return rc == COPAL_OK;
}

int explain(const conf *c, const char *text, FILE *out, FILE *err)
{
  question q;
  const access_rules *rules = c->rules;
  if (!read_question(text, &q)) {
    fprintf(err,
            "copald: --explain \"%s\": expected is IDENTITY METHOD PATH, such as "
            "'psk:dev-1 PUT /devices/dev-1/t' or 'anonymous GET /'\n",
            text);
    return EXIT_USAGE;
  }
  if (q.refused != NULL) {
    fprintf(out, "denied with %s\n", q.refused);
    return DENIED;
  }
  if (rules == NULL) {
    fprintf(out, "allowed\nthere are no access rules: --access FILE, or access_file in the "
                 "configuration\n");
    return 0;
  }
  return add_groups(c, &q, err) ? show(rules, &q, out) : EXIT_USAGE;
}
