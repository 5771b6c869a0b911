/* SPDX-License-Identifier: Apache-2.0 */
/* What the database says about the journal. */
#include "store/journal/state.h"

#include <errno.h>
#include <string.h>

#include "store/journal/crc32c.h"

#define STATE_KEY "journal"

enum { AT_CRC = 0, AT_FORMAT = 4, AT_APPLIED = 8, AT_OPEN = 16, AT_NEWEST = 24 };

static void put_uint(uint8_t *out, uint64_t value, int size)
{
  for (int i = 0; i < size; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_uint(const uint8_t *in, int size)
{
  uint64_t value = 0;
  for (int i = 0; i < size; i++)
    value |= (uint64_t)in[i] << (8 * i);
  return value;
}

static uint32_t checksum(const uint8_t *bytes)
{
  return crc32c(0, copal_span_of(bytes + AT_FORMAT, JOURNAL_STATE_SIZE - AT_FORMAT));
}

static int get(const env *e, MDB_txn *txn, journal_state *s)
{
  MDB_val key = env_val(copal_span_str(STATE_KEY));
  MDB_val value;
  const int rc = mdb_get(txn, e->main, &key, &value);
  *s = (journal_state){.is_open = false};
  if (rc != 0)
    return rc == MDB_NOTFOUND ? 0 : rc;
  const uint8_t *p = value.mv_data;
  if (value.mv_size != JOURNAL_STATE_SIZE || get_uint(p, 4) != checksum(p) ||
      get_uint(p + AT_FORMAT, 4) != JOURNAL_FORMAT)
    return EILSEQ;
  *s = (journal_state){.is_open = p[AT_OPEN] != 0,
                       .applied = get_uint(p + AT_APPLIED, 8),
                       .newest = get_uint(p + AT_NEWEST, 8)};
  return 0;
}

int journal_state_get(const env *e, MDB_txn *txn, journal_state *s)
{
  MDB_txn *own;
  if (txn != NULL)
    return get(e, txn, s);
  int rc = mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &own);
  if (rc != 0)
    return rc;
  rc = get(e, own, s);
  mdb_txn_abort(own);
  return rc;
}

int journal_state_put(const env *e, MDB_txn *txn, const journal_state *s)
{
  uint8_t bytes[JOURNAL_STATE_SIZE] = {0};
  put_uint(bytes + AT_FORMAT, JOURNAL_FORMAT, 4);
  put_uint(bytes + AT_APPLIED, s->applied, 8);
  put_uint(bytes + AT_NEWEST, s->newest, 8);
  bytes[AT_OPEN] = s->is_open;
  put_uint(bytes, checksum(bytes), 4);
  MDB_val key = env_val(copal_span_str(STATE_KEY));
  MDB_val value = env_val(copal_span_of(bytes, sizeof bytes));
  return mdb_put(txn, e->main, &key, &value, 0);
}
