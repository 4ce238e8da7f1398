"""Runs the blocks of the README, so that what it shows is true: `python tools/readme_blocks.py [FILE ...]`.

Without files: README.md, and each docs/*.md that contains `<!-- run-blocks -->`. ```python, ```sh and ```console blocks run
one after another in one temporary folder for each file, with the virtual environment's commands first on the PATH. In a
console block the lines after `$ ` run, and the others are what they print. A comment in the line above a block says more:

    <!-- no-run: reason -->     left out, and counted aloud
    <!-- compare -->            a console block must print these lines; `...` stands for any text, alone for any lines

Python connections other than to loopback are refused, and pip finds no index. Links to files of the repository must lead
somewhere. Blocks of other languages are only text.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BLOCK_S_MAX = 120.0
OUTPUT_CHARS_MAX = 4000
RUNNABLE = ("python", "sh", "console")
MARK = "<!-- run-blocks -->"

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
NO_RUN = re.compile(r"<!--\s*no-run:\s*(.+?)\s*-->")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")

GUARD = '''"""Refuses connections from Python to anything but loopback; imported at start because of its name."""
import socket

class Guarded(socket.socket):
    def _check(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host not in ("localhost", "::1") and not host.startswith("127."):
                raise PermissionError(f"a block of the README may only speak to 127.0.0.1, not to {host}")

    def connect(self, address):
        self._check(address)
        return super().connect(address)

    def connect_ex(self, address):
        self._check(address)
        return super().connect_ex(address)

socket.socket = Guarded
'''


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is that of its fence, `above` the line before it."""

    file: Path
    line: int
    language: str
    text: str
    above: str

    @property
    def where(self) -> str:
        return f"{self.file.name}:{self.line} ({self.language})"

    @property
    def left_out(self) -> str | None:
        """The reason not to run it, if one is given."""
        found = NO_RUN.search(self.above)
        return found.group(1) if found else None

    def command(self) -> list[str]:
        if self.language == "python":
            return [sys.executable, "-c", self.text]
        script = self.text if self.language == "sh" else "\n".join(self.typed())
        return ["bash", "-euo", "pipefail", "-c", script]

    def typed(self) -> list[str]:
        """The commands of a console block; a line that ends in a backslash goes on in the next."""
        typed: list[str] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                typed.append(line[2:])
            elif typed and typed[-1].endswith("\\"):
                typed[-1] = typed[-1][:-1] + line.strip()
        return typed

    def printed(self) -> list[str]:
        """What a console block says that its commands print."""
        lines, continued = [], False
        for line in self.text.splitlines():
            if not line.startswith("$ ") and not continued:
                lines.append(line)
            continued = line.endswith("\\") and (line.startswith("$ ") or continued)
        return lines


def blocks(file: Path) -> Iterator[Block]:
    """The runnable blocks of a file."""
    text = file.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        if found.group(1) in RUNNABLE:
            before = text[: found.start()].rstrip("\n").splitlines()
            line = text.count("\n", 0, found.start()) + 1
            yield Block(file, line, found.group(1), found.group(2), before[-1] if before else "")


def dead_links(file: Path) -> Iterator[str]:
    """Links of a file to places in the repository that are not there."""
    text = COMMENT.sub("", FENCE.sub("", file.read_text(encoding="utf-8")))
    for target in LINK.findall(text):
        if "://" not in target and not target.startswith("mailto:") and not (file.parent / target).exists():
            yield f"{file.name}: the link to {target} leads nowhere"


def environment(guard: Path) -> dict[str, str]:
    """This one's, with the virtual environment's commands first, no package index and no Python socket to the outside."""
    found = dict(os.environ)
    found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", "")])
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(guard), found.get("PYTHONPATH")]))
    found |= {"PIP_NO_INDEX": "1", "NO_COLOR": "1", "PYTHONWARNINGS": "error"}
    return found


def run(block: Block, folder: Path, variables: dict[str, str]) -> str | None:
    """Run one block; None when all is well, else what is wrong. What it leaves running in the background is ended."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            block.command(),
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(BLOCK_S_MAX)
        except subprocess.TimeoutExpired:
            code = None
        _end_group(process)
        output.seek(0)
        text = output.read()
    if code is None:
        return f"not done after {BLOCK_S_MAX:.0f} s\n{text[-OUTPUT_CHARS_MAX:]}"
    if code:
        return f"exit code {code}\n{text[-OUTPUT_CHARS_MAX:]}"
    if "<!-- compare -->" in block.above and not matches(text, block.printed()):
        return "it prints something else:\n" + text[-OUTPUT_CHARS_MAX:]
    return None


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def matches(text: str, expected: list[str]) -> bool:
    """Whether `text` is these lines, where `...` stands for any text, and alone on a line for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + r"[ \t]*\n"
        for line in expected
    )
    return re.fullmatch(pattern, text.rstrip() + "\n") is not None


def check(file: Path) -> tuple[int, int, list[str]]:
    """(blocks run, blocks left out, what is wrong) for one file."""
    ran, left_out, wrong = 0, 0, list(dead_links(file))
    with tempfile.TemporaryDirectory(prefix="hedgerow-blocks-") as place:
        guard, folder = Path(place, "guard"), Path(place, "here")
        guard.mkdir()
        folder.mkdir()
        (guard / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        for block in blocks(file):
            if block.left_out:
                left_out += 1
                print(f"{block.where}: left out: {block.left_out}")
                continue
            started_s = time.monotonic()
            problem = run(block, folder, environment(guard))
            ran += 1
            print(
                f"{block.where}: {'FAILED' if problem else 'ran'} in {time.monotonic() - started_s:.1f} s", flush=True
            )
            wrong += [f"{block.where}: {problem}"] if problem else []
    return ran, left_out, wrong


def main() -> int:
    """Run everything; exit code 1 if anything is wrong or nothing was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    files: list[Path] = parser.parse_args().files
    if not files:
        documents = sorted((REPOSITORY / "docs").glob("*.md"))
        files = [REPOSITORY / "README.md", *(file for file in documents if MARK in file.read_text(encoding="utf-8"))]
    ran, left_out, wrong, todo = 0, 0, list[str](), 0
    for file in files:
        more_ran, more_left_out, more_wrong = check(file)
        ran, left_out, wrong = ran + more_ran, left_out + more_left_out, wrong + more_wrong
        todo += file.read_text(encoding="utf-8").count("TODO")
    print("\n".join(wrong), end="\n" if wrong else "")
    waiting = f", {todo} marks TODO still there" if todo else ""
    print(f"blocks: {ran} ran, {left_out} left out, {len(wrong)} problems{waiting}")
    return int(bool(wrong) or not ran)


if __name__ == "__main__":
    sys.exit(main())
