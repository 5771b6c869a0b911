/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: client and server over an unreliable transport, without I/O. RFC 7252 sections 2,
 * 4, 5 and 8.
 *
 * Limits and threading. An endpoint is touched by one thread at a time and calls back only from
 * inside copal_ep_input(), copal_ep_expire(), copal_ep_unreachable(), copal_ep_cancel(),
 * copal_ep_forget() and
 * copal_ep_wipe(). A callback may start requests and send responses, but must not call those five.
 * It never allocates: all its state is in the memory given to copal_ep_init(), whose size follows
 * from the configuration. When a pool is exhausted the protocol goes on with a defined reaction and
 * a counter (see copal_stats). It reads no clock: `now` is always the last parameter and never runs
 * backwards.
 *
 * The driver is four calls: feed datagrams to copal_ep_input(), call copal_ep_expire() when
 * copal_ep_deadline() has come, report network errors to copal_ep_unreachable(), and carry away
 * what the endpoint puts into the sink. */
#ifndef COPAL_ENDPOINT_H
#define COPAL_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/block.h"
#include "copal/code.h"
#include "copal/error.h"
#include "copal/guard.h"
#include "copal/msg.h"
#include "copal/node.h"
#include "copal/option.h"
#include "copal/params.h"
#include "copal/path.h"
#include "copal/platform.h"
#include "copal/qblock.h"
#include "copal/registry.h"
#include "copal/span.h"
#include "copal/time.h"

COPAL_BEGIN_DECLS

typedef struct copal_ep copal_ep;

/* A handle of an exchange that outlives a call. Never reused; 0 is none. */
typedef uint64_t copal_xref;

/* ------------------------------------------------------------------------------------- hooks */

/* Where datagrams leave. The endpoint reserves room, writes into it and commits; it commits at once
 * or not at all. */
typedef struct copal_sink {
  /* Room for a datagram of up to `cap` bytes along `path`, or an empty span when the transport is
   * full; the datagram is dropped then and counted. The room is lent until commit() or the next
   * reserve(). */
  copal_mspan (*reserve)(struct copal_sink *s, const copal_path *path, size_t cap);

  /* The first `len` bytes of the room are a datagram to send. */
  void (*commit)(struct copal_sink *s, const copal_path *path, size_t len);
} copal_sink;

/* Unpredictable bytes for tokens, Message IDs and jitter. RFC 7252 sections 4.2, 4.4, 5.3.1, 11.4.
 */
typedef struct copal_entropy {
  void (*fill)(struct copal_entropy *e, copal_mspan out);
} copal_entropy;

/* ------------------------------------------------------------------------------------ server */

/* A request as the handler sees it. Valid during on_request() only. */
typedef struct copal_req {
  const copal_msg *msg;
  const copal_path *path;
  bool has_block1; /* Block1, or Q-Block1: then `is_qblock1` too */
  bool has_block2; /* Block2, or Q-Block2, whose blocks the endpoint sends by itself */
  bool is_qblock1;
  copal_block block1;
  copal_block block2; /* what the client asks for; SZX clamped to the endpoint's limit */
  bool wants_observe; /* a GET or FETCH with Observe 0: see copal_ep_observe() */
  uint32_t absent;    /* bit `number % 32` is set when no option of `msg` has that number; 0 when
                         nothing is known */
  bool wants_proof;   /* an answer with a proof would be kept: see copal_server.is_current() */
} copal_req;

/* True when the request is known to be without that option: spares looking for it. */
static inline bool copal_req_lacks(const copal_req *req, uint16_t number)
{
  return (req->absent >> (number & 31) & 1) != 0;
}

/* A response. Spans are borrowed for the call that sends it. */
typedef struct copal_response {
  copal_code code;
  const copal_opt *opts; /* sorted by number; without Block2 and Size2, which the endpoint adds */
  size_t opt_count;
  copal_span payload; /* the whole body, or a part of it */
  uint32_t offset;    /* where `payload` begins in the body */
  uint32_t total;     /* bytes of the body, below 4 GiB; 0 means that `payload` is all of it */
  copal_span proof;   /* with a request that `wants_proof`: by which copal_server.is_current() knows
                         whether the answer is still the right one for all who ask with the same
                         options. Empty: it is made anew each time */
} copal_response;

