/* SPDX-License-Identifier: Apache-2.0 */
/* Load generator of the bench: verifies every response, counts what is wrong, reads the server's
 * CPU time and prints one line of JSON. Status 1: something was wrong; 2: usage. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "load.h"

static void raise_descriptor_limit(void)
{
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t wrong_count(const load_wrong *w)
{
  return w->malformed + w->type + w->token + w->mid + w->code + w->payload + w->backwards;
}

static double per_message(uint64_t ns, uint64_t messages)
{
  return messages == 0 ? 0 : (double)ns / 1000 / (double)messages;
}

static void print(const load_cfg *cfg, const load_result *r)
{
  const load_wrong *w = &r->wrong;
  printf("{\"messages\": %llu, \"seconds\": %.4f, \"per_second\": %.0f, \"cpu_us\": %.4f, ",
         (unsigned long long)r->messages, (double)r->elapsed_ns / 1e9,
         r->elapsed_ns == 0 ? 0 : (double)r->messages * 1e9 / (double)r->elapsed_ns,
         per_message(r->cpu_ns, r->messages));
  printf("\"timeouts\": %llu, \"late\": %llu, \"behind\": %llu, \"failed\": %s, ",
         (unsigned long long)r->timeouts, (unsigned long long)r->late,
         (unsigned long long)r->behind, r->has_failed ? "true" : "false");
  if (cfg->mode == LOAD_OBSERVE)
    printf("\"changes\": %llu, \"confirmable\": %llu, \"missing\": %llu, \"last_state_seen\": %s, "
           "\"register_us\": %.4f, ",
           (unsigned long long)r->changes, (unsigned long long)r->confirmable,
           (unsigned long long)r->missing, r->is_last_state_seen ? "true" : "false",
           per_message(r->registered_ns, cfg->clients));
  printf("\"wrong\": %llu, \"wrong_by\": {\"malformed\": %llu, \"type\": %llu, \"token\": %llu, "
         "\"mid\": %llu, \"code\": %llu, \"payload\": %llu, \"backwards\": %llu}}\n",
         (unsigned long long)wrong_count(w), (unsigned long long)w->malformed,
         (unsigned long long)w->type, (unsigned long long)w->token, (unsigned long long)w->mid,
         (unsigned long long)w->code, (unsigned long long)w->payload,
         (unsigned long long)w->backwards);
}

static int usage(void)
{
  fputs("usage: load get|put|observe [OPTION...] PORT\n"
        "  -a ADDRESS   server's IPv4 address (127.0.0.1)\n"
        "  -s N         client addresses, or observers (64)\n"
        "  -o N         requests under way (128)\n"
        "  -t SECONDS   measured time (1)\n"
        "  -w SECONDS   warm-up before it (0.2)\n"
        "  -c N         stop after N requests instead, paths in order\n"
        "  -R RATE      requests per second, for as long as fewer than -o are under way\n"
        "  -p PATH      resource (bench)\n"
        "  -r N         N resources PATH/0 to PATH/N-1\n"
        "  -b BYTES     body of PUT (16)\n"
        "  -e           GET: the payload must be that body\n"
        "  -l SECONDS   how long stragglers may take to get the last state (30)\n"
        "  -g           requests leave, and answers come, in runs (GSO, GRO)\n"
        "  -N           non-confirmable requests\n"
        "  -P PID       the server's process, for its CPU time\n",
        stderr);
  return 2;
}

static bool read_mode(load_cfg *cfg, const char *name)
{
  static const char *const names[] = {"get", "put", "observe"};
  for (int i = 0; i < 3; i++)
    if (strcmp(name, names[i]) == 0) {
      cfg->mode = (load_mode)i;
      return true;
    }
  return false;
}

static bool read_option(load_cfg *cfg, int opt)
{
  switch (opt) {
  case 'a': return inet_pton(AF_INET, optarg, &cfg->server.sin_addr) == 1;
  case 's': cfg->clients = (uint32_t)strtoul(optarg, NULL, 10); return cfg->clients > 0;
  case 'o': cfg->outstanding = (uint32_t)strtoul(optarg, NULL, 10); return cfg->outstanding > 0;
  case 't': cfg->seconds = strtod(optarg, NULL); return cfg->seconds > 0;
  case 'w': cfg->warmup = strtod(optarg, NULL); return cfg->warmup >= 0;
  case 'c': cfg->count = strtoull(optarg, NULL, 10); return true;
  case 'R': cfg->rate = strtod(optarg, NULL); return cfg->rate > 0;
  case 'p': cfg->path = optarg; return strlen(optarg) < LOAD_PATH_MAX / 2;
  case 'r': cfg->paths = (uint32_t)strtoul(optarg, NULL, 10); return true;
  case 'b': cfg->body_len = (uint32_t)strtoul(optarg, NULL, 10); return cfg->body_len <= 1024;
  case 'l': cfg->settle = strtod(optarg, NULL); return cfg->settle >= 0;
  case 'e': cfg->is_same_body = true; return true;
  case 'g': cfg->joins = true; return true;
  case 'N': cfg->is_non = true; return true;
  case 'P': cfg->pid = (int)strtol(optarg, NULL, 10); return cfg->pid > 0;
  }
  return false;
}

int main(int argc, char **argv)
{
  load_cfg cfg = {.server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                  .clients = 64,
                  .outstanding = 128,
                  .seconds = 1,
                  .warmup = 0.2,
                  .settle = 30,
                  .body_len = 16,
                  .path = "bench"};
  if (argc < 2 || !read_mode(&cfg, argv[1]))
    return usage();
  optind = 2;
  for (int opt; (opt = getopt(argc, argv, "a:s:o:t:w:c:R:p:r:b:l:egNP:")) != -1;)
    if (!read_option(&cfg, opt))
      return usage();
  if (optind + 1 != argc)
    return usage();
  cfg.server.sin_port = htons((uint16_t)strtoul(argv[optind], NULL, 10));

  load_result result = {0};
  raise_descriptor_limit();
  if (cfg.mode == LOAD_OBSERVE)
    observers_run(&cfg, &result);
  else
    requests_run(&cfg, &result);
  print(&cfg, &result);
  return result.has_failed || wrong_count(&result.wrong) > 0 ? 1 : 0;
}
