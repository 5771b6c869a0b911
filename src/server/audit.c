/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log about refusals and changes. Thread: the shard's only. */
#include "server/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/code.h"
#include "copal/registry.h"
#include "transport/udp.h"

enum { WHO_SIZE = IDENTITY_NAME_MAX + 16, CODE_SIZE = 8 };

struct audit_item {
  handler_note note; /* first */
  audit *owner;
  audit_item *next; /* in the free list */
  bool is_open;
  copal_code method;
  copal_addr peer;
  char who[WHO_SIZE];
  char path[AUDIT_PATH_MAX + 1];
};

static void format_who(const identity *id, char out[WHO_SIZE])
{
  const char *kind = identity_kind_name(id->kind);
  if (id->kind == IDENTITY_ANONYMOUS)
    snprintf(out, WHO_SIZE, "%s", kind);
  else
    snprintf(out, WHO_SIZE, "%s:%.*s", kind, (int)id->name.len, (const char *)id->name.ptr);
}

static void format_path(copal_span key, char out[AUDIT_PATH_MAX + 1])
{
  const int len = (int)(key.len < AUDIT_PATH_MAX ? key.len : AUDIT_PATH_MAX);
  snprintf(out, AUDIT_PATH_MAX + 1, "%.*s", len, len > 0 ? (const char *)key.ptr : "");
}

/* "GET"; "0.08" for a method without a name. */
static void format_method(copal_code method, char out[CODE_SIZE])
{
  const char *name = copal_code_name(method);
  if (name != NULL && strlen(name) < CODE_SIZE)
    memcpy(out, name, strlen(name) + 1);
  else
    snprintf(out, CODE_SIZE, "0.%02u", copal_code_detail(method));
}

static void format_code(copal_code code, char out[CODE_SIZE])
{
  snprintf(out, CODE_SIZE, "%u.%02u", copal_code_class(code), copal_code_detail(code));
}

void audit_refused(audit *a, const char *event, const audit_request *r, copal_code code,
                   unsigned line, copal_time now)
{
  if (a->mode == AUDIT_OFF || a->log == NULL || !log_is_on(a->log, LOG_LEVEL_INFO))
    return;
  char who[WHO_SIZE], path[AUDIT_PATH_MAX + 1], method[CODE_SIZE], answer[CODE_SIZE];
  char peer[UDP_ADDR_TEXT_SIZE];
  format_who(r->who, who);
  format_path(r->key, path);
  format_method(r->method, method);
  format_code(code, answer);
  udp_addr_format(&r->path->remote, peer);
  log_field fields[LOG_LIMITED_FIELDS] = {log_text("who", who), log_text("peer", peer),
                                          log_text("method", method), log_text("path", path),
                                          log_text("code", answer)};
  size_t count = 5;
  if (line != 0)
    fields[count++] = log_number("rule", line);
  log_limited(a->log, LOG_LEVEL_INFO, event, r->who->kind == IDENTITY_ANONYMOUS ? peer : who,
              fields, count, now);
}

/* ------------------------------------------------------------------------------------------------
 * changes */

static void give(audit_item *item)
{
  item->is_open = false;
  item->next = item->owner->free;
  item->owner->free = item;
}

static void log_change(const audit_item *item, copal_code code)
{
  const audit *a = item->owner;
  char method[CODE_SIZE], answer[CODE_SIZE], peer[UDP_ADDR_TEXT_SIZE];
  format_method(item->method, method);
  format_code(code, answer);
  udp_addr_format(&item->peer, peer);
  const log_field fields[] = {log_text("who", item->who), log_text("peer", peer),
                              log_text("method", method), log_text("path", item->path),
                              log_text("code", answer)};
  log_limited(a->log, LOG_LEVEL_INFO, "changed", item->path, fields, 5,
              a->clock != NULL ? *a->clock : 0);
}

static void on_answer(handler_note *note, copal_code code)
{
  audit_item *item = (audit_item *)note;
  if (!item->is_open)
    return;
  if (copal_code_class(code) == COPAL_CLASS_SUCCESS && code != COPAL_CODE_CONTINUE)
    log_change(item, code);
  give(item);
}

static audit_item *take(audit *a)
{
  if (a->items == NULL) {
    a->items = calloc(AUDIT_OPEN_MAX, sizeof *a->items);
    for (int i = 0; a->items != NULL && i < AUDIT_OPEN_MAX; i++) {
      a->items[i].owner = a;
      give(&a->items[i]);
    }
  }
  audit_item *item = a->free;
  if (item != NULL)
    a->free = item->next;
  else
    a->missed++;
  return item;
}

static bool is_change(copal_code method)
{
  return (access_right_of(method) & ACCESS_WRITE) != 0;
}

handler_note *audit_follow(audit *a, const audit_request *r)
{
  if (a->mode != AUDIT_CHANGES || a->log == NULL || !is_change(r->method))
    return NULL;
  audit_item *item = take(a);
  if (item == NULL)
    return NULL;
  item->note.on_answer = on_answer;
  item->is_open = true;
  item->method = r->method;
  item->peer = r->path->remote;
  format_who(r->who, item->who);
  format_path(r->key, item->path);
  return &item->note;
}

void audit_forget(audit *a, handler_note *note)
{
  (void)a;
  audit_item *item = (audit_item *)note;
  if (item != NULL && item->is_open)
    give(item);
}

void audit_wipe(audit *a)
{
  free(a->items);
  a->items = NULL;
  a->free = NULL;
}
