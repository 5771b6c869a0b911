/* SPDX-License-Identifier: Apache-2.0 */
/* A transfer over the endpoint of the fixture: its hooks record, and hold or fail when told. */
#ifndef UNIT_CORE_PROTO_TRANSFER_STAGE_H
#define UNIT_CORE_PROTO_TRANSFER_STAGE_H

#include "copal/transfer.h"
#include "unit/core/proto/fixture.h"

enum { STAGE_BODY_MAX = 4096, STAGE_OPTS = 4 };

/* 36 bytes: two blocks of 16 and a rest. */
#define STAGE_BODY "0123456789abcdefFEDCBA9876543210rest"

typedef struct stage {
  copal_transfer t;
  fixture *f;
  copal_transfer_request rq;
  copal_opt opts[STAGE_OPTS];
  copal_opt room[STAGE_OPTS + COPAL_TRANSFER_OPTS];
  uint8_t block[1024];

  /* what read() supplies */
  const uint8_t *source;
  size_t source_len;
  bool knows_end;  /* sets *is_end */
  int read_result; /* instead, once */
  unsigned reads;

  /* what write() got */
  uint8_t body[STAGE_BODY_MAX];
  size_t body_len;
  int64_t total;
  bool has_last;
  int write_result; /* returned, once */
  unsigned writes;

  unsigned progresses, restarts, stalls, states, dones;
  uint32_t sent, received;
  copal_transfer_result state, result;
} stage;

/* A transfer of `code` to the path "a", in blocks of `block_size` both ways. */
void stage_init(stage *s, fixture *f, copal_code code, uint16_t block_size);

/* The body comes from read(). */
void stage_read(stage *s, const char *body, int64_t announced, bool knows_end);

int stage_start(stage *s);

/* The transfer is over, once, with that outcome and response body. */
void stage_expect_done(stage *s, int status, copal_code code, const char *body);

/* Nothing was told yet. */
void stage_expect_going(const stage *s);

#endif
