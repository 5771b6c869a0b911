# SPDX-License-Identifier: Apache-2.0
"""CoAP datagrams by hand: bytes in, bytes out. RFC 7252 section 3, RFC 8974 section 2.1.

Written without libcopal on purpose, so that a mistake there is not repeated here.
"""

CON, NON, ACK, RST = range(4)

IF_MATCH, URI_HOST, ETAG, IF_NONE_MATCH, OBSERVE, URI_PORT = 1, 3, 4, 5, 6, 7
LOCATION_PATH, URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY = 8, 11, 12, 14, 15
ACCEPT, LOCATION_QUERY, BLOCK2, BLOCK1, SIZE2 = 17, 20, 23, 27, 28
PROXY_URI, PROXY_SCHEME, SIZE1, NO_RESPONSE = 35, 39, 60, 258

GET, POST, PUT, DELETE, FETCH, PATCH, IPATCH = 1, 2, 3, 4, 5, 6, 7

TEXT, LINK_FORMAT, OCTETS, JSON, JSON_PATCH, MERGE_PATCH, CBOR = 0, 40, 42, 50, 51, 52, 60
SENML_JSON, PROBLEM_DETAILS, SENML_ETCH_JSON = 110, 257, 320


class Malformed(Exception):
    """The bytes are no CoAP message."""


def code(text):
    """The byte of a code written c.dd."""
    cls, detail = text.split(".")
    return int(cls) << 5 | int(detail)


def uint(value):
    """An integer as an option value, without leading zero bytes. RFC 7252 section 3.2."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def extend(value):
    """Nibble and extension bytes of an option delta or length. RFC 7252 section 3.1."""
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, (value - 269).to_bytes(2, "big")


def options(pairs):
    """An option run; numbers are sorted, instances of one number keep their order."""
    out, last = b"", 0
    for number, value in sorted(pairs, key=lambda pair: pair[0]):
        value = value.encode() if isinstance(value, str) else value
        value = uint(value) if isinstance(value, int) else value
        delta, delta_ext = extend(number - last)
        length, length_ext = extend(len(value))
        out += bytes([delta << 4 | length]) + delta_ext + length_ext + value
        last = number
    return out


def head(type_, code_, mid, token=b"", version=1, tkl=None):
    """Header and token. `tkl` overrides the length that the token has."""
    nibble, ext = extend(len(token))
    nibble = nibble if tkl is None else tkl
    ext = ext if tkl is None else b""
    return bytes([version << 6 | type_ << 4 | nibble, code_]) + mid.to_bytes(2, "big") + ext + token


def message(type_, code_, mid, token=b"", pairs=(), payload=b""):
    """A whole message."""
    payload = payload.encode() if isinstance(payload, str) else payload
    marker = b"\xff" if payload else b""
    return head(type_, code_, mid, token) + options(pairs) + marker + payload


def take_extended(data, at, nibble):
    """Resolves a nibble 0 to 14 and its extension. Returns value and new position."""
    if nibble == 15:
        raise Malformed("nibble 15")
    size = {13: 1, 14: 2}.get(nibble, 0)
    if at + size > len(data):
        raise Malformed("truncated extension")
    base = {13: 13, 14: 269}.get(nibble, nibble)
    return base + int.from_bytes(data[at:at + size], "big"), at + size


class Message:
    """A parsed message."""

    def __init__(self, data):
        if len(data) < 4 or data[0] >> 6 != 1:
            raise Malformed("header")
        self.raw = data
        self.type = data[0] >> 4 & 3
        self.code_byte = data[1]
        self.mid = int.from_bytes(data[2:4], "big")
        length, at = take_extended(data, 4, data[0] & 15)
        self.token = data[at:at + length]
        if len(self.token) != length:
            raise Malformed("truncated token")
        self.options, at = self._options(data, at + length)
        self.payload = data[at:]
        if self.code_byte == 0 and len(data) != 4:
            raise Malformed("empty message with bytes")

    @staticmethod
    def _options(data, at):
        found, number = [], 0
        while at < len(data):
            byte = data[at]
            at += 1
            if byte == 0xFF:
                if at == len(data):
                    raise Malformed("marker without payload")
                return found, at
            delta, at = take_extended(data, at, byte >> 4)
            length, at = take_extended(data, at, byte & 15)
            number += delta
            if number > 65535 or at + length > len(data):
                raise Malformed("option")
            found.append((number, data[at:at + length]))
            at += length
        return found, at

    @property
    def code(self):
        return "%d.%02d" % (self.code_byte >> 5, self.code_byte & 31)

    def all(self, number):
        return [value for num, value in self.options if num == number]

    def opt(self, number):
        """First value of an option, or None."""
        values = self.all(number)
        return values[0] if values else None

    def uint(self, number, otherwise=None):
        """First value of an option as an integer."""
        value = self.opt(number)
        return otherwise if value is None else int.from_bytes(value, "big")

    def __repr__(self):
        kind = ("CON", "NON", "ACK", "RST")[self.type]
        return "%s %s mid=%04x token=%s %r %r" % (
            kind, self.code, self.mid, self.token.hex(), self.options, self.payload[:80])
