#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checkers find what they are there to find: each is run on a small tree with one fault."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(os.environ.get("COPAL_SOURCE_DIR", pathlib.Path(__file__).parents[2]))
sys.dont_write_bytecode = True


def load(tool):
    """A tool as a module."""
    loader = importlib.machinery.SourceFileLoader(tool, str(ROOT / "tools" / tool))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(tool, loader))
    loader.exec_module(module)
    return module


class Tree(unittest.TestCase):
    """A temporary tree and the tools run on it."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run_tool(self, tool, *arguments):
        done = subprocess.run([ROOT / "tools" / tool, *map(str, arguments)], text=True,
                              capture_output=True)
        return done.returncode, done.stdout


class Layers(Tree):
    def setUp(self):
        super().setUp()
        self.write("tools/layers.txt", (ROOT / "tools/layers.txt").read_text())
        self.write("include/copal/span.h", "#include <stddef.h>\n")
        self.write("src/store/store.h", '#include "copal/span.h"\n')
        self.write("src/server/handler.h", '#include "store/store.h"\n')
        self.write("src/server/shard.h", "")
        self.write("src/core/wire/msg.h", '#include "copal/span.h"\n')

    def expect(self, file, text, wrong):
        self.write(file, text)
        status, out = self.run_tool("layercheck", self.root)
        self.assertEqual(status, 1 if wrong else 0, out)
        if wrong:
            self.assertIn(wrong, out)

    def test_clean_tree_passes(self):
        self.expect("src/server/a.c", '#include <stdlib.h>\n#include "server/shard.h"\n', None)

    def test_core_must_not_include_the_store(self):
        self.expect("src/core/proto/a.c", '\n#include "store/store.h"\n',
                    "src/core/proto/a.c:2: core/proto may not include src/store/store.h (store)")

    def test_core_must_not_include_stdlib(self):
        self.expect("src/core/wire/a.c", "#include <stdlib.h>\n", "core/wire may not include <stdlib.h>")

    def test_store_must_not_include_the_server(self):
        self.expect("src/store/a.c", '#include "server/handler.h"\n', "store may not include")

    def test_service_may_include_the_handler_header_only(self):
        self.expect("src/service/a.c", '#include "server/handler.h"\n', None)
        self.expect("src/service/b.c", '#include "server/shard.h"\n', "src/service/b.c:1: service may")

    def test_service_must_not_include_transport(self):
        self.write("src/transport/udp.h", "")
        self.expect("src/service/a.c", '#include "transport/udp.h"\n', "service may not include")

    def test_proto_must_not_include_oscore(self):
        self.write("src/core/oscore/ctx.h", "")
        self.expect("src/core/proto/a.c", '#include "core/oscore/ctx.h"\n', "core/proto may not")

    def test_examples_see_public_headers_only(self):
        self.expect("examples/a.c", '#include "copal/span.h"\n#include <unistd.h>\n', None)
        self.expect("examples/b.c", '#include "core/wire/msg.h"\n', "examples/b.c:1: examples may not")

    def test_unknown_file_and_folder_are_violations(self):
        self.expect("src/core/wire/a.c", '#include "core/wire/absent.h"\n', "is not in the tree")
        self.expect("src/attic/a.c", "", "src/attic/a.c:1: belongs to no layer")


class Registry(Tree):
    """A tree with the data that citations and matrix are checked against."""

    def setUp(self):
        super().setUp()
        for name in ("rfc_sections.csv", "clauses_index.csv"):
            self.write(f"docs/registry/{name}", (ROOT / "docs/registry" / name).read_text())


class Citations(Registry):
    def expect(self, text, wrong):
        self.write("src/a.c", text)
        status, out = self.run_tool("rfccheck", "citations", self.root)
        self.assertEqual(status, 1 if wrong else 0, out)
        for part in wrong:
            self.assertIn(part, out)

    def test_sections_that_exist_pass(self):
        self.expect("/* RFC 7252 section 4.2, RFC 7959 sections 2.2 and 2.4, RFC 7252 sections 3,\n"
                    " * 4.1 to 4.3, RFC 7252 appendix B, RFC 7252 section 3, 16 bytes. */\n", [])

    def test_section_that_does_not_exist_fails(self):
        self.expect("\n/* RFC 7252 section 4.9 */\n", ["src/a.c:2: RFC 7252 has no section 4.9"])

    def test_each_section_of_a_list_is_checked(self):
        self.expect("/* RFC 7252 sections 4.2, 99 and 4.77 */",
                    ["no section 99", "no section 4.77", "2 wrong"])

    def test_citation_may_wrap(self):
        self.expect("/* as RFC 7252\n * section 44 says */", ["RFC 7252 has no section 44"])

    def test_names_of_tests_are_citations(self):
        self.expect("/* RFC 7252 section 3 */ void rfc7252_4_5_2_ok(void), rfc7252_77_1_bad(void);",
                    ["src/a.c:1: rfc7252_77_1_", "1 wrong"])


class Compliance(Registry):
    def matrix(self, change, wrong):
        """A complete matrix but for one row; `change` takes and gives (state, test, note)."""
        rows = ["id,level,state,test,note"]
        index = (self.root / "docs/registry/clauses_index.csv").read_text().splitlines()[1:]
        for line in index:
            state = ("later", "", "due later") if not line.startswith("7252-3-1,") else change
            if state:
                rows.append(",".join((line,) + state))
        self.write("docs/compliance.csv", "\n".join(rows) + "\n")
        self.write("tests/unit/a_test.c", "static void rfc7252_3_version_is_1(void **s)\n")
        status, out = self.run_tool("rfccheck", "compliance", self.root)
        self.assertEqual(status, 1 if wrong else 0, out)
        self.assertIn(wrong or "0 wrong", out)

    def test_done_with_a_test_passes(self):
        self.matrix(("done", "rfc7252_3_version_is_1", ""), None)

    def test_done_without_a_test_fails(self):
        self.matrix(("done", "", ""), "7252-3-1: done, but no test")

    def test_done_with_an_absent_test_fails(self):
        self.matrix(("done", "rfc7252_3_absent", ""), "no such test: rfc7252_3_absent")

    def test_later_without_a_note_fails(self):
        self.matrix(("later", "", ""), "later, but no note")

    def test_unknown_state_fails(self):
        self.matrix(("perhaps", "", "x"), "unknown state perhaps")

    def test_missing_row_fails(self):
        self.matrix(None, "7252-3-1: no row")


class Derivation(unittest.TestCase):
    def setUp(self):
        self.tool = load("rfccheck")

    def test_table_of_contents_is_not_a_heading(self):
        text = "   9.  In the contents\n1.  Introduction\n1.1.  Terms\nAppendix A.  More\nA.1.  Yet\n"
        self.assertEqual(self.tool.sections_of_text(text), {"1", "1.1", "A", "A.1"})

    def test_markdown_headings_are_numbered(self):
        text = "# x\n--- middle\n# One\n## Sub\n# Two\n--- back\n# App\n## Sub\n# No {:numbered=\"no\"}\n"
        self.assertEqual(self.tool.sections_of_markdown(text), {"1", "1.1", "2", "A", "A.1"})


class Gates(Tree):
    def setUp(self):
        super().setUp()
        self.tool = load("gates")

    def library(self, text):
        source = self.write("a.c", text)
        subprocess.run(["cc", "-c", source, "-o", self.root / "a.o"], check=True)
        subprocess.run(["ar", "rc", self.root / "liba.a", self.root / "a.o"], check=True)
        return self.root / "liba.a"

    def test_writable_objects_are_found(self):
        library = self.library("int a = 1; static int b; int *f(void) { return &b; }\n"
                               "_Thread_local int c; static int d = 2; int *g(void) { return &d; }")
        found = self.tool.writable_objects("objdump", library)
        self.assertEqual(sorted(found), ["a", "b", "c", "d"])

    def test_constants_are_not_writable(self):
        library = self.library("const int a = 1; extern int x; int *const b = &x;"
                               "int f(void) { return a; }")
        self.assertEqual(self.tool.writable_objects("objdump", library), [])

    def test_map_counts_what_the_linker_kept(self):
        text = ("Discarded input sections\n .text.gone 0x0 0x40 /x/liba.a(b.o)\n"
                "Linker script and memory map\n .text.f       0x00008000      0x10 /x/liba.a(a.o)\n"
                " .text.a_long_name_that_wraps\n               0x00008010      0x20 /x/liba.a(a.o)\n"
                " .rodata.s     0x00008030       0x4 /x/liba.a(c.o)\n"
                " .debug_info   0x00000000     0x999 /x/liba.a(a.o)\n")
        self.assertEqual(self.tool.map_sizes(text),
                         {("liba.a", "a.o"): 0x30, ("liba.a", "c.o"): 4})


class Instructions(Tree):
    """The codec of this tree, or one with a fault, is counted as the gate does it."""

    SOURCES = ("base/cursor", "wire/msg", "wire/msg_put", "wire/option", "wire/option_put")

    def setUp(self):
        super().setUp()
        self.tool = load("gates")
        for name in (self.tool.CROSS + "gcc", self.tool.QEMU):
            if not shutil.which(name):
                self.skipTest("no " + name)
        self.config = json.loads((ROOT / "tools/gates.json").read_text())
        self.cpu = "cortex-m3"

    def count(self, source="base/cursor", before="", after=""):
        """Counts after `before` became `after` in a source of the codec."""
        library = self.root / "liba.a"
        for name in self.SOURCES:
            text = (ROOT / "src/core" / (name + ".c")).read_text()
            if name == source:
                self.assertIn(before, text)
                text = text.replace(before, after)
            path = self.write(name + ".c", text)
            self.tool.run("arm-none-eabi-gcc", *self.tool.FLAGS[self.cpu], "-std=c17", "-Os",
                          "-DNDEBUG", "-ffreestanding", "-ffunction-sections", "-I",
                          ROOT / "include", "-I", ROOT / "src", "-c", path, "-o",
                          path.with_suffix(".o"))
            self.tool.run("arm-none-eabi-ar", "rc", library, path.with_suffix(".o"))
        return self.tool.count_instructions(self.config, self.cpu, library)

    def broken(self, counts):
        report = self.tool.Report()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.tool.check_counts(report, self.config, self.cpu, counts)
        return report.broken, out.getvalue()

    def test_counts_are_the_same_each_time_and_inside_the_gates(self):
        counts = self.count()
        self.assertEqual(counts, self.count())
        self.assertEqual(self.broken(counts)[0], 0, counts)

    def test_slower_options_break_the_gate(self):
        counts = self.count("wire/msg_put", "      wr_few(p,",
                            '      __asm__ volatile("nop\\nnop\\nnop\\nnop");\n      wr_few(p,')
        broken, out = self.broken(counts)
        self.assertEqual(broken, 1, counts)
        self.assertRegex(out, "to write 51 B .*BROKEN")

    def test_one_more_instruction_is_seen(self):
        counts = self.count("wire/msg", "  const uint8_t *head = dgram.ptr;",
                            '  __asm__ volatile("nop");\n  const uint8_t *head = dgram.ptr;')
        usual = self.count()
        self.assertEqual(counts["parse"], usual["parse"] + 1)
        self.assertEqual(counts["serialise"], usual["serialise"])

    def test_wrong_message_fails(self):
        with self.assertRaisesRegex(self.tool.Failed, "something else than the message"):
            self.count("wire/msg_put", "VERSION_BITS = 1 << 6", "VERSION_BITS = 1 << 7")

    def test_wrong_parsing_fails(self):
        with self.assertRaisesRegex(self.tool.Failed, "something else than the message"):
            self.count("wire/option", "it->number = number;\n  opt->number",
                       "it->number = number + 1;\n  opt->number")


if __name__ == "__main__":
    unittest.main()