typedef struct copal_server {
  /* Called once for each request (RFC 7252 section 4.5), known to be well formed, with options
   * checked. Answer with copal_ep_respond() and return COPAL_OK; or call copal_ep_defer(), return
   * COPAL_EPENDING and answer later with copal_ep_resume(). Returning any other error answers with
   * its reaction (copal_err_reaction()). Returning COPAL_OK without an answer acknowledges a
   * confirmable request and says nothing more. */
  int (*on_request)(struct copal_server *s, copal_ep *ep, const copal_req *req, copal_time now);

  /* Whether on_request() would give the answer that this is the proof of to a GET that comes along
   * `path` now; the endpoint then gives it by itself, which counts as `recalled`. The bytes are
   * those of copal_response.proof, aligned for numbers of 64 bits. Must not call the endpoint.
   * NULL: nothing is kept. */
  bool (*is_current)(struct copal_server *s, const copal_path *path, copal_span proof,
                     copal_time now);
} copal_server;

/* ----------------------------------------------------------------------------------- observe */

/* A relation, so that it can be kept outside and restored: copal_ep_observe_restore(). */
typedef struct copal_relation {
  copal_path path;         /* to the client, as it registered last */
  copal_span token;        /* lent for the call */
  copal_code request_code; /* GET or FETCH */
  bool has_block2;         /* the client asked for blocks */
  uint8_t szx;             /* of which size */
} copal_relation;

typedef enum copal_relation_event {
  COPAL_RELATION_BEGUN,
  COPAL_RELATION_CHANGED, /* renewed, along another path or with other blocks */
  COPAL_RELATION_ENDED,   /* by the client, by an error, for want of an acknowledgement */
} copal_relation_event;

/* Something that clients observe: a resource in one Content-Format. Embedded in an object of the
 * handler, zeroed but for the hooks, lent while `count` is not 0. RFC 7641. */
typedef struct copal_subject {
  /* Fills in the response that a GET would get now: the newest representation, with ETag,
   * Content-Format and Max-Age but without Observe; or an error, which ends the relations. What it
   * points to is lent until the call that asked for it returns. Returns COPAL_OK, or an error to
   * send nothing this time. */
  int (*render)(struct copal_subject *s, copal_ep *ep, copal_response *response, copal_time now);

  /* The last relation has ended; the subject may be freed. May be NULL. */
  void (*on_idle)(struct copal_subject *s, copal_ep *ep);

  /* Tells of each relation of the subject what is to be kept of it; silent when relations are
   * restored and when they end with the endpoint. Must not call the endpoint. May be NULL. */
  void (*on_relation)(struct copal_subject *s, copal_ep *ep, const copal_relation *relation,
                      copal_relation_event event);

  copal_span key;      /* what it is called, for a copal_reviewer; the handler's, may be empty */
  bool is_confirmable; /* all its notifications are confirmable */
  uint32_t count;      /* relations; the endpoint's */
  uint32_t sequence;   /* used last, low 24 bits on the wire; the endpoint's */
  uint32_t untold;     /* relations, the first ones, that have not been told of the last change; the
                          endpoint's */
  uint32_t told;       /* `sequence` that those told of it so far had; the endpoint's */
  copal_node relations; /* the endpoint's */
  copal_node telling;   /* the endpoint's */
} copal_subject;

/* Knows who may observe what. */
typedef struct copal_reviewer {
  /* The last word for the client of a relation, an error code, or 0: it goes on. `method` is that
   * of the request that began the relation. */
  copal_code (*judge)(struct copal_reviewer *r, const copal_subject *subject,
                      const copal_path *path, copal_code method);
} copal_reviewer;

/* ------------------------------------------------------------------------------------ client */

