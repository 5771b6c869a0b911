# SPDX-License-Identifier: Apache-2.0
"""Discovery: /.well-known/core, link-format and its filters. RFC 6690, RFC 7252 section 7."""

import re
import zlib

import wire
from peer import alone, check, equal, one_of, table
from wire import CONTENT_FORMAT, JSON, LINK_FORMAT, NON, TEXT

CORE = "/.well-known/core"

# RFC 6690 section 2, the part that servers are to generate.
TOKEN = r"[!#$&+\-.^_`|~0-9A-Za-z]+\*?"
VALUE = r'(?:"(?:[^"\\]|\\.)*"|[!#$%&\'()*+\-./:<=>?@\[\]^_`{|}~0-9A-Za-z]+)'
LINK = re.compile(r"<([^<>]*)>((?:;%s(?:=%s)?)*)" % (TOKEN, VALUE))
PARAM = re.compile(r";(%s)(?:=(%s))?" % (TOKEN, VALUE))


def links(document):
    """Parses link-format strictly: [(target, {name: value})]."""
    text, at, found = document.decode("utf-8"), 0, []
    while at < len(text):
        link = LINK.match(text, at)
        check(link, "no link at %r" % text[at:at + 60])
        names = [name for name, _ in PARAM.findall(link.group(2))]
        equal(len(names), len(set(names)), "number of attributes in %r" % link.group(0))
        found.append((link.group(1), {name: value.strip('"')
                                      for name, value in PARAM.findall(link.group(2))}))
        at = link.end()
        if at < len(text):
            check(text[at] == "," and at + 1 < len(text), "no comma at %r" % text[at:at + 60])
            at += 1
    return found


def whole(p, query=()):
    """A discovery, all blocks of it. RFC 7959 section 2.4."""
    body, num = b"", 0
    while True:
        pairs = [(wire.BLOCK2, num << 4 | 6)] if num else []
        got = p.get(CORE, pairs, query=query)
        equal(got.code, "2.05", "code")
        body += got.payload
        block = got.uint(wire.BLOCK2, 0)
        if not block & 8:
            return links(body)
        num = len(body) >> ((block & 7) + 4)
        check(block & 7 == 6, "size exponent %d" % (block & 7))


def targets(p, *query):
    return sorted(target for target, _ in whole(p, query))


def registered(p, leaf, *query, pairs=((CONTENT_FORMAT, TEXT),)):
    """A resource with the link attributes of `query`."""
    return p.made(leaf, pairs=list(pairs), query=query)


def attributes(p, path):
    found = whole(p, ["href=" + path])
    equal([target for target, _ in found], [path], "targets")
    return found[0][1]


def rfc6690_4_well_known_core_is_link_format(p):
    got = p.get(CORE)
    equal((got.code, got.uint(CONTENT_FORMAT)), ("2.05", LINK_FORMAT), "answer")
    equal(len(got.all(CONTENT_FORMAT)), 1, "number of Content-Format options")


def rfc6690_4_well_known_core_answers_non(p):
    equal(p.get(CORE, type_=NON).code, "2.05", "code")


@alone
def rfc6690_2_the_whole_document_is_valid(p):
    p.made()
    check(whole(p), "no link at all")


@alone
def rfc6690_2_2_targets_are_paths(p):
    p.made()
    for target, _ in whole(p):
        check(target.startswith("/"), "target %r" % target)


def rfc6690_4_new_resource_is_listed(p):
    path = p.made()
    equal(targets(p, "href=" + path), [path], "targets")


def rfc6690_4_child_made_by_post_is_listed(p):
    child = "/" + "/".join(s.decode() for s in p.created(p.path("c")))
    equal(targets(p, "href=" + child), [child], "targets")


def rfc6690_4_deleted_resource_is_not_listed(p):
    path = p.made()
    p.delete(path)
    equal(targets(p, "href=" + path), [], "targets")


@table(("rt", "rt=temperature-c", "rt", "temperature-c"), ("if", "if=sensor", "if", "sensor"),
       ("title", "title=The window", "title", "The window"),
       ("utf8_title", "title=K\u00fcche", "title", "K\u00fcche"))
def rfc6690_3_attributes_of_the_writer_are_listed(p, argument, name, value):
    equal(attributes(p, registered(p, "x", argument)).get(name), value, name)


def rfc6690_3_several_attributes_are_listed(p):
    found = attributes(p, registered(p, "x", "rt=a b", "if=core.s", "title=t"))
    equal((found.get("rt"), found.get("if"), found.get("title")), ("a b", "core.s", "t"), "values")


@table(("rt", "rt"), ("if", "if"))
def rfc6690_3_attribute_appears_once(p, name):
    path = p.path()
    got = p.put(path, b"x", query=["%s=one" % name, "%s=two" % name])
    if got.code == "2.01":
        one_of(attributes(p, path).get(name), ("one", "two", "one two"), name)
    else:
        check(got.code.startswith("4."), "code %s" % got.code)


def rfc6690_2_href_is_no_attribute(p):
    path = p.path()
    p.put(path, b"x", query=["href=/elsewhere"])
    for target, found in whole(p, ["href=/t/%s/*" % p.name]):
        equal((target, "href" in found), (path, False), "link")


