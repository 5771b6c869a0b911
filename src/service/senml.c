/* SPDX-License-Identifier: Apache-2.0 */
/* SenML records, selected and patched. RFC 8428 section 4, RFC 8790 section 3. */
#include "service/senml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/registry.h"

enum {
  SENML_VERSION = 10, /* RFC 8428 section 4.4 */
  NAME_SIZE = 1024,   /* of a resolved name, with its NUL */
};

/* Which kind of Pack is being read: what it may contain differs. */
typedef enum pack_kind {
  PACK_STORED,
  PACK_FETCH, /* RFC 8790 section 3.1 */
  PACK_PATCH, /* RFC 8790 section 3.2 */
} pack_kind;

/* Base values in force, and the record being resolved. RFC 8428 section 4.1. */
typedef struct resolver {
  pack_kind kind;
  size_t index;
  const char *base_name;
  const json_t *base_unit;
  const json_t *base_time;
  const json_t *base_value;
  const json_t *base_sum;
  size_t names_left; /* bytes that resolved names may still take */
  problem *why;
} resolver;

static bool is_invalid(const resolver *r, const char *reason)
{
  static const char *const kinds[] = {"stored SenML Pack", "Fetch Pack", "Patch Pack"};
  problem_set(r->why, COPAL_CODE_UNPROCESSABLE_ENTITY, "Record %zu of the %s: %s", r->index,
              kinds[r->kind], reason);
  return false;
}

/* A field whose type is known. */
typedef struct field_rule {
  const char *label;
  char type;    /* s string, n number, b boolean, v number, or null in a Patch Record */
  bool selects; /* allowed in Fetch Records */
} field_rule;

static const field_rule rules[] = {
    {"bn", 's', true},  {"bt", 'n', true},    {"bu", 's', true},  {"bv", 'n', false},
    {"bs", 'n', false}, {"bver", 'n', false}, {"n", 's', true},   {"u", 's', true},
    {"v", 'v', false},  {"vs", 's', false},   {"vb", 'b', false}, {"vd", 's', false},
    {"s", 'n', false},  {"t", 'n', true},     {"ut", 'n', false},
};

static const field_rule *rule_of(const char *label)
{
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    if (strcmp(rules[i].label, label) == 0)
      return &rules[i];
  return NULL;
}

static bool type_fits(const resolver *r, char type, const json_t *value)
{
  switch (type) {
  case 's': return json_is_string(value);
  case 'b': return json_is_boolean(value);
  case 'n': return json_is_number(value);
  default: return json_is_number(value) || (r->kind == PACK_PATCH && json_is_null(value));
  }
}

static bool field_is_valid(const resolver *r, const char *label, const json_t *value)
{
  const field_rule *rule = rule_of(label);
  if (r->kind == PACK_FETCH && (rule == NULL || !rule->selects))
    return is_invalid(r, "only n, bn, t, bt, u and bu are allowed");
  const size_t len = strlen(label);
  /* Fields that must be understood; they are like any other in Patch Packs, RFC 8790 section 5. */
  if (rule == NULL && r->kind == PACK_STORED && len > 0 && label[len - 1] == '_')
    return is_invalid(r, "a field that must be understood is not known here");
  if (rule != NULL && !type_fits(r, rule->type, value))
    return is_invalid(r, "a field has a value of the wrong type");
  return true;
}

static bool fields_are_valid(const resolver *r, json_t *record)
{
  const char *label;
  json_t *value;
  if (!json_is_object(record))
    return is_invalid(r, "not an object");
  json_object_foreach(record, label, value)
  {
    if (!field_is_valid(r, label, value))
      return false;
  }
  const json_t *version = json_object_get(record, "bver");
  if (version != NULL && json_number_value(version) > SENML_VERSION)
    return is_invalid(r, "the SenML version is not known here");
  if (r->kind == PACK_STORED)
    return true;
  if (json_object_get(record, "n") == NULL && json_object_get(record, "bn") == NULL)
    return is_invalid(r, "needs a name or a base name");
  return true;
}

