/* SPDX-License-Identifier: Apache-2.0 */
/* The commands and options of the client. Help texts and checks of the completion files come from
 * these tables. */
#include <math.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/copal/args.h"
#include "cmd/copal/media.h"
#include "copal/block.h"
#include "copal/registry.h"

#define BIT(cmd)     (UINT32_C(1) << (cmd))
#define FOR_ANY      (BIT(CMD_COUNT) - 1)
#define FOR_ALL      (FOR_ANY & ~BIT(CMD_KEYGEN)) /* that talk to servers */
#define FOR_PEOPLE   (FOR_ALL & ~BIT(CMD_LOAD))
#define FOR_REQUESTS (FOR_PEOPLE & ~BIT(CMD_PING))
#define FOR_SENDING  (FOR_REQUESTS | BIT(CMD_LOAD))
#define FOR_SINGLES  (FOR_REQUESTS & ~BIT(CMD_OBSERVE)) /* one request, one response */
#define FOR_GROUPS   FOR_SINGLES
#define FOR_WRITES                                                                                 \
  (BIT(CMD_PUT) | BIT(CMD_POST) | BIT(CMD_PATCH) | BIT(CMD_IPATCH) | BIT(CMD_DELETE))
#define FOR_BODIES                                                                                 \
  (BIT(CMD_PUT) | BIT(CMD_POST) | BIT(CMD_FETCH) | BIT(CMD_PATCH) | BIT(CMD_IPATCH))

static const char in_request[] = "Request";
static const char in_output[] = "Output";
static const char in_delivery[] = "Delivery";
static const char in_observe[] = "Observation";
static const char in_group[] = "Groups";
static const char in_ping[] = "Ping";
static const char in_load[] = "Load";
static const char in_keygen[] = "Credentials";
static const char in_other[] = "Other";

