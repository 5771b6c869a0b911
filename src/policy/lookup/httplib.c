/* SPDX-License-Identifier: Apache-2.0 */
/* Loading libcurl. Thread: the main thread only. */
#include "policy/lookup/httplib.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "copal/error.h"

static const struct {
  const char *name;
  size_t at; /* in httplib */
} functions[] = {
    {"curl_global_init", offsetof(httplib, global_init)},
    {"curl_global_cleanup", offsetof(httplib, global_cleanup)},
    {"curl_easy_init", offsetof(httplib, easy_init)},
    {"curl_easy_setopt", offsetof(httplib, easy_setopt)},
    {"curl_easy_perform", offsetof(httplib, easy_perform)},
    {"curl_easy_getinfo", offsetof(httplib, easy_getinfo)},
    {"curl_easy_strerror", offsetof(httplib, easy_strerror)},
    {"curl_easy_cleanup", offsetof(httplib, easy_cleanup)},
    {"curl_slist_append", offsetof(httplib, slist_append)},
    {"curl_slist_free_all", offsetof(httplib, slist_free_all)},
};

static void unload(httplib *h)
{
  if (h->handle != NULL)
    dlclose(h->handle);
  h->handle = NULL;
}

static int fail(httplib *h, const char *name, char why[LOOKUP_WHY_SIZE])
{
  const char *error = dlerror();
  snprintf(why, LOOKUP_WHY_SIZE, "the library for HTTP cannot be loaded: %.150s",
           error != NULL ? error : name);
  unload(h);
  return COPAL_EINVAL;
}

int httplib_open(httplib *h, const char *name, char why[LOOKUP_WHY_SIZE])
{
  /* It stays when it is closed: libraries that it brings along leave things to the end of threads
   * and of the process. */
  h->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (h->handle == NULL)
    return fail(h, name, why);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *function = dlsym(h->handle, functions[i].name);
    if (function == NULL)
      return fail(h, name, why);
    memcpy((char *)h + functions[i].at, &function, sizeof function);
  }
  const CURLcode rc = h->global_init(CURL_GLOBAL_DEFAULT);
  if (rc == CURLE_OK)
    return COPAL_OK;
  snprintf(why, LOOKUP_WHY_SIZE, "the library for HTTP cannot be started: %.150s",
           h->easy_strerror(rc));
  unload(h);
  return COPAL_EINVAL;
}

void httplib_close(httplib *h)
{
  if (h->handle == NULL)
    return;
  h->global_cleanup();
  unload(h);
}
