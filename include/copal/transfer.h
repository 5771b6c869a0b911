/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of block-wise transfers: one request with bodies of any size, over
 * copal_ep_request(). RFC 7959 sections 2.3 to 2.10 and 4, RFC 9175 sections 2.3 and 3.4.
 *
 * A transfer sends the request body in blocks (Block1), then receives the response body in blocks
 * (Block2), one exchange after the other, and calls hooks of the object it is embedded in. It
 * answers Echo challenges, follows the block sizes that the server wants, never mixes two
 * representations, begins again when the server lost blocks or the representation changed, and
 * completes the notifications of an observation.
 *
 * Limits and threading. A transfer belongs to its endpoint and to the endpoint's thread. It never
 * allocates: a copal_transfer is less than 200 bytes (144 on a Cortex-M), and the scratch
 * rooms named in the request are used during calls only, so that all transfers of a thread may
 * share them. A body has at most 2^20 blocks: 1 GiB in blocks of 1024 bytes, 16 MiB in blocks of
 * 16. It takes one exchange of the endpoint at a time, and one more while it observes. Groups are
 * for copal_ep_request(): copal_transfer_adopt() fetches what is behind the first block of a
 * responder.
 *
 * With a copal_transfer_window several blocks are under way at once, as far as NSTART of the
 * endpoint allows (RFC 7252 section 4.7: one, unless configured otherwise). Their number begins
 * small, grows with each answer and falls by half when a block has to be sent again. Blocks of a
 * response are asked for ahead and handed on in order (RFC 7959 section 2.4: they can be had in any
 * order); those of a request body are sent ahead, but for the first, which learns the block size,
 * and the last, which has the request carried out (section 2.5), and not for POST and PATCH, which
 * could not be repeated. What the window cannot judge, such
 * as another ETag, a challenge or a server that wants blocks in order, is judged without it: what
 * is out is waited for, then the block that is due goes by itself, or an upload begins again.
 *
 * state      event                            next       action
 * ---------  -------------------------------  ---------  ----------------------------------------
 * READY      start                            SENDING    first block, or a request without body
 *            start, read() is not ready       HELD
 * SENDING    2.xx for a block, not the last   SENDING    next block, smaller if the server says so
 *            4.13 with a smaller SZX          SENDING    from the first block, in smaller ones
 *            4.08 beyond the first block      SENDING    from the first block; bounded
 *            2.xx with more to come           FETCHING   write(), ask for the next block
 *            2.xx, complete                   READY      write(), on_done()
 *            any other response               READY      on_done()
 * FETCHING   block, more to come              FETCHING   write(), ask for the next block
 *            last block                       READY      write(), on_done()
 *            another representation, or none  SENDING    from the first block, if safe; bounded
 *            any other response               READY      on_done()
 * SENDING,   4.01 with Echo                   (same)     the same request with that Echo, once
 * FETCHING   response to an earlier block     (same)     the same request, once
 *            no answer                        READY      on_done()
 *            read() or write() not ready, or  HELD
 *            no room in the endpoint
 * HELD       resume                           SENDING or FETCHING, as before
 * any        cancel                           CLOSING    cancels what is outstanding
 * CLOSING    that has ended                   READY      on_done()
 *
 * While it observes (`is_observe` and the server agreed), a complete body leads to WATCHING instead
 * of READY, with COPAL_TRANSFER_STATE instead of on_done(), and so does a body that fails:
 *
 * WATCHING   notification, complete           WATCHING   write(), COPAL_TRANSFER_STATE
 *            notification, more to come       FETCHING   write(), ask for the next block
 * FETCHING   newer notification               as WATCHING, and gives up the request that is out
 *            notification of the same ETag    FETCHING   none: it is being fetched
 *            another representation, error    WATCHING   waits for the notification of the change
 * WATCHING,  the observation ends             READY      on_done()
 * FETCHING   with an error
 * WATCHING   it ends without a word           READY      on_done()
 * FETCHING   the same                         CLOSING    none
 *
 * No state has a deadline of its own: the exchanges have theirs. */
#ifndef COPAL_TRANSFER_H
#define COPAL_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/endpoint.h"
#include "copal/msg.h"
#include "copal/option.h"
#include "copal/path.h"
#include "copal/platform.h"
#include "copal/span.h"
#include "copal/time.h"