typedef enum copal_event_kind {
  COPAL_EVENT_RESPONSE, /* `msg` is the response; the last event, unless the request asked for
                           several */
  COPAL_EVENT_ACK,      /* the request was acknowledged, the response comes separately; more events
                           follow */
  COPAL_EVENT_RESEND,   /* a retransmission left; more events follow */
  COPAL_EVENT_STALE,    /* an observed representation is older than its Max-Age; the endpoint asks
                           again, more events follow */
  COPAL_EVENT_TIMEOUT,  /* last event: no acknowledgement, or no response in time; of a request for
                           several: the end */
  COPAL_EVENT_RESET,    /* last event: the peer rejected the request, or answered the ping */
  COPAL_EVENT_UNREACHABLE, /* last event: the network said so */
  COPAL_EVENT_CANCELED,    /* last event: copal_ep_cancel() or copal_ep_wipe() */
} copal_event_kind;

typedef struct copal_event {
  copal_event_kind kind;
  copal_xref exchange;
  const copal_msg *msg;   /* COPAL_EVENT_RESPONSE; borrowed for the call */
  const copal_path *from; /* COPAL_EVENT_RESPONSE: who answered */
  uint8_t retransmits;    /* so far */
  bool is_notification;   /* COPAL_EVENT_RESPONSE: it carries Observe, and more follow */
} copal_event;

/* Receives the events of an exchange; exactly one of them is the last. */
typedef struct copal_client {
  void (*on_event)(struct copal_client *c, copal_ep *ep, const copal_event *event, copal_time now);
} copal_client;

typedef struct copal_request {
  size_t struct_size; /* filled by COPAL_REQUEST_INIT */
  const copal_path *path;
  copal_type type; /* COPAL_CON, or COPAL_NON; groups take COPAL_NON only */
  copal_code code;
  copal_span token;      /* empty: the endpoint draws one. At most `token_cap` bytes */
  bool has_token;        /* `token` is meant, even when empty */
  bool wants_many;       /* keep the exchange open for further responses until `timeout` (groups,
                            No-Response) */
  const copal_opt *opts; /* sorted by number; borrowed for the call */
  size_t opt_count;
  copal_span payload; /* borrowed for the call */
  copal_dur timeout; /* wait for the response at most this long after the first transmission; 0: the
                        endpoint's default, which follows from the parameters */
  copal_client *client; /* lent until the last event */
} copal_request;

#define COPAL_REQUEST_INIT                                                                         \
  {                                                                                                \
    sizeof(copal_request), NULL, COPAL_CON, 0, {NULL, 0}, false, false, NULL, 0, {NULL, 0}, 0,     \
        NULL                                                                                       \
  }

/* -------------------------------------------------------------------------------- duplicates */

/* What a duplicate of a message is answered with. RFC 7252 section 4.5. */
typedef enum copal_dup_answer {
  COPAL_DUP_IGNORED,
  COPAL_DUP_ACKED,    /* an Empty ACK; the response has been sent separately */
  COPAL_DUP_REPLAYED, /* the reply once more */
} copal_dup_answer;

/* A message received that is remembered, so that it can be kept outside and restored. */
typedef struct copal_dup {
  copal_path path;
  uint16_t mid;
  copal_dup_answer answer;
  copal_dur left;   /* of its lifetime, microseconds */
  copal_span reply; /* COPAL_DUP_REPLAYED: the datagram. Lent for the call */
} copal_dup;

typedef struct copal_dup_visitor {
  /* Returns 0, or a negative error that ends the visit. */
  int (*on_dup)(struct copal_dup_visitor *v, const copal_dup *dup);
} copal_dup_visitor;

/* ----------------------------------------------------------------------------- configuration */

