/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: every limit a field, read from a file and checked as a whole. Documented in
 * docs/man/copald.conf.5. Thread: the main thread only; shards get copies of what concerns them. */
#ifndef SERVER_CONF_H
#define SERVER_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "copal/endpoint.h"
#include "policy/access.h"
#include "policy/guard.h"
#include "policy/rate.h"
#include "server/admission.h"
#include "server/audit.h"
#include "server/handler.h"
#include "server/log.h"
#include "transport/udp.h"

enum {
  CONF_TEXT_SIZE = 1024,   /* of a text with its final 0 */
  CONF_HISTORY_MAX = 1000, /* former representations of a resource */
  CONF_SHARDS_MAX = 64,    /* beyond that resources_open() would need to be told */
  CONF_SOCKETS_MAX = 256   /* of an address: a byte names one in connection IDs */
};

/* Strings in memory of their own. */
typedef struct conf_strings {
  char **items;
  size_t count;
} conf_strings;

typedef enum conf_switch {
  CONF_OFF,
  CONF_ON,
} conf_switch;

/* Must clients show a certificate or a raw public key? */
typedef enum conf_clients {
  CONF_CLIENTS_NONE,
  CONF_CLIENTS_OPTIONAL,
  CONF_CLIENTS_REQUIRED,
} conf_clients;

/* What of a client's certificate is its name. */
typedef enum conf_name {
  CONF_NAME_CN,
  CONF_NAME_SAN,
  CONF_NAME_SUBJECT,
  CONF_NAME_FINGERPRINT,
} conf_name;

/* What becomes of DTLS sessions when the process ends without a word. */
typedef enum conf_crash {
  CONF_CRASH_DROP,      /* peers make new ones */
  CONF_CRASH_CHALLENGE, /* they go on from a checkpoint; unsafe requests must bring an Echo first */
} conf_crash;

/* DTLS, RFC 6347; counts are for the whole process. */
/* Names of files; "": none. */
typedef struct conf_dtls_files {
  conf_strings certificate, key; /* in pairs; the first is the default */
  char ca[CONF_TEXT_SIZE], crl[CONF_TEXT_SIZE];
  char raw_key[CONF_TEXT_SIZE], raw_peers[CONF_TEXT_SIZE];
} conf_dtls_files;

typedef struct conf_dtls {
  uint32_t sessions;
  uint32_t handshakes; /* at a time */
  uint32_t per_prefix; /* of these, of an address prefix */
  uint32_t idle_s;     /* seconds; 0: for ever */
  conf_switch has_cid; /* RFC 9146 */
  conf_switch has_tickets;
  uint32_t ticket_s;              /* seconds until the key of tickets is drawn anew; 0: never */
  char saved_key[CONF_TEXT_SIZE]; /* file of the key that seals saved sessions; "": beside them */
  conf_crash after_crash;
  copal_dur checkpoint; /* between two checkpoints */
  uint16_t mtu;         /* bytes of a datagram of a handshake */
  copal_dur retransmit, timeout;
  conf_clients clients; /* that show no pre-shared key */
  conf_name name;       /* of those that show a certificate */
} conf_dtls;

/* Pre-shared keys from elsewhere. */
typedef struct conf_lookup {
  conf_strings command;
  char url[CONF_TEXT_SIZE]; /* "": none, as the next */
  char ca[CONF_TEXT_SIZE], token_file[CONF_TEXT_SIZE];
  copal_dur timeout;
  uint32_t ttl_s, negative_ttl_s, fallback_s;
  uint32_t cache, concurrency, queue;
} conf_lookup;

typedef enum conf_store {
  CONF_STORE_MEMORY,
  CONF_STORE_LMDB,
  CONF_STORE_JOURNAL, /* in front of LMDB */
  CONF_STORE_DEFAULT = CONF_STORE_JOURNAL,
} conf_store;