COPAL_BEGIN_DECLS

enum {
  COPAL_TRANSFER_UNKNOWN = -1, /* a size that nobody has told */
  COPAL_TRANSFER_OPTS = 7,     /* entries that a transfer adds to the options of the caller */
  COPAL_TRANSFER_RESTARTS = 3, /* the default */
};

typedef struct copal_transfer copal_transfer;

/* The uploads of one endpoint that are under way, so that two of one resource are kept apart by
 * Request-Tag. Zeroed by the caller, lent until the transfers that name it are done. RFC 9175
 * section 3.5.2. */
typedef struct copal_transfer_set {
  copal_transfer *first; /* the library's */
  uint32_t last_tag;     /* the library's; tags are not used again before it wraps */
  bool is_strict;        /* the caller's: every upload in blocks gets a tag of its own, so that none
                            is recycled. RFC 9175 section 3.5.1 */
} copal_transfer_set;

/* A block under way in a window; the library's. */
typedef struct copal_transfer_slot {
  copal_xref exchange; /* outstanding, or 0 */
  uint32_t offset;
  uint16_t len;
  uint8_t state;
  bool has_more;
} copal_transfer_slot;

/* Several blocks of one transfer under way at once. Lent until on_done(), to one transfer. It is
 * not used for observations, for non-confirmable messages, with a token of the caller, nor for
 * uploads whose body comes from read(). */
typedef struct copal_transfer_window {
  copal_transfer_slot *slots; /* zeroed */
  uint16_t count;             /* of them: blocks under way at most */
  copal_mspan room; /* for blocks that come before their turn, `count` times the block size; less is
                       a smaller window, and none is one for uploads only */

  /* The library's. */
  uint32_t next;      /* offset of the block to ask for or send next */
  uint32_t recovered; /* blocks before it have been sent again already */
  uint16_t span;      /* slots in use */
  uint16_t out;       /* blocks outstanding */
  uint16_t size;      /* blocks that may be outstanding now */
  uint16_t threshold; /* beyond it `size` grows slowly */
  uint16_t credit;    /* answers that have not made it grow yet */
  uint8_t failures;
  bool has_sent;    /* blocks of a request body */
  bool is_draining; /* nothing more is sent until all has ended */
  bool is_shut;     /* for good */
} copal_transfer_window;

/* What to transfer. Lent until on_done(), with all it points to. */
typedef struct copal_transfer_request {
  size_t struct_size; /* filled by COPAL_TRANSFER_REQUEST_INIT */
  const copal_path *path;
  copal_type type; /* of all messages; COPAL_CON unless there is a reason */
  copal_code code;
  copal_span token;      /* of all messages; empty: see `has_fresh_tokens` */
  bool has_token;        /* `token` is meant, even when empty */
  const copal_opt *opts; /* sorted by number; without Observe, Block1, Block2, Size1, Size2, Echo,
                            which the transfer adds */
  size_t opt_count;
  copal_opt *opt_room;     /* scratch for the options of one message */
  size_t opt_cap;          /* entries of `opt_room`: at least opt_count + COPAL_TRANSFER_OPTS */
  copal_span body;         /* the request body, when the transfer has no read() */
  int64_t body_size;       /* with read(): bytes of the body, or COPAL_TRANSFER_UNKNOWN */
  copal_mspan block_room;  /* with read(): scratch for one block, at least 16 bytes */
  uint16_t block_size;     /* largest block in both directions, 16 to 1024; 0: 1024 */
  bool negotiates_late;    /* the first request does not name a block size for the response, later
                              ones do. RFC 7959 section 2.4 */
  bool asks_size;          /* asks for the size of the response body. RFC 7959 section 4 */
  bool has_fresh_tokens;   /* every message gets a token of its own; otherwise those of an upload in
                              blocks have that of its first, because there are servers that tell
                              uploads apart by it. Always so on a secured path (RFC 9175 section
                              4.2), for downloads and for blocks of notifications */
  bool is_observe;         /* GET and FETCH: registers an observation. RFC 7641, RFC 7959 section
                              2.6 */
  int8_t restarts;         /* how often the transfer may begin again; 0: COPAL_TRANSFER_RESTARTS;
                              negative: never */
  uint32_t offset;         /* GET: receives the body from this byte on */
  copal_span etag;         /* with `offset`: of the representation to go on with; another one begins
                              at 0. Empty: whatever there is */
  copal_dur timeout;       /* of each exchange, as in copal_request */
  copal_transfer_set *set; /* NULL: no Request-Tag but that of `opts` */
  copal_transfer_window *window; /* NULL: one block after the other */
} copal_transfer_request;

