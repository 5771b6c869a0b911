/* SPDX-License-Identifier: Apache-2.0 */
/* How many small changes per second become durable, through the store's interface alone: LMDB's own
 * group commit and the journal, in turn, on the same directory's disk. In front of them, what the
 * disk takes: writes of as many bytes as the journal needs for so many changes, each behind a sync,
 * by somebody who has nothing else to do.
 *
 *   store_commit [--seconds S] [--keys N] [--engine lmdb|journal] [--minutes M] DIR
 *
 * With --minutes the journal runs at full rate with 256 in flight, and its lag is printed every ten
 * seconds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "store/journal/journal.h"
#include "store/lmdb/lmdb.h"
#include "store/store.h"

enum {
  BODY = 64,
  KEY_ROOM = 40,
  FLIGHT_MAX = 1024,
  BUCKETS = 200000,
  REPORT_S = 10,
  RECORD = 136, /* bytes of the journal for one change: docs/store-format.md */
  PAGE = 4096,
  DISK_FILE = 16 << 20,
  FLIGHTS = 2,
  THREADS_MAX = 8,
};

static const uint32_t flights[FLIGHTS] = {64, 256};

typedef struct run run;

typedef struct change {
  store_op op; /* first */
  run *r;
  uint64_t began; /* microseconds */
  char key[KEY_ROOM];
  bool is_free;
} change;

struct run {
  store_waker waker;
  int event;
  store *s;
  store_port *p;
  change changes[FLIGHT_MAX];
  uint32_t done, failed;
  uint64_t total;
  uint32_t waits[BUCKETS]; /* microseconds; the last one: and more */
  uint64_t random;
};

static run the_run;
static uint8_t body[BODY];

