/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors that read and write wire structures with a sticky error.
 *
 * Reader: after the first failed read all later reads yield zero or an empty span and `err` keeps
 * the first error (COPAL_EFORMAT). Check `err` once per structure, before the values are used.
 * Writer: emit the whole structure, then test `err` once; on COPAL_ENOSPC nothing of it may be
 * sent. */
#ifndef COPAL_CURSOR_H
#define COPAL_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

typedef struct copal_rd {
  const uint8_t *ptr; /* next byte to read */
  size_t left;        /* bytes not yet read */
  int err;            /* COPAL_OK or the first error */
} copal_rd;

typedef struct copal_wr {
  uint8_t *buf;
  size_t len; /* bytes written */
  size_t cap; /* bytes available in `buf`; after an error those written, so that no more are */
  int err;    /* COPAL_OK, COPAL_ENOSPC, or COPAL_EINVAL for what has no encoding; the first */
} copal_wr;

/* A reader of `bytes`, which are borrowed as long as it and its spans are used. */
COPAL_API copal_rd copal_rd_init(copal_span bytes);

/* Reads one byte, or two as a big-endian unsigned integer. */
COPAL_API uint8_t copal_rd_u8(copal_rd *r);
COPAL_API uint16_t copal_rd_u16(copal_rd *r);

/* Reads `n` bytes (0 to 4) as a big-endian unsigned integer. More than 4 is COPAL_EFORMAT. */
COPAL_API uint32_t copal_rd_be(copal_rd *r, size_t n);

/* Takes the next `n` bytes as a span into the input. */
COPAL_API copal_span copal_rd_span(copal_rd *r, size_t n);

/* Takes the next `n` bytes as a reader of their own; the parent continues behind them. */
COPAL_API copal_rd copal_rd_sub(copal_rd *r, size_t n);

/* What is left, without consuming it. */
COPAL_API copal_span copal_rd_rest(const copal_rd *r);

/* A writer into `room`, which is lent as long as the writer is used. */
COPAL_API copal_wr copal_wr_init(copal_mspan room);

/* Writes one byte, or two in big-endian order. */
COPAL_API void copal_wr_u8(copal_wr *w, uint8_t v);
COPAL_API void copal_wr_u16(copal_wr *w, uint16_t v);

/* Writes the low `n` bytes (0 to 4) of `v`, big-endian. More than 4 is COPAL_EINVAL. */
COPAL_API void copal_wr_be(copal_wr *w, uint32_t v, size_t n);

/* Writes all bytes of `s`, or none and COPAL_ENOSPC. */
COPAL_API void copal_wr_span(copal_wr *w, copal_span s);

/* Reserves `n` bytes to be filled later; returns their offset for copal_wr_patch(). */
COPAL_API size_t copal_wr_mark(copal_wr *w, size_t n);

/* Fills `n` bytes (0 to 4) at `mark` with the low bytes of `v`, big-endian. No effect after an
 * error. */
COPAL_API void copal_wr_patch(copal_wr *w, size_t mark, uint32_t v, size_t n);

/* What was written so far. */
COPAL_API copal_span copal_wr_done(const copal_wr *w);

/* Bytes (0 to 4) that `v` needs as a CoAP uint: no leading zero bytes, 0 for zero. RFC 7252
 * section 3.2. */
COPAL_API size_t copal_uint_size(uint32_t v);

COPAL_END_DECLS

#endif
