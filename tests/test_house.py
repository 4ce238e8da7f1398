"""The house keeps its rules, and the checks that say so can fail: each is shown a tree with one rule broken."""

import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
TOOLS = REPOSITORY / "tools"


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The tool as typed, in this process: it reads files and prints."""
    words = [str(TOOLS / tool), *map(str, arguments)]
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", words):
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def plant(root: Path, name: str, text: str) -> Path:
    """Write one file of a tree that has nothing else."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# -------------------------------------------------------------------------------------------------------------- arrows


def test_every_import_is_listed() -> None:
    done = run("check_arrows.py")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("core/a.py", "from hedgerow.device import session", "core -> device"),
        ("core/a.py", "from ..device.session import Session", "core -> device"),
        ("core/deep/a.py", "from ... import device", "core -> device"),
        ("core/a.py", "def f():\n    import hedgerow.models", "core -> models"),
        ("core/a.py", "from hedgerow import Session", "core -> Session"),
        ("views/a.py", "import hedgerow", "imports all of hedgerow"),
        ("core/a.py", "import time", "core imports 'time'"),
        ("core/a.py", "from threading import Lock", "core imports 'threading'"),
        ("core/a.py", "import pickle", "core imports 'pickle'"),
        ("core/a.py", "import msgspec", "'msgspec' is imported outside"),
        ("cloud/a.py", "from hedgerow import device", "cloud -> device"),
        ("device/a.py", "import hedgerow.cloud.server", "device -> cloud.server"),
        ("codecs/a.py", "from hedgerow.models.chain import Chain", "codecs -> models.chain"),
        ("errors.py", "from hedgerow import core", "errors -> core"),
        ("device/a.py", "import importlib\nimportlib.import_module('hedgerow.cloud.server')", "device -> cloud.server"),
        ("device/a.py", "name = 'x'\n__import__(name)", "only running it would tell"),
        ("cli/a.py", "import onnxruntime as ort", "'onnxruntime' is imported outside"),
        ("device/a.py", "from grpc import aio", "'grpc' is imported outside"),
        ("models/engines/other.py", "import sklearn", "the package 'sklearn' is not in the plan"),
        ("shed/a.py", "import math", "the room 'shed' is not in the plan"),
    ],
)
def test_an_unlisted_import_is_found(tmp_path: Path, name: str, line: str, complaint: str) -> None:
    plant(tmp_path, "device/session.py", "")
    plant(tmp_path, "cloud/server.py", "")
    plant(tmp_path, "models/chain.py", "")
    planted = plant(tmp_path, name, line + "\n")
    done = run("check_arrows.py", "--root", tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert str(planted) in done.stdout
    assert complaint in done.stdout


def test_listed_imports_pass(tmp_path: Path) -> None:
    plant(tmp_path, "models/tensors.py", "import numpy as np\nfrom hedgerow.errors import UsageError\n")
    plant(tmp_path, "codecs/a.py", "from hedgerow.models.tensors import Tensors\nimport zstandard\nimport time\n")
    plant(tmp_path, "core/a.py", "import bisect\nimport numpy as np\nfrom hedgerow.core import records\n")
    done = run("check_arrows.py", "--root", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_tree_is_no_success(tmp_path: Path) -> None:
    assert run("check_arrows.py", "--root", tmp_path).returncode == 2
    assert run("check_house.py", "--root", tmp_path).returncode == 2


# --------------------------------------------------------------------------------------------------------------- rules


def test_the_house_rules_hold() -> None:
    done = run("check_house.py")
    assert done.returncode == 0, done.stdout + done.stderr


DOC = '"""Why."""\n'


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("src/hedgerow/device/a.py", "x = 1\n", "no docstring"),
        ("src/hedgerow/device/a.py", DOC + "x = 1\n" * 600, "601 lines"),
        ("tests/a.py", "def f():\n" + "    x = 1\n" * 60, "f has 61 lines"),
        ("src/hedgerow/core/policies/a.py", DOC + "x = 1\n" * 150, "a policy of 151 lines"),
        ("src/hedgerow/core/a.py", DOC + "x = 1\n" * 599, ""),
        ("src/hedgerow/device/a.py", DOC + "try:\n    x = 1\nexcept Exception:\n    x = 2\n", "a broad except"),
        (
            "src/hedgerow/device/a.py",
            DOC + "try:\n    x = 1\nexcept (OSError, BaseException):\n    x = 2\n",
            "a broad except",
        ),
        ("tests/a.py", "try:\n    x = 1\nexcept:\n    raise ValueError\n", "a broad except"),
        ("bench/a.py", DOC + "import contextlib\nwith contextlib.suppress(Exception):\n    x = 1\n", "a broad except"),
        ("src/hedgerow/device/a.py", DOC + "try:\n    x = 1\nexcept BaseException:\n    raise\n", ""),
        ("src/hedgerow/core/a.py", DOC + "import numpy as np\nx = np.exp(1.0)\n", "core uses exp"),
        ("src/hedgerow/core/a.py", DOC + "from math import log2\n", "core uses log2"),
        ("src/hedgerow/core/a.py", DOC + "def f(a, b):\n    return a @ b\n", "core uses @"),
        ("src/hedgerow/planning/a.py", DOC + "import numpy as np\nx = np.exp(1.0)\n", ""),
    ],
)
def test_a_broken_rule_is_found_and_only_that(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    plant(tmp_path, name, text)
    done = run("check_house.py", "--root", tmp_path)
    assert done.returncode == int(bool(complaint)), done.stdout + done.stderr
    assert complaint in done.stdout
    assert f"{int(bool(complaint))} broken" in done.stdout


def test_a_core_that_no_hour_suffices_for_is_found(tmp_path: Path) -> None:
    for number in range(8):
        plant(tmp_path, f"src/hedgerow/core/part{number}.py", DOC + "x = 1\n" * 595)
    done = run("check_house.py", "--root", tmp_path)
    assert done.returncode == 1
    assert "lines in all; at most 4560" in done.stdout


# -------------------------------------------------------------------------------------------------------------- blocks


def readme(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    return run("readme_blocks.py", plant(tmp_path, "README.md", text))


def test_blocks_that_are_true_pass_and_share_a_folder(tmp_path: Path) -> None:
    done = readme(
        tmp_path,
        "```sh\necho one > file\n```\n<!-- compare -->\n```console\n$ cat file\none\n$ echo 'took 3 ms'\ntook ... ms\n```\n"
        "```python\nprint(open('file').read())\n```\n```toml\nno = [\n```\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 ran, 0 left out, 0 problems" in done.stdout


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nraise SystemExit(3)\n```\n", "exit code 3"),
        ("```sh\nfalse\ntrue\n```\n", "exit code 1"),
        ("<!-- compare -->\n```console\n$ echo two\none\n```\n", "it prints something else"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning"),
        ("```sh\ntrue\n```\nsee [there](docs/nothing.md)\n", "leads nowhere"),
        ("only words\n", "0 ran"),
        (
            "```python\nimport socket\nsocket.create_connection(('192.0.2.1', 9), 1)\n```\n",
            "may only speak to 127.0.0.1",
        ),
    ],
)
def test_a_block_that_is_not_true_is_found(tmp_path: Path, text: str, complaint: str) -> None:
    done = readme(tmp_path, text)
    assert done.returncode == 1
    assert complaint in done.stdout


def test_what_is_left_out_is_said_aloud(tmp_path: Path) -> None:
    done = readme(tmp_path, "```sh\ntrue\n```\n\n<!-- no-run: needs a moon -->\n```sh\nfalse\n```\n")
    assert done.returncode == 0
    assert "left out: needs a moon" in done.stdout
    assert "1 ran, 1 left out" in done.stdout


# ------------------------------------------------------------------------------------------------------------- project


def test_constraints_are_plain_pins_without_repetition() -> None:
    lines = [line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line)] == []
    names = [re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in lines]
    assert len(set(names)) == len(names)


def test_decisions_are_numbered_without_gaps_and_name_their_consequences() -> None:
    records = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# 0*{int(path.name[:4])}[.:] ", text), path.name
        assert "## Consequences" in text, path.name
