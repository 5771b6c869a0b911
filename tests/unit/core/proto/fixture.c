/* SPDX-License-Identifier: Apache-2.0 */
/* One endpoint for the tests of core/proto. */
#include "unit/core/proto/fixture.h"

/* ----------------------------------------------------------------------------------------- hooks
 */

static copal_mspan on_reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  fixture *f = (fixture *)(void *)((char *)s - offsetof(fixture, sink));
  (void)path;
  assert_true(cap <= sizeof f->room);
  memset(f->room, 0xdd, sizeof f->room);
  return f->is_full ? (copal_mspan){NULL, 0} : (copal_mspan){f->room, cap};
}

static void on_commit(copal_sink *s, const copal_path *path, size_t len)
{
  fixture *f = (fixture *)(void *)((char *)s - offsetof(fixture, sink));
  assert_true(f->sent_count < FX_SENT_MAX);
  fx_datagram *d = &f->sent[f->sent_count++];
  *d = (fx_datagram){.path = *path, .at = f->now, .len = len};
  memcpy(d->bytes, f->room, len);
}

static void on_fill(copal_entropy *e, copal_mspan out)
{
  fixture *f = (fixture *)(void *)((char *)e - offsetof(fixture, entropy));
  for (size_t i = 0; i < out.len; i++) {
    f->sequence = f->sequence * 1664525u + 1013904223u;
    out.ptr[i] = f->fill >= 0 ? (uint8_t)f->fill : (uint8_t)(f->sequence >> 24);
  }
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  fixture *f = (fixture *)(void *)((char *)s - offsetof(fixture, server));
  assert_ptr_equal(ep, f->ep);
  assert_int_equal(now, f->now);
  f->calls++;
  f->code = req->msg->code;
  f->req = *req;
  if (f->handler)
    return f->handler(f, req);
  if (f->result == COPAL_EPENDING)
    assert_int_equal(copal_ep_defer(ep, &f->late), COPAL_OK);
  else if (f->result == COPAL_OK && f->response.code)
    f->respond_result = copal_ep_respond(ep, &f->response, now);
  return f->result;
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *event, copal_time now)
{
  fixture *f = (fixture *)(void *)((char *)c - offsetof(fixture, client));
  if (f->is_deaf)
    return;
  assert_ptr_equal(ep, f->ep);
  assert_true(f->event_count < FX_EVENT_MAX);
  fx_event *e = &f->events[f->event_count++];
  *e = (fx_event){.kind = event->kind,
                  .exchange = event->exchange,
                  .retransmits = event->retransmits,
                  .at = now};
  if (event->kind == COPAL_EVENT_RESPONSE) {
    assert_non_null(event->msg);
    assert_non_null(event->from);
    e->code = event->msg->code;
    e->from = *event->from;
    e->payload_len = event->msg->payload.len;
    assert_true(e->payload_len <= sizeof e->payload);
    if (e->payload_len)
      memcpy(e->payload, event->msg->payload.ptr, e->payload_len);
  }
  if (f->on_event)
    f->on_event(f, event);
}

/* -------------------------------------------------------------------------------------- lifetime
 */

copal_path fx_peer(uint8_t n)
{
  return (copal_path){
      .remote = {.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, n}, .port = 5683}};
}

void fx_restart(fixture *f)
{
  copal_ep_wipe(f->ep, f->now);
  free(f->mem);
  f->ep = NULL;
  f->sent_count = f->sent_seen = 0;
  f->event_count = f->event_seen = 0;
  const size_t size = copal_ep_size(&f->cfg);
  assert_int_not_equal(size, 0);
  f->mem = malloc(size);
  assert_non_null(f->mem);
  memset(f->mem, 0xa5, size);
  const copal_mspan mem = {f->mem, size};
  assert_int_equal(copal_ep_init(mem, &f->cfg, &f->ep, f->now), COPAL_OK);
}

