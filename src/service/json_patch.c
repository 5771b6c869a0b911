/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Merge Patch and JSON Patch. RFC 7396, RFC 6902, pointers of RFC 6901. */
#include "service/json_patch.h"

#include <stdlib.h>
#include <string.h>

#include "copal/registry.h"
#include "service/json_text.h"

enum {
  TOKEN_SIZE = 512, /* of a pointer's reference token, with its NUL */
  VALUE_WORK = 8,   /* bytes that any value counts for: a list of digits is more work than a text */
};

/* ------------------------------------------------------------------------------------------------
 * merge patch */

json_t *json_merge_patch(json_t *target, json_t *patch)
{
  if (!json_is_object(patch)) {
    json_decref(target);
    return json_incref(patch);
  }
  if (!json_is_object(target)) {
    json_decref(target);
    target = json_object();
  }
  const char *name;
  json_t *value;
  json_object_foreach(patch, name, value)
  {
    if (json_is_null(value)) {
      json_object_del(target, name);
      continue;
    }
    json_t *present = json_incref(json_object_get(target, name));
    if (json_object_set_new(target, name, json_merge_patch(present, value)) != 0) {
      json_decref(target);
      return NULL;
    }
  }
  return target;
}

/* ------------------------------------------------------------------------------------------------
 * pointers, RFC 6901 */

/* One operation on its way. */
typedef struct run {
  json_t **root;
  const json_t *op;
  size_t index;     /* of the operation, for errors */
  size_t work_left; /* bytes of values that "copy" and "move" may still take along */
  problem *why;
} run;

/* Where a pointer leads: the value's parent and the name or index in it. The root has no parent. */
typedef struct place {
  json_t *parent;
  char token[TOKEN_SIZE];
  size_t at; /* in an array; its size for "-" */
  size_t depth;
} place;

static bool is_invalid(run *r, const char *reason)
{
  problem_set(r->why, COPAL_CODE_UNPROCESSABLE_ENTITY, "JSON Patch operation %zu: %s", r->index,
              reason);
  return false;
}

static bool is_conflict(run *r, const char *reason)
{
  problem_set(r->why, COPAL_CODE_CONFLICT, "JSON Patch operation %zu: %s", r->index, reason);
  return false;
}

/* Reads the token behind a slash and unescapes it: ~0 and ~1. `*at` moves to the next slash or the
 * end. */
static bool read_token(run *r, const char **at, char token[TOKEN_SIZE])
{
  size_t len = 0;
  const char *p = *at + 1;
  for (; *p != '\0' && *p != '/'; p++) {
    char c = *p;
    if (c == '~') {
      p++;
      if (*p != '0' && *p != '1')
        return is_invalid(r, "'~' in a pointer must be written ~0, and '/' ~1");
      c = *p == '0' ? '~' : '/';
    }
    if (len == TOKEN_SIZE - 1)
      return is_invalid(r, "a name in a pointer is too long");
    token[len++] = c;
  }
  token[len] = '\0';
  *at = p;
  return true;
}

/* An index of RFC 6901 section 4: digits without leading zeros, or "-" for the end. */
static bool read_index(const json_t *array, const char *token, size_t *at)
{
  const size_t len = strlen(token);
  if (strcmp(token, "-") == 0) {
    *at = json_array_size(array);
    return true;
  }
  if (len == 0 || len > 9 || strspn(token, "0123456789") != len || (token[0] == '0' && len > 1))
    return false;
  *at = (size_t)strtoul(token, NULL, 10);
  return true;
}

/* The value at a place, or NULL. */
static json_t *place_value(const run *r, const place *p)
{
  if (p->parent == NULL)
    return *r->root;
  return json_is_array(p->parent) ? json_array_get(p->parent, p->at)
                                  : json_object_get(p->parent, p->token);
}

