/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded when the first lookup asks over HTTP: it brings some twenty libraries along,
 * which servers without such a lookup need not load at each start. Thread: opened and closed by the
 * main thread; its functions in any. */
#ifndef POLICY_LOOKUP_HTTPLIB_H
#define POLICY_LOOKUP_HTTPLIB_H

#include <curl/curl.h>

#include "policy/lookup/answer.h"

/* What is used of the library, by the names it has there without `curl_`. */
typedef struct httplib {
  void *handle; /* NULL: not open */
  CURLcode (*global_init)(long flags);
  void (*global_cleanup)(void);
  CURL *(*easy_init)(void);
  CURLcode (*easy_setopt)(CURL *c, CURLoption option, ...);
  CURLcode (*easy_perform)(CURL *c);
  CURLcode (*easy_getinfo)(CURL *c, CURLINFO info, ...);
  const char *(*easy_strerror)(CURLcode code);
  void (*easy_cleanup)(CURL *c);
  struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
  void (*slist_free_all)(struct curl_slist *list);
} httplib;

/* Loads the library of that name, HTTPLIB_NAME outside of tests. Returns COPAL_OK; or COPAL_EINVAL,
 * with a sentence in `why`, when it cannot be loaded or started, or lacks something. */
int httplib_open(httplib *h, const char *name, char why[LOOKUP_WHY_SIZE]);

/* Does nothing to one that is not open; after the last use of what was made with it. */
void httplib_close(httplib *h);

#endif
