/* SPDX-License-Identifier: Apache-2.0 */
/* Immutable representations: entity-tags are functions of revisions, so that hardly one is kept. */
#include "store/memory/representation.h"

#include <stdlib.h>
#include <string.h>

static size_t size_for(size_t bytes)
{
  const size_t size = offsetof(representation, bytes) + bytes;
  return size > sizeof(representation) ? size : sizeof(representation);
}

size_t representation_size(const representation *r)
{
  return size_for(r->body_len + r->attrs_len + (r->has_etag ? STORE_ETAG_SIZE : 0));
}

static uint8_t *keep(uint8_t *at, copal_span s)
{
  if (s.len > 0)
    memcpy(at, s.ptr, s.len);
  return at + s.len;
}

representation *representation_make(const store_item *item, uint64_t epoch)
{
  const store_etag own = store_etag_of(item->rev, epoch);
  const bool has_etag = memcmp(own.bytes, item->etag.bytes, STORE_ETAG_SIZE) != 0;
  representation *r =
      malloc(size_for(item->body.len + item->attrs.len + (has_etag ? STORE_ETAG_SIZE : 0)));
  if (r == NULL)
    return NULL;
  *r = (representation){.rev = item->rev,
                        .written = item->written,
                        .max_age_s = item->max_age_s,
                        .lifetime_s = item->lifetime_s,
                        .body_len = (uint32_t)item->body.len,
                        .attrs_len = (uint32_t)item->attrs.len & STORE_ATTRS_MAX,
                        .has_etag = has_etag,
                        .content_format = item->content_format};
  uint8_t *at = keep(keep(r->bytes, item->body), item->attrs);
  if (has_etag)
    memcpy(at, item->etag.bytes, STORE_ETAG_SIZE);
  return r;
}

store_item representation_item(const representation *r, uint64_t epoch)
{
  const uint8_t *attrs = r->bytes + r->body_len;
  store_item item = {.rev = r->rev,
                     .content_format = r->content_format,
                     .max_age_s = r->max_age_s,
                     .written = r->written,
                     .lifetime_s = r->lifetime_s,
                     .body = copal_span_of(r->bytes, r->body_len),
                     .attrs = copal_span_of(attrs, r->attrs_len)};
  if (r->has_etag)
    memcpy(item.etag.bytes, attrs + r->attrs_len, STORE_ETAG_SIZE);
  else
    item.etag = store_etag_of(r->rev, epoch);
  return item;
}