static uint64_t now_us(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void on_done(store_op *op, const store_result *result)
{
  change *c = (change *)op;
  const uint64_t us = now_us() - c->began;
  c->r->waits[us < BUCKETS ? us : BUCKETS - 1]++;
  c->r->failed += result->status != STORE_OK;
  c->r->done++;
  c->is_free = true;
}

static void on_wake(store_waker *w)
{
  const uint64_t one = 1;
  if (write(((run *)w)->event, &one, sizeof one) < 0)
    abort();
}

static void sleep_until_woken(run *r)
{
  uint64_t count;
  if (read(r->event, &count, sizeof count) < 0 && errno != EINTR)
    abort();
}

static uint64_t draw(run *r, uint64_t below)
{
  r->random = r->random * 6364136223846793005u + 1442695040888963407u;
  return (r->random >> 33) % below;
}

static bool submit(run *r, change *c, uint64_t number)
{
  snprintf(c->key, sizeof c->key, "/iot/acme/dev%08" PRIu64, number);
  c->op = (store_op){.done = on_done,
                     .verb = STORE_PUT,
                     .key = copal_span_str(c->key),
                     .body = copal_span_of(body, sizeof body),
                     .content_format = STORE_NO_FORMAT,
                     .max_age_s = STORE_NO_MAX_AGE};
  c->began = now_us();
  c->is_free = store_commit(r->p, &c->op, 1) != COPAL_OK;
  return !c->is_free;
}

/* Keeps so many changes in flight: the keys in order, or at random until the time is over. */
static void drive(run *r, uint32_t flight, uint64_t keys, uint64_t until)
{
  uint64_t next = 0;
  uint32_t under_way = 0;
  for (uint32_t i = 0; i < flight; i++)
    r->changes[i] = (change){.r = r, .is_free = true};
  for (;;) {
    const bool goes_on = until != 0 ? now_us() < until : next < keys;
    for (uint32_t i = 0; goes_on && i < flight; i++)
      if (r->changes[i].is_free && (until != 0 || next < keys))
        under_way += submit(r, &r->changes[i], until != 0 ? draw(r, keys) : next++);
    if (under_way == 0)
      return;
    r->done = 0;
    store_view_renew(r->p);
    while (store_drain(r->p, FLIGHT_MAX) == 0)
      sleep_until_woken(r);
    under_way -= r->done;
    r->total += r->done;
  }
}

static uint64_t percentile(const run *r, unsigned per_mille)
{
  uint64_t sum = 0, seen = 0;
  for (uint32_t i = 0; i < BUCKETS; i++)
    sum += r->waits[i];
  for (uint32_t i = 0; i < BUCKETS; i++)
    if ((seen += r->waits[i]) * 1000 >= sum * per_mille)
      return i;
  return BUCKETS;
}

static void begin(run *r)
{
  memset(r->waits, 0, sizeof r->waits);
  r->total = 0;
  r->failed = 0;
}

static bool is_journal(const char *engine)
{
  return strcmp(engine, "journal") == 0;
}

static bool open_port(run *r, const char *engine, const char *dir)
{
  char why[LMDB_WHY_SIZE] = "";
  const lmdb_store_cfg cfg = {.resource_max = 100000000};
  const int rc = is_journal(engine)
                     ? journal_store_open(dir, &(journal_store_cfg){.common = cfg}, &r->s, why)
                     : lmdb_store_open(dir, &cfg, &r->s, why);
  if (rc != COPAL_OK) {
    fprintf(stderr, "store_commit: %s\n", why);
    return false;
  }
  return store_port_open(r->s, &r->waker, &r->p) == COPAL_OK;
}

static void close_port(run *r)
{
  store_port_close(r->p);
  store_close(r->s);
}

/* Microseconds of processor time of all threads so far. */
static double cpu_us(void)
{
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* What all processors have done so far, and how much of it was work, in ticks. */
typedef struct processors {
  double all, busy;
} processors;

static processors processors_now(void)
{
  double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  FILE *f = fopen("/proc/stat", "re");
  if (f == NULL)
    return (processors){.all = 0};
  const int n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle,
                       &wait, &irq, &soft, &steal);
  fclose(f);
  const double busy = user + nice + system + irq + soft + steal;
  return n == 8 ? (processors){.all = busy + idle + wait, .busy = busy} : (processors){.all = 0};
}

/* Percent of the processors that others took since: more than a little, and the rates say little.
 */
static double others_since(processors before, double own_us)
{
  const processors now = processors_now();
  const double own = own_us / 1e6 * (double)sysconf(_SC_CLK_TCK);
  const double others = now.busy - before.busy - own;
  return now.all > before.all && others > 0 ? 100 * others / (now.all - before.all) : 0;
}

/* Processor time of one thread. */
typedef struct thread_use {
  char name[16];
  double us;
} thread_use;

typedef struct threads_use {
  thread_use each[THREADS_MAX];
  int count;
} threads_use;

static bool read_thread(const char *id, thread_use *t)
{
  char path[64], line[64];
  snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", id);
  FILE *f = fopen(path, "re");
  const bool has_name = f != NULL && fgets(t->name, sizeof t->name, f) != NULL;
  if (f != NULL)
    fclose(f);
  t->name[strcspn(t->name, "\n")] = '\0';
  snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", id);
  f = fopen(path, "re");
  const bool has_time = f != NULL && fgets(line, sizeof line, f) != NULL;
  if (f != NULL)
    fclose(f);
  t->us = has_time ? strtod(line, NULL) / 1000 : 0;
  return has_name && has_time;
}

/* In the order in which they were started. */
static threads_use threads_now(void)
{
  threads_use all = {.count = 0};
  DIR *dir = opendir("/proc/self/task");
  for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
    if (e->d_name[0] != '.' && all.count < THREADS_MAX &&
        read_thread(e->d_name, &all.each[all.count]))
      all.count++;
  if (dir != NULL)
    closedir(dir);
  return all;
}

/* Who of the program's threads took how much for each of so many changes. */
static void print_threads(const threads_use *before, uint64_t changes)
{
  const threads_use now = threads_now();
  printf(" ");
  for (int i = 0; changes > 0 && i < now.count && i < before->count; i++)
    printf(" %s %.2f us,", now.each[i].name,
           (now.each[i].us - before->each[i].us) / (double)changes);
}

/* Measures, and prints two lines. */
static double measure(run *r, const char *engine, uint32_t flight, uint64_t keys, double seconds)
{
  const uint64_t began = now_us();
  const double cpu = cpu_us();
  const processors all = processors_now();
  const threads_use threads = threads_now();
  const journal_store_counts counts =
      is_journal(engine) ? journal_store_counts_now(r->s) : (journal_store_counts){.syncs = 0};
  struct rusage waits;
  getrusage(RUSAGE_SELF, &waits);
  begin(r);
  drive(r, flight, keys, began + (uint64_t)(seconds * 1e6));
  const double rate = (double)r->total * 1e6 / (double)(now_us() - began);
  const double used = cpu_us() - cpu;
  printf("%-8s %4u in flight: %8.0f changes/s, p50 %" PRIu64 " us, p99 %" PRIu64
         " us, p99.9 %" PRIu64 " us, %.1f us of processor each, others %.0f %%, failed %u\n",
         engine, flight, rate, percentile(r, 500), percentile(r, 990), percentile(r, 999),
         r->total > 0 ? used / (double)r->total : 0.0, others_since(all, used), r->failed);
  print_threads(&threads, r->total);
  const long slept = waits.ru_nvcsw;
  getrusage(RUSAGE_SELF, &waits);
  printf(" %.1f sleeps for 64 changes",
         r->total > 0 ? 64 * (double)(waits.ru_nvcsw - slept) / (double)r->total : 0.0);
  if (is_journal(engine)) {
    const journal_store_counts c = journal_store_counts_now(r->s);
    printf("; %" PRIu64 " checkpoints of %" PRIu64 " records; %.0f changes a sync",
           c.checkpoints - counts.checkpoints, c.checkpointed - counts.checkpointed,
           c.syncs > counts.syncs ? (double)r->total / (double)(c.syncs - counts.syncs) : 0.0);
  }
  printf("\n");
  fflush(stdout);
  return rate;
}

/* Writes so many bytes again and again, to places that have been written before, as the journal's
 * have. Returns writes per second, 0 when the disk fails. */
static double measure_disk(int fd, uint8_t *bytes, size_t size, double seconds)
{
  const uint64_t began = now_us();
  const uint64_t until = began + (uint64_t)(seconds * 1e6);
  uint64_t count = 0;
  off_t at = 0;
  for (; now_us() < until; count++) {
    if (pwrite(fd, bytes, size, at) != (ssize_t)size || fdatasync(fd) < 0)
      return 0;
    at += (off_t)size;
    if (at + (off_t)size > DISK_FILE)
      at = 0;
  }
  return (double)count * 1e6 / (double)(now_us() - began);
}

static bool fill_file(int fd, const uint8_t *bytes, size_t size)
{
  for (off_t at = 0; at < DISK_FILE; at += (off_t)size)
    if (pwrite(fd, bytes, size, at) != (ssize_t)size)
      return false;
  return fsync(fd) == 0;
}

static void show_disk(const char *top, double seconds)
{
  static uint8_t bytes[16 * PAGE];
  char name[4096];
  snprintf(name, sizeof name, "%s/disk", top);
  const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  bool is_well = fd >= 0 && fill_file(fd, bytes, sizeof bytes);
  for (int f = 0; is_well && f < FLIGHTS; f++) {
    const size_t size = (flights[f] * (size_t)RECORD + PAGE) / PAGE * PAGE;
    const double rate = measure_disk(fd, bytes, size, seconds);
    is_well = rate > 0;
    printf(
        "disk     %4u in flight: %8.0f changes/s if nothing but %.0f writes of %zu bytes a second "
        "took time\n",
        flights[f], rate * flights[f], rate, size);
  }
  if (!is_well)
    printf("disk: %s\n", strerror(errno));
  if (fd >= 0)
    close(fd);
  unlink(name);
}

static bool measure_engine(run *r, const char *engine, const char *top, uint64_t keys,
                           double seconds, double rates[FLIGHTS])
{
  char dir[4096];
  snprintf(dir, sizeof dir, "%s/%s", top, engine);
  if (!open_port(r, engine, dir))
    return false;
  drive(r, FLIGHT_MAX, keys, 0);
  for (int f = 0; f < FLIGHTS; f++)
    rates[f] = measure(r, engine, flights[f], keys, seconds);
  close_port(r);
  return true;
}

static int compare(run *r, const char *top, uint64_t keys, double seconds)
{
  static const char *const engines[] = {"lmdb", "journal"};
  double rates[2][FLIGHTS] = {{0}};
  show_disk(top, seconds / 2);
  for (int e = 0; e < 2; e++)
    if (!measure_engine(r, engines[e], top, keys, seconds, rates[e]))
      return 1;
  printf("journal : lmdb = %.1f at 64, %.1f at 256 in flight\n", rates[1][0] / rates[0][0],
         rates[1][1] / rates[0][1]);
  return 0;
}

static int measure_one(run *r, const char *engine, const char *top, uint64_t keys, double seconds)
{
  double rates[FLIGHTS];
  return measure_engine(r, engine, top, keys, seconds, rates) ? 0 : 1;
}

/* What the intervals of an endurance come to. Flat: the second half is not much worse than the
 * first.
 */
typedef struct endurance {
  double slowest, fastest; /* changes a second */
  uint64_t p99_max;        /* microseconds */
  uint64_t lag_max[2];     /* bytes of the journal, at the ends of the intervals of each half */
  uint64_t memory_max[2];
} endurance;

static void note_interval(endurance *e, const run *r, double rate, bool is_late)
{
  const journal_store_counts c = journal_store_counts_now(r->s);
  const uint64_t p99 = percentile(r, 990);
  e->slowest = e->slowest == 0 || rate < e->slowest ? rate : e->slowest;
  e->fastest = rate > e->fastest ? rate : e->fastest;
  e->p99_max = p99 > e->p99_max ? p99 : e->p99_max;
  e->lag_max[is_late] = c.lag_bytes > e->lag_max[is_late] ? c.lag_bytes : e->lag_max[is_late];
  e->memory_max[is_late] = c.memory > e->memory_max[is_late] ? c.memory : e->memory_max[is_late];
}

static void print_endurance(const endurance *e)
{
  const bool is_flat =
      e->lag_max[1] <= e->lag_max[0] * 3 / 2 && e->memory_max[1] <= e->memory_max[0] * 3 / 2;
  printf("in all: %.0f to %.0f changes/s; p99 at most %" PRIu64
         " us: %s 10 ms; lag at most %" PRIu64 " bytes in the first half, %" PRIu64
         " in the second, memory %" PRIu64 " and %" PRIu64 ": %s\n",
         e->slowest, e->fastest, e->p99_max, e->p99_max <= 10000 ? "within" : "beyond",
         e->lag_max[0], e->lag_max[1], e->memory_max[0], e->memory_max[1],
         e->memory_max[0] == 0 ? "too short to say"
         : is_flat             ? "flat"
                               : "growing");
}

static int endure(run *r, const char *top, uint64_t keys, double minutes)
{
  endurance all = {.slowest = 0};
  char dir[4096];
  snprintf(dir, sizeof dir, "%s/journal", top);
  if (!open_port(r, "journal", dir))
    return 1;
  drive(r, FLIGHT_MAX, keys, 0);
  const uint64_t began = now_us();
  const uint64_t until = began + (uint64_t)(minutes * 60e6);
  while (now_us() < until) {
    const uint64_t left = until - now_us();
    const double seconds = left < REPORT_S * 1000000 ? (double)left / 1e6 : REPORT_S;
    const double rate = measure(r, "journal", 256, keys, seconds);
    note_interval(&all, r, rate, now_us() - began > (until - began) / 2);
    const journal_store_counts c = journal_store_counts_now(r->s);
    printf("  at %4.0f s: lag %" PRIu64 " records, %" PRIu64 " bytes; memory %" PRIu64
           "; files %" PRIu64 "; checkpoints %" PRIu64 "; waits %" PRIu64 ", %" PRIu64 " ms\n",
           (double)(now_us() - began) / 1e6, c.lag_records, c.lag_bytes, c.memory, c.files_bytes,
           c.checkpoints, c.waits, c.waited_us / 1000);
  }
  print_endurance(&all);
  close_port(r);
  return 0;
}

int main(int argc, char **argv)
{
  static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                          {"keys", required_argument, NULL, 'k'},
                                          {"minutes", required_argument, NULL, 'm'},
                                          {"engine", required_argument, NULL, 'e'},
                                          {NULL, 0, NULL, 0}};
  double seconds = 5, minutes = 0;
  uint64_t keys = 1000000;
  const char *engine = NULL;
  for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
    switch (o) {
    case 's': seconds = atof(optarg); break;
    case 'k': keys = strtoull(optarg, NULL, 10); break;
    case 'm': minutes = atof(optarg); break;
    case 'e': engine = optarg; break;
    default: return 2;
    }
  if (optind + 1 != argc || keys == 0) {
    fprintf(stderr,
            "usage: store_commit [--seconds S] [--keys N] [--engine lmdb|journal] [--minutes M] "
            "DIR\n");
    return 2;
  }
  run *r = &the_run;
  *r = (run){.waker = {.wake = on_wake}, .random = 2024, .event = eventfd(0, EFD_CLOEXEC)};
  if (r->event < 0 || (mkdir(argv[optind], 0700) < 0 && errno != EEXIST))
    return 1;
  if (engine != NULL && minutes == 0)
    return measure_one(r, engine, argv[optind], keys, seconds);
  return minutes > 0 ? endure(r, argv[optind], keys, minutes)
                     : compare(r, argv[optind], keys, seconds);
}
