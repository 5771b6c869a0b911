/* SPDX-License-Identifier: Apache-2.0 */
/* What the options of a request ask for. RFC 7252 section 5.10. */
#ifndef SERVICE_ASK_H
#define SERVICE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "service/lender.h"
#include "service/problem.h"
#include "store/store.h"

/* A value that can be kept across a deferral, but for the lender. */
typedef struct ask {
  uint16_t content_format; /* or STORE_NO_FORMAT */
  uint32_t max_age_s;      /* or STORE_NO_MAX_AGE */
  bool if_none_match;
  bool if_match;        /* at least one If-Match */
  bool if_match_exists; /* one of them is empty: any representation will do */
  size_t if_match_count;
  store_etag if_match_tags[STORE_ETAG_MAX]; /* those that could be ours */
  size_t etag_count;
  store_etag etags[STORE_ETAG_MAX]; /* ETag options that could be ours; what exceeds is passed over,
                                       which costs a transfer */
  lender *body;  /* of the request's body; NULL: it is gone when the request has been handled */
  store_opid id; /* of a request that must not be carried out twice; zero when it is read */
} ask;

/* Reads the options of a request. Returns false and the reason when they cannot be honoured. */
bool ask_parse(ask *a, const copal_req *req, problem *why);

/* Puts the conditions of the request into a change. */
void ask_condition(const ask *a, store_op *op);

/* True when the conditions hold for what is stored now; NULL: nothing. RFC 7252 section 5.10.8. */
bool ask_holds(const ask *a, const store_item *item);

/* True when no representation whatever meets the conditions. */
bool ask_is_hopeless(const ask *a);

/* True when one of the ETag options is that of the representation. RFC 7252 section 5.10.6.2. */
bool ask_has_valid(const ask *a, const store_item *item);

#endif