int fx_setup(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->sent = calloc(FX_SENT_MAX, sizeof *f->sent);
  assert_non_null(f->sent);
  f->sink = (copal_sink){.reserve = on_reserve, .commit = on_commit};
  f->entropy.fill = on_fill;
  f->server.on_request = on_request;
  f->client.on_event = on_event;
  f->fill = -1;
  f->now = FX_START;
  f->peer = fx_peer(1);
  f->cfg = (copal_ep_cfg)COPAL_EP_CFG_INIT;
  f->cfg.sink = &f->sink;
  f->cfg.entropy = &f->entropy;
  f->cfg.server = &f->server;
  fx_answer(f, COPAL_CODE_CONTENT, "");
  fx_restart(f);
  *state = f;
  return 0;
}

int fx_teardown(void **state)
{
  fixture *f = *state;
  f->is_deaf = true;
  copal_ep_wipe(f->ep, f->now);
  free(f->mem);
  free(f->sent);
  free(f);
  return 0;
}

/* -------------------------------------------------------------------------------- text to bytes
 */

static int digit_of(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  assert_true(c >= 'a' && c <= 'f');
  return c - 'a' + 10;
}

static size_t put_named(const fixture *f, char name, uint8_t *out)
{
  if (name == 'm') {
    out[0] = (uint8_t)(f->mid >> 8);
    out[1] = (uint8_t)f->mid;
    return 2;
  }
  assert_int_equal(name, 't');
  memcpy(out, f->token, f->token_len);
  return f->token_len;
}

size_t fx_bytes(const fixture *f, const char *text, uint8_t *out)
{
  size_t len = 0;
  while (*text) {
    if (*text == ' ') {
      text++;
    } else if (*text == '%') {
      len += put_named(f, text[1], out + len);
      text += 2;
    } else if (*text == '\'') {
      for (text++; *text != '\''; text++)
        out[len++] = (uint8_t)*text;
      text++;
    } else {
      out[len++] = (uint8_t)(digit_of(text[0]) << 4 | digit_of(text[1]));
      text += 2;
    }
  }
  return len;
}

/* ----------------------------------------------------------------------------------------- input
 */

int fx_feed_bytes(fixture *f, const copal_path *path, const uint8_t *bytes, size_t len)
{
  uint8_t *exact = malloc(len ? len : 1); /* so that reading beyond the end is seen */
  assert_non_null(exact);
  if (len)
    memcpy(exact, bytes, len);
  const copal_mspan dgram = {exact, len};
  const int err = copal_ep_input(f->ep, path, dgram, f->now);
  free(exact);
  return err;
}

int fx_feed_from(fixture *f, const copal_path *path, const char *text)
{
  uint8_t bytes[FX_BYTES_MAX];
  const size_t len = fx_bytes(f, text, bytes);
  return fx_feed_bytes(f, path, bytes, len);
}

int fx_feed(fixture *f, const char *text)
{
  return fx_feed_from(f, &f->peer, text);
}

void fx_advance(fixture *f, copal_time by)
{
  const copal_time until = f->now + by;
  copal_time due;
  while ((due = copal_ep_deadline(f->ep)) <= until) {
    if (due > f->now)
      f->now = due;
    copal_ep_expire(f->ep, f->now);
  }
  f->now = until;
}

/* ---------------------------------------------------------------------------------- expectations
 */

/* Learns Message ID and token where the pattern names them. */
static bool matches(fixture *f, const fx_datagram *d, const char *text)
{
  size_t at = 0;
  for (; *text; text++) {
    if (*text == ' ')
      continue;
    if (*text == '*')
      return true;
    if (text[0] == '%' && text[1] == 'm') {
      if (at + 2 > d->len)
        return false;
      f->mid = (uint16_t)(d->bytes[at] << 8 | d->bytes[at + 1]);
      at += 2;
      text++;
    } else if (text[0] == '%') {
      f->token_len = d->bytes[0] & 15;
      if (f->token_len > sizeof f->token || at + f->token_len > d->len)
        return false;
      memcpy(f->token, d->bytes + at, f->token_len);
      at += f->token_len;
      text++;
    } else if (*text == '\'') {
      for (text++; *text != '\''; text++)
        if (at >= d->len || d->bytes[at++] != (uint8_t)*text)
          return false;
    } else if (*text == '.') {
      at++;
      text++;
    } else {
      const int byte = digit_of(text[0]) << 4 | digit_of(text[1]);
      if (at >= d->len || d->bytes[at++] != byte)
        return false;
      text++;
    }
  }
  return at == d->len;
}

