"""A finding as data, and the files of the kernel from which most are made."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

UNREADABLE = "cannot be read here"


class Level(StrEnum):
    """How much a finding endangers deadlines; in this order they are shown."""

    DANGER = "danger"  # answers will be late, or a bound that is relied upon does not hold
    WARN = "warn"  # answers may be late under load, heat or memory pressure
    INFO = "info"  # worth knowing when times do not look right
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """`seen`: what was read or measured; `endangers`: what it puts at risk; `do`: what to do about it."""

    name: str
    level: Level
    seen: str
    endangers: str = ""
    do: str = ""


def unreadable(name: str, what: str) -> Finding:
    """A finding that could not be made."""
    return Finding(name, Level.INFO, UNREADABLE, what, "look for it on the device itself, or ask who runs it")


def by_danger(findings: list[Finding]) -> list[Finding]:
    """The worst first; equals in the order in which they were found."""
    return sorted(findings, key=lambda finding: list(Level).index(finding.level))


class Host:
    """The files of the kernel below `root`; another tree of the same shape will do."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    def text(self, name: str) -> str | None:
        """The whole file, stripped; None where it is not there or not for us."""
        try:
            return (self.root / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return None

    def number(self, name: str) -> float | None:
        try:
            return float(self.text(name) or "")
        except ValueError:
            return None

    def texts(self, pattern: str) -> list[str]:
        """The files of that pattern that can be read, in their order."""
        found = (self.text(str(path.relative_to(self.root))) for path in sorted(self.root.glob(pattern)))
        return [each for each in found if each is not None]

    def fields(self, name: str) -> dict[str, float]:
        """Lines of "key number ..." or "key: number ...", by key."""
        found: dict[str, float] = {}
        for line in (self.text(name) or "").splitlines():
            words = line.replace(":", " ").split()
            if len(words) > 1 and words[1].replace(".", "", 1).isdigit():
                found[words[0]] = float(words[1])
        return found

    def groups(self) -> Iterator[tuple[str, str]]:
        """This process's control groups for processor time and all above them: (folder below root, "v1" or "v2")."""
        for line in (self.text("proc/self/cgroup") or "").splitlines():
            _, controllers, path = [*line.split(":", 2), "", ""][:3]
            if not controllers:
                yield from ((f"{base}{up}", "v2") for base in _UNIFIED for up in _upward(path))
            elif "cpu" in controllers.split(","):
                yield from ((f"{base}{up}", "v1") for base in _PROCESSOR_V1 for up in _upward(path))


_UNIFIED = ("sys/fs/cgroup", "sys/fs/cgroup/unified")
_PROCESSOR_V1 = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")


def _upward(path: str) -> Iterator[str]:
    """The path and every folder above it, as suffixes: "/a/b" -> "/a/b", "/a", ""."""
    parts = [part for part in path.split(os.sep) if part and part != ".."]
    for length in range(len(parts), -1, -1):
        yield "".join(f"/{part}" for part in parts[:length])
