/* SPDX-License-Identifier: Apache-2.0 */
/* What established DTLS sessions cost: as many as told are imported as a restart does it, then
 * records of random ones come in and are answered. The peers are in this process, and their work is
 * not part of the figures. One line of JSON.
 *
 *   sessions [-n SESSIONS] [-r RECORDS] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "transport/dtls/saved.h"
#include "transport/dtls/session.h"

enum {
  SESSIONS = 1000000,
  RECORDS = 200000,
  BATCH = 1024, /* records made before their time is taken */
  CONTENT = 24, /* bytes: a GET with a path */
  ROOM = 128,
  PEER_CID = 8,
  GENERATION = 1,
};

/* Where fields of the saved form stand; transport/dtls/saved.h. */
enum {
  AT_FLAGS = 1,
  AT_AEAD = 2,
  AT_SLOT = 4,
  AT_GENERATION = 8,
  AT_ADDRESS = 12,
  AT_PORT = 28,
  AT_KEYS = 56,
  AT_CID_SIZE = 121,
};

static const copal_time now = 1000 * (copal_time)COPAL_SECOND;
static const uint8_t cid_secret[DTLS_CID_KEY_SIZE] = "not very secret";

static void put_u32(uint8_t *out, uint32_t n)
{
  for (int i = 0; i < 4; i++)
    out[i] = (uint8_t)(n >> (24 - 8 * i));
}