const cmd_def cmd_defs[CMD_COUNT] = {
    {CMD_GET, "get", COPAL_CODE_GET, "URI", "read a resource",
     "  copal get localhost/status\n"
     "  copal get -i --accept json coap://192.0.2.1/sensors/temperature\n"
     "  copal get -o firmware.bin coap://[2001:db8::1]/fw\n"
     "  copal get -s -w '%{code} %{time_total}\\n' localhost/status\n"},
    {CMD_PUT, "put", COPAL_CODE_PUT, "URI", "create or replace a resource",
     "  copal put -d 21.5 localhost/control/setpoint\n"
     "  copal put -d @image.cbor --content-format cbor localhost/image\n"
     "  copal put -d '{\"on\":true}' --content-format json --if-none-match localhost/lamp\n"
     "  sensors | copal put -d - localhost/log\n"},
    {CMD_POST, "post", COPAL_CODE_POST, "URI", "hand data to a resource, or create one below it",
     "  copal post -d hello localhost/messages\n"
     "  copal post -i -d @reading.json --content-format senml+json localhost/readings\n"
     "  copal post --no-response 2,4,5 -d tick localhost/clock\n"},
    {CMD_DELETE, "delete", COPAL_CODE_DELETE, "URI", "delete a resource",
     "  copal delete localhost/messages/17\n"
     "  copal delete --if-match 8f3a localhost/lamp\n"
     "  copal delete --timeout 5 --retry 2 localhost/messages/17\n"},
    {CMD_FETCH, "fetch", COPAL_CODE_FETCH, "URI",
     "read the parts of a resource that the payload names",
     "  copal fetch -d '[{\"n\":\"temperature\"}]' --content-format senml-etch+json localhost/s\n"
     "  copal fetch -d @query.cbor --content-format cbor --accept json localhost/db\n"
     "  copal fetch --json -d @query.cbor --content-format cbor localhost/db\n"},
    {CMD_PATCH, "patch", COPAL_CODE_PATCH, "URI", "change a part of a resource",
     "  copal patch -d '[{\"op\":\"remove\",\"path\":\"/a\"}]' --content-format json-patch "
     "localhost/x\n"
     "  copal patch --if-match 8f3a -d @diff.json --content-format json-patch+json localhost/x\n"
     "  copal patch -d '{\"a\":null}' --content-format merge-patch localhost/x\n"},
    {CMD_IPATCH, "ipatch", COPAL_CODE_IPATCH, "URI", "change a part of a resource, idempotently",
     "  copal ipatch -d '{\"setpoint\":21}' --content-format merge-patch localhost/control\n"
     "  copal ipatch -i --if-match 8f3a -d @part.json --content-format merge-patch localhost/x\n"
     "  copal ipatch --retry 3 -d '{\"a\":1}' --content-format merge-patch localhost/x\n"},
    {CMD_OBSERVE, "observe", COPAL_CODE_GET, "URI", "watch a resource change",
     "  copal observe localhost/sensors/temperature\n"
     "  copal observe -c 2 --duration 60 --json 'localhost/sensors/temperature?c.gt=25'\n"
     "  copal observe --exec 'logger -t lamp' coap://192.0.2.1/lamp\n"
     "  copal observe --poll 10 coap://[2001:db8::1]/clock\n"},
    {CMD_DISCOVER, "discover", COPAL_CODE_GET, "[HOST|URI] [FILTER...]",
     "find servers nearby, or list the resources of one",
     "  copal discover\n"
     "  copal discover rt=temperature*\n"
     "  copal discover localhost\n"
     "  copal discover coap://[2001:db8::1] rt=temperature*\n"
     "  copal discover --json localhost if=sensor | jq -r '.[].href'\n"},
    {CMD_PING, "ping", 0, "HOST|URI", "see whether an endpoint is there",
     "  copal ping localhost\n"
     "  copal ping -c 1 coap://192.0.2.1\n"
     "  copal ping -c 10 --interval 0.2 --timeout 0.5 192.0.2.1:61616\n"},
    {CMD_LOAD, "load", 0, "URI", "measure a server under load, and verify its answers",
     "  copal load localhost/status\n"
     "  copal load --clients 1000 --rate 50000 --duration 60 --json localhost/status\n"
     "  copal load --size 64 --paths 10000 'localhost/devices/%d' --pid $(pidof copald)\n"
     "  copal load --observe --clients 1000 --size 64 localhost/sensor\n"},
    {CMD_KEYGEN, "keygen", 0, "psk|raw|ca|cert|crl|revoke|show [FILE]",
     "make keys, raw public keys, certificates and small CAs",
     "  copal keygen psk --identity lamp -o keys --append\n"
     "  copal keygen raw -o lamp.key\n"
     "  copal keygen ca -o ca --name 'Home CA'\n"
     "  copal keygen cert --ca ca --host coap.example.net\n"
     "  copal keygen cert --ca ca --client lamp --days 730\n"
     "  copal keygen revoke --ca ca ca/lamp.pem\n"},
};

static int parse_uint(const char *text, uint32_t max, uint32_t *v, buf *err)
{
  char *end;
  const unsigned long n = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || n > max) {
    buf_print(err, "'%s' is not a number from 0 to %u", text, (unsigned)max);
    return -1;
  }
  *v = (uint32_t)n;
  return 0;
}

static int parse_seconds(const char *text, copal_dur *v, buf *err)
{
  char *end;
  const double s = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(s) || s < 0.001 || s > 4000) {
    buf_print(err, "'%s' is not a number of seconds from 0.001 to 4000", text);
    return -1;
  }
  *v = (copal_dur)(s * COPAL_SECOND);
  return 0;
}

/* Times that may be days. */
static int parse_long_seconds(const char *text, copal_time *v, buf *err)
{
  enum { SECONDS_MAX = 1000000000 };
  char *end;
  const double s = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(s) || s < 0.001 || s > SECONDS_MAX) {
    buf_print(err, "'%s' is not a number of seconds from 0.001 to %d", text, SECONDS_MAX);
    return -1;
  }
  *v = (copal_time)(s * COPAL_SECOND);
  return 0;
}

static int apply_option(args *a, const char *value, buf *err)
{
  return optset_parse(&a->options, value, err);
}

