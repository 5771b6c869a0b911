/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations in the store: written before the responses that tell of them, read again when a
 * shard starts.
 *
 * Writing. Each change of a relation becomes a change of the store, in order. At most
 * REGISTRATIONS_FLIGHT of them are with the store at a time and REGISTRATIONS_QUEUE wait; what
 * finds no room is counted. Who waits for a registration is told what became of it.
 *
 * Reading. After a pause, which lets the clock pass all sequence numbers of the time before, slices
 * of the store's records are restored between turns of the shard. Each client is to be notified
 * when its turn comes, REGISTRATIONS_RATE of them in a second. Records of clients that nothing
 * leads to any more are deleted.
 *
 * Threads: one object serves all shards; a shard's part is touched by its thread only. Without
 * handler_env.ways nothing is kept. RFC 7641 sections 4.1 and 4.5. */
#ifndef SERVICE_REGISTRATIONS_H
#define SERVICE_REGISTRATIONS_H

#include "service/registration.h"

enum {
  REGISTRATIONS_FLIGHT = 256,
  REGISTRATIONS_QUEUE = 1 << 16,
  REGISTRATIONS_SLICE = 256, /* records looked at in a turn */
  REGISTRATIONS_RATE = 1000, /* first notifications in a second, for each shard */
};

/* Before the first slice: more than sequence numbers may be ahead of the clock. RFC 7641
 * section 4.4. */
#define REGISTRATIONS_PAUSE (100 * COPAL_MILLISECOND)

typedef struct registrations registrations;

typedef struct registrations_counts {
  uint64_t saved;      /* written, also anew */
  uint64_t removed;    /* deleted: the observation has ended */
  uint64_t unsaved;    /* not written, for want of room or for an error */
  uint64_t restored;   /* observations that go on */
  uint64_t renewed;    /* the client itself was quicker */
  uint64_t refused;    /* no room for the observation */
  uint64_t disallowed; /* the access rules do not allow the observation any more */
  uint64_t dangling;   /* nothing leads to the client any more, or the record is damaged */
  uint64_t waiting;    /* changes that wait, now */
  uint64_t restoring;  /* shards that have not looked at all records yet, now */
} registrations_counts;

/* Waits for a registration to be stored. A block of malloc() that begins with this. */
typedef struct registrations_waiter {
  /* The registration is stored, or could not be. Runs on the shard. Frees the waiter. */
  void (*on_stored)(struct registrations_waiter *w, bool is_kept);

  /* Nobody will be told any more: frees the waiter. */
  void (*discard)(struct registrations_waiter *w);

  bool is_waiting; /* it has been given to a registration */
} registrations_waiter;

/* Makes observations of registrations. */
typedef struct registrations_user {
  /* Goes on with the observation; the first notification is due at `due`. Returns COPAL_OK,
   * COPAL_EINVAL (there is one under that token already) or COPAL_ENOSLOT. */
  int (*restore)(struct registrations_user *u, const handler_env *env, const registration *r,
                 const copal_path *path, copal_time due, copal_time now);
} registrations_user;

/* For up to `shard_max` shards. Returns NULL without memory. */
registrations *registrations_open(uint32_t shard_max);
void registrations_close(registrations *all);

/* A shard begins: from here on it keeps what it is told, and restores through `user`, which is
 * lent. Returns false without memory. */
bool registrations_start(registrations *all, const handler_env *env, registrations_user *user,
                         copal_time now);

/* A shard ends: has everything written that waits, as long as the store takes it in. */
void registrations_stop(registrations *all, const handler_env *env, copal_time now);

/* The registration is new, or different. `w`, which may be NULL, is given when it is marked as
 * waiting afterwards; it is told later, never during the call. */
void registrations_save(registrations *all, const handler_env *env, const registration *r,
                        registrations_waiter *w, copal_time now);

/* The registration of that client and token has ended. */
void registrations_remove(registrations *all, const handler_env *env, const handler_way *way,
                          copal_span token, copal_time now);

registrations_counts registrations_counts_now(registrations *all);

#endif
