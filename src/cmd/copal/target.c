/* SPDX-License-Identifier: Apache-2.0 */
/* Where a request goes: the URI as people type it, and the addresses behind it. RFC 7252
 * section 6. */
#include "cmd/copal/target.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cmd/copal/secrets.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "transport/udp.h"

enum { URI_OPTIONS_MAX = 512 };

static bool has_scheme(const char *text)
{
  const size_t n =
      strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
  return n > 0 && strncmp(text + n, "://", 3) == 0;
}

/* Inside the brackets of an IPv6 literal "%" begins a zone, which RFC 6874 writes "%25". */
static size_t tidy_literal(const char *text, buf *out)
{
  size_t n = strcspn(text, "]%");
  buf_put(out, text, n);
  if (text[n] == '%') {
    buf_text(out, "%25");
    n += strncmp(text + n, "%25", 3) == 0 && text[n + 3] != ']' ? 3 : 1;
  }
  return n;
}

void target_tidy(const char *text, buf *out)
{
  if (!has_scheme(text))
    buf_text(out, "coap://");
  while (*text) {
    const unsigned char c = (unsigned char)*text;
    if (c == '[') {
      buf_char(out, '[');
      text++;
      text += tidy_literal(text, out);
      continue;
    }
    if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
      buf_print(out, "%%%02X", c);
    else
      buf_char(out, (char)c);
    text++;
  }
}

static void explain(const char *text, size_t at, buf *err)
{
  const char *colon = strstr(text, "://");
  const size_t len = colon ? (size_t)(colon - text) : 0;
  if (len > 0 && strncasecmp(text, "coap", 4) != 0)
    buf_print(err, "'%s': scheme %.*s is not one of CoAP; write coap://HOST/PATH", text, (int)len,
              text);
  else if (text[at] == '#')
    buf_print(err, "'%s': a CoAP URI has no fragment; write '#' as %%23", text);
  else if (text[at] != '\0')
    buf_print(err, "'%s': not a valid URI at '%s'", text, text + at);
  else
    buf_print(err, "'%s': not a valid URI; write coap://HOST[:PORT]/PATH", text);
}

/* The host as the resolver wants it: decoded, a zone behind "%". */
static char *decode_host(const copal_uri *uri)
{
  char *host = mem_resize(NULL, uri->host.len + 1);
  copal_wr w = copal_wr_init((copal_mspan){(uint8_t *)host, uri->host.len});
  if (copal_uri_decode(uri->host, &w) != COPAL_OK)
    w.len = 0;
  host[w.len] = '\0';
  return host;
}

status target_parse(target *t, const char *text, buf *err)
{
  buf tidy = {0};
  size_t at = 0;
  *t = (target){0};
  target_tidy(text, &tidy);
  t->text = mem_text(buf_span(&tidy));
  buf_wipe(&tidy);
  if (copal_uri_parse(copal_span_str(t->text), &t->uri, &at) != COPAL_OK) {
    explain(t->text, at <= strlen(t->text) ? at : 0, err);
    return STATUS_URI;
  }
  if (t->uri.scheme != COPAL_SCHEME_COAP && t->uri.scheme != COPAL_SCHEME_COAPS) {
    buf_print(err, "'%s': scheme %s is not supported by this version, only coap and coaps are",
              t->text, copal_scheme_name(t->uri.scheme));
    return STATUS_URI;
  }
  t->host = decode_host(&t->uri);
  t->port = t->uri.port;
  return STATUS_OK;
}

void target_wipe(target *t)
{
  free(t->text);
  free(t->host);
  free(t->paths);
  *t = (target){0};
}

static void add_path(target *t, const copal_addr *addr)
{
  t->paths = mem_resize(t->paths, (t->path_count + 1) * sizeof *t->paths);
  copal_path *p = &t->paths[t->path_count++];
  memset(p, 0, sizeof *p);
  p->remote = *addr;
  p->flags = udp_addr_is_multicast(addr) ? COPAL_PATH_GROUP : 0;
  if (t->uri.scheme == COPAL_SCHEME_COAPS)
    p->flags |= COPAL_PATH_SECURE;
}

