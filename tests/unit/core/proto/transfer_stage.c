/* SPDX-License-Identifier: Apache-2.0 */
/* A transfer over the endpoint of the fixture. */
#include "unit/core/proto/transfer_stage.h"

static int take_once(int *result)
{
  const int r = *result;
  *result = COPAL_OK;
  return r;
}

static int on_read(copal_transfer *t, uint32_t offset, copal_mspan room, bool *is_end)
{
  stage *s = (stage *)(void *)t;
  s->reads++;
  if (s->read_result)
    return take_once(&s->read_result);
  assert_true(offset <= s->source_len);
  const size_t left = s->source_len - offset;
  const size_t n = left < room.len ? left : room.len;
  memcpy(room.ptr, s->source + offset, n);
  *is_end = s->knows_end && n == left;
  return (int)n;
}

static int on_write(copal_transfer *t, const copal_transfer_part *part)
{
  stage *s = (stage *)(void *)t;
  s->writes++;
  if (part->offset == 0 || !s->rq.window)
    assert_non_null(part->msg);
  assert_true(part->offset == 0 || part->offset == s->body_len);
  assert_true(part->offset + part->bytes.len <= sizeof s->body);
  if (part->bytes.len)
    memcpy(s->body + part->offset, part->bytes.ptr, part->bytes.len);
  s->body_len = part->offset + part->bytes.len;
  s->total = part->total;
  s->has_last = part->is_last;
  return take_once(&s->write_result);
}

static void on_event(copal_transfer *t, const copal_transfer_event *e, copal_time now)
{
  stage *s = (stage *)(void *)t;
  assert_int_equal(now, s->f->now);
  assert_int_equal(s->dones, 0);
  s->sent = e->sent;
  s->received = e->received;
  switch (e->kind) {
  case COPAL_TRANSFER_PROGRESS: s->progresses++; return;
  case COPAL_TRANSFER_RESTART: s->restarts++; return;
  case COPAL_TRANSFER_STALL: s->stalls++; return;
  case COPAL_TRANSFER_STATE:
    s->states++;
    s->state = *e->result;
    return;
  }
}

static void on_done(copal_transfer *t, const copal_transfer_result *result, copal_time now)
{
  stage *s = (stage *)(void *)t;
  assert_int_equal(now, s->f->now);
  assert_false(copal_transfer_is_active(t));
  s->dones++;
  s->result = *result;
}

void stage_init(stage *s, fixture *f, copal_code code, uint16_t block_size)
{
  *s = (stage){.f = f};
  s->t.write = on_write;
  s->t.on_event = on_event;
  s->t.on_done = on_done;
  s->opts[0] = (copal_opt){COPAL_OPT_URI_PATH, copal_span_str("a")};
  s->rq = (copal_transfer_request)COPAL_TRANSFER_REQUEST_INIT;
  s->rq.path = &f->peer;
  s->rq.code = code;
  s->rq.opts = s->opts;
  s->rq.opt_count = 1;
  s->rq.opt_room = s->room;
  s->rq.opt_cap = STAGE_OPTS + COPAL_TRANSFER_OPTS;
  s->rq.block_size = block_size;
  s->rq.negotiates_late = true;
}

void stage_read(stage *s, const char *body, int64_t announced, bool knows_end)
{
  s->t.read = on_read;
  s->source = (const uint8_t *)body;
  s->source_len = strlen(body);
  s->knows_end = knows_end;
  s->rq.body_size = announced;
  s->rq.block_room = (copal_mspan){s->block, sizeof s->block};
}

int stage_start(stage *s)
{
  return copal_transfer_start(&s->t, s->f->ep, &s->rq, s->f->now);
}

void stage_expect_done(stage *s, int status, copal_code code, const char *body)
{
  assert_int_equal(s->dones, 1);
  assert_int_equal(s->result.status, status);
  assert_int_equal(s->result.code, code);
  assert_int_equal(s->body_len, strlen(body));
  assert_memory_equal(s->body, body, s->body_len);
  if (status == COPAL_OK && copal_code_class(code) == COPAL_CLASS_SUCCESS)
    assert_int_equal(s->result.size, s->body_len);
  assert_false(copal_transfer_is_active(&s->t));
  fx_expect_nothing(s->f);
}

void stage_expect_going(const stage *s)
{
  assert_int_equal(s->dones, 0);
  assert_true(copal_transfer_is_active(&s->t));
}
