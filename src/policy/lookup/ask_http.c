/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a question to an HTTP endpoint: a POST of it, answered 200 with the answer, or 404. Thread:
 * one of the lookup's; an object is its thread's only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "copal/error.h"
#include "policy/lines.h"
#include "policy/lookup/ask.h"
#include "policy/lookup/httplib.h"

enum { TOKEN_MAX = 4096, STATUS_OK = 200, STATUS_EMPTY = 204, STATUS_UNKNOWN = 404 };

struct ask_http {
  const ask_cfg *cfg;
  CURL *curl;
};

/* Where an answer is put together. */
typedef struct sink {
  copal_mspan room;
  size_t len;
} sink;

static size_t on_bytes(char *bytes, size_t one, size_t count, void *to)
{
  sink *s = to;
  if (count > s->room.len - s->len)
    return 0; /* ends the transfer */
  memcpy(s->room.ptr + s->len, bytes, count);
  s->len += count;
  return one * count;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
  (void)a, (void)b, (void)c, (void)d;
  return atomic_load(((const ask_cfg *)arg)->is_over) ? 1 : 0;
}

/* A live upgrade starts another program, which has no use for our connections. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
  (void)arg, (void)purpose;
  return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Reads the secret that is sent along: its file's first line. */
static int read_token(const char *path, char token[TOKEN_MAX], char why[LOOKUP_WHY_SIZE])
{
  mistakes m = {.count = 0};
  copal_mspan text;
  if (lines_load(path, LINES_SECRET, &text, &m) < 0) {
    snprintf(why, LOOKUP_WHY_SIZE, "%.*s", (int)strcspn(m.text, "\n"), m.text);
    return COPAL_EINVAL;
  }
  size_t len = 0;
  while (len < text.len && text.ptr[len] > ' ' && text.ptr[len] < 0x7f)
    len++;
  const bool is_good = len > 0 && len < TOKEN_MAX;
  memcpy(token, text.ptr, is_good ? len : 0);
  token[is_good ? len : 0] = '\0';
  explicit_bzero(text.ptr, text.len);
  free(text.ptr);
  if (!is_good)
    snprintf(why, LOOKUP_WHY_SIZE, "%s: there is no token in its first line", path);
  return is_good ? COPAL_OK : COPAL_EINVAL;
}

/* The headers, to be freed; the token is in the list's memory as long as that lives. */
static int make_headers(const ask_cfg *cfg, struct curl_slist **list, char why[LOOKUP_WHY_SIZE])
{
  char line[TOKEN_MAX + 32], token[TOKEN_MAX];
  const httplib *lib = cfg->lib;
  *list = lib->slist_append(NULL, "Content-Type: application/json");
  if (cfg->token_file == NULL)
    return COPAL_OK;
  const int rc = read_token(cfg->token_file, token, why);
  if (rc == COPAL_OK) {
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    *list = lib->slist_append(*list, line);
  }
  explicit_bzero(line, sizeof line);
  explicit_bzero(token, sizeof token);
  return rc;
}

static void free_headers(const ask_cfg *cfg, struct curl_slist *list)
{
  for (struct curl_slist *at = list; at != NULL; at = at->next)
    explicit_bzero(at->data, strlen(at->data));
  cfg->lib->slist_free_all(list);
}

static CURLcode set_up(ask_http *h)
{
  const ask_cfg *cfg = h->cfg;
  const httplib *lib = cfg->lib;
  CURL *c = h->curl;
  CURLcode rc = lib->easy_setopt(c, CURLOPT_URL, cfg->url);
  if (rc == CURLE_OK)
    rc = lib->easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  if (rc == CURLE_OK && cfg->ca != NULL)
    rc = lib->easy_setopt(c, CURLOPT_CAINFO, cfg->ca);
  lib->easy_setopt(c, CURLOPT_NOSIGNAL, 1L); /* there are threads */
  lib->easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)cfg->timeout_ms);
  lib->easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  lib->easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
  lib->easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
  lib->easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  lib->easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  lib->easy_setopt(c, CURLOPT_XFERINFODATA, (void *)(uintptr_t)cfg);
  return rc;
}

ask_http *ask_http_open(const ask_cfg *cfg)
{
  ask_http *h = calloc(1, sizeof *h);
  if (h == NULL)
    return NULL;
  h->cfg = cfg;
  h->curl = cfg->lib->easy_init();
  if (h->curl == NULL || set_up(h) != CURLE_OK) {
    ask_http_close(h);
    return NULL;
  }
  return h;
}

void ask_http_close(ask_http *h)
{
  if (h == NULL)
    return;
  if (h->curl != NULL)
    h->cfg->lib->easy_cleanup(h->curl);
  free(h);
}

static int judge(ask_http *h, CURLcode rc, char why[LOOKUP_WHY_SIZE])
{
  long status = 0;
  if (rc == CURLE_OPERATION_TIMEDOUT || rc == CURLE_ABORTED_BY_CALLBACK) {
    snprintf(why, LOOKUP_WHY_SIZE, "%.200s does not answer", h->cfg->url);
    return COPAL_ETIMEDOUT;
  }
  if (rc != CURLE_OK) {
    snprintf(why, LOOKUP_WHY_SIZE, "%.150s: %s", h->cfg->url, h->cfg->lib->easy_strerror(rc));
    return rc == CURLE_WRITE_ERROR ? COPAL_ETOOBIG : COPAL_EUNREACH;
  }
  h->cfg->lib->easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == STATUS_OK)
    return COPAL_OK;
  if (status == STATUS_UNKNOWN || status == STATUS_EMPTY)
    return COPAL_ENOTFOUND;
  snprintf(why, LOOKUP_WHY_SIZE, "%.200s answers with status %ld", h->cfg->url, status);
  return COPAL_EUNREACH;
}

int ask_http_run(ask_http *h, const question *q, copal_mspan room, size_t *len,
                 char why[LOOKUP_WHY_SIZE])
{
  const httplib *lib = h->cfg->lib;
  sink s = {.room = room};
  struct curl_slist *headers = NULL;
  int rc = make_headers(h->cfg, &headers, why);
  if (rc == COPAL_OK) {
    lib->easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    lib->easy_setopt(h->curl, CURLOPT_POSTFIELDS, q->json);
    lib->easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)q->json_len);
    lib->easy_setopt(h->curl, CURLOPT_WRITEDATA, &s);
    rc = judge(h, lib->easy_perform(h->curl), why);
    lib->easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
  }
  free_headers(h->cfg, headers);
  *len = s.len;
  return rc;
}

int ask_http_check(const ask_cfg *cfg, char why[LOOKUP_WHY_SIZE])
{
  struct curl_slist *headers = NULL;
  if (strncmp(cfg->url, "https://", strlen("https://")) != 0 &&
      strncmp(cfg->url, "http://", strlen("http://")) != 0) {
    snprintf(why, LOOKUP_WHY_SIZE, "%.200s: not an http or https URL", cfg->url);
    return COPAL_EINVAL;
  }
  const char *host = strchr(cfg->url, ':') + 3;
  if (memchr(host, '@', strcspn(host, "/?#")) != NULL) { /* not told: the log has URLs in it */
    snprintf(why, LOOKUP_WHY_SIZE, "a password is not for the URL: give token_file");
    return COPAL_EINVAL;
  }
  const int rc = make_headers(cfg, &headers, why);
  free_headers(cfg, headers);
  return rc;
}