typedef struct copal_ep_cfg {
  size_t struct_size; /* filled by COPAL_EP_CFG_INIT; fields that are zero take the default named */
  copal_params params;     /* all zero: copal_params_default() */
  copal_sink *sink;        /* required; lent for the endpoint's life, as the other hooks */
  copal_entropy *entropy;  /* required */
  copal_server *server;    /* NULL: requests are answered 4.04 */
  copal_guard *guard;      /* NULL: responses of any size go to any address */
  uint32_t exchange_count; /* requests outstanding, requests deferred, separate responses in flight;
                              default 16 */
  uint32_t peer_count;  /* peers with something to remember: dedup entries or outstanding requests;
                           default 16 */
  uint32_t dedup_count; /* requests remembered for deduplication, all peers together; default 32 */
  uint32_t dedup_per_peer; /* of these at most so many for one peer; default 16 */
  uint32_t chunk_count; /* chunks for messages kept: retransmissions and remembered replies; default
                           64 */
  uint16_t chunk_size;  /* bytes of a chunk, 16 to 4096; default 128 */
  uint16_t message_max; /* largest datagram sent, bytes; default 1152, RFC 7252 section 4.6 */
  uint16_t token_cap;   /* longest token handled, bytes, 8 to 65535; default 8, RFC 8974 */
  uint32_t relation_count;    /* observations of clients; default 16 */
  uint32_t observer_count;    /* clients that observe; default: relation_count */
  uint32_t relation_per_peer; /* observations of one client; default: relation_count */
  uint16_t notify_con_every;  /* non-confirmable notifications between two confirmable ones;
                                 default 10, RFC 7641 section 4.5. UINT16_MAX: they are not
                                 counted, one is due once a day */
  uint16_t notify_burst;      /* observers told of a change at once; the others are due at once, so
                                 that what arrives meanwhile need not wait for all; default 256 */
  uint8_t token_len;          /* bytes of tokens drawn, 4 to 8; default 8, RFC 7252 section 5.3.1 */
  uint8_t szx_max; /* largest block sent, 0 to 6; default 6. Set `has_szx_max` to mean 0 */
  bool has_szx_max;
  bool has_proxy;       /* pass Proxy-Uri and Proxy-Scheme requests to the server instead of 5.05 */
  uint32_t mid_count;   /* Message ID counters, a power of two up to 2^24; default 16. Peers share
                           them by a keyed hash */
  uint32_t timer_slots; /* slots of the timer wheel, a power of two up to 2^24; default 64 */
  copal_dur timer_tick; /* width of a slot, rounded up to a power of two of microseconds; default
                           1 ms, which becomes 1024 us */
  uint32_t sequence_base; /* added to the sequence numbers of notifications, which follow `now` in
                             ticks of 32 us: what `now` is behind a clock that restarts do not set
                             back. RFC 7641 section 4.4 */
  uint32_t recall_count;  /* answers to GET that are kept to be given again, a power of two up to
                             2^24, 264 bytes each; default 0: each is made anew */
  const copal_qblock *qblock; /* lent for the endpoint's life; NULL: Q-Block1 and Q-Block2 are not
                                 understood, and answered 4.02. RFC 9177 */
} copal_ep_cfg;

#define COPAL_EP_CFG_INIT                                                                          \
  {                                                                                                \
    sizeof(copal_ep_cfg), {0, 0, 0, 0, 0, 0, 0, 0, 0}, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0,   \
        0, 0, 0, 0, 0, 0, 0, 0, 0, false, false, 0, 0, 0, 0, 0, NULL                               \
  }

/* ---------------------------------------------------------------------------------- counters */

/* Wraps at the width of a pointer; readers take differences. */
typedef size_t copal_count;

