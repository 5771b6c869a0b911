/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run counts. */
#include "cmd/copal/load/account.h"

#include <stddef.h>

uint64_t wrongs_sum(const wrongs *w)
{
  return w->malformed + w->type + w->mid + w->token + w->code + w->payload + w->block +
         w->backwards;
}

uint64_t account_faults(const account *a)
{
  return wrongs_sum(&a->wrong) + a->timeouts + a->resets + a->refused + a->handshakes_failed +
         a->sessions_lost + a->refusals + a->send_failed;
}

static void merge_wrongs(wrongs *w, const wrongs *from)
{
  w->malformed += from->malformed;
  w->type += from->type;
  w->mid += from->mid;
  w->token += from->token;
  w->code += from->code;
  w->payload += from->payload;
  w->block += from->block;
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
  a->duplicates += from->duplicates;
  a->late += from->late;
  a->unanswered += from->unanswered;
  a->unsent += from->unsent;
  a->send_failed += from->send_failed;
  a->ports_changed += from->ports_changed;
  for (size_t i = 0; i < sizeof a->codes / sizeof a->codes[0]; i++)
    a->codes[i] += from->codes[i];
  merge_wrongs(&a->wrong, &from->wrong);
  histogram_merge(&a->latency, &from->latency);
  histogram_merge(&a->uncorrected, &from->uncorrected);
  a->observers += from->observers;
  a->refusals += from->refusals;
  a->changes += from->changes;
  a->expected += from->expected;
  a->missing += from->missing;
  a->repeated += from->repeated;
  a->confirmable += from->confirmable;
  a->skipped += from->skipped;
  a->incomplete += from->incomplete;
}