#define COPAL_TRANSFER_REQUEST_INIT                                                                \
  {                                                                                                \
    sizeof(copal_transfer_request), NULL, COPAL_CON, 0, {NULL, 0}, false, NULL, 0, NULL, 0,        \
        {NULL, 0}, 0, {NULL, 0}, 0, false, false, false, false, 0, 0, {NULL, 0}, 0, NULL, NULL     \
  }

/* A part of a response body. Borrowed for the call. */
typedef struct copal_transfer_part {
  const copal_msg *msg; /* the response it came in, with its options; NULL: it came in a window,
                           and its options are those of the part before it */
  uint32_t offset;      /* of `bytes` in the body */
  copal_span bytes;
  int64_t total; /* size of the body as the server estimates it, or COPAL_TRANSFER_UNKNOWN */
  bool is_last;
} copal_transfer_part;

/* How a transfer, or one body of an observation, has ended. Borrowed for the call. */
typedef struct copal_transfer_result {
  /* COPAL_OK: `code` is the answer to the request, and when it is a success its body is complete.
   * COPAL_ETIMEDOUT, COPAL_ERESET, COPAL_EUNREACH: an exchange ended without a response.
   * COPAL_ECANCELED: copal_transfer_cancel(), copal_ep_cancel() or copal_ep_wipe().
   * COPAL_EINCOMPLETE: the representation changed more often than `restarts` allows, or changed
   *   under a request that is not safe to repeat, or while a notification was completed.
   * COPAL_EBLOCK: the server broke RFC 7959: another block than the one asked for or sent, or one
   *   of another size than it claims, or none.
   * COPAL_ETOOBIG: a body has more than 2^20 blocks of the size that the server wants.
   * COPAL_EINVAL: read() supplied less than `body_size`.
   * COPAL_ENOSPC: the options do not fit a datagram.
   * COPAL_ENOSLOT: the endpoint has no room, and there is no on_event() to tell so.
   * Any other negative value: read() or write() said so. */
  int status;
  copal_code code;      /* of the last response, or COPAL_CODE_EMPTY */
  const copal_msg *msg; /* the last response; NULL when it is not at hand */
  uint32_t size;        /* bytes of the response body written, with those before `offset` */
} copal_transfer_result;

typedef enum copal_transfer_event_kind {
  COPAL_TRANSFER_PROGRESS, /* a block has been acknowledged or received */
  COPAL_TRANSFER_RESTART,  /* begins again; what was written is void */
  COPAL_TRANSFER_STALL,    /* the endpoint has no room: call copal_transfer_resume() later */
  COPAL_TRANSFER_STATE,    /* an observed representation is complete, or will not be: `result` */
} copal_transfer_event_kind;

/* Borrowed for the call. */
typedef struct copal_transfer_event {
  copal_transfer_event_kind kind;
  uint32_t sent;                       /* bytes of the request body acknowledged */
  uint32_t received;                   /* bytes of the response body written */
  int64_t total;                       /* as in copal_transfer_part */
  const copal_transfer_result *result; /* COPAL_TRANSFER_STATE only */
} copal_transfer_event;

/* A transfer: embedded in an object of the caller, zeroed but for the hooks before the first use.
 * Hooks are called from inside the calls in which the endpoint calls back, and from those of this
 * header; they must not call copal_transfer_cancel() nor the five of copal/endpoint.h. */
struct copal_transfer {
  /* Supplies the request body: fills `room` with the bytes from `offset` on and sets `*is_end` when
   * the body ends with them. Returns their number, which is less than the room's only at the end;
   * COPAL_EPENDING to be asked again after copal_transfer_resume(); or another error, which ends
   * the transfer. Called again for bytes that it has supplied when blocks are lost or become
   * smaller. NULL: the body is in the request. */
  int (*read)(copal_transfer *t, uint32_t offset, copal_mspan room, bool *is_end);