typedef struct copal_stats {
  copal_count rx_datagrams;
  copal_count rx_requests;
  copal_count recalled; /* of these, GETs that were answered without the handler: `recall_count` */
  copal_count rx_responses;
  copal_count rx_empty;
  copal_count tx_datagrams;
  copal_count tx_retransmits;
  copal_count tx_acks; /* Empty acknowledgements */
  copal_count tx_resets;
  copal_count tx_dropped; /* the sink had no room */
  copal_count
      rejected[COPAL_ERR_COUNT]; /* input refused, by -error: see docs/registry/errors.csv */
  copal_count dup_replayed;      /* duplicate answered with the remembered reply */
  copal_count dup_reacked; /* duplicate of a deferred request: Empty ACK again, or nothing yet */
  copal_count dup_ignored; /* duplicate Non-confirmable, or a duplicate whose reply is not kept */
  copal_count
      dedup_evicted; /* entries given up before their lifetime: RFC 7252 section 4.5 is weakened */
  copal_count dedup_refused;      /* messages for which no entry could be made; unsafe requests are
                                     answered 5.03 */
  copal_count exchanges_refused;  /* no exchange slot */
  copal_count chunks_refused;     /* no room to keep a message */
  copal_count timeouts;           /* exchanges that ended without an answer */
  copal_count resets;             /* exchanges that ended with a Reset */
  copal_count unreachables;       /* exchanges that ended with a network error */
  copal_count probed;             /* pings to sources that are not verified */
  copal_count challenged;         /* answered 4.01 with Echo: the source was not verified */
  copal_count suppressed;         /* responses held back: multicast or No-Response */
  copal_count notify_cons;        /* confirmable notifications, without retransmissions */
  copal_count notify_nons;        /* non-confirmable notifications */
  copal_count notify_reordered;   /* notifications received that were older than one before */
  copal_count relations_refused;  /* no room: the request was answered without Observe */
  copal_count relations_restored; /* of an endpoint before this one */
  copal_count relations_deregistered; /* by the client, with Observe 1 */
  copal_count relations_reset;        /* the client rejected a notification */
  copal_count relations_lost;         /* a confirmable notification was not acknowledged */
  copal_count relations_finished;     /* ended by an error notification */
  copal_count mid_wraps;              /* a Message ID counter came round within EXCHANGE_LIFETIME */
} copal_stats;

/* What is in use now; for gauges and leak checks. */
typedef struct copal_usage {
  uint32_t exchanges, peers, dedups, chunks, relations, observers;
} copal_usage;

/* --------------------------------------------------------------------------------- functions */

/* Bytes of memory an endpoint of this configuration needs, or 0 when the configuration is invalid,
 * no memory can be that large, or all but the chunks and the kept answers would take 16 GiB or
 * more. */
COPAL_API size_t copal_ep_size(const copal_ep_cfg *cfg);

/* Makes an endpoint in `mem`, which is lent until copal_ep_wipe() and aligned for any object. `cfg`
 * is copied. Returns COPAL_OK, COPAL_EINVAL (configuration) or COPAL_ENOSPC (`mem` is smaller than
 * copal_ep_size()). */
COPAL_API int copal_ep_init(copal_mspan mem, const copal_ep_cfg *cfg, copal_ep **ep,
                            copal_time now);

/* Ends all client exchanges (COPAL_EVENT_CANCELED); the memory is the caller's again. Safe on NULL.
 */
COPAL_API void copal_ep_wipe(copal_ep *ep, copal_time now);

/* Feeds one received datagram; `dgram` is borrowed for the call. Returns COPAL_OK when it was
 * understood, or the error for which it was ignored or rejected; the reaction, if any, has been put
 * into the sink and counted. RFC 7252 sections 4.2 to 4.5, 5.3.2. */
COPAL_API int copal_ep_input(copal_ep *ep, const copal_path *path, copal_mspan dgram,
                             copal_time now);

/* Touches memory that copal_ep_input() will look at for this datagram, so that a driver that has
 * several at once can have it all fetched before the first of them is fed. Changes nothing, says
 * nothing, and may be left out. */
COPAL_API void copal_ep_foresee(const copal_ep *ep, const copal_path *path, copal_span dgram);

/* The earliest instant at which copal_ep_expire() has something to do, or COPAL_NEVER. May be
 * early, never late. */
COPAL_API copal_time copal_ep_deadline(const copal_ep *ep);

/* Does what is due: retransmissions, Empty ACKs for late handlers, leisure, timeouts. Of a great
 * many that are due at one instant it does some, so that the driver reads what has come meanwhile:
 * the deadline stays in the past until all are done. */
COPAL_API void copal_ep_expire(copal_ep *ep, copal_time now);

/* Reports that the network refused a datagram to `path`. `quoted` holds the beginning of that
 * datagram, as the ICMP error quotes it; the exchange whose type, Message ID and token it shows
 * ends. Returns COPAL_ESTRAY when none does. RFC 7252 section 4.2. */
