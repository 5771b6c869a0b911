/* SPDX-License-Identifier: Apache-2.0 */
/* A request to a group: sent on each interface, answered by whoever listens. RFC 7252 section 8. */
#ifndef COPAL_CMD_GROUP_H
#define COPAL_CMD_GROUP_H

#include <stddef.h>

#include "cmd/copal/feed.h"
#include "cmd/copal/run.h"

/* What one member answered; `result.reply.from` is its address. */
typedef struct group_answer {
  const job *job; /* the request it answers */
  transfer_result result;
} group_answer;

typedef struct group group;

/* Told of each answer as it comes, once for each member. */
typedef struct group_listener {
  void (*on_answer)(struct group_listener *l, const group_answer *answer);
} group_listener;

/* A group request on `s`; `listener` may be NULL. All is lent until group_close(). */
group *group_open(session *s, const args *a, group_listener *listener);
void group_close(group *g);

/* Sends a prepared request to its group, on the interface of --interface or of the address' zone,
 * or on all that can. Complains on failure. */
status group_ask(group *g, const job *j);

/* Collects answers until --timeout, or until interrupted. What a member could not say in one
 * datagram is fetched from it alone: RFC 7959 section 2.8. Returns STATUS_OK when there was a
 * success, else the status of the first answer, or why there was none; then it has complained. */
status group_collect(group *g);

/* What was collected, by arrival. */
const group_answer *group_answers(const group *g, size_t *count);

/* Runs a prepared request and prints each answer under its source. */
status group_run(job *j, const args *a);

#endif
