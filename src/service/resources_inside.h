/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the service for resources, shared by its methods and seen by nobody else. RFC 7252
 * section 5.8, RFC 8132. */
#ifndef SERVICE_RESOURCES_INSIDE_H
#define SERVICE_RESOURCES_INSIDE_H

#include <pthread.h>

#include "service/linkmemo.h"
#include "service/opids.h"
#include "service/pending.h"
#include "service/problem.h"
#include "service/qbodies.h"
#include "service/questions.h"
#include "service/registrations.h"
#include "service/resources.h"
#include "service/subjects.h"
#include "service/uploads.h"

typedef struct resources {
  service base;
  resources_cfg cfg;
  pendings *pendings;
  subjects *subjects;
  registrations *registrations;
  registrations_user *restorer; /* the subjects' */
  opids *opids;
  uploads *uploads;
  qbodies *qbodies;
  questions *questions;
  linkmemo histories;
  pthread_mutex_t counts_lock;
  resources_counts counts;
} resources;

/* Adds one to a counter of the service. */
void resources_count_up(resources *s, uint64_t *counter);

/* Answers the request being handled with an error: what the problem says, 4.04, 5.00 for what
 * cannot be read, 4.12, 5.03 for want of room. Returns what the endpoint returned. */
int resources_refuse(const handler_req *req, const problem *why);
int resources_refuse_absent(const handler_req *req);
int resources_refuse_damaged(const handler_req *req);
int resources_refuse_condition(const handler_req *req);
int resources_refuse_busy(resources *s, const handler_req *req);

/* True when there is a query. */
bool resources_has_query(const handler_req *req);

/* The link attributes in the query, in the request's arena. Returns false with the reason. */
bool resources_query_attrs(const handler_req *req, copal_span *attrs, problem *why);

/* ------------------------------------------------------------------------------------------------
 * change.c: changes under way */

/* A pending change of the request's key, not submitted yet; NULL when there are too many. */
pending *change_begin(resources *s, const handler_req *req, const ask *a);

/* Keeps the request's body readable until the change is done, when it came in blocks; `op.body` is
 * the caller's to set. Returns false when the body is gone with the request. */
bool change_borrow(pending *p, const ask *a);

/* Submits for the first time: answers now, or returns COPAL_EPENDING. `p` is given. */
int change_submit(resources *s, pending *p, const handler_req *req);

/* Submits again, from a completion. */
void change_resubmit(pending *p);

/* The time in a completion. */
copal_time change_now(const pending *p);

/* What a change that did not take effect is answered with. */
void change_problem(const resources *s, problem *why, store_status status);

/* Completions: each answers and gives the pending back. */
void change_answer_problem(pending *p, const problem *why);
void change_finish_failed(pending *p, store_status status);
void change_finish_put(pending *p, const store_result *result);
void change_finish_delete(pending *p, const store_result *result);

/* Refuses a request for what is stored now, unless that is what the request itself has made of it:
 * the store is asked for its result by an operation that cannot do anything else. Returns as
 * change_submit(). */
int change_refuse_unless_done(resources *s, const handler_req *req, const ask *a,
                              const problem *why);

/* ------------------------------------------------------------------------------------------------
 * The methods: each answers now, or returns COPAL_EPENDING. `a` holds the request's options. */

/* reading.c */
int reading_on_get(resources *s, const handler_req *req, const ask *a);
int reading_on_fetch(resources *s, const handler_req *req, const ask *a);

/* replacing.c */
int replacing_on_put(resources *s, const handler_req *req, const ask *a);
int replacing_on_delete(resources *s, const handler_req *req, const ask *a);

/* posting.c; the second is the completion of what made a child. */
int posting_on_request(resources *s, const handler_req *req, const ask *a);
void posting_finish_created(pending *p, const store_result *result);

/* patching.c */
int patching_on_request(resources *s, const handler_req *req, const ask *a);

#endif
