/* SPDX-License-Identifier: Apache-2.0 */
/* A server for transfers in blocks: resources with versions that change, uploads put together by
 * copal_assembly, answers as long as what was sent, challenges, late answers, small block sizes. It
 * notes what it carried out and whether a body was mixed up. */
#ifndef SIM_BLOCK_SERVER_H
#define SIM_BLOCK_SERVER_H

#include "block_world.h"
#include "copal/assembly.h"

enum {
  BLOCK_RESOURCES = 2,
  BLOCK_BODY_MAX = 700,
  BLOCK_VERSIONS_MAX = 48,
  BLOCK_IDS_MAX = 256, /* of bodies */
  BLOCK_SLOTS = 6,
  BLOCK_LATE_MAX = 32,
  BLOCK_LIFETIME_S = 300, /* of an unfinished upload */
};

typedef struct block_body {
  size_t len;
  uint8_t bytes[BLOCK_BODY_MAX];
} block_body;

/* An upload under way, or the answer to one. */
typedef struct block_slot {
  copal_assembly assembly;
  copal_time used_at;
  uint8_t client, resource, tag, code;
  uint32_t answer; /* the body it answers */
  block_body body;
} block_slot;

typedef struct block_late {
  copal_xref exchange; /* 0: unused */
  copal_code code;
  bool has_block1;
  copal_block block1;
  uint8_t client, resource, tag;
  bool is_executed; /* by this very request; `id` is the body it sent */
  uint32_t id;
} block_late;

struct block_server;

/* A resource as observers see it. */
typedef struct block_subject {
  copal_subject base;
  struct block_server *server;
  uint8_t resource;
} block_subject;

typedef struct block_server {
  copal_server base;
  block_world *world;
  sim_rng rng;
  uint64_t seed;
  uint8_t echo_percent, late_percent;
  uint8_t szx1_max;  /* of uploads */
  bool refuses_size; /* larger ones get 4.13, instead of being asked for smaller ones */
  block_subject subjects[BLOCK_RESOURCES];
  uint32_t version[BLOCK_RESOURCES]; /* the newest */
  uint32_t ids[BLOCK_RESOURCES][BLOCK_VERSIONS_MAX];
  uint32_t id_count;
  unsigned executions[BLOCK_IDS_MAX];
  unsigned mixed; /* bodies received that nobody sent */
  unsigned bad_echoes;
  block_slot uploads[BLOCK_SLOTS], answers[BLOCK_SLOTS];
  block_late late[BLOCK_LATE_MAX];
} block_server;

/* The body with that number; its first four bytes are the number. */
void block_body_make(const block_server *s, uint32_t id, block_body *body);

/* What a POST of that body is answered with. */
void block_body_answer(const block_body *sent, block_body *answer);

void block_server_init(block_server *s, block_world *w, uint64_t seed);

/* A number for a new body. */
uint32_t block_server_id(block_server *s);

/* The resource gets a new version by itself. */
void block_server_change(block_server *s, uint8_t resource);

/* Answers what was put off; `cookie` is below BLOCK_LATE_MAX. */
void block_server_wake(block_server *s, uint32_t cookie);

/* Forgets unfinished uploads, answers and what was put off. */
void block_server_forget(block_server *s);

/* Forgets what was left unfinished for too long; returns what remains. */
unsigned block_server_unfinished(block_server *s);

#endif