/* RFC 8428 section 4.5.1. */
static bool name_is_valid(const char *name)
{
  static const char starts[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  static const char goes_on[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-:./_";
  return name[0] != '\0' && strchr(starts, name[0]) != NULL &&
         strspn(name, goes_on) == strlen(name);
}

static void take_bases(resolver *r, const json_t *record)
{
  const json_t *name = json_object_get(record, "bn");
  const json_t *unit = json_object_get(record, "bu");
  const json_t *time = json_object_get(record, "bt");
  const json_t *value = json_object_get(record, "bv");
  const json_t *sum = json_object_get(record, "bs");
  r->base_name = name != NULL ? json_string_value(name) : r->base_name;
  r->base_unit = unit != NULL ? unit : r->base_unit;
  r->base_time = time != NULL ? time : r->base_time;
  r->base_value = value != NULL ? value : r->base_value;
  r->base_sum = sum != NULL ? sum : r->base_sum;
}

/* The sum of two numbers of which either may be missing; NULL when both are. Integers stay
 * integers. */
static json_t *add_numbers(const json_t *a, const json_t *b)
{
  if (a == NULL && b == NULL)
    return NULL;
  json_int_t sum;
  if ((a == NULL || json_is_integer(a)) && (b == NULL || json_is_integer(b)) &&
      !__builtin_add_overflow(json_integer_value(a), json_integer_value(b), &sum))
    return json_integer(sum);
  return json_real(json_number_value(a) + json_number_value(b));
}

static bool has_value_field(const json_t *record)
{
  static const char *const labels[] = {"v", "vs", "vb", "vd"};
  for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
    if (json_object_get(record, labels[i]) != NULL)
      return true;
  return false;
}

/* A number field of the resolved record; an absent sum leaves it out. */
static void set_number(json_t *out, const char *label, json_t *number)
{
  if (number != NULL)
    json_object_set_new(out, label, number);
}

static void resolve_value(const resolver *r, json_t *record, json_t *out)
{
  const json_t *value = json_object_get(record, "v");
  if (json_is_null(value))
    json_object_set_new(out, "v", json_null()); /* removes the record: RFC 8790 section 3.2 */
  else if (value != NULL)
    set_number(out, "v", add_numbers(r->base_value, value));
  else if (!has_value_field(record) && json_object_get(record, "s") == NULL)
    set_number(out, "v", add_numbers(r->base_value, NULL));
}

/* Copies the fields that no base value touches. */
static void copy_rest(json_t *record, json_t *out)
{
  const char *label;
  json_t *value;
  json_object_foreach(record, label, value)
  {
    if (json_object_get(out, label) == NULL && rule_of(label) == NULL)
      json_object_set(out, label, value);
    else if (strcmp(label, "vs") == 0 || strcmp(label, "vb") == 0 || strcmp(label, "vd") == 0 ||
             strcmp(label, "ut") == 0)
      json_object_set(out, label, value);
  }
}

/* The resolved record, or NULL. */
static json_t *resolve_record(resolver *r, json_t *record)
{
  char name[NAME_SIZE];
  if (!fields_are_valid(r, record))
    return NULL;
  take_bases(r, record);
  const char *own = json_string_value(json_object_get(record, "n"));
  const int len = snprintf(name, sizeof name, "%s%s", r->base_name != NULL ? r->base_name : "",
                           own != NULL ? own : "");
  if (len >= NAME_SIZE || (r->kind != PACK_STORED && !name_is_valid(name))) {
    is_invalid(r, "the resolved name is too long or not made of A-Z, a-z, 0-9 and -:./_");
    return NULL;
  }
  if ((size_t)len > r->names_left) {
    problem_set(r->why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "The resolved names are too long");
    return NULL;
  }
  r->names_left -= (size_t)len;
  json_t *out = json_object();
  if (len > 0)
    json_object_set_new(out, "n", json_string(name));
  const json_t *unit = json_object_get(record, "u");
  unit = unit != NULL ? unit : r->base_unit;
  if (unit != NULL)
    json_object_set(out, "u", (json_t *)unit);
  resolve_value(r, record, out);
  set_number(out, "t", add_numbers(r->base_time, json_object_get(record, "t")));
  set_number(out, "s", add_numbers(r->base_sum, json_object_get(record, "s")));
  copy_rest(record, out);
  return out;
}

static json_t *resolve_pack(const json_t *pack, pack_kind kind, problem *why)
{
  resolver r = {.kind = kind, .names_left = SENML_NAMES_MAX, .why = why};
  if (!json_is_array(pack) || (kind != PACK_STORED && json_array_size(pack) == 0)) {
    is_invalid(&r, "a Pack is an array of records");
    return NULL;
  }
  json_t *all = json_array();
  for (; r.index < json_array_size(pack); r.index++) {
    json_t *record = resolve_record(&r, json_array_get(pack, r.index));
    if (record == NULL) {
      json_decref(all);
      return NULL;
    }
    json_array_append_new(all, record);
  }
  return all;
}

json_t *senml_resolve(const json_t *pack, problem *why)
{
  return resolve_pack(pack, PACK_STORED, why);
}

/* ------------------------------------------------------------------------------------------------
 * matching */

static bool fields_equal(const json_t *a, const json_t *b)
{
  if (json_is_number(a) && json_is_number(b))
    return json_number_value(a) == json_number_value(b);
  return a == b || json_equal(a, b);
}

/* What of a record is compared, looked up once: each is compared with many. Lent by the record. */
typedef struct subject {
  const char *name; /* NULL when there is none */
  size_t name_len;
  const json_t *time;
  const json_t *unit;
} subject;

static subject subject_of(const json_t *record)
{
  const json_t *name = json_object_get(record, "n");
  return (subject){.name = json_string_value(name),
                   .name_len = json_string_length(name),
                   .time = json_object_get(record, "t"),
                   .unit = json_object_get(record, "u")};
}

/* Those of an array, with room for `more`. NULL without memory. */
static subject *subjects_of(const json_t *records, size_t more, problem *why)
{
  const size_t count = json_array_size(records);
  subject *all = calloc(count + more + 1, sizeof *all);
  if (all == NULL)
    problem_set_unavailable(why, 1, "No memory for the records; try again");
  for (size_t i = 0; all != NULL && i < count; i++)
    all[i] = subject_of(json_array_get(records, i));
  return all;
}

/* A record matches a selector when the name is the same, and time and unit where the selector has
 * them. */
static bool is_selected(const subject *record, const subject *selector)
{
  const size_t len = selector->name_len;
  return record->name_len == len && (len == 0 || memcmp(record->name, selector->name, len) == 0) &&
         (selector->time == NULL || fields_equal(record->time, selector->time)) &&
         (selector->unit == NULL || fields_equal(record->unit, selector->unit));
}

static bool work_is_bounded(const json_t *pack, const json_t *selectors, problem *why)
{
  const size_t grown = json_array_size(pack) + json_array_size(selectors);
  if (json_array_size(selectors) == 0 || grown <= SENML_WORK_MAX / json_array_size(selectors))
    return true;
  problem_set(why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE,
              "Too many records at once; split the request");
  return false;
}

/* The records of the pack that one of `count` selectors fits. */
static json_t *select_records(const json_t *pack, const subject *selectors, size_t count)
{
  json_t *found = json_array();
  for (size_t i = 0; i < json_array_size(pack); i++) {
    json_t *record = json_array_get(pack, i);
    const subject s = subject_of(record);
    size_t k = 0;
    while (k < count && !is_selected(&s, &selectors[k]))
      k++;
    if (k < count)
      json_array_append(found, record);
  }
  return found;
}

json_t *senml_fetch(const json_t *pack, const json_t *fetch, problem *why)
{
  json_t *selectors = resolve_pack(fetch, PACK_FETCH, why);
  json_t *found = NULL;
  if (selectors != NULL && work_is_bounded(pack, selectors, why)) {
    subject *all = subjects_of(selectors, 0, why);
    if (all != NULL)
      found = select_records(pack, all, json_array_size(selectors));
    free(all);
  }
  json_decref(selectors);
  return found;
}

/* ------------------------------------------------------------------------------------------------
 * patching */

/* A Pack that is being patched: `subjects[i]` is that of its record i. */
typedef struct patching {
  json_t *pack;
  subject *subjects;
} patching;

static void remove_record(patching *p, size_t at)
{
  const size_t behind = json_array_size(p->pack) - at - 1;
  memmove(&p->subjects[at], &p->subjects[at + 1], behind * sizeof *p->subjects);
  json_array_remove(p->pack, at);
}

/* At the end, or instead of what is there. */
static bool put_record(patching *p, size_t at, json_t *record)
{
  const bool is_new = at == json_array_size(p->pack);
  p->subjects[at] = subject_of(record);
  return (is_new ? json_array_append(p->pack, record) : json_array_set(p->pack, at, record)) == 0;
}

/* One record is replaced, added or removed. RFC 8790 section 3.2. */
static bool patch_record(patching *p, json_t *record, size_t index, problem *why)
{
  const resolver r = {.kind = PACK_PATCH, .index = index, .why = why};
  const subject s = subject_of(record);
  const size_t count = json_array_size(p->pack);
  size_t matches = 0;
  size_t at = count;
  if (!has_value_field(record) && json_object_get(record, "s") == NULL)
    return is_invalid(&r, "needs a value or a sum");
  for (size_t i = 0; i < count; i++)
    if (is_selected(&p->subjects[i], &s)) {
      matches++;
      at = i;
    }
  if (matches > 1)
    return is_invalid(&r, "matches several records; add its time or unit");
  if (json_is_null(json_object_get(record, "v"))) {
    if (matches == 1)
      remove_record(p, at);
    return true;
  }
  const bool is_same = matches == 1 && fields_equal(p->subjects[at].time, s.time) &&
                       fields_equal(p->subjects[at].unit, s.unit);
  return put_record(p, is_same ? at : count, record) || is_invalid(&r, "no memory");
}

bool senml_patch(json_t *pack, const json_t *patch, problem *why)
{
  json_t *records = resolve_pack(patch, PACK_PATCH, why);
  patching p = {.pack = pack};
  if (records != NULL && work_is_bounded(pack, records, why))
    p.subjects = subjects_of(pack, json_array_size(records), why);
  bool is_applied = p.subjects != NULL;
  for (size_t i = 0; is_applied && i < json_array_size(records); i++)
    is_applied = patch_record(&p, json_array_get(records, i), i, why);
  free(p.subjects);
  json_decref(records);
  return is_applied;
}