COPAL_API int copal_ep_unreachable(copal_ep *ep, const copal_path *path, copal_span quoted,
                                   copal_time now);

/* Tells that the security session of a path is over: what the peer observes ends, requests to it
 * end with COPAL_EVENT_UNREACHABLE, and what it still waits for is not answered any more. RFC 7252
 * section 9.1.1. */
COPAL_API void copal_ep_forget(copal_ep *ep, const copal_path *path, copal_time now);

/* Sends a request. Returns COPAL_OK and its handle, or COPAL_ENOSLOT, COPAL_ENOSPC (does not fit
 * `message_max`), COPAL_EINVAL (a confirmable request or a GET with an ETag to a group, options out
 * of order, a token in use, entropy that draws no free one). Beyond NSTART it waits its turn. RFC
 * 7252 sections 4.2, 4.7, 5.3.1, 8.1, 8.2.1. */
COPAL_API int copal_ep_request(copal_ep *ep, const copal_request *request, copal_xref *exchange,
                               copal_time now);

/* Sends an Empty confirmable message; the peer's Reset arrives as COPAL_EVENT_RESET. Returns
 * COPAL_OK and its handle, COPAL_ENOSLOT, or COPAL_EINVAL (a group). RFC 7252 section 4.3. */
COPAL_API int copal_ep_ping(copal_ep *ep, const copal_path *path, copal_client *client,
                            copal_xref *exchange, copal_time now);

/* Ends a client exchange; COPAL_EVENT_CANCELED is delivered before it returns. COPAL_ENOTFOUND when
 * it has ended. */
COPAL_API int copal_ep_cancel(copal_ep *ep, copal_xref exchange, copal_time now);

/* Answers the request whose on_request() is running: piggybacked, or as a message of its own;
 * sliced into a block when the body is larger than a block or the client asked for one; held back
 * when the request came by multicast or with No-Response. Returns COPAL_OK, COPAL_EINVAL (no
 * request is being handled, answered already, not the code of a response, options out of order, the
 * payload does not hold the block due or exceeds the total), COPAL_ENOSPC (header and
 * options alone exceed `message_max`) or COPAL_ENOSLOT (the sink is full: nothing was sent, the
 * handler may still defer; or nowhere to keep the answer to a group). RFC 7252 sections 5.2 and
 * 8.2, RFC 7959 section 2.4, RFC 7967. */
COPAL_API int copal_ep_respond(copal_ep *ep, const copal_response *response, copal_time now);

/* Takes an exchange for the request whose on_request() is running, so that it can be answered
 * later. COPAL_ENOSLOT when there is none; the caller answers 5.03 then. COPAL_EINVAL when no
 * request is being handled, or when it has been answered or deferred already. RFC 7252 section
 * 5.2.2. */
COPAL_API int copal_ep_defer(copal_ep *ep, copal_xref *exchange);

/* Answers a deferred request: piggybacked when no Empty ACK has left yet, else as a separate
 * response, confirmable when the request was. COPAL_ENOTFOUND when the exchange is gone (the peer
 * vanished or sent a Reset); COPAL_ENOSLOT when the sink is full: try again.
 * COPAL_EINVAL and COPAL_ENOSPC as copal_ep_respond(); then the exchange waits on. RFC 7252 section
 * 5.2.2. */
COPAL_API int copal_ep_resume(copal_ep *ep, copal_xref exchange, const copal_response *response,
                              copal_time now);

/* Gives a deferred request up without an answer: a confirmable one has been or is acknowledged.
 * COPAL_ENOTFOUND when the exchange is gone. */
COPAL_API int copal_ep_abandon(copal_ep *ep, copal_xref exchange, copal_time now);

/* Makes the client of the request whose on_request() is running (`wants_observe` is set) an
 * observer of `subject`, or renews its relation, when the response that follows is a success.
 * Called before copal_ep_respond(); without room the response simply goes out without Observe.
 * COPAL_EINVAL when the request does not ask for it. RFC 7641 section 4.1. */
