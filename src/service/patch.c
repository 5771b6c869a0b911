/* SPDX-License-Identifier: Apache-2.0 */
/* Dispatch of patches and selections by Content-Format. RFC 8132 sections 2 and 3. */
#include "service/patch.h"

#include <jansson.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/json_patch.h"
#include "service/json_text.h"
#include "service/senml.h"
#include "service/senml_cbor.h"
#include "store/store.h"

/* ------------------------------------------------------------------------------------------------
 * documents */

static bool is_json(uint16_t format)
{
  return format == COPAL_CF_JSON || format == COPAL_CF_SENML_JSON || format == COPAL_CF_TD_JSON ||
         format == COPAL_CF_AIF_JSON || format == COPAL_CF_COAP_GROUP_JSON ||
         format == COPAL_CF_LWM2M_JSON;
}

static bool is_senml(uint16_t format)
{
  return format == COPAL_CF_SENML_JSON || format == COPAL_CF_SENML_CBOR;
}

static bool is_etch(uint16_t format)
{
  return format == COPAL_CF_SENML_ETCH_JSON || format == COPAL_CF_SENML_ETCH_CBOR;
}

static bool is_cbor(uint16_t format)
{
  return format == COPAL_CF_SENML_CBOR || format == COPAL_CF_SENML_ETCH_CBOR;
}

/* The document of the request: 4.00 when it is malformed. RFC 8132 section 3.4. */
static json_t *read_document(const patch_job *job, problem *why)
{
  if (is_cbor(job->format)) {
    int err;
    json_t *value = senml_cbor_read(job->document, &err);
    if (err == COPAL_EINVAL)
      problem_set(why, COPAL_CODE_UNPROCESSABLE_ENTITY,
                  "The body is CBOR but holds items that SenML does not have");
    else if (value == NULL)
      problem_set(why, COPAL_CODE_BAD_REQUEST, "The body is not well-formed CBOR");
    return value;
  }
  json_error_t reason;
  json_t *value = json_text_read(job->document, &reason);
  if (value == NULL)
    problem_set(why, COPAL_CODE_BAD_REQUEST, "The body is not JSON, line %d column %d", reason.line,
                reason.column);
  return value;
}

/* The representation: what a client stored may not be what its Content-Format says. */
static json_t *read_target(const patch_job *job, problem *why)
{
  int err;
  json_t *value = is_cbor(job->target_format) ? senml_cbor_read(job->target, &err)
                                              : json_text_read(job->target, NULL);
  if (value == NULL)
    problem_set(why, COPAL_CODE_CONFLICT,
                "The representation is not what its Content-Format %u says; PUT a valid one",
                (unsigned)job->target_format);
  return value;
}

static bool write_result(const json_t *value, uint16_t format, const patch_job *job,
                         copal_mspan *result, problem *why)
{
  const int err = is_cbor(format) ? senml_cbor_write(value, job->result_max, result)
                                  : json_text_write(value, job->result_max, result);
  if (err == COPAL_ETOOBIG)
    problem_set_too_large(why, job->result_max);
  else if (err == COPAL_EINVAL)
    problem_set(why, COPAL_CODE_UNPROCESSABLE_ENTITY,
                "The result cannot be written in Content-Format %u", (unsigned)format);
  else if (err != COPAL_OK)
    problem_set_unavailable(why, 1, "No memory for the result; try again");
  return err == COPAL_OK;
}

/* ------------------------------------------------------------------------------------------------
 * patches */

/* Patches on `*target`, which is the caller's also on failure. */
static bool patch_json(const patch_job *job, json_t **target, const json_t *patch, problem *why)
{
  if (job->format == COPAL_CF_JSON_PATCH)
    return json_patch(target, patch, job->result_max, why);
  json_t *merged = json_merge_patch(json_incref(*target), (json_t *)patch);
  if (merged == NULL) {
    problem_set_unavailable(why, 1, "No memory for the result; try again");
    return false;
  }
  json_decref(*target);
  *target = merged;
  return true;
}

static bool patch_senml(json_t **target, const json_t *patch, problem *why)
{
  json_t *pack = senml_resolve(*target, why);
  if (pack == NULL)
    return false;
  json_decref(*target);
  *target = pack;
  return senml_patch(pack, patch, why);
}

/* 4.15 unless the document's format works on the target's. */
static bool formats_match(const patch_job *job, problem *why)
{
  const bool is_json_patch =
      job->format == COPAL_CF_JSON_PATCH || job->format == COPAL_CF_MERGE_PATCH;
  if (!is_json_patch && !is_etch(job->format)) {
    problem_set(why, COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT,
                "PATCH takes Content-Format 51 (JSON Patch), 52 (JSON Merge Patch), 320 or 322 "
                "(SenML etch)");
    return false;
  }
  if (is_json_patch ? is_json(job->target_format) : is_senml(job->target_format))
    return true;
  problem_set(why, COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT,
              is_json_patch ? "The resource is not JSON; Content-Format 51 and 52 work on JSON "
                              "resources (Content-Format 50)"
                            : "The resource is not SenML; Content-Format 320 and 322 work on SenML "
                              "resources (Content-Format 110, 112)");
  return false;
}

/* 4.13 when taking the texts apart would take too long. */
static bool sizes_are_bounded(const patch_job *job, problem *why)
{
  if (job->document.len > job->input_max) {
    problem_set_too_large(why, job->input_max);
    return false;
  }
  if (job->target.len <= job->input_max)
    return true;
  problem_set(why, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE,
              "The representation is too large for PATCH and FETCH: at most %u bytes",
              (unsigned)job->input_max);
  return false;
}

bool patch_apply(const patch_job *job, copal_mspan *result, problem *why)
{
  if (!formats_match(job, why) || !sizes_are_bounded(job, why))
    return false;
  json_t *patch = read_document(job, why);
  json_t *target = patch != NULL ? read_target(job, why) : NULL;
  bool is_done = target != NULL && (is_etch(job->format) ? patch_senml(&target, patch, why)
                                                         : patch_json(job, &target, patch, why));
  if (is_done)
    is_done = write_result(target, job->target_format, job, result, why);
  json_decref(target);
  json_decref(patch);
  return is_done;
}

/* ------------------------------------------------------------------------------------------------
 * selections */

bool patch_select(const patch_job *job, uint32_t accept, copal_mspan *result, uint16_t *format,
                  problem *why)
{
  if (!is_etch(job->format) || !is_senml(job->target_format)) {
    problem_set(why, COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT,
                "FETCH takes Content-Format 320 or 322 (SenML etch) on SenML resources "
                "(Content-Format 110, 112)");
    return false;
  }
  *format = accept == REPLY_ANY_FORMAT ? job->target_format : (uint16_t)accept;
  if (!is_senml(*format)) {
    problem_set(why, COPAL_CODE_NOT_ACCEPTABLE,
                "Only Content-Format 110 and 112 (SenML) are available");
    return false;
  }
  if (!sizes_are_bounded(job, why))
    return false;
  json_t *fetch = read_document(job, why);
  json_t *target = fetch != NULL ? read_target(job, why) : NULL;
  json_t *pack = target != NULL ? senml_resolve(target, why) : NULL;
  json_t *found = pack != NULL ? senml_fetch(pack, fetch, why) : NULL;
  const bool is_done = found != NULL && write_result(found, *format, job, result, why);
  json_decref(found);
  json_decref(pack);
  json_decref(target);
  json_decref(fetch);
  return is_done;
}
