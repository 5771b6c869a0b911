/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902) on parsed values. */
#ifndef SERVICE_JSON_PATCH_H
#define SERVICE_JSON_PATCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "service/problem.h"

enum {
  JSON_PATCH_OPS_MAX = 1024,  /* operations in one patch; beyond that 4.13 */
  JSON_PATCH_DEPTH_MAX = 512, /* nesting that a patch may make; beyond that 4.22 */
};

/* The result of a merge patch. `target` is given, may be NULL (undefined), and `patch` borrowed;
 * the result is the caller's. NULL without memory. RFC 7396 section 2. */
json_t *json_merge_patch(json_t *target, json_t *patch);

/* Applies a JSON Patch to `*target`, which is replaced as needed. `work_max` bounds the bytes of
 * values that "copy" and "move" take along, each of which counts for eight beside its text, but for
 * moves that go no deeper. Returns false and 4.09 (a test fails, a location is missing), 4.13
 * or 4.22 (not a JSON Patch); `*target` is then of no use but still the caller's. RFC 6902, RFC
 * 6901. */
bool json_patch(json_t **target, const json_t *patch, size_t work_max, problem *why);

#endif
