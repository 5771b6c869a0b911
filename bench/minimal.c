/* SPDX-License-Identifier: Apache-2.0 */
/* The least server that libcoap's library makes: resources that PUT creates and replaces and GET
 * reads and observes, found by the library's own hash. What a user of that library gets at best.
 * One thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <coap3/coap.h>

typedef struct body {
  size_t len;
  uint8_t bytes[];
} body;

static bool notifies_con; /* all notifications are confirmable */

static void on_get(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
                   const coap_string_t *query, coap_pdu_t *response)
{
  const body *b = coap_resource_get_userdata(resource);
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CONTENT);
  coap_add_data_large_response(resource, session, request, response, query,
                               COAP_MEDIATYPE_APPLICATION_OCTET_STREAM, -1, 0, b->len, b->bytes,
                               NULL, NULL);
}

static bool replace_body(coap_resource_t *resource, const coap_pdu_t *request)
{
  size_t len = 0, offset, total;
  const uint8_t *bytes = NULL;
  (void)coap_get_data_large(request, &len, &bytes, &offset, &total);
  body *b = malloc(sizeof *b + len);
  if (b == NULL)
    return false;
  b->len = len;
  if (len > 0)
    memcpy(b->bytes, bytes, len);
  free(coap_resource_get_userdata(resource));
  coap_resource_set_userdata(resource, b);
  return true;
}

static void on_put(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
                   const coap_string_t *query, coap_pdu_t *response)
{
  (void)session, (void)query;
  if (!replace_body(resource, request)) {
    coap_pdu_set_code(response, COAP_RESPONSE_CODE_INTERNAL_ERROR);
    return;
  }
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
  coap_resource_notify_observers(resource, NULL);
}

/* PUT to a path that has no resource yet. */
static void on_new(coap_resource_t *unknown, coap_session_t *session, const coap_pdu_t *request,
                   const coap_string_t *query, coap_pdu_t *response)
{
  (void)unknown, (void)query;
  coap_string_t *path = coap_get_uri_path(request);
  const int flags =
      COAP_RESOURCE_FLAGS_RELEASE_URI |
      (notifies_con ? COAP_RESOURCE_FLAGS_NOTIFY_CON : COAP_RESOURCE_FLAGS_NOTIFY_NON_ALWAYS);
  coap_resource_t *resource = coap_resource_init((coap_str_const_t *)path, flags);
  if (resource == NULL || !replace_body(resource, request)) {
    coap_pdu_set_code(response, COAP_RESPONSE_CODE_INTERNAL_ERROR);
    return;
  }
  coap_register_request_handler(resource, COAP_REQUEST_GET, on_get);
  coap_register_request_handler(resource, COAP_REQUEST_PUT, on_put);
  coap_resource_set_get_observable(resource, 1);
  coap_add_resource(coap_session_get_context(session), resource);
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CREATED);
}

int main(int argc, char **argv)
{
  const bool is_con = argc == 3 && strcmp(argv[1], "-c") == 0;
  if (argc != 2 && !is_con) {
    fputs("usage: minimal [-c] PORT\n", stderr);
    return 2;
  }
  notifies_con = is_con;
  coap_startup();
  coap_set_log_level(LOG_EMERG);
  coap_address_t at;
  coap_address_init(&at);
  at.addr.sin = (struct sockaddr_in){.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)atoi(argv[argc - 1])),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  at.size = sizeof at.addr.sin;
  coap_context_t *context = coap_new_context(NULL);
  if (context == NULL || coap_new_endpoint(context, &at, COAP_PROTO_UDP) == NULL) {
    fprintf(stderr, "minimal: port %s: %s\n", argv[argc - 1], strerror(errno));
    return 1;
  }
  coap_context_set_block_mode(context, COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY);
  coap_add_resource(context, coap_resource_unknown_init(on_new));
  while (coap_io_process(context, COAP_IO_WAIT) >= 0) {
  }
  return 1;
}