static int apply_data(args *a, const char *value, buf *err)
{
  if (a->data) {
    buf_text(err, "given twice; a request has one payload");
    return -1;
  }
  a->data = value;
  return 0;
}

static int add_format(args *a, uint16_t number, const char *value, buf *err)
{
  const int cf = media_parse(value);
  if (cf < 0) {
    buf_print(err, "unknown Content-Format '%s'; use json, cbor, text, a media type or a number",
              value);
    return -1;
  }
  optset_set_uint(&a->options, number, (uint32_t)cf);
  return 0;
}

static int apply_accept(args *a, const char *value, buf *err)
{
  return add_format(a, COPAL_OPT_ACCEPT, value, err);
}

static int apply_content_format(args *a, const char *value, buf *err)
{
  return add_format(a, COPAL_OPT_CONTENT_FORMAT, value, err);
}

static int add_tag(args *a, uint16_t number, size_t min_len, const char *value, buf *err)
{
  enum { TAG_MAX = 8 }; /* RFC 7252 section 5.10.6 */
  buf bytes = {0};
  const bool ok = hex_parse(value, &bytes) == 0 && bytes.len >= min_len && bytes.len <= TAG_MAX;
  if (ok)
    optset_add(&a->options, number, buf_span(&bytes));
  else
    buf_print(err, "'%s' is not %zu to %d bytes in hexadecimal", value, min_len, TAG_MAX);
  buf_wipe(&bytes);
  return ok ? 0 : -1;
}

static int apply_if_match(args *a, const char *value, buf *err)
{
  return add_tag(a, COPAL_OPT_IF_MATCH, 0, value, err);
}

static int apply_etag(args *a, const char *value, buf *err)
{
  return add_tag(a, COPAL_OPT_ETAG, 1, value, err);
}

static int apply_if_none_match(args *a, const char *value, buf *err)
{
  (void)value, (void)err;
  optset_set(&a->options, COPAL_OPT_IF_NONE_MATCH, copal_span_none());
  return 0;
}

static int apply_token(args *a, const char *value, buf *err)
{
  enum { TOKEN_MAX = 1024 }; /* more than eight need a server that knows RFC 8974 */
  a->token.len = 0;
  a->has_token = true;
  if (hex_parse(value, &a->token) == 0 && a->token.len <= TOKEN_MAX)
    return 0;
  buf_print(err, "'%s' is not 0 to %d bytes in hexadecimal", value, TOKEN_MAX);
  return -1;
}

static int apply_hop_limit(args *a, const char *value, buf *err)
{
  uint32_t v;
  if (parse_uint(value, UINT8_MAX, &v, err) != 0)
    return -1;
  if (v == 0) { /* RFC 8768 section 3 */
    buf_text(err, "a hop limit is at least 1");
    return -1;
  }
  optset_set_uint(&a->options, COPAL_OPT_HOP_LIMIT, v);
  return 0;
}

/* A list of classes, "2,4,5". Returns 0 for anything else. RFC 7967 section 2.1. */
static uint8_t parse_classes(const char *text)
{
  unsigned map = 0;
  for (;; text += 2) {
    if (*text != '2' && *text != '4' && *text != '5')
      return 0;
    map |= 1u << (*text - '0' - 1);
    if (text[1] == '\0')
      return (uint8_t)map;
    if (text[1] != ',')
      return 0;
  }
}

static int apply_no_response(args *a, const char *value, buf *err)
{
  buf why = {0};
  uint32_t map = parse_classes(value);
  const bool ok = map != 0 || parse_uint(value, UINT8_MAX, &map, &why) == 0;
  buf_wipe(&why);
  if (!ok) {
    buf_print(err, "'%s' is not a list of classes such as 2,4,5 or a number from 0 to 255", value);
    return -1;
  }
  optset_set_uint(&a->options, COPAL_OPT_NO_RESPONSE, map);
  a->no_response = (uint8_t)map;
  return 0;
}