COPAL_API int copal_ep_observe(copal_ep *ep, copal_subject *subject);

/* The same for the request being handled when it has been deferred: the relation begins now, which
 * on_relation() is told, and the response carries Observe. That is to be a success, or
 * copal_ep_unobserve() comes first. Returns COPAL_OK, COPAL_ENOSLOT (no room, or a build that keeps
 * no relations; the response goes out without Observe) or COPAL_EINVAL. */
COPAL_API int copal_ep_observe_late(copal_ep *ep, copal_xref exchange, copal_subject *subject);

/* Ends the relation that a deferred request has begun: its response goes out without Observe. */
COPAL_API void copal_ep_unobserve(copal_ep *ep, copal_xref exchange);

/* Ends the relation of that client and token, if there is one; the client is told with `code`, an
 * error. Not from inside a callback. RFC 7641 section 4.2. */
COPAL_API void copal_ep_refuse(copal_ep *ep, const copal_path *path, copal_span token,
                               copal_code code, copal_time now);

/* Tells that the subject has changed: each observer is sent the newest representation as soon as
 * RFC 7641 section 4.5.1 allows; `notify_burst` of them at once, the others as copal_ep_expire() is
 * called. Never from inside render(). */
COPAL_API void copal_ep_notify(copal_ep *ep, copal_subject *subject, copal_time now);

/* Asks the reviewer about each relation: those that may not go on are told so and end, about
 * `notify_burst` of them at once, the others as copal_ep_expire() is called; until then each is
 * asked about before anything is sent to it. The reviewer is lent until the next review, at most to
 * the end of the endpoint. Not from inside a callback. RFC 7641 section 4.2. */
COPAL_API void copal_ep_review(copal_ep *ep, copal_reviewer *reviewer, copal_time now);

/* Ends all relations of the subject without a word; calls on_idle(). */
COPAL_API void copal_ep_end_subject(copal_ep *ep, copal_subject *subject, copal_time now);

/* Makes `relation`, which an endpoint before this one has told of, a relation of `subject` again.
 * Its client is told the newest state in a confirmable message: when the subject changes, and at
 * `due` at the latest, which spreads the notifications of many; who is gone is found out that way.
 * Returns COPAL_OK, COPAL_ENOSLOT (no room, or a build without) or COPAL_EINVAL (the client has a
 * relation under that token already, or the token is too long). RFC 7641 section 4.5. */
COPAL_API int copal_ep_observe_restore(copal_ep *ep, copal_subject *subject,
                                       const copal_relation *relation, copal_time due,
                                       copal_time now);

/* Shows the visitor each message that has been dealt with and is still remembered, the oldest
 * first. Returns how many, or the visitor's error. */
COPAL_API int copal_ep_dups_save(copal_ep *ep, copal_dup_visitor *visitor, copal_time now);

/* Remembers a message that an endpoint before this one was sent. In the order of
 * copal_ep_dups_save(), before other messages come in. Returns COPAL_OK, or COPAL_ENOSLOT (no
 * room), or COPAL_EINVAL (it is remembered already). */
COPAL_API int copal_ep_dup_restore(copal_ep *ep, const copal_dup *dup, copal_time now);

/* The counters, which live as long as the endpoint; and what is in use now. */
COPAL_API const copal_stats *copal_ep_stats(const copal_ep *ep);
COPAL_API copal_usage copal_ep_usage(const copal_ep *ep);

/* Requests that are deferred and have not been answered. */
COPAL_API uint32_t copal_ep_deferred(const copal_ep *ep);

/* For an endpoint that makes way for another, which will know nothing of its exchanges: sends
 * responses that are not acknowledged once more, and those that wait for their leisure at once. RFC
 * 7252 sections 4.2 and 8.2. */
COPAL_API void copal_ep_part(copal_ep *ep, copal_time now);

/* All zero without Q-Block. */
COPAL_API void copal_ep_qblock_stats(const copal_ep *ep, copal_qblock_stats *stats);

COPAL_END_DECLS

#endif