/* Counts are for the whole process; conf_ep() has a shard's part. */
typedef struct conf {
  conf_strings listen; /* URIs; empty: loopback */
  conf_strings names;  /* hosts answered for; empty: all */
  conf_store store;
  char data[CONF_TEXT_SIZE];        /* directory of the durable store; empty: the user's own */
  char access_file[CONF_TEXT_SIZE]; /* of access rules; empty: everything is allowed */
  access_rules *rules;              /* read from it by conf_load_rules(); held */
  rate_cfg rate;
  audit_mode audit;
  copal_dur drain_timeout;
  char pid_file[CONF_TEXT_SIZE]; /* "": none */

  log_level log_level;
  log_format log_format;

  uint32_t shards;  /* 0: one per processor */
  uint32_t mailbox; /* messages */
  uint32_t request_memory;
  uint32_t sockets; /* per listen address; 0: see conf_sockets() */
  udp_cfg udp;

  copal_params params;
  uint32_t exchanges, peers, dedup, dedup_per_peer, answers, chunks, mid_counters, timer_slots;
  uint32_t observations, observations_per_client; /* RFC 7641 */
  uint16_t observe_confirm_every;                 /* notifications of which one is confirmable */
  copal_dur timer_tick;
  uint16_t chunk, message, token;
  uint32_t block; /* bytes: 16 to 1024 */

  conf_switch has_qblock; /* RFC 9177 */
  copal_qblock qblock;    /* of each shard */

  conf_switch guard_is_on;
  guard_cfg guard;      /* but for its networks, which stand in `trusted` */
  conf_strings trusted; /* networks */

  char psk_file[CONF_TEXT_SIZE];    /* "": none */
  char credentials[CONF_TEXT_SIZE]; /* "": none */
  conf_dtls_files dtls_files;
  conf_dtls dtls;
  conf_lookup lookup;

  conf_switch joins_all_nodes;   /* All CoAP Nodes, RFC 7252 section 12.8 */
  conf_strings groups;           /* further multicast addresses */
  conf_strings group_interfaces; /* empty: all that can do multicast */
  conf_switch has_membership;    /* /coap-group, RFC 7390 section 2.6.2 */

  handler_limits limits;
  uint32_t pending; /* changes under way in a shard */

  uint32_t uploads, uploads_per_client; /* unfinished bodies in blocks */
  uint64_t upload_bytes;                /* of all of them */
  uint64_t upload_memory;               /* of these, large ones in memory */
  copal_dur upload_lifetime;            /* between two blocks */
  char upload_dir[CONF_TEXT_SIZE];

  uint64_t store_resources;
  uint64_t store_bytes; /* memory, for the store in memory */
  uint64_t store_disk;  /* of the data file, for the durable one */
  uint32_t history;     /* former representations kept of each resource */
} conf;

enum { CONF_ERRORS_SIZE = 4096 };

/* What is wrong with a configuration: lines of text, each with its place. */
typedef struct conf_errors {
  size_t count;
  size_t len;
  char text[CONF_ERRORS_SIZE];
} conf_errors;

/* The guard's configuration with its networks. `trusted` must have passed conf_check(). */
guard_cfg conf_guard(const conf *c);

/* What decides on requests. Lends the rules from `c`. */
admission_cfg conf_admission(const conf *c);

/* Reads the access rules that `access_file` names, if any. Returns as conf_read_file(). */
int conf_load_rules(conf *c, conf_errors *errors);

/* Fills in the defaults. */
void conf_init(conf *c);

/* Frees the strings. Safe on a zeroed object. */
void conf_wipe(conf *c);

/* Reads a file over the present values. Returns 0, or COPAL_EINVAL with what is wrong in `errors`.
 */
int conf_read_file(conf *c, const char *path, conf_errors *errors);

/* Checks what concerns several values together, and the listen URIs. Returns as
 * conf_read_file(). */
int conf_check(const conf *c, conf_errors *errors);

/* Writes all values as a configuration file that reads back as the same. */
void conf_print(const conf *c, FILE *out);

/* Names of keys whose values differ between `a` and `b`: those that can change while the daemon
 * runs go to `live`, the others to `restart`; separated by spaces and cut at `size`. */
void conf_compare(const conf *a, const conf *b, char *live, char *restart, size_t size);

/* The part of one of `shards` shards; hooks are left empty. Lends from `c`. */
copal_ep_cfg conf_ep(const conf *c, uint32_t shards);

/* Shards to run: as configured, or one per processor this process may use. */
uint32_t conf_shards(const conf *c);

/* Sockets of each listen address: as configured, but one for each shard at least; or four for each.
 * docs/decisions/0010. */
uint32_t conf_sockets(const conf *c);

/* Appends a copy of `s`. Returns 0 or COPAL_ENOSPC. */
int conf_strings_add(conf_strings *l, const char *s);
int conf_strings_copy(conf_strings *to, const conf_strings *from);
void conf_strings_wipe(conf_strings *l);

/* Adds a formatted line. */
void conf_error(conf_errors *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