static int apply_block_size(args *a, const char *value, buf *err)
{
  uint32_t size;
  if (parse_uint(value, 1024, &size, err) != 0)
    return -1;
  const uint8_t szx = copal_block_szx_for(size);
  if (copal_block_size(szx) != size) {
    buf_text(err, "a block has 16, 32, 64, 128, 256, 512 or 1024 bytes");
    return -1;
  }
  a->szx = szx;
  a->has_szx = true;
  return 0;
}

static int apply_block_window(args *a, const char *value, buf *err)
{
  enum { WINDOW_MAX = 100 };
  uint32_t count;
  if (parse_uint(value, WINDOW_MAX, &count, err) != 0)
    return -1;
  if (count == 0) {
    buf_text(err, "at least one block is under way");
    return -1;
  }
  a->block_window = (uint8_t)count;
  return 0;
}

static int apply_host(args *a, const char *value, buf *err)
{
  if (*value == '\0' || strlen(value) > UINT8_MAX) { /* RFC 7252 section 5.10 */
    buf_text(err, "a host name has 1 to 255 bytes");
    return -1;
  }
  a->host = value;
  return 0;
}

static int apply_color(args *a, const char *value, buf *err)
{
  static const char *const names[] = {"auto", "always", "never"};
  for (int i = 0; i < 3; i++)
    if (strcmp(value, names[i]) == 0) {
      a->color = (style_color)i;
      return 0;
    }
  buf_print(err, "'%s' is not auto, always or never", value);
  return -1;
}

static int apply_max_retransmit(args *a, const char *value, buf *err)
{
  enum { RETRANSMIT_MAX = 20 };
  a->has_max_retransmit = true;
  return parse_uint(value, RETRANSMIT_MAX, &a->max_retransmit, err);
}

static int apply_retry(args *a, const char *value, buf *err)
{
  return parse_uint(value, 1000, &a->retry, err);
}

static int apply_count(args *a, const char *value, buf *err)
{
  return parse_uint(value, INT32_MAX, &a->count, err);
}

static int apply_timeout(args *a, const char *value, buf *err)
{
  return parse_seconds(value, &a->timeout, err);
}

static int apply_ack_timeout(args *a, const char *value, buf *err)
{
  return parse_seconds(value, &a->ack_timeout, err);
}

static int apply_interval(args *a, const char *value, buf *err)
{
  return parse_seconds(value, &a->interval, err);
}

static int apply_duration(args *a, const char *value, buf *err)
{
  return parse_long_seconds(value, &a->duration, err);
}

static int apply_poll(args *a, const char *value, buf *err)
{
  return parse_long_seconds(value, &a->poll, err);
}

static int apply_method(args *a, const char *value, buf *err)
{
  if (strcasecmp(value, "get") == 0)
    a->method = COPAL_CODE_GET;
  else if (strcasecmp(value, "fetch") == 0)
    a->method = COPAL_CODE_FETCH;
  else
    buf_print(err, "'%s' is not get or fetch", value);
  return err->len == 0 ? 0 : -1;
}

static int apply_hops(args *a, const char *value, buf *err)
{
  uint32_t v;
  if (parse_uint(value, UINT8_MAX, &v, err) != 0)
    return -1;
  if (v == 0) {
    buf_text(err, "a datagram that may not leave this machine reaches nobody; use 1 to 255");
    return -1;
  }
  a->hops = (uint8_t)v;
  return 0;
}

/* The same, at least 1. */
static int parse_count(const char *text, uint32_t max, uint32_t *v, buf *err)
{
  if (parse_uint(text, max, v, err) == 0 && *v > 0)
    return 0;
  err->len = 0;
  buf_print(err, "'%s' is not a number from 1 to %u", text, (unsigned)max);
  return -1;
}

static int apply_clients(args *a, const char *value, buf *err)
{
  return parse_count(value, LOAD_CLIENTS_MAX, &a->load.clients, err);
}

static int apply_window(args *a, const char *value, buf *err)
{
  return parse_count(value, LOAD_WINDOW_MAX, &a->load.window, err);
}

static int apply_threads(args *a, const char *value, buf *err)
{
  return parse_count(value, LOAD_THREADS_MAX, &a->load.threads, err);
}

