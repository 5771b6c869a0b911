/* SPDX-License-Identifier: Apache-2.0 */
/* After a reload of credentials: sessions of peers that are not admitted any more end, a slice of
 * the table at a time, so that nobody waits for a million of them. RFC 5246 section 7.2.2. */
#include "transport/dtls/dtls_inside.h"

#include "copal/error.h"
#include "transport/dtls/session_table.h"

enum {
  SLICE = 512,   /* slots at a time: a millisecond, with a million identities in a file */
  AT_ONCE = 128, /* sessions that end before the owner is told of them; less than DTLS_ENDED_MAX */
};

static const copal_dur pause = COPAL_MILLISECOND;

/* So long the owner waits at most to hear of other names: reloads that follow each other faster
 * than a walk takes do not put it off. */
static const copal_dur untold_max = COPAL_SECOND;

void dtls_readmit(dtls *d, copal_time now)
{
  if (d->cfg.credentials->readmit == NULL)
    return;
  /* From where it is, all around: who reloads all the time spares nobody. */
  d->readmit.left = d->readmit.used = d->sessions->used;
  d->readmit.due = now;
}

/* Somebody goes on under another name, or in other groups. */
static void rename_peer(dtls *d, dtls_session *s, uint32_t identity)
{
  const uint32_t before = s->identity;
  s->identity = identity;
  d->cfg.credentials->release(d->cfg.credentials, before);
  if (!d->readmit.has_renamed)
    d->readmit.tell_by = d->now + untold_max;
  d->readmit.has_renamed = true;
}

static void judge(dtls *d, dtls_session *s)
{
  dtls_credentials *c = d->cfg.credentials;
  uint32_t now = s->identity;
  if (s->state != DTLS_SESSION_UP || s->identity == 0 || dtls_session_is_given(s))
    return;
  const int rc = c->readmit(c, s->identity, &now);
  if (rc == COPAL_ENOTFOUND)
    dtls_session_end(d->sessions, s, DTLS_END_REVOKED);
  else if (rc < 0)
    dtls_session_end(d->sessions, s, DTLS_END_NO_ROOM); /* it may have lost rights: not as before */
  else if (now != s->identity)
    rename_peer(d, s, now);
}

/* Slots that came into use since are gone through, too: they may lie between this one and those
 * that the walk has begun behind. */
static void add_new_slots(dtls *d)
{
  d->readmit.left += d->sessions->used - d->readmit.used;
  d->readmit.used = d->sessions->used;
}

void readmit_run(dtls *d)
{
  dtls_sessions *all = d->sessions;
  add_new_slots(d);
  for (uint32_t i = 0; i < SLICE && d->readmit.left > 0; i++) {
    if (d->readmit.slot >= all->used)
      d->readmit.slot = 0;
    judge(d, &all->slots[d->readmit.slot++]);
    d->readmit.left--;
    if (d->ended_count >= AT_ONCE)
      established_settle(d);
  }
  established_settle(d);
  d->readmit.due = d->readmit.left > 0 ? d->now + pause : COPAL_NEVER;
  if (!d->readmit.has_renamed || (d->readmit.left > 0 && d->now < d->readmit.tell_by))
    return;
  d->readmit.has_renamed = false;
  if (d->cfg.app->on_renamed != NULL)
    d->cfg.app->on_renamed(d->cfg.app, d->now);
}