  /* Takes the response body, in order; at least once for a success other than 2.03. Offset 0 voids
   * what was written before. Returns COPAL_OK; COPAL_EPENDING when the bytes are taken but the next
   * block is to be asked for after copal_transfer_resume() only; or another error, which ends the
   * transfer. NULL: the body is dropped. */
  int (*write)(copal_transfer *t, const copal_transfer_part *part);

  /* Tells what happens on the way. May be NULL. */
  void (*on_event)(copal_transfer *t, const copal_transfer_event *event, copal_time now);

  /* The transfer is over, exactly once for each copal_transfer_start() that succeeded. The object
   * is the caller's again and may start anew. */
  void (*on_done)(copal_transfer *t, const copal_transfer_result *result, copal_time now);

  /* The library's. */
  const copal_transfer_request *request;
  copal_client client;
  copal_ep *ep;
  copal_transfer *next; /* in the set */
  copal_xref exchange;  /* outstanding request for a block, or 0 */
  copal_xref relation;  /* the observation, or 0 */
  uint32_t sent;        /* bytes of the request body acknowledged */
  uint32_t received;    /* bytes of the response body written */
  uint32_t total;       /* Size2 */
  uint32_t tag;         /* Request-Tag; 0: none */
  int32_t format;       /* Content-Format of the response body, or -1 */
  int16_t status;       /* CLOSING: what on_done() will be told */
  uint16_t part_len;    /* payload of the request sent last */
  uint8_t state;
  uint8_t szx1, szx2;
  uint8_t restarts;
  copal_code code;
  uint8_t token_len, etag_len, echo_len;
  bool has_total : 1;
  bool is_blockwise : 1; /* the request body goes in blocks */
  bool is_last : 1;      /* the request sent last has the end of the body */
  bool is_fetching : 1;  /* what is sent next asks for a block behind the first */
  bool is_pinned : 1;    /* only the representation with `etag` will do */
  bool has_echoed : 1;   /* the challenge for this block has been answered */
  bool has_repeated : 1; /* this block has been asked for twice */
  uint8_t token[8];
  uint8_t etag[8];  /* RFC 7252 section 5.10.6 */
  uint8_t echo[40]; /* RFC 9175 section 2.2.1 */
};

/* Begins a transfer over `ep`; `t` and `request` are lent until on_done(). Returns COPAL_OK, or
 * without any hook but read() having been called: COPAL_EINVAL (the request is inconsistent, or the
 * transfer has begun), COPAL_ETOOBIG (the body has too many blocks), COPAL_ENOSPC (the options do
 * not fit a datagram), COPAL_ENOSLOT (the endpoint has no room), or what read() said. */
COPAL_API int copal_transfer_start(copal_transfer *t, copal_ep *ep,
                                   const copal_transfer_request *request, copal_time now);

/* The same with the response to the request at hand, which came otherwise: from a member of a
 * group, as a notification, in answer to Q-Block1. `request` describes what it is the answer to,
 * without its body unless that of a FETCH fits a block, and `first` is borrowed for the call.
 * Nothing is sent but requests for the blocks behind it; when the representation is another one by
 * then the transfer begins again, as `restarts` allows. All hooks may be called before it returns.
 * Errors as copal_transfer_start(), and COPAL_EINVAL with `is_observe` or `offset`. RFC 7959
 * section 2.8. */
COPAL_API int copal_transfer_adopt(copal_transfer *t, copal_ep *ep,
                                   const copal_transfer_request *request, const copal_msg *first,
                                   copal_time now);

/* Goes on after read() or write() returned COPAL_EPENDING, or after COPAL_TRANSFER_STALL. Not from
 * inside those hooks. COPAL_EINVAL when the transfer is not held. */
COPAL_API int copal_transfer_resume(copal_transfer *t, copal_time now);

/* Ends a transfer; on_done() is called before it returns. To be called before copal_ep_wipe() for a
 * transfer that is held. Not from inside a callback of the endpoint or a hook. COPAL_ENOTFOUND when
 * it is over. RFC 7641 section 3.6: notifications that still come are answered with a Reset. */
COPAL_API int copal_transfer_cancel(copal_transfer *t, copal_time now);

/* True between a successful start and on_done(). */
COPAL_API bool copal_transfer_is_active(const copal_transfer *t);

COPAL_END_DECLS

#endif
