/* SPDX-License-Identifier: Apache-2.0 */
/* One endpoint for the tests of core/proto: a clock that only moves when told, a sink that records,
 * entropy that repeats, a scripted server and a client that records its events.
 *
 * Datagrams are written as text: pairs of hex digits, spaces anywhere, 'literal bytes' in quotes.
 * `%m` and `%t` stand for the Message ID and token seen last: fx_expect() learns them, fx_feed()
 * inserts them. In fx_expect() `..` is any byte and `*` the rest, whatever it is. */
#ifndef UNIT_CORE_PROTO_FIXTURE_H
#define UNIT_CORE_PROTO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/endpoint.h"

enum {
  FX_SENT_MAX = 128,
  FX_EVENT_MAX = 64,
  FX_BYTES_MAX = 4096,
  FX_ANY_LEN = -1,
};

#define FX_START ((copal_time)1000 * COPAL_SECOND)

typedef struct fx_datagram {
  copal_path path;
  copal_time at;
  size_t len;
  uint8_t bytes[FX_BYTES_MAX];
} fx_datagram;

typedef struct fx_event {
  copal_event_kind kind;
  copal_xref exchange;
  copal_code code;
  copal_path from;
  uint8_t retransmits;
  size_t payload_len;
  uint8_t payload[64];
  copal_time at;
} fx_event;

typedef struct fixture fixture;
struct fixture {
  copal_sink sink;
  copal_entropy entropy;
  copal_server server;
  copal_client client;

  copal_ep_cfg cfg;
  copal_ep *ep;
  void *mem;
  copal_time now;
  copal_path peer; /* 192.0.2.1:5683 */

  /* sink */
  bool is_full;
  uint8_t room[FX_BYTES_MAX];
  fx_datagram *sent;
  size_t sent_count, sent_seen;
  uint16_t mid;
  uint8_t token[8];
  size_t token_len;

  /* entropy: the byte that fills all requests, or a counting sequence */
  int fill;
  uint32_t sequence;

  /* server: what on_request() does */
  copal_response response; /* sent when `result` is COPAL_OK and its code is set */
  int result;              /* returned; COPAL_EPENDING defers first */
  int (*handler)(fixture *f, const copal_req *req); /* instead, when set */
  int calls;
  int respond_result;
  copal_code code;
  copal_req req;
  copal_xref late;

  /* client */
  bool is_deaf; /* ignores events */
  fx_event events[FX_EVENT_MAX];
  size_t event_count, event_seen;
  void (*on_event)(fixture *f, const copal_event *event);
};

/* cmocka set-up and tear-down: `*state` is a started fixture with the default configuration. The
 * tear-down ends the endpoint. */
int fx_setup(void **state);
int fx_teardown(void **state);

/* Starts the endpoint anew after the test has changed `f->cfg` or `f->fill`. */
void fx_restart(fixture *f);

/* Another peer: 192.0.2.`n`:5683. */
copal_path fx_peer(uint8_t n);

/* Turns the text of a datagram into bytes. Returns their number. */
size_t fx_bytes(const fixture *f, const char *text, uint8_t *out);

/* Feeds a datagram; returns what copal_ep_input() says. */
int fx_feed(fixture *f, const char *text);
int fx_feed_from(fixture *f, const copal_path *path, const char *text);
int fx_feed_bytes(fixture *f, const copal_path *path, const uint8_t *bytes, size_t len);

/* Moves the clock, calling copal_ep_expire() at every deadline on the way. */
void fx_advance(fixture *f, copal_time by);

/* The next datagram sent is exactly this; or there is none. */
void fx_expect_at(fixture *f, const copal_path *path, const char *text, const char *file, int line);
void fx_expect_nothing_at(fixture *f, const char *file, int line);
#define fx_expect(f, text)          fx_expect_at((f), &(f)->peer, (text), __FILE__, __LINE__)
#define fx_expect_to(f, path, text) fx_expect_at((f), (path), (text), __FILE__, __LINE__)
#define fx_expect_nothing(f)        fx_expect_nothing_at((f), __FILE__, __LINE__)

/* The datagram that fx_expect() accepted last. */
const fx_datagram *fx_last(const fixture *f);

/* The next event of the client has that kind; returned. */
const fx_event *fx_event_at(fixture *f, copal_event_kind kind, const char *file, int line);
void fx_no_event_at(fixture *f, const char *file, int line);
#define fx_expect_event(f, kind) fx_event_at((f), (kind), __FILE__, __LINE__)
#define fx_expect_no_event(f)    fx_no_event_at((f), __FILE__, __LINE__)

/* A request of the client without options; returns the result of copal_ep_request(). */
int fx_request(fixture *f, copal_type type, copal_code code, copal_xref *ref);
copal_request fx_request_init(fixture *f, copal_type type, copal_code code);

/* The server answers with this from now on. */
void fx_answer(fixture *f, copal_code code, const char *payload);

/* Nothing is in use any more once every lifetime is over. */
void fx_expect_idle(fixture *f);

const copal_stats *fx_stats(const fixture *f);

#endif
