"""Models to files and back; broken, cut-off and foreign files."""

import os
import re
from pathlib import Path

import pytest

from hedgerow.errors import HostError, UsageError
from hedgerow.simulation.links import names, published
from hedgerow.simulation.links.document import of_toml, read, to_toml, write

TEXT = to_toml(published("cellular-verizon"))


@pytest.mark.parametrize("name", names())
def test_what_was_written_is_read_back_equal(name: str, tmp_path: Path) -> None:
    write(published(name), tmp_path / "model.toml")
    assert read(tmp_path / "model.toml") == published(name)


def test_texts_keep_quotes_backslashes_and_line_ends() -> None:
    text = TEXT.replace('licence = "CC0-1.0"', 'licence = "a \\"b\\" \\\\ c\\u000a d"')
    model = of_toml(text, "x")
    assert model.source.licence == 'a "b" \\ c\n d'
    assert of_toml(to_toml(model), "x") == model


def test_no_cut_off_file_is_taken_for_a_whole_one() -> None:
    whole = len(TEXT.rstrip())
    for end in range(0, whole, 7):
        with pytest.raises(UsageError, match=r"\S+"):
            of_toml(TEXT[:end], "cut.toml")


def changed(pattern: str, by: str) -> str:
    text, count = re.subn(pattern, by, TEXT, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no link model"),
        ("name = ", "not readable TOML"),
        (changed("^version = 1", "version = 2"), "version 2"),
        (changed("^format = .*", 'format = "other"'), "no link model"),
        (changed("^whole = true", "whole = false"), "cut off"),
        (changed(r"^step_s = .*", ""), "lacks step_s"),
        (changed(r"^step_s = .*", "step_s = 2.0"), "step_s: 2 is out of its range"),
        (changed(r"^step_s = .*", 'step_s = "0.2"'), "give a number"),
        (changed(r"^step_s = .*", "step_s = true"), "give a number"),
        (changed(r"^step_s = .*", "step_s = nan"), "out of its range"),
        (changed(r"^step_s = ", "colour = 3\nstep_s = "), "colour is not known"),
        (changed(r"^\[gaps\]", "[gapes]"), "lacks gaps"),
        (changed(r"^tail_index = [^ ]*", "tail_index = -1.0"), "delay.tail_index: -1"),
        (changed(r"^label = .*", 'label = "guessed"'), "guessed"),
        (changed(r"^down_mbps = \[", "down_mbps = [[1.0, 2.0], "), "7 rows for 6 states"),
        (changed(r"^transitions = \[\n  \[", "transitions = [\n  [0.5, "), "transitions of state 0"),
        (changed(r"^points = \[0.0, 1.0\]", "points = [0.0, 0.5]"), "from 0 to 1"),
        (changed(r"^points = \[0.0, 1.0\]", 'points = "all"'), "list of numbers"),
    ],
)
def test_a_bad_document_is_refused_with_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        of_toml(text, "given.toml")
    assert str(caught.value).startswith("given.toml")


@pytest.mark.parametrize(
    "by", ["nan", "inf", "-1", "0", "1e400", "9" * 400, "true", '"x"', "[]", "[[]]", "[[1.0]]", "{}"]
)
def test_whatever_a_figure_is_changed_to_gives_a_model_or_one_clear_refusal(by: str) -> None:
    lines = to_toml(published("cellular")).splitlines()
    refusals = []
    for place, line in enumerate(lines):
        key, equals, _ = line.partition(" = ")
        if not equals or line.startswith("#") or line.endswith("["):
            continue
        text = "\n".join([*lines[:place], f"{key} = {by}", *lines[place + 1 :]]) + "\n"
        try:
            of_toml(text, "given.toml")
        except UsageError as error:
            refusals.append(str(error))
    assert refusals
    assert all(each.startswith("given.toml") and "\n" not in each for each in refusals)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no link model"):
        read(tmp_path / "absent.toml")
    with pytest.raises(HostError, match="cannot read"):
        read(tmp_path)
    with pytest.raises(HostError, match="cannot write"):
        write(published("wired-tsn"), tmp_path / "no" / "folder.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(os.urandom(64) + b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        read(binary)
