/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run counts. */
#ifndef COPAL_CMD_LOAD_ACCOUNT_H
#define COPAL_CMD_LOAD_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/load/histogram.h"

/* Answers that are not what they should be. */
typedef struct wrongs {
  uint64_t malformed; /* no CoAP message */
  uint64_t type;      /* an acknowledgement of what was sent Non-confirmable, and the like */
  uint64_t mid;       /* an acknowledgement or Reset with a Message ID of another request or none */
  uint64_t token;     /* of no request that was ever sent by this client */
  uint64_t code;      /* not the one expected */
  uint64_t payload;   /* not the one expected, or a body whose blocks do not belong together */
  uint64_t block;     /* Block options that break RFC 7959 */
  uint64_t backwards; /* a notification with an older state than one before */
} wrongs;

/* A zeroed one is valid. */
typedef struct account {
  uint64_t answered;        /* whole, verified responses (of all blocks), or notifications */
  uint64_t messages;        /* messages in these: one for each block */
  uint64_t body_bytes;      /* in both directions */
  uint64_t retransmissions; /* of this side */
  uint64_t timeouts;        /* requests given up */
  uint64_t resets;
  uint64_t refused;    /* the network said that nobody is there */
  uint64_t handshakes; /* DTLS sessions begun */
  uint64_t handshakes_failed;
  uint64_t sessions_lost; /* ended by the server */
  uint64_t duplicates;    /* answers to what had been answered */
  uint64_t late;          /* answers to what had been given up; overtaken notifications */
  uint64_t unanswered;    /* requests that were under way when patience ended */
  uint64_t unsent;        /* requests or changes of the schedule for which there was no time */
  uint64_t send_failed;   /* messages that this machine could not send */
  uint64_t ports_changed; /* clients that had used up their Message IDs */
  uint64_t codes[256];
  wrongs wrong;
  histogram latency;     /* from when the request was due to its answer */
  histogram uncorrected; /* from when it was sent */

  /* observing */
  uint64_t observers;   /* registered */
  uint64_t refusals;    /* observers that the server did not register */
  uint64_t changes;     /* PUTs acknowledged */
  uint64_t expected;    /* notifications: the sum of the observers at each change */
  uint64_t missing;     /* of these, states that an observer had not seen in the end */
  uint64_t repeated;    /* notifications of a state that the observer had */
  uint64_t confirmable; /* notifications */
  uint64_t skipped;     /* states that an observer did not see, for a newer one took its place */
  uint64_t incomplete;  /* observers that did not get the last state */
} account;

void account_merge(account *a, const account *from);
uint64_t wrongs_sum(const wrongs *w);

/* What is wrong, and requests that came to nothing. */
uint64_t account_faults(const account *a);

#endif