static int apply_requests(args *a, const char *value, buf *err)
{
  return parse_count(value, UINT32_MAX - 1, &a->load.requests, err);
}

static int apply_paths(args *a, const char *value, buf *err)
{
  return parse_count(value, INT32_MAX, &a->load.paths, err);
}

static int apply_pid(args *a, const char *value, buf *err)
{
  uint32_t pid;
  if (parse_count(value, INT32_MAX, &pid, err) != 0)
    return -1;
  a->load.pid = (int)pid;
  return 0;
}

static int apply_size(args *a, const char *value, buf *err)
{
  enum { SIZE_MAX_MADE = 256 << 20 };
  a->load.has_size = true;
  return parse_uint(value, SIZE_MAX_MADE, &a->load.size, err);
}

static int apply_rate(args *a, const char *value, buf *err)
{
  char *end;
  a->load.rate = strtod(value, &end);
  if (end != value && *end == '\0' && a->load.rate >= 0.001 && a->load.rate <= 1e8)
    return 0;
  buf_print(err, "'%s' is not a number from 0.001 to 100000000", value);
  return -1;
}

static int apply_warmup(args *a, const char *value, buf *err)
{
  a->load.has_warmup = true;
  a->load.warmup = 0;
  return strcmp(value, "0") == 0 ? 0 : parse_long_seconds(value, &a->load.warmup, err);
}

static int apply_load_method(args *a, const char *value, buf *err)
{
  for (copal_code code = COPAL_CODE_GET; code <= COPAL_CODE_IPATCH; code++)
    if (strcasecmp(value, copal_code_name(code)) == 0) {
      a->load.method = code;
      return 0;
    }
  buf_print(err, "'%s' is not get, post, put, delete, fetch, patch or ipatch", value);
  return -1;
}

static int apply_expect(args *a, const char *value, buf *err)
{
  if (strlen(value) == 4 && value[0] >= '2' && value[0] <= '5' && value[1] == '.') {
    const unsigned detail = (unsigned)(value[2] - '0') * 10 + (unsigned)(value[3] - '0');
    if (value[2] >= '0' && value[2] <= '3' && value[3] >= '0' && value[3] <= '9' && detail < 32) {
      a->load.expect = (copal_code)((unsigned)(value[0] - '0') << 5 | detail);
      return 0;
    }
  }
  buf_print(err, "'%s' is not a response code such as 2.05 or 4.04", value);
  return -1;
}

/* Options that only store their value or a flag. */
#define STORE_AT(name, field, what)                                                                \
  static int apply_##name(args *a, const char *value, buf *err)                                    \
  {                                                                                                \
    (void)value, (void)err;                                                                        \
    a->field = what;                                                                               \
    return 0;                                                                                      \
  }
#define STORE(field, what) STORE_AT(field, field, what)
STORE(is_non, true)
STORE(is_con, true)
STORE(output, value)
STORE(write_out, value)
STORE(include, true)
STORE(verbose, true)
STORE(json, true)
STORE(silent, true)
STORE(pretty, true)
STORE(no_pretty, true)
STORE(connect_to, value)
STORE(profile, value)
STORE(psk_file, value)
STORE(identity, value)
STORE(cert, value)
STORE(key, value)
STORE(ca, value)
STORE(crl, value)
STORE(raw_key, value)
STORE(pin, value)
STORE(is_insecure, true)
STORE(interface, value)
STORE(is_continue, true)
STORE(is_qblock, true)
STORE(exec, value)
STORE(no_reconnect, true)
STORE(wants_help, true)
STORE_AT(is_random, load.is_random, true)
STORE_AT(observes, load.observes, true)
STORE_AT(expect_body, load.expect_body, value)

STORE_AT(key_identity, keygen.identity, value)
STORE_AT(append, keygen.is_append, true)
STORE_AT(force, keygen.is_force, true)
STORE_AT(ca_dir, keygen.ca, value)
STORE_AT(name, keygen.name, value)
STORE_AT(client, keygen.client, value)

