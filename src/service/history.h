/* SPDX-License-Identifier: Apache-2.0 */
/* The past of a resource: GET with ?history=N answers the last representations as JSON. Documented
 * in docs/resources.md. */
#ifndef SERVICE_HISTORY_H
#define SERVICE_HISTORY_H

#include <stdbool.h>

#include "copal/span.h"
#include "server/handler.h"
#include "service/linkmemo.h"
#include "store/store.h"

/* The query argument that asks for the past: "history" for all that is kept, "history=N" for the
 * last N representations. */
#define HISTORY_QUERY "history"

/* True when a Uri-Query option asks for the past. */
bool history_is_asked(copal_span options);

/* Answers with the past of the resource, whose present representation is `item`, or with 2.03 when
 * the client has it already (`is_valid`), or with what is wrong with the request. `kept` has what
 * was told before, as long as the resource does not change. Returns what the endpoint returned. */
int history_answer(linkmemo *kept, const handler_req *req, const store_item *item, bool is_valid);

#endif