static double seconds(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bytes of this process in memory. */
static double resident(void)
{
  unsigned long pages[2] = {0, 0};
  FILE *f = fopen("/proc/self/statm", "r");
  if (f != NULL) {
    if (fscanf(f, "%lu %lu", &pages[0], &pages[1]) != 2)
      pages[1] = 0;
    fclose(f);
  }
  return (double)pages[1] * (double)sysconf(_SC_PAGESIZE);
}

static uint64_t next_random(uint64_t *state)
{
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* ------------------------------------------------------------------------------------------------
 * sessions */

static void keys_of(uint32_t slot, dtls_keys *received, dtls_keys *sent)
{
  memset(received, 1, sizeof *received);
  memset(sent, 2, sizeof *sent);
  put_u32(received->key, slot);
  put_u32(sent->key, slot);
}

static copal_path path_of(uint32_t slot)
{
  copal_path path = {
      .remote = {.port = (uint16_t)(1024 + slot % 60000)}, .local = 1, .flags = COPAL_PATH_SECURE};
  path.remote.ip[10] = path.remote.ip[11] = 0xff;
  path.remote.ip[12] = 10;
  path.remote.ip[13] = (uint8_t)(slot >> 16);
  path.remote.ip[14] = (uint8_t)(slot >> 8);
  path.remote.ip[15] = (uint8_t)slot;
  return path;
}

static bool import(dtls_sessions *all, uint32_t slot)
{
  uint8_t bytes[DTLS_SAVED_HEAD + PEER_CID] = {[0] = 1};
  dtls_keys received, sent;
  const copal_path path = path_of(slot);
  const dtls_saved_here here = {.identity = 0, .local = path.local};
  keys_of(slot, &received, &sent);
  bytes[AT_FLAGS] = DTLS_SESSION_CID | DTLS_SESSION_CONFIRMED;
  bytes[AT_AEAD] = DTLS_AES_128_CCM_8;
  put_u32(bytes + AT_SLOT, slot);
  put_u32(bytes + AT_GENERATION, GENERATION);
  memcpy(bytes + AT_ADDRESS, path.remote.ip, sizeof path.remote.ip);
  bytes[AT_PORT] = (uint8_t)(path.remote.port >> 8);
  bytes[AT_PORT + 1] = (uint8_t)path.remote.port;
  memcpy(bytes + AT_KEYS, &received, sizeof received);
  memcpy(bytes + AT_KEYS + sizeof received, &sent, sizeof sent);
  bytes[AT_CID_SIZE] = PEER_CID;
  put_u32(bytes + DTLS_SAVED_HEAD, slot);
  return dtls_saved_import(all, copal_span_of(bytes, sizeof bytes), &here, now) == COPAL_OK;
}

/* ------------------------------------------------------------------------------------------------
 * records */

typedef struct datagram {
  uint32_t slot;
  size_t len;
  uint8_t bytes[ROOM];
} datagram;

/* What a peer sends; `seq` is a new one for it. */
static bool seal(datagram *d, const dtls_cid_key *key, uint32_t slot, uint64_t seq)
{
  uint8_t cid[DTLS_CID_SIZE], content[CONTENT] = "a request";
  dtls_keys to_server, from_server;
  const dtls_cid name = {.slot = slot, .generation = GENERATION};
  keys_of(slot, &to_server, &from_server);
  dtls_cid_make(key, &name, cid);
  const dtls_draft draft = {.type = DTLS_APPLICATION_DATA,
                            .epoch = 1,
                            .seq = seq,
                            .cid = copal_span_of(cid, sizeof cid),
                            .content = copal_span_of(content, sizeof content)};
  const int size = dtls_record_seal(&to_server, DTLS_AES_128_CCM_8, &draft,
                                    (copal_mspan){d->bytes, sizeof d->bytes});
  d->slot = slot;
  d->len = size > 0 ? (size_t)size : 0;
  return size > 0;
}

/* Opens a record and seals an answer, as the server does. */
static bool serve(dtls_sessions *all, datagram *d)
{
  uint8_t answer[ROOM];
  const copal_path path = path_of(d->slot);
  copal_rd rd = copal_rd_init(copal_span_of(d->bytes, d->len));
  dtls_record rec;
  dtls_opened opened;
  if (!dtls_record_next(&rd, DTLS_CID_SIZE, &rec))
    return false;
  dtls_session *s = dtls_session_by_cid(all, rec.cid);
  uint8_t *fragment = d->bytes + (rec.fragment.ptr - d->bytes);
  const dtls_arrival a = {&rec, &path, {fragment, rec.fragment.len}};
  return s != NULL && dtls_session_open(all, s, &a, &opened, now) == COPAL_OK &&
         opened.content.bytes.len == CONTENT &&
         dtls_session_seal(all, s, DTLS_APPLICATION_DATA, opened.content.bytes,
                           (copal_mspan){answer, sizeof answer}) > 0;
}

/* Seconds of CPU for so many records of random sessions, or a negative number when one of them was
 * not taken. */
static double exchange(dtls_sessions *all, const dtls_cid_key *key, uint32_t count,
                       uint32_t records)
{
  static datagram batch[BATCH];
  uint64_t random = 88172645463325252u;
  double spent = 0;
  for (uint32_t done = 0; done < records; done += BATCH) {
    for (uint32_t i = 0; i < BATCH; i++)
      if (!seal(&batch[i], key, (uint32_t)(next_random(&random) % count), 1 + done + i))
        return -1;
    const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t i = 0; i < BATCH; i++)
      if (!serve(all, &batch[i]))
        return -1;
    spent += seconds(CLOCK_THREAD_CPUTIME_ID) - before;
  }
  return spent;
}

static int measure(uint32_t count, uint32_t records)
{
  dtls_cid_key key;
  dtls_sessions *all;
  dtls_cid_key_init(&key, cid_secret);
  const double empty = resident();
  const dtls_sessions_cfg cfg = {.max = count, .handshake_max = 1, .seed = 1, .cid_key = &key};
  if (dtls_sessions_open(&cfg, &all) != COPAL_OK)
    return 1;
  const double began = seconds(CLOCK_THREAD_CPUTIME_ID);
  for (uint32_t slot = 0; slot < count; slot++)
    if (!import(all, slot))
      return 1;
  dtls_sessions_settle(all);
  const double imported = seconds(CLOCK_THREAD_CPUTIME_ID) - began;
  const double bytes = resident() - empty;
  const uint32_t whole = (records + BATCH - 1) / BATCH * BATCH;
  const double spent = exchange(all, &key, count, whole);
  dtls_sessions_close(all);
  if (spent < 0)
    return 1;
  printf("{\"sessions\":%" PRIu32 ",\"bytes_per_session\":%.1f,\"import_us\":%.3f,"
         "\"records\":%" PRIu32 ",\"cpu_us\":%.3f}\n",
         count, bytes / count, imported * 1e6 / count, whole, spent * 1e6 / whole);
  return 0;
}

int main(int argc, char **argv)
{
  unsigned long sessions = SESSIONS, records = RECORDS;
  for (int c; (c = getopt(argc, argv, "n:r:")) != -1;) {
    if (c == 'n')
      sessions = strtoul(optarg, NULL, 10);
    else if (c == 'r')
      records = strtoul(optarg, NULL, 10);
  }
  if (optind < argc || sessions < 1 || sessions > DTLS_SESSION_MAX - 1 || records < 1 ||
      records > UINT32_MAX / 2) {
    fputs("usage: sessions [-n SESSIONS] [-r RECORDS]\n", stderr);
    return 2;
  }
  const int err = measure((uint32_t)sessions, (uint32_t)records);
  if (err != 0)
    fputs("sessions: a session was not imported, or a record not taken\n", stderr);
  return err;
}