static int apply_cert_host(args *a, const char *value, buf *err)
{
  if (a->keygen.host_count == KEYGEN_HOSTS_MAX) {
    buf_print(err, "more than %d names", KEYGEN_HOSTS_MAX);
    return -1;
  }
  a->keygen.hosts[a->keygen.host_count++] = value;
  return 0;
}

static int apply_days(args *a, const char *value, buf *err)
{
  enum { DAYS_MAX = 36500 };
  if (parse_uint(value, DAYS_MAX, &a->keygen.days, err) != 0)
    return -1;
  if (a->keygen.days > 0)
    return 0;
  buf_text(err, "at least one day");
  return -1;
}

static int apply_key_bytes(args *a, const char *value, buf *err)
{
  enum { BYTES_MIN = 8, BYTES_MAX = 64 };
  if (parse_uint(value, BYTES_MAX, &a->keygen.bytes, err) != 0)
    return -1;
  if (a->keygen.bytes >= BYTES_MIN)
    return 0;
  buf_print(err, "a key of %u bytes is no secret; take %d to %d", (unsigned)a->keygen.bytes,
            BYTES_MIN, BYTES_MAX);
  return -1;
}

static int apply_ipv4(args *a, const char *value, buf *err)
{
  (void)value, (void)err;
  a->family = AF_INET;
  return 0;
}

static int apply_ipv6(args *a, const char *value, buf *err)
{
  (void)value, (void)err;
  a->family = AF_INET6;
  return 0;
}

