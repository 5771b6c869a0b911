/* SPDX-License-Identifier: Apache-2.0 */
/* Whether CBOR is well formed. RFC 8949 section 5.3.1 and appendix C. */
#include "cmd/copal/cbor_check.h"

#include <stdint.h>

#include "copal/cursor.h"
#include "copal/error.h"

enum {
  MAJOR_BYTES = 2, /* RFC 8949 section 3.1 */
  MAJOR_TEXT = 3,
  MAJOR_ARRAY = 4,
  MAJOR_MAP = 5,
  MAJOR_TAG = 6,
  MAJOR_SIMPLE = 7,
  INFO_ONE_BYTE = 24, /* RFC 8949 section 3 */
  INFO_EIGHT_BYTES = 27,
  INFO_INDEFINITE = 31,
  BREAK = 0xff,
  SIMPLE_MIN = 32, /* in two bytes, RFC 8949 section 3.3 */
};

typedef struct head {
  uint8_t major;
  uint8_t info;
  uint64_t argument;
} head;

static bool check(copal_rd *r, int depth);

static bool read_head(copal_rd *r, head *h)
{
  const uint8_t first = copal_rd_u8(r);
  *h = (head){.major = first >> 5, .info = first & 31, .argument = first & 31};
  if (h->info == INFO_EIGHT_BYTES) {
    const uint64_t high = copal_rd_be(r, 4);
    h->argument = high << 32 | copal_rd_be(r, 4);
  } else if (h->info >= INFO_ONE_BYTE && h->info < INFO_EIGHT_BYTES) {
    h->argument = copal_rd_be(r, (size_t)1 << (h->info - INFO_ONE_BYTE));
  } else if (h->info > INFO_EIGHT_BYTES && h->info != INFO_INDEFINITE) {
    return false;
  }
  return r->err == COPAL_OK;
}

static bool is_break(const copal_rd *r)
{
  return r->left > 0 && *r->ptr == BREAK;
}

/* The chunks of an indefinite-length string are definite strings of its type. */
static bool check_chunks(copal_rd *r, uint8_t major)
{
  while (!is_break(r)) {
    head h;
    if (!read_head(r, &h) || h.major != major || h.info == INFO_INDEFINITE || h.argument > r->left)
      return false;
    copal_rd_span(r, (size_t)h.argument);
  }
  copal_rd_u8(r);
  return true;
}

static bool check_indefinite(copal_rd *r, uint8_t major, int depth)
{
  size_t count = 0;
  if (major == MAJOR_BYTES || major == MAJOR_TEXT)
    return check_chunks(r, major);
  if (major != MAJOR_ARRAY && major != MAJOR_MAP)
    return false;
  for (; !is_break(r); count++)
    if (!check(r, depth))
      return false;
  copal_rd_u8(r);
  return major == MAJOR_ARRAY || count % 2 == 0;
}

static bool check_items(copal_rd *r, uint64_t count, int depth)
{
  if (count > r->left) /* an item takes a byte at least */
    return false;
  while (count-- > 0)
    if (!check(r, depth))
      return false;
  return true;
}

static bool check(copal_rd *r, int depth)
{
  head h;
  if (depth == 0 || !read_head(r, &h))
    return false;
  if (h.info == INFO_INDEFINITE)
    return check_indefinite(r, h.major, depth - 1);
  switch (h.major) {
  case MAJOR_BYTES:
  case MAJOR_TEXT:
    if (h.argument > r->left)
      return false;
    copal_rd_span(r, (size_t)h.argument);
    return true;
  case MAJOR_ARRAY: return check_items(r, h.argument, depth - 1);
  case MAJOR_MAP: return h.argument <= r->left && check_items(r, h.argument * 2, depth - 1);
  case MAJOR_TAG: return check(r, depth - 1);
  case MAJOR_SIMPLE: return h.info != INFO_ONE_BYTE || h.argument >= SIMPLE_MIN;
  default: return true;
  }
}

bool cbor_check_item(copal_span bytes, size_t *size)
{
  copal_rd r = copal_rd_init(bytes);
  const bool ok = check(&r, CBOR_CHECK_DEPTH_MAX) && r.err == COPAL_OK;
  *size = bytes.len - r.left;
  return ok;
}
