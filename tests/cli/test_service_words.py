"""Words of a command line in a unit: systemd reads back what was written."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tributary_daemon.cli import units, values
from tributary_daemon.errors import ConfigError

ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def read_back(line):
    """Return the words of a line as systemd.service(5) describes: quotes, C escapes, then %% and $$."""
    found = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line):
        word = (
            re.sub(
                r"\\(?:x([0-9a-f]{2})|(.))",
                lambda match: chr(int(match[1], 16)) if match[1] else ESCAPED[match[2]],
                quoted,
            )
            or plain
        )
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)", word), "a specifier"
        assert not re.search(r"(?<!\$)(?:\$\$)*\$(?!\$)", word), "a variable"
        found.append(word.replace("%%", "%").replace("$$", "$"))
    return found


@given(st.lists(words, min_size=1))
@example([""])
@example(
    ["a b", '"', "\\", "100%", "$HOME", "${HOME}", "%i", ";", "'", "\n", "\x7f", "ü", "a\\x2cb", "$$", "%%"]
)
def test_quoting_is_read_back(given_words):
    line = " ".join(map(units.quote, given_words))
    assert "\n" not in line
    assert read_back(line) == given_words


def test_what_is_plain_stays_readable():
    assert units.quote("default,heavy:4") == "default,heavy:4"
    assert units.quote("/opt/trib-1.0/bin/trib", program=True) == "/opt/trib-1.0/bin/trib"
    assert units.quote("/opt/$x y/trib", program=True) == '"/opt/$x y/trib"'  # no variable in a path
    assert units.quote("billing.%") == '"billing.%%"'


def test_what_is_no_text_is_refused():
    with pytest.raises(ConfigError, match="not UTF-8"):
        units.quote("a\udc80")


@given(st.lists(words, max_size=4).map(",".join))
def test_an_instance_is_read_as_systemd_escape_wrote_it(queues):
    # all but letters, digits and :-_. as bytes; a minus sign stays when it was typed by hand
    written = "".join(
        character if re.fullmatch(r"[A-Za-z0-9:_.-]", character)
        else "".join(f"\\x{byte:02x}" for byte in character.encode())
        for character in queues
    )  # fmt: skip
    assert values.queues(written) == queues


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="systemd-escape is absent")
@pytest.mark.parametrize("queues", ["media,heavy:4", "big-media", "größe,a b", "back\\slash"])
def test_what_systemd_escape_writes_is_read(queues):
    written = subprocess.check_output(["systemd-escape", queues], text=True, timeout=30).rstrip("\n")
    assert values.queues(written) == queues