static void add_sockaddr(target *t, const struct sockaddr *sa)
{
  char text[NI_MAXHOST];
  copal_addr addr;
  const socklen_t len =
      sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  if (getnameinfo(sa, len, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 &&
      udp_addr_parse(text, t->port, &addr) == COPAL_OK)
    add_path(t, &addr);
}

static status look_up(target *t, const char *host, int family, buf *err)
{
  const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
  struct addrinfo *list = NULL;
  const int e = getaddrinfo(host, NULL, &hints, &list);
  for (const struct addrinfo *i = e == 0 ? list : NULL; i; i = i->ai_next)
    if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
      add_sockaddr(t, i->ai_addr);
  if (e == 0)
    freeaddrinfo(list);
  if (t->path_count > 0)
    return STATUS_OK;
  buf_print(err, "could not resolve host '%s'%s: %s", host,
            family == AF_INET    ? " to an IPv4 address"
            : family == AF_INET6 ? " to an IPv6 address"
                                 : "",
            e != 0 ? gai_strerror(e) : "no address");
  return STATUS_RESOLVE;
}

static status resolve_host(target *t, const char *host, int family, buf *err)
{
  copal_addr addr;
  if (udp_addr_parse(host, t->port, &addr) != COPAL_OK)
    return look_up(t, host, family, err);
  if (family != AF_UNSPEC && udp_addr_is_ipv4(&addr) != (family == AF_INET)) {
    buf_print(err, "'%s' is not an %s address", host, family == AF_INET ? "IPv4" : "IPv6");
    return STATUS_RESOLVE;
  }
  add_path(t, &addr);
  return STATUS_OK;
}

/* HOST, HOST:PORT or [IPV6]:PORT is an authority, so the URI parser takes it apart. */
static status parse_connect_to(target *t, const char *text, char **host, buf *err)
{
  target other;
  buf why = {0};
  copal_addr addr;
  if (udp_addr_parse(text, t->port, &addr) == COPAL_OK) {
    *host = mem_text(copal_span_str(text));
    return STATUS_OK;
  }
  const status s = target_parse(&other, text, &why);
  const bool has_port =
      s == STATUS_OK && strchr(strrchr(text, ']') ? strrchr(text, ']') : text, ':');
  if (s != STATUS_OK || other.uri.path.len > 0 || other.uri.has_query)
    buf_print(err, "--connect-to: '%s' is not HOST[:PORT]", text);
  else
    *host = mem_text(copal_span_str(other.host));
  if (*host && has_port)
    t->port = other.port;
  target_wipe(&other);
  buf_wipe(&why);
  return *host ? STATUS_OK : STATUS_USAGE;
}

/* The authority as certificates have it: no zone, no default port. */
static status name_server(const target *t, buf *err)
{
  buf name = {0};
  const int len = (int)strcspn(t->host, "%");
  buf_print(&name, t->uri.host_is_ipv6 ? "[%.*s]" : "%.*s", len, t->host);
  if (t->uri.port != copal_scheme_port(COPAL_SCHEME_COAPS))
    buf_print(&name, ":%u", (unsigned)t->uri.port);
  const bool is_only = secrets_set_server(buf_str(&name));
  buf_wipe(&name);
  if (!is_only)
    buf_print(err, "'%s': one server of coaps at a time", t->text);
  return is_only ? STATUS_OK : STATUS_USAGE;
}

/* All addresses of a host are of one kind. */
bool target_is_group(const target *t)
{
  return t->path_count > 0 && (t->paths[0].flags & COPAL_PATH_GROUP) != 0;
}

status target_resolve(target *t, const args *a, buf *err)
{
  char *host = NULL;
  dtls_credentials *credentials = NULL;
  const bool is_secure = t->uri.scheme == COPAL_SCHEME_COAPS;
  status s = is_secure || a->profile ? secrets_choose(a, t->host, err) : STATUS_OK;
  if (s == STATUS_OK && is_secure)
    s = secrets_open(a, &credentials, err);
  if (s != STATUS_OK)
    return s;
  if (is_secure && !credentials) {
    buf_print(err,
              "'%s': coaps needs credentials: give --psk-file FILE, --ca FILE or --pin FINGERPRINT",
              t->text);
    return STATUS_USAGE;
  }
  if (is_secure) {
    s = name_server(t, err);
    if (s != STATUS_OK)
      return s;
  }
  s = a->connect_to ? parse_connect_to(t, a->connect_to, &host, err) : STATUS_OK;
  if (s == STATUS_OK)
    s = resolve_host(t, host ? host : t->host, a->family, err);
  if (s == STATUS_OK && is_secure && target_is_group(t)) {
    buf_print(err, "'%s': a group cannot be asked through DTLS", t->text);
    s = STATUS_URI;
  }
  free(host);
  return s;
}

status target_options(const target *t, const args *a, optset *options, buf *err)
{
  copal_opt opts[URI_OPTIONS_MAX];
  uint8_t uints[URI_OPTIONS_MAX][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, URI_OPTIONS_MAX);
  uint8_t *room = mem_resize(NULL, strlen(t->text) + 1);
  copal_wr scratch = copal_wr_init((copal_mspan){room, strlen(t->text) + 1});
  const int e = copal_uri_to_options(&t->uri, a->host != NULL, &scratch, &list);
  for (size_t i = 0; e == COPAL_OK && i < list.count; i++)
    optset_add(options, opts[i].number, opts[i].value);
  free(room);
  if (e != COPAL_OK) {
    buf_print(err, "'%s': a path segment or query argument has more than 255 bytes", t->text);
    return STATUS_URI;
  }
  if (a->host)
    optset_set(options, COPAL_OPT_URI_HOST, copal_span_str(a->host));
  optset_merge(options, &a->options);
  return STATUS_OK;
}

void target_authority(const target *t, const args *a, optset *options)
{
  buf host = {0};
  if (a->connect_to && !optset_has(options, COPAL_OPT_URI_HOST)) {
    buf_print(&host, t->uri.host_is_ipv6 ? "[%s]" : "%s", t->host);
    optset_add(options, COPAL_OPT_URI_HOST, buf_span(&host));
  }
  if (t->port != t->uri.port && !optset_has(options, COPAL_OPT_URI_PORT))
    optset_add_uint(options, COPAL_OPT_URI_PORT, t->uri.port);
  buf_wipe(&host);
}
