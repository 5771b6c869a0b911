/* SPDX-License-Identifier: Apache-2.0 */
/* A thermostat as a device would be one: it registers two resources at a CoAP server and then lives
 * by them. RFC 7252 section 5.8; SenML records as in RFC 8428.
 *
 *   /home/thermostat/status   the room's temperature, written by the device
 *   /home/thermostat/target   the temperature wanted, written by whoever controls it
 *
 * It creates both with PUT, naming their resource type and interface in the query so that others
 * can discover them, then once a period reads the target and moves the room towards it.
 *
 *   thermostat coap://127.0.0.1:5683 [PERIOD_MS] */
#define _DEFAULT_SOURCE
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "copal/endpoint.h"
#include "copal/uri.h"

enum {
  PERIOD_MS_DEFAULT = 1000,
  START_CENTI = 1900, /* hundredths of a degree Celsius */
  STEP_CENTI = 50,    /* what the heating or the open window does in a period */
};

/* One socket, connected to the server, and the request under way. */
typedef struct device {
  copal_sink sink; /* first, so that the callbacks find the rest */
  copal_client client;
  copal_path path;
  copal_ep *ep;
  int fd;
  bool is_busy;     /* a request is under way */
  copal_code code;  /* of the last response; 0: there was none */
  char text[128];   /* its payload */
  int room, target; /* hundredths of a degree */
  uint8_t out[1152];
} device;

/* What to ask of the server. */
typedef struct ask {
  copal_code code;
  const char *path;  /* "home/thermostat/status" */
  const char *query; /* "rt=...&if=..." or NULL */
  int format;        /* Content-Format of `body`, or -1 */
  const char *body;  /* or NULL */
  bool is_new;       /* only if there is none yet: If-None-Match */
} ask;

static volatile sig_atomic_t is_ending;

static void on_signal(int number)
{
  (void)number;
  is_ending = 1;
}

static copal_time now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (copal_time)t.tv_sec * 1000000 + (copal_time)t.tv_nsec / 1000;
}

/* ------------------------------------------------------------------------------------------------
 * the endpoint's hooks */

static copal_mspan reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  device *d = (device *)s;
  (void)path;
  return (copal_mspan){d->out, cap <= sizeof d->out ? cap : 0};
}

static void commit(copal_sink *s, const copal_path *path, size_t len)
{
  device *d = (device *)s;
  (void)path;
  if (send(d->fd, d->out, len, 0) < 0)
    perror("thermostat: send"); /* as good as lost: the endpoint sends it again */
}

static void fill(copal_entropy *e, copal_mspan out)
{
  (void)e;
  if (getentropy(out.ptr, out.len) != 0)
    abort();
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *event, copal_time at)
{
  device *d = (device *)((char *)c - offsetof(device, client));
  (void)ep;
  (void)at;
  if (event->kind == COPAL_EVENT_ACK || event->kind == COPAL_EVENT_RESEND)
    return; /* more follows */
  d->is_busy = false;
  d->code = 0;
  d->text[0] = '\0';
  if (event->kind != COPAL_EVENT_RESPONSE)
    return;
  d->code = event->msg->code;
  snprintf(d->text, sizeof d->text, "%.*s", (int)event->msg->payload.len,
           (const char *)event->msg->payload.ptr);
}

/* ------------------------------------------------------------------------------------------------
 * requests */

/* Milliseconds to wait for `wake`, rounded up. */
static int wait_ms(copal_time wake, copal_time at)
{
  enum { WAIT_MAX_MS = 60000 };
  const copal_time ms = wake > at ? (wake - at) / 1000 + 1 : 0;
  return ms < WAIT_MAX_MS ? (int)ms : WAIT_MAX_MS;
}

/* Runs the endpoint until `until`; COPAL_NEVER: until the request under way has ended. */
static void turn(device *d, copal_time until)
{
  while (!is_ending && now() < until) {
    uint8_t in[1152];
    const copal_time deadline = copal_ep_deadline(d->ep);
    struct pollfd p = {.fd = d->fd, .events = POLLIN};
    if (poll(&p, 1, wait_ms(deadline < until ? deadline : until, now())) == 1) {
      const ssize_t n = recv(d->fd, in, sizeof in, 0);
      if (n >= 0) /* an error means that nobody listens yet: the endpoint tries again */
        (void)copal_ep_input(d->ep, &d->path, (copal_mspan){in, (size_t)n}, now());
    }
    copal_ep_expire(d->ep, now());
    if (!d->is_busy && until == COPAL_NEVER)
      return;
  }
}

/* Adds one option per part of `text`, which `separator` separates. */
static void add_parts(copal_opt_list *list, uint16_t number, const char *text, char separator)
{
  while (text != NULL && *text != '\0') {
    const char *end = strchr(text, separator);
    const size_t len = end == NULL ? strlen(text) : (size_t)(end - text);
    copal_opt_list_add(list, number, copal_span_of(text, len));
    text = end == NULL ? NULL : end + 1;
  }
}