const arg_def arg_defs[] = {
    {'d', "data", "TEXT|@FILE|-", FOR_ALL, in_request,
     "payload: the text, a file's content, or standard input", apply_data},
    {'c', "content-format", "FORMAT", FOR_BODIES, in_request,
     "what the payload is: json, cbor, text, senml+json, 50, ...", apply_content_format},
    {0, "content-format", "FORMAT", BIT(CMD_OBSERVE) | BIT(CMD_LOAD), in_request,
     "what the payload is", apply_content_format},
    {'a', "accept", "FORMAT", FOR_SENDING, in_request, "what the response shall be", apply_accept},
    {'O', "option", "NAME=VALUE", FOR_SENDING, in_request,
     "add a CoAP option by name or number: Uri-Query=x, 65000=0xabcd", apply_option},
    {0, "if-match", "ETAG", FOR_SINGLES, in_request,
     "only if the resource has this ETag (hexadecimal); '' if it exists", apply_if_match},
    {0, "if-none-match", NULL, FOR_SINGLES, in_request, "only if the resource does not exist",
     apply_if_none_match},
    {0, "etag", "ETAG", FOR_REQUESTS, in_request,
     "ask whether this representation (hexadecimal) is still valid", apply_etag},
    {0, "hop-limit", "N", FOR_REQUESTS, in_request, "proxies to pass at most", apply_hop_limit},
    {0, "host", "NAME", FOR_SENDING, in_request, "Uri-Host to send instead of the URI's host",
     apply_host},
    {0, "token", "HEX", FOR_REQUESTS, in_request, "token to use instead of a random one",
     apply_token},
    {0, "block-size", "BYTES", FOR_SENDING, in_request,
     "largest block in either direction, 16 to 1024", apply_block_size},
    {0, "window", "N", FOR_SINGLES, in_request,
     "blocks of a large body under way at once, default 1", apply_block_window},
    {0, "qblock", NULL, FOR_SINGLES, in_request,
     "send large bodies in sets of blocks when the server can, RFC 9177", apply_is_qblock},

    {'o', "output", "FILE", FOR_REQUESTS, in_output, "write the body to a file", apply_output},
    {0, "continue", NULL, BIT(CMD_GET), in_output,
     "go on with an interrupted download, with --output", apply_is_continue},
    {'i', "include", NULL, FOR_REQUESTS, in_output, "show code and options above the body",
     apply_include},
    {0, "json", NULL, FOR_ANY, in_output, "print a JSON object about the outcome instead",
     apply_json},
    {'w', "write-out", "FORMAT", FOR_SINGLES, in_output,
     "print at the end, with %{code}, %{time_total}, ... filled in", apply_write_out},
    {0, "pretty", NULL, FOR_REQUESTS, in_output, "format the body even if not on a terminal",
     apply_pretty},
    {0, "no-pretty", NULL, FOR_REQUESTS, in_output, "print the body's bytes even on a terminal",
     apply_no_pretty},
    {0, "color", "WHEN", FOR_ALL, in_output, "auto, always or never", apply_color},
    {'s', "silent", NULL, FOR_ANY, in_output, "no messages about errors", apply_silent},
    {'v', "verbose", NULL, FOR_PEOPLE, in_output, "show every message sent and received",
     apply_verbose},

    {0, "non", NULL, FOR_SENDING, in_delivery, "send the request Non-confirmable", apply_is_non},
    {0, "con", NULL, FOR_SENDING, in_delivery,
     "send it Confirmable (default, except with --no-response)", apply_is_con},
    {0, "no-response", "CLASSES", FOR_WRITES | BIT(CMD_FETCH), in_delivery,
     "responses not wanted: 2,4,5 or a number", apply_no_response},
    {'t', "timeout", "SECONDS", FOR_ALL, in_delivery, "give up after this time", apply_timeout},
    {0, "retry", "N", FOR_SINGLES, in_delivery, "repeat the whole request after a timeout",
     apply_retry},
    {0, "ack-timeout", "SECONDS", FOR_ALL, in_delivery,
     "before the first retransmission, default 2", apply_ack_timeout},
    {0, "max-retransmit", "N", FOR_ALL, in_delivery, "retransmissions at most, default 4",
     apply_max_retransmit},
    {0, "connect-to", "HOST[:PORT]", FOR_ALL, in_delivery,
     "send to this address instead of the URI's", apply_connect_to},
    {0, "profile", "NAME", FOR_ALL, in_delivery, "credentials for coaps, by their name in the file",
     apply_profile},
    {0, "psk-file", "FILE", FOR_ALL, in_delivery, "keys for coaps, lines of identity:hexkey",
     apply_psk_file},
    {0, "identity", "NAME", FOR_ALL, in_delivery, "the one of them to be, default the first",
     apply_identity},
    {0, "ca", "FILE", FOR_ALL, in_delivery, "who may have signed the server's certificate, PEM",
     apply_ca},
    {0, "crl", "FILE", FOR_ALL, in_delivery, "certificates that these have revoked, PEM",
     apply_crl},
    {0, "cert", "FILE", FOR_ALL, in_delivery, "our own certificate, if the server wants one, PEM",
     apply_cert},
    {0, "key", "FILE", FOR_ALL, in_delivery, "its private key, PEM", apply_key},
    {0, "pin", "FINGERPRINT", FOR_ALL, in_delivery,
     "the server's public key: sha256:HEX or pin-sha256:BASE64", apply_pin},
    {0, "raw-key", "FILE", FOR_ALL, in_delivery,
     "our private key, to be shown as a raw public key, PEM", apply_raw_key},
    {0, "insecure", NULL, FOR_ALL, in_delivery, "take any server for the right one",
     apply_is_insecure},
    {'4', "ipv4", NULL, FOR_ALL, in_delivery, "use IPv4 only", apply_ipv4},
    {'6', "ipv6", NULL, FOR_ALL, in_delivery, "use IPv6 only", apply_ipv6},

    {0, "method", "METHOD", BIT(CMD_OBSERVE), in_observe, "get, or fetch (default with --data)",
     apply_method},
    {'c', "count", "N", BIT(CMD_OBSERVE), in_observe, "end after so many representations",
     apply_count},
    {0, "duration", "SECONDS", BIT(CMD_OBSERVE), in_observe, "end after this time", apply_duration},
    {0, "exec", "COMMAND", BIT(CMD_OBSERVE), in_observe,
     "run it by sh for each representation, which it reads", apply_exec},
    {0, "poll", "SECONDS", BIT(CMD_OBSERVE), in_observe,
     "ask so often if the server does not notify", apply_poll},
    {0, "no-reconnect", NULL, BIT(CMD_OBSERVE), in_observe,
     "end when the server is lost instead of asking again", apply_no_reconnect},

    {0, "interface", "NAME", FOR_GROUPS, in_group, "send by this interface instead of all",
     apply_interface},
    {0, "multicast-hops", "N", FOR_GROUPS, in_group, "routers to pass, plus one; default 1",
     apply_hops},

    {'c', "count", "N", BIT(CMD_PING), in_ping, "pings to send, default 4; 0: until interrupted",
     apply_count},
    {0, "interval", "SECONDS", BIT(CMD_PING), in_ping, "between pings, default 1", apply_interval},

    {'c', "clients", "N", BIT(CMD_LOAD), in_load, "sockets that send, or observers; default 64",
     apply_clients},
    {'w', "window", "N", BIT(CMD_LOAD), in_load, "requests under way for each of them, default 1",
     apply_window},
    {'r', "rate", "N", BIT(CMD_LOAD), in_load,
     "requests (or changes) per second; else the next when one is answered", apply_rate},
    {0, "duration", "SECONDS", BIT(CMD_LOAD), in_load, "to measure, default 10", apply_duration},
    {'n', "requests", "N", BIT(CMD_LOAD), in_load, "end after so many instead", apply_requests},
    {0, "warmup", "SECONDS", BIT(CMD_LOAD), in_load, "before that, not counted; default 1",
     apply_warmup},
    {'m', "method", "METHOD", BIT(CMD_LOAD), in_load,
     "get (default), put (default with a body), ...", apply_load_method},
    {0, "size", "BYTES", BIT(CMD_LOAD), in_load, "a payload of this size is made up", apply_size},
    {0, "paths", "N", BIT(CMD_LOAD), in_load, "%d in the URI stands for 0 to N-1 in turn",
     apply_paths},
    {0, "random", NULL, BIT(CMD_LOAD), in_load, "draw that number instead", apply_is_random},
    {0, "observe", NULL, BIT(CMD_LOAD), in_load,
     "clients observe, and one more changes what they observe", apply_observes},
    {0, "expect", "CODE", BIT(CMD_LOAD), in_load, "what each answer must be; default: any 2.xx",
     apply_expect},
    {0, "expect-body", "TEXT|@FILE", BIT(CMD_LOAD), in_load, "what each body must be",
     apply_expect_body},
    {0, "threads", "N", BIT(CMD_LOAD), in_load, "that share the clients, default 1", apply_threads},
    {'p', "pid", "PID", BIT(CMD_LOAD), in_load, "of a server here, to read its CPU time",
     apply_pid},

    {0, "identity", "NAME", BIT(CMD_KEYGEN), in_keygen, "of a psk, default a random one",
     apply_key_identity},
    {0, "bytes", "N", BIT(CMD_KEYGEN), in_keygen, "of a psk, 8 to 64, default 16", apply_key_bytes},
    {'o', "output", "FILE", BIT(CMD_KEYGEN), in_keygen,
     "of a key; directory of a ca; names of a cert but for .pem and .key", apply_output},
    {0, "append", NULL, BIT(CMD_KEYGEN), in_keygen, "add the psk to the file's lines",
     apply_append},
    {0, "force", NULL, BIT(CMD_KEYGEN), in_keygen, "replace files", apply_force},
    {0, "ca", "DIR", BIT(CMD_KEYGEN), in_keygen, "that signs: its directory", apply_ca_dir},
    {0, "name", "NAME", BIT(CMD_KEYGEN), in_keygen, "of a ca, default \"copal CA\"", apply_name},
    {0, "host", "NAME|ADDRESS", BIT(CMD_KEYGEN), in_keygen,
     "the server that the cert is for; may be repeated", apply_cert_host},
    {0, "client", "NAME", BIT(CMD_KEYGEN), in_keygen, "the client that it is for", apply_client},
    {0, "days", "N", BIT(CMD_KEYGEN), in_keygen, "of validity, default 3650, of a cert 365",
     apply_days},

    {'h', "help", NULL, FOR_ANY, in_other, "show this help", apply_wants_help},
};

const size_t arg_def_count = sizeof arg_defs / sizeof arg_defs[0];