def rfc6690_2_quote_in_a_title_is_escaped(p):
    path = registered(p, "x", 'title=say "hi" \\ now')
    equal(attributes(p, path).get("title"), 'say \\"hi\\" \\\\ now', "title")


def rfc7252_7_2_1_ct_is_the_content_format(p):
    path = registered(p, "x", pairs=[(CONTENT_FORMAT, JSON)])
    equal(attributes(p, path).get("ct"), "50", "ct")


def rfc7252_7_2_1_no_ct_without_content_format(p):
    equal(attributes(p, registered(p, "x", pairs=[])).get("ct"), None, "ct")


def rfc7252_7_2_1_ct_follows_a_change(p):
    path = registered(p, "x")
    p.put(path, b"{}", [(CONTENT_FORMAT, JSON)])
    equal(attributes(p, path).get("ct"), "50", "ct")


def rfc6690_3_attributes_outlive_a_change_of_the_value(p):
    path = registered(p, "x", "rt=lamp")
    p.put(path, b"other", [(CONTENT_FORMAT, TEXT)])
    equal(attributes(p, path).get("rt"), "lamp", "rt")


def rfc6690_3_3_large_resource_has_a_size(p):
    path = p.made("big", b"x" * 1100)
    equal(attributes(p, path).get("sz"), "1100", "sz")


def rfc6690_2_target_is_percent_encoded(p):
    base = ["t", p.name, "a b/c<d>\u00fc"]
    p.put(base, b"x")
    equal(targets(p, "href=/t/%s/*" % p.name),
          ["/t/%s/a%%20b%%2Fc%%3Cd%%3E%%C3%%BC" % p.name], "targets")


# filters ----------------------------------------------------------------------------------------


def scene(p):
    """Three resources. Returns their common path and a word that is theirs alone."""
    word = "w%08x" % zlib.crc32(p.name.encode())
    registered(p, "lamp", "rt=%s.lamp %s.dimmable" % (word, word), "if=%s-a" % word)
    registered(p, "fan", "rt=%s.fan" % word, "if=%s-a" % word, "title=%s fan" % word)
    registered(p, "data", "rt=%s" % word, pairs=[(CONTENT_FORMAT, JSON)])
    return "/t/%s/" % p.name, word


@table(("href", "href={base}lamp", ["lamp"]), ("href_prefix", "href={base}*", None),
       ("href_prefix_of_a_name", "href={base}la*", ["lamp"]),
       ("rt", "rt={word}.fan", ["fan"]), ("rt_first_word", "rt={word}.lamp", ["lamp"]),
       ("rt_second_word", "rt={word}.dimmable", ["lamp"]),
       ("rt_exact_is_not_a_prefix", "rt={word}", ["data"]), ("rt_prefix", "rt={word}*", None),
       ("rt_prefix_of_second_word", "rt={word}.dim*", ["lamp"]),
       ("if", "if={word}-a", ["fan", "lamp"]), ("if_prefix", "if={word}*", ["fan", "lamp"]),
       ("any_attribute", "title={word} fan", ["fan"]), ("any_prefix", "title={word}*", ["fan"]),
       ("title_is_no_list", "title=fan", []), ("no_match", "rt={word}.none", []),
       ("no_match_prefix", "rt={word}.none*", []), ("case", "rt={word}.FAN", []),
       ("href_no_match", "href={base}none", []), ("unknown_attribute", "{word}=x", []))
def rfc6690_4_1_filter(p, query, wanted):
    base, word = scene(p)
    wanted = ["data", "fan", "lamp"] if wanted is None else wanted
    found = targets(p, query.format(base=base, word=word))
    equal(found, [base + leaf for leaf in wanted], "targets")


@alone
def rfc6690_4_1_ct_is_compared_as_a_string(p):
    base, _ = scene(p)
    found = targets(p, "ct=50")
    check(base + "data" in found and base + "fan" not in found, "targets %r" % found)
    check(base + "data" not in targets(p, "ct=050"), "050 matched 50")


@alone
def rfc6690_4_1_ct_prefix_matches(p):
    base, _ = scene(p)
    check(base + "data" in targets(p, "ct=5*"), "ct=5* does not match 50")


@alone
def rfc6690_4_1_star_alone_matches_what_has_the_attribute(p):
    base, _ = scene(p)
    found = [t for t in targets(p, "if=*") if t.startswith(base)]
    equal(found, [base + "fan", base + "lamp"], "targets")


def rfc6690_4_1_no_match_is_an_empty_document(p):
    got = p.get(CORE, query=["rt=no-such-type-at-all"])
    equal((got.code, got.payload), ("2.05", b""), "answer")


@alone
def rfc6690_4_1_empty_filter_value_matches_nothing_of_ours(p):
    base, _ = scene(p)
    found = [t for t in targets(p, "rt=") if t.startswith(base)]
    equal(found, [], "targets")


def rfc6690_4_1_filter_without_a_value_is_answered(p):
    one_of(p.get(CORE, query=["rt"]).code, ("2.05", "4.00"), "code")


def rfc6690_4_large_document_comes_in_blocks(p):
    for i in range(30):
        registered(p, "r%02d" % i, "rt=a-rather-long-resource-type-%02d" % i)
    found = targets(p, "href=/t/%s/*" % p.name)
    equal(len(found), 30, "number of links")
