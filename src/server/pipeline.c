/* SPDX-License-Identifier: Apache-2.0 */
/* What happens between the endpoint and a service. Thread: the shard's only. RFC 7252 sections
 * 5.10.1 and 6.5. */
#include "server/pipeline.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "copal/registry.h"
#include "copal/uri.h"

/* Answers with an error code and a diagnostic payload, RFC 7252 section 5.5.2. */
static int answer(pipeline *p, copal_code code, const char *text, copal_time now)
{
  const copal_response r = {.code = code, .payload = copal_span_str(text)};
  return copal_ep_respond(p->env.ep, &r, now);
}

/* Host names compare without regard to case. RFC 7252 section 6.3. */
static bool is_served_host(const pipeline *p, copal_span options)
{
  copal_span host;
  if (p->names.count == 0 || !copal_opt_find(options, COPAL_OPT_URI_HOST, &host))
    return true;
  for (size_t i = 0; i < p->names.count; i++)
    if (strlen(p->names.items[i]) == host.len &&
        strncasecmp(p->names.items[i], (const char *)host.ptr, host.len) == 0)
      return true;
  return false;
}

/* "." and ".." are resolved before a URI becomes options. RFC 7252 section 5.10.1. */
static bool is_dot_segment(copal_span segment)
{
  return (segment.len == 1 || segment.len == 2) && memcmp(segment.ptr, "..", segment.len) == 0;
}

static int write_key(copal_wr *w, copal_span options)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt) && opt.number <= COPAL_OPT_URI_PATH;) {
    if (opt.number != COPAL_OPT_URI_PATH)
      continue;
    if (is_dot_segment(opt.value))
      return COPAL_EURI;
    copal_wr_u8(w, '/');
    copal_uri_put_segment(w, opt.value);
  }
  if (w->len == 0)
    copal_wr_u8(w, '/');
  return w->err;
}

/* Writes the canonical path of a request into memory of the arena. Returns COPAL_OK, COPAL_ENOSLOT
 * when the arena is spent, COPAL_ENOSPC when the path is longer than allowed, or COPAL_EURI when it
 * has a dot segment. */
static int make_key(pipeline *p, copal_span options, copal_span *key)
{
  /* Percent-encoding triples a byte at most, and an option has a byte of its own for the slash. */
  const size_t room = 3 * options.len + 1;
  uint8_t *buf = arena_take(&p->arena, room);
  if (buf == NULL)
    return COPAL_ENOSLOT;
  copal_wr w = copal_wr_init((copal_mspan){buf, room});
  const int rc = write_key(&w, options);
  if (rc < 0)
    return rc;
  *key = copal_wr_done(&w);
  return key->len > p->limits.key_max ? COPAL_ENOSPC : COPAL_OK;
}

static int answer_bad_key(pipeline *p, int why, copal_time now)
{
  if (why == COPAL_EURI)
    return answer(p, COPAL_CODE_BAD_REQUEST, "Uri-Path is a dot segment", now);
  if (why == COPAL_ENOSPC) {
    char text[64];
    snprintf(text, sizeof text, "Path longer than %u bytes", (unsigned)p->limits.key_max);
    p->stats.long_paths++;
    return answer(p, COPAL_CODE_BAD_REQUEST, text, now);
  }
  p->stats.no_memory++;
  return why;
}

static int route(pipeline *p, const copal_req *req, copal_time now)
{
  if (!is_served_host(p, req->msg->options)) {
    p->stats.foreign_hosts++;
    return answer(p, COPAL_CODE_NOT_FOUND, "Host not served here", now);
  }
  copal_span key;
  const int rc = make_key(p, req->msg->options, &key);
  if (rc < 0)
    return answer_bad_key(p, rc, now);
  service *s = router_find(p->router, key);
  if (s == NULL) {
    p->stats.no_routes++;
    return answer(p, COPAL_CODE_NOT_FOUND, "No such resource", now);
  }
  p->stats.requests++;
  const handler_req request = {
      .env = &p->env, .coap = req, .arena = &p->arena, .key = key, .now = now};
  return s->on_request(s, &request);
}

static int pipeline_on_request(copal_server *hook, copal_ep *ep, const copal_req *req,
                               copal_time now)
{
  pipeline *p = (pipeline *)hook;
  (void)ep;
  const int rc = route(p, req, now);
  arena_reset(&p->arena);
  return rc;
}

int pipeline_init(pipeline *p, const conf *c, const router *r, store_port *port,
                  copal_entropy *entropy)
{
  memset(p, 0, sizeof *p);
  p->hook.on_request = pipeline_on_request;
  p->limits = c->limits;
  p->env = (handler_env){.store = port, .entropy = entropy, .limits = &p->limits};
  p->router = r;
  int rc = conf_strings_copy(&p->names, &c->names);
  if (rc == COPAL_OK)
    rc = arena_init(&p->arena, c->request_memory);
  if (rc < 0)
    pipeline_wipe(p);
  return rc;
}

void pipeline_reload(pipeline *p, const handler_limits *limits, conf_strings names)
{
  p->limits = *limits;
  conf_strings_wipe(&p->names);
  p->names = names;
}

void pipeline_wipe(pipeline *p)
{
  conf_strings_wipe(&p->names);
  arena_wipe(&p->arena);
}