/* Sends a request and waits for its response. Returns the response code, or 0 when none came. */
static copal_code exchange(device *d, const ask *a)
{
  copal_opt opts[12];
  uint8_t uints[12][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, 12);
  add_parts(&list, COPAL_OPT_URI_PATH, a->path, '/');
  add_parts(&list, COPAL_OPT_URI_QUERY, a->query, '&');
  if (a->format >= 0)
    copal_opt_list_add_uint(&list, COPAL_OPT_CONTENT_FORMAT, (uint32_t)a->format);
  if (a->is_new)
    copal_opt_list_add(&list, COPAL_OPT_IF_NONE_MATCH, copal_span_none());

  copal_request request = COPAL_REQUEST_INIT;
  request.path = &d->path;
  request.code = a->code;
  request.opts = list.opts;
  request.opt_count = list.count;
  request.payload = copal_span_str(a->body == NULL ? "" : a->body);
  request.client = &d->client;
  copal_xref xref;
  d->is_busy = true;
  if (copal_ep_request(d->ep, &request, &xref, now()) != COPAL_OK)
    return 0;
  turn(d, COPAL_NEVER);
  return d->code;
}

/* ------------------------------------------------------------------------------------------------
 * the device */

/* Writes the room's temperature, as a SenML pack of one record. */
static copal_code report(device *d)
{
  char body[96];
  snprintf(body, sizeof body, "[{\"n\":\"temperature\",\"u\":\"Cel\",\"v\":%d.%02d}]",
           d->room / 100, d->room % 100);
  const ask a = {COPAL_CODE_PUT,
                 "home/thermostat/status",
                 "rt=temperature&if=sensor&title=Temperature in the living room",
                 COPAL_CF_SENML_JSON,
                 body,
                 false};
  return exchange(d, &a);
}

/* Makes the target unless somebody set one before this device was there. */
static copal_code offer_target(device *d)
{
  const ask a = {COPAL_CODE_PUT,
                 "home/thermostat/target",
                 "rt=temperature-setpoint&if=actuator&title=Temperature wanted",
                 COPAL_CF_TEXT_PLAIN,
                 "19.0",
                 true};
  return exchange(d, &a);
}

/* Reads the target; one that is no temperature of a room is not obeyed. */
static void read_target(device *d)
{
  enum { TARGET_MIN = 500, TARGET_MAX = 3500 };
  const ask a = {COPAL_CODE_GET, "home/thermostat/target", NULL, -1, NULL, false};
  if (exchange(d, &a) != COPAL_CODE_CONTENT)
    return;
  char *end;
  const double wanted = strtod(d->text, &end) * 100;
  if (end == d->text || !(wanted >= TARGET_MIN && wanted <= TARGET_MAX))
    return;
  if ((int)wanted != d->target)
    printf("thermostat: target is now %.1f\n", wanted / 100);
  d->target = (int)wanted;
}

/* Heats or cools for one period. */
static void live(device *d)
{
  const int before = d->room, gap = d->target - d->room;
  const int step = gap > STEP_CENTI ? STEP_CENTI : gap < -STEP_CENTI ? -STEP_CENTI : gap;
  d->room += step;
  if (d->room == before)
    return;
  printf("thermostat: %d.%02d\n", d->room / 100, d->room % 100);
  (void)report(d);
}

static int open_socket(const copal_uri *uri)
{
  char host[256], port[6];
  const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
  struct addrinfo *found;
  snprintf(host, sizeof host, "%.*s", (int)uri->host.len, (const char *)uri->host.ptr);
  snprintf(port, sizeof port, "%u", (unsigned)uri->port);
  if (getaddrinfo(host, port, &hints, &found) != 0)
    return -1;
  const int fd = socket(found->ai_family, SOCK_DGRAM, 0);
  const bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  return ok ? fd : -1;
}

/* Registers both resources. Returns false when the server does not take them. */
static bool introduce(device *d)
{
  const copal_code status = report(d);
  const copal_code target = offer_target(d);
  if (copal_code_class(status) == COPAL_CLASS_SUCCESS &&
      (target == COPAL_CODE_CREATED || target == COPAL_CODE_PRECONDITION_FAILED)) {
    printf("thermostat: registered\n");
    return true;
  }
  fprintf(stderr, "thermostat: the server does not take my resources: %s\n", d->text);
  return false;
}

int main(int argc, char **argv)
{
  static alignas(max_align_t) uint8_t mem[65536];
  copal_uri uri;
  device d = {
      .sink = {reserve, commit}, .client = {on_event}, .room = START_CENTI, .target = START_CENTI};
  if (argc < 2 || copal_uri_parse(copal_span_str(argv[1]), &uri, NULL) != COPAL_OK ||
      (d.fd = open_socket(&uri)) < 0) {
    fprintf(stderr, "usage: thermostat coap://HOST[:PORT] [PERIOD_MS]\n");
    return 2;
  }
  const int period_ms = argc > 2 ? atoi(argv[2]) : PERIOD_MS_DEFAULT;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);

  copal_entropy entropy = {fill};
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = &d.sink;
  cfg.entropy = &entropy;
  d.path.remote.port = uri.port; /* the socket is connected to one peer */
  if (copal_ep_init((copal_mspan){mem, sizeof mem}, &cfg, &d.ep, now()) != COPAL_OK)
    return 2;
  const bool is_known = introduce(&d);
  while (is_known && !is_ending) {
    turn(&d, now() + (copal_time)period_ms * 1000);
    read_target(&d);
    live(&d);
  }
  copal_ep_wipe(d.ep, now());
  close(d.fd);
  return is_known ? 0 : 1;
}