/* Finds where a pointer leads; all but its last token must exist. */
static bool find_place(run *r, const char *pointer, place *p)
{
  *p = (place){0};
  if (pointer[0] != '\0' && pointer[0] != '/')
    return is_invalid(r, "a pointer must be empty or begin with '/'");
  for (const char *at = pointer; *at != '\0';) {
    json_t *parent = place_value(r, p);
    if (!json_is_object(parent) && !json_is_array(parent))
      return is_conflict(r, "the location's parent does not exist");
    if (!read_token(r, &at, p->token))
      return false;
    p->parent = parent;
    p->depth++;
    if (json_is_array(parent) && !read_index(parent, p->token, &p->at))
      return is_conflict(r, "the location is in an array and is no index of it");
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * operations, RFC 6902 section 4 */

static size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

/* Nesting of a value: 1 for one that holds nothing. */
static size_t depth_of(const json_t *value)
{
  size_t deepest = 0;
  for (size_t i = 0; i < json_array_size(value); i++)
    deepest = larger(deepest, depth_of(json_array_get(value, i)));
  json_t *object = (json_t *)value; /* the iterator is not const-correct */
  for (void *it = json_object_iter(object); it != NULL; it = json_object_iter_next(object, it))
    deepest = larger(deepest, depth_of(json_object_iter_value(it)));
  return deepest + 1;
}

/* Counts values, but not beyond `max`; in bytes of their text, roughly, but no value is for free.
 */
static size_t size_of(const json_t *value, size_t max)
{
  size_t size = VALUE_WORK + json_string_length(value);
  for (size_t i = 0; i < json_array_size(value) && size <= max; i++)
    size += size_of(json_array_get(value, i), max - size);
  json_t *object = (json_t *)value;
  for (void *it = json_object_iter(object); it != NULL && size <= max;
       it = json_object_iter_next(object, it))
    size += strlen(json_object_iter_key(it)) + size_of(json_object_iter_value(it), max - size);
  return size;
}

/* Puts a value, which is given, where it does not deepen the document. */
static bool put_at(run *r, const place *p, json_t *value)
{
  if (p->parent == NULL) {
    json_decref(*r->root);
    *r->root = value;
    return true;
  }
  if (json_is_object(p->parent))
    return json_object_set_new(p->parent, p->token, value) == 0 || is_invalid(r, "no memory");
  if (p->at > json_array_size(p->parent)) {
    json_decref(value);
    return is_conflict(r, "the index is beyond the end of the array");
  }
  return json_array_insert_new(p->parent, p->at, value) == 0 || is_invalid(r, "no memory");
}

/* Adds a value, which is given. */
static bool add_at(run *r, const place *p, json_t *value)
{
  if (p->depth + depth_of(value) <= JSON_PATCH_DEPTH_MAX)
    return put_at(r, p, value);
  json_decref(value);
  return is_invalid(r, "the result would be nested too deeply");
}

/* Pays for work on a value: copies of copies grow exponentially, and moves to and fro add up. */
static bool take_work(run *r, const json_t *value)
{
  const size_t size = size_of(value, r->work_left);
  if (size > r->work_left) {
    problem_set(r->why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE,
                "JSON Patch operation %zu: copies and moves too much", r->index);
    return false;
  }
  r->work_left -= size;
  return true;
}

/* Takes the value at a place out; NULL when there is none. */
static json_t *take_at(run *r, const place *p)
{
  json_t *value = json_incref(place_value(r, p));
  if (value == NULL)
    return NULL;
  if (p->parent == NULL) {
    json_decref(*r->root);
    *r->root = json_null();
  } else if (json_is_object(p->parent)) {
    json_object_del(p->parent, p->token);
  } else {
    json_array_remove(p->parent, p->at);
  }
  return value;
}

static bool is_missing(run *r)
{
  return is_conflict(r, "the location does not exist");
}

/* The member "value", which must be there. */
static json_t *operand(run *r)
{
  json_t *value = json_object_get(r->op, "value");
  if (value == NULL)
    is_invalid(r, "member \"value\" is missing");
  return value;
}

static bool run_add(run *r, const place *to)
{
  json_t *value = operand(r);
  return value != NULL && add_at(r, to, json_deep_copy(value));
}

static bool run_remove(run *r, const place *at)
{
  json_t *gone = take_at(r, at);
  if (gone == NULL)
    return is_missing(r);
  json_decref(gone);
  return true;
}

static bool run_replace(run *r, const place *at)
{
  json_t *value = operand(r);
  if (value == NULL)
    return false;
  json_t *gone = take_at(r, at);
  if (gone == NULL)
    return is_missing(r);
  json_decref(gone);
  return add_at(r, at, json_deep_copy(value));
}

/* "equal" of RFC 6902 section 4.6: numbers by value, whatever their notation. */
static bool values_equal(const json_t *a, const json_t *b)
{
  if (json_is_number(a) && json_is_number(b))
    return json_is_integer(a) && json_is_integer(b) ? json_integer_value(a) == json_integer_value(b)
                                                    : json_number_value(a) == json_number_value(b);
  if (json_is_array(a) && json_is_array(b)) {
    bool are_equal = json_array_size(a) == json_array_size(b);
    for (size_t i = 0; are_equal && i < json_array_size(a); i++)
      are_equal = values_equal(json_array_get(a, i), json_array_get(b, i));
    return are_equal;
  }
  if (!json_is_object(a) || !json_is_object(b))
    return json_equal(a, b);
  bool are_equal = json_object_size(a) == json_object_size(b);
  json_t *object = (json_t *)a;
  for (void *it = json_object_iter(object); are_equal && it != NULL;
       it = json_object_iter_next(object, it)) {
    const json_t *other = json_object_get(b, json_object_iter_key(it));
    are_equal = other != NULL && values_equal(json_object_iter_value(it), other);
  }
  return are_equal;
}

static bool run_test(run *r, const place *at)
{
  const json_t *value = operand(r);
  if (value == NULL)
    return false;
  const json_t *present = place_value(r, at);
  if (present == NULL)
    return is_missing(r);
  return values_equal(present, value) || is_conflict(r, "the test fails");
}

/* The pointer "from", which must be there. */
static bool find_source(run *r, place *from, const char **pointer)
{
  *pointer = json_string_value(json_object_get(r->op, "from"));
  if (*pointer == NULL)
    return is_invalid(r, "member \"from\" is missing or no string");
  return find_place(r, *pointer, from);
}

static bool run_copy(run *r, const place *to)
{
  place from;
  const char *pointer;
  if (!find_source(r, &from, &pointer))
    return false;
  const json_t *value = place_value(r, &from);
  if (value == NULL)
    return is_missing(r);
  return take_work(r, value) && add_at(r, to, json_deep_copy(value));
}

/* A value cannot be moved into itself; the target is found in what is left after removal. */
static bool run_move(run *r, const char *to_pointer)
{
  place from;
  const char *pointer;
  if (!find_source(r, &from, &pointer))
    return false;
  const size_t len = strlen(pointer);
  if (strncmp(pointer, to_pointer, len) == 0 && to_pointer[len] == '/')
    return is_invalid(r, "a value cannot be moved into itself");
  json_t *value = take_at(r, &from);
  if (value == NULL)
    return is_missing(r);
  place to;
  const bool is_found = find_place(r, to_pointer, &to);
  if (is_found && to.depth <= from.depth)
    return put_at(r, &to, value);
  if (is_found && take_work(r, value))
    return add_at(r, &to, value);
  json_decref(value);
  return false;
}

static bool run_op(run *r)
{
  static const struct {
    const char *name;
    bool (*apply)(run *r, const place *at);
  } ops[] = {{"add", run_add},
             {"remove", run_remove},
             {"replace", run_replace},
             {"copy", run_copy},
             {"test", run_test}};
  const char *name = json_string_value(json_object_get(r->op, "op"));
  const char *path = json_string_value(json_object_get(r->op, "path"));
  if (name == NULL || path == NULL)
    return is_invalid(r, "members \"op\" and \"path\" must be strings");
  if (strcmp(name, "move") == 0)
    return run_move(r, path);
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    if (strcmp(name, ops[i].name) == 0) {
      place at;
      return find_place(r, path, &at) && ops[i].apply(r, &at);
    }
  return is_invalid(r, "\"op\" must be add, remove, replace, move, copy or test");
}

bool json_patch(json_t **target, const json_t *patch, size_t work_max, problem *why)
{
  if (!json_is_array(patch)) {
    problem_set(why, COPAL_CODE_UNPROCESSABLE_ENTITY, "A JSON Patch is an array of operations");
    return false;
  }
  const size_t count = json_array_size(patch);
  if (count > JSON_PATCH_OPS_MAX) {
    problem_set(why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE,
                "A JSON Patch may have at most %d operations", JSON_PATCH_OPS_MAX);
    return false;
  }
  run r = {.root = target, .work_left = work_max, .why = why};
  for (r.index = 0; r.index < count; r.index++) {
    r.op = json_array_get(patch, r.index);
    if (!run_op(&r))
      return false;
  }
  return true;
}
