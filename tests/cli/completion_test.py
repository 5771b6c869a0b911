# SPDX-License-Identifier: Apache-2.0
"""The completion files: valid in their shells, and in step with the options of the program."""
import os
import re
import shutil
import subprocess
import unittest

from harness import copal

TREE = os.environ.get("COPAL_SOURCE_DIR", os.path.join(os.path.dirname(__file__), "..", ".."))
DIRECTORY = os.path.join(TREE, "packaging", "completion")
BASH, ZSH, FISH = (os.path.join(DIRECTORY, n) for n in ("copal.bash", "_copal", "copal.fish"))
COMMANDS = ["get", "put", "post", "delete", "fetch", "patch", "ipatch", "observe", "discover",
            "ping", "load", "keygen"]


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def help_options(command):
    """Long and short options that the help of a command lists."""
    listed = copal(command, "--help").stdout.decode()
    return set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", listed, re.M)) | set(
        re.findall(r"^  (-\w), --", listed, re.M))


def bash_complete(*words):
    """What bash offers for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _copal; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    r = subprocess.run(["bash", "-c", script, "bash", BASH, *words], capture_output=True, check=True)
    return r.stdout.decode().split()


class Syntax(unittest.TestCase):
    def check(self, shell, path):
        if not shutil.which(shell):
            self.skipTest("%s is not installed" % shell)
        r = subprocess.run([shell, "-n", path], capture_output=True)
        self.assertEqual((r.returncode, r.stderr), (0, b""))

    def test_bash(self):
        self.check("bash", BASH)

    def test_zsh(self):
        self.check("zsh", ZSH)

    def test_fish(self):
        self.check("fish", FISH)


class Bash(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(bash_complete("copal", "p"), ["put", "post", "patch", "ping"])

    def test_options_are_those_of_the_help(self):
        for command in COMMANDS:
            self.assertEqual(set(bash_complete("copal", command, "-")), help_options(command), command)

    def test_formats(self):
        offered = bash_complete("copal", "put", "--content-format", "senml+")
        self.assertEqual(offered, ["senml+json", "senml+cbor"])

    def test_coap_options(self):
        self.assertEqual(bash_complete("copal", "get", "-O", "Uri-Q"), ["Uri-Query="])

    def test_every_format_offered_is_understood(self):
        for name in bash_complete("copal", "get", "--accept", ""):
            r = copal("get", "--accept", name, "coap+tcp://x")
            self.assertEqual(r.returncode, 3, name)

    def test_every_coap_option_offered_is_known(self):
        for name in bash_complete("copal", "get", "-O", ""):
            r = copal("get", "-O", name, "coap+tcp://x")
            self.assertNotIn(b"unknown option name", r.stderr, name)


class InStep(unittest.TestCase):
    def test_zsh_names_all_options(self):
        content = text(ZSH)
        for option in set().union(*map(help_options, COMMANDS)):
            self.assertRegex(content, r"(?<![\w-])%s(?![\w-])" % re.escape(option))

    def test_fish_names_all_options(self):
        content = text(FISH)
        for option in set().union(*map(help_options, COMMANDS)):
            flag = "-l " + option[2:] if option.startswith("--") else "-s " + option[1:]
            self.assertRegex(content, re.escape(flag) + r"\s", option)

    def test_manual_names_all_options_and_commands(self):
        page = text(os.path.join(TREE, "docs", "man", "copal.1"))
        for option in set().union(*map(help_options, COMMANDS)):
            name = option[2:] if option.startswith("--") else option[1:]
            flag = "-" + name if option.startswith("--") else name
            self.assertRegex(page, r"Fl (-\S+ Ns \S+ )?%s\b" % re.escape(flag), option)
        for command in COMMANDS:
            self.assertIn("\n.It Cm " + command, page)


if __name__ == "__main__":
    unittest.main()