static void print_datagram(const fx_datagram *d)
{
  print_error("sent:    ");
  for (size_t i = 0; i < d->len && i < 96; i++)
    print_error(" %02x", d->bytes[i]);
  print_error(" (%zu bytes)\n", d->len);
}

void fx_expect_at(fixture *f, const copal_path *path, const char *text, const char *file, int line)
{
  if (f->sent_seen == f->sent_count) {
    print_error("expected: %s\nsent:     nothing\n", text);
    _fail(file, line);
  }
  const fx_datagram *d = &f->sent[f->sent_seen++];
  if (!matches(f, d, text)) {
    print_error("expected: %s\n", text);
    print_datagram(d);
    _fail(file, line);
  }
  if (memcmp(&d->path.remote, &path->remote, sizeof path->remote) != 0) {
    print_error("sent to another peer\n");
    _fail(file, line);
  }
}

void fx_expect_nothing_at(fixture *f, const char *file, int line)
{
  if (f->sent_seen == f->sent_count)
    return;
  print_error("expected nothing\n");
  print_datagram(&f->sent[f->sent_seen]);
  _fail(file, line);
}

const fx_datagram *fx_last(const fixture *f)
{
  assert_true(f->sent_seen > 0);
  return &f->sent[f->sent_seen - 1];
}

const fx_event *fx_event_at(fixture *f, copal_event_kind kind, const char *file, int line)
{
  if (f->event_seen == f->event_count) {
    print_error("expected event %d, got none\n", (int)kind);
    _fail(file, line);
  }
  const fx_event *e = &f->events[f->event_seen++];
  if (e->kind != kind) {
    print_error("expected event %d, got %d\n", (int)kind, (int)e->kind);
    _fail(file, line);
  }
  return e;
}

void fx_no_event_at(fixture *f, const char *file, int line)
{
  if (f->event_seen == f->event_count)
    return;
  print_error("expected no event, got %d\n", (int)f->events[f->event_seen].kind);
  _fail(file, line);
}

/* ----------------------------------------------------------------------------------------- roles
 */

copal_request fx_request_init(fixture *f, copal_type type, copal_code code)
{
  copal_request rq = COPAL_REQUEST_INIT;
  rq.path = &f->peer;
  rq.type = type;
  rq.code = code;
  rq.client = &f->client;
  return rq;
}

int fx_request(fixture *f, copal_type type, copal_code code, copal_xref *ref)
{
  const copal_request rq = fx_request_init(f, type, code);
  return copal_ep_request(f->ep, &rq, ref, f->now);
}

void fx_answer(fixture *f, copal_code code, const char *payload)
{
  f->result = COPAL_OK;
  f->response = (copal_response){.code = code, .payload = copal_span_str(payload)};
}

void fx_expect_idle(fixture *f)
{
  fx_advance(f, (copal_time)2000 * COPAL_SECOND);
  const copal_usage u = copal_ep_usage(f->ep);
  assert_int_equal(u.exchanges, 0);
  assert_int_equal(u.peers, 0);
  assert_int_equal(u.dedups, 0);
  assert_int_equal(u.chunks, 0);
  assert_int_equal(copal_ep_deadline(f->ep), COPAL_NEVER);
}

const copal_stats *fx_stats(const fixture *f)
{
  return copal_ep_stats(f->ep);
}
