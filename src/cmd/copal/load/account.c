/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run counts. */
#include "cmd/copal/load/account.h"

#include <stddef.h>

uint64_t wrongs_sum(const wrongs *w)
{
  return w->malformed + w->type + w->mid + w->token + w->code + w->payload + w->backwards;
}

static void merge_wrongs(wrongs *w, const wrongs *from)
{
  w->malformed += from->malformed;
  w->type += from->type;
  w->mid += from->mid;
  w->token += from->token;
  w->code += from->code;
  w->payload += from->payload;
  w->backwards += from->backwards;
}

void account_merge(account *a, const account *from)
{
  a->answered += from->answered;
  a->messages += from->messages;
  a->body_bytes += from->body_bytes;
  a->retransmissions += from->retransmissions;
  a->timeouts += from->timeouts;
  a->resets += from->resets;
  a->refused += from->refused;
  a->handshakes += from->handshakes;
  a->handshakes_failed += from->handshakes_failed;
  a->sessions_lost += from->sessions_lost;
  a->late += from->late;
  a->unanswered += from->unanswered;
  for (size_t i = 0; i < sizeof a->codes / sizeof a->codes[0]; i++)
    a->codes[i] += from->codes[i];
  merge_wrongs(&a->wrong, &from->wrong);
  histogram_merge(&a->latency, &from->latency);
  a->observers += from->observers;
  a->refusals += from->refusals;
  a->changes += from->changes;
  a->confirmable += from->confirmable;
  a->skipped += from->skipped;
  a->incomplete += from->incomplete;
}
