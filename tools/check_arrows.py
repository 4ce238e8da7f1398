"""Reads the imports below src/hedgerow and fails on an arrow that is not listed here: `python tools/check_arrows.py`.

The tables are the house's plan. Imports under TYPE_CHECKING and inside functions count like any other; so do
`importlib.import_module` and `__import__`. A new room, arrow or package is added here, with a reason in the review, or not at all.
`--root DIR` reads another tree of the same shape (tests plant their violations there).
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "hedgerow"

BELOW_DEMO = [
    "adaptation",
    "assurance",
    "cloud",
    "codecs",
    "core",
    "device",
    "doctor",
    "emulation",
    "errors",
    "guard",
    "journal",
    "models",
    "planning",
    "profiling",
    "simulation",
    "views",
    "wire",
]

ARROWS: dict[str, list[str]] = {
    # room: what it may import (a room, or one module of a room); itself always
    "errors": [],
    "core": ["errors"],
    "journal": [
        "core",
        "errors",
    ],  # the lines alone, so that a virtual run can be kept, replayed and judged like a live one
    "models": ["errors"],
    "codecs": ["models.tensors", "errors"],
    "wire": ["codecs", "models", "errors"],
    "cloud": ["wire", "models", "codecs", "errors"],
    "profiling": ["models", "codecs", "core", "wire", "errors"],
    # makes models easier to place: reads and writes models and their tasks, judges answers as a profile does
    "adaptation": ["core", "models", "codecs", "profiling", "planning", "errors"],
    "planning": ["core", "profiling", "models", "codecs", "errors"],
    "device": [
        "core",
        "models",
        "codecs",
        "profiling",
        "planning",
        "wire",
        "journal",
        "guard",  # a guarded session hands its answers over
        "assurance.certification",  # what a certificate file says, loaded and checked
        "errors",
    ],
    # the very same core in a virtual world; traces and the physics of a link are those of the emulated one
    "simulation": ["core", "journal", "planning", "profiling", "models.home", "emulation", "errors"],
    # judges the machine: tries what the device's settings would do here, and reads a profile as evidence
    "doctor": ["device", "profiling", "models", "errors"],
    "emulation": ["errors"],
    # a certificate is made from a profile; what another policy would have cost is read off a journal
    "assurance": ["core", "journal", "planning", "profiling", "models", "errors"],
    "guard": ["errors"],  # and no package at all: it must live where everything else is broken
    "views": ["core", "assurance", "errors"],
    "demo": BELOW_DEMO,
    "benchmarks": BELOW_DEMO,
    "campaigns": [*BELOW_DEMO, "demo.processes"],  # the demo's way to start, order and end other processes
    "cli": [*BELOW_DEMO, "demo", "benchmarks", "campaigns"],
    "__init__": ["core", "device", "models", "profiling", "errors"],  # the public names
}

PACKAGES: dict[str, list[str]] = {
    # package from outside: the rooms, folders or files that may import it; core may import NumPy alone
    "numpy": [
        "adaptation",
        "cli",
        "assurance",
        "benchmarks",
        "campaigns",
        "cloud",
        "codecs",
        "core",
        "demo",
        "device",
        "journal",
        "models",
        "planning",
        "profiling",
        "simulation",
        "views",
        "wire",
    ],
    "onnx": [
        "models",
        "campaigns/small_task.py",
        "adaptation/bottleneck/graph.py",
        "adaptation/exits/network_file.py",
        "adaptation/exits/heads.py",
        "adaptation/quantise_equalise.py",
        "adaptation/quantise_layers.py",
        "adaptation/quantise_ranges.py",
        "adaptation/quantise_rounding.py",
        "adaptation/quantise_write.py",
    ],  # where models are opened, written in another precision, and where the campaign makes its own
    # the campaign's oracle asks it directly, past everything under test
    "onnxruntime": ["models/engines/onnxruntime_engine.py", "campaigns/oracle.py"],
    # protobuf: errors of ONNX files, messages of the wire, and these changed field by field
    "google": ["models", "wire", "campaigns/black_channel_errors.py"],
    "grpc": ["wire", "cloud"],
    "zstandard": ["codecs"],
    # where pictures are read, encoded and resized
    "PIL": [
        "codecs",
        "adaptation/sequences.py",
        "device/spool.py",
        "models/frames.py",
        "models/preparation.py",
        "demo/frames.py",
        "campaigns/small_task.py",
        "adaptation/bottleneck/pictures.py",  # photographs seen with another crop each time
    ],
    "msgspec": [
        "assurance/certification",
        "campaigns/judging.py",
        "journal",
        "profiling",
        "simulation/leaving.py",
        "simulation/parts.py",
        "simulation/scenario.py",
        "simulation/learning/judging.py",  # the standard scenario with shorter worlds
        "simulation/learning/gating.py",  # profiles with one field changed
    ],  # files of records: journals, profiles, certificates, scenarios
    "psutil": ["profiling/host.py", "campaigns"],
    "matplotlib": ["views"],
    "joblib": ["simulation"],  # many worlds on many cores
    "ray": ["simulation/spread.py"],  # an extra: many worlds on many machines
    "av": ["codecs/video.py"],  # an extra: video coded across frames, and clips to judge on
    "pyarrow": ["simulation/results.py"],  # an extra: results as Parquet
    # an extra, `rl`: how the learned policy is made; what is shipped needs none of it
    "gymnasium": ["simulation/learning/environment.py"],
    "stable_baselines3": ["simulation/learning/network.py", "simulation/learning/training.py"],
    "torch": [
        "simulation/learning/network.py",
        "simulation/learning/training.py",
        "simulation/learning/warming.py",
        "adaptation/exits/training_resnet.py",  # an extra, `adapt`: trained here, and run without it
        "adaptation/exits/training_heads.py",
        "adaptation/text/training_text.py",  # an extra, `adapt`: what it trains runs without
        "adaptation/bottleneck/training_bottleneck.py",
    ],
    "rich": ["views", "cli"],
    "typer": ["cli"],
}

CORE_STANDARD_LIBRARY = [
    "__future__",
    "abc",
    "bisect",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "types",
    "typing",
]
"""Data tools. What core may not have: a clock, chance, threads, sockets, files, logging, the environment."""

CORE_EXCEPTIONS = {
    # these find the policies of their own folder; no decision passes through
    "core/policies/__init__.py": ["importlib", "pkgutil"],
    # asks whether a policy survives it; runs in tests alone
    "core/policies/checking.py": ["pickle"],
}

NAMED_AT_RUN_TIME = {
    # files that may import a module by a name which this tool cannot read, and why
    "models/engines/engine.py": "one file an engine, from its own table of names"
}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target, a full dotted name; None where it is known only at run time."""

    line: int
    module: str | None


class Tree:
    """The files of one src/hedgerow."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def files(self) -> Iterator[Path]:
        return (path for path in sorted(self.root.rglob("*.py")) if "__pycache__" not in path.parts)

    def name(self, path: Path) -> str:
        """Path below the package, with slashes."""
        return path.relative_to(self.root).as_posix()

    def room(self, path: Path) -> str:
        return path.relative_to(self.root).parts[0].removesuffix(".py")

    def package_of(self, path: Path) -> list[str]:
        return [PACKAGE, *path.relative_to(self.root).parts[:-1]]

    def is_module(self, dotted: str) -> bool:
        place = self.root.joinpath(*dotted.split(".")[1:])
        return place.is_dir() or place.with_suffix(".py").is_file()

    def imports(self, path: Path) -> Iterator[Import]:
        """Every import of a file, wherever it stands."""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Import):
                yield from (Import(node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from self._from(node, self.package_of(path))
            elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
                yield Import(node.lineno, _named(node.args[0], self.package_of(path)) if node.args else None)

    def _from(self, node: ast.ImportFrom, package: list[str]) -> Iterator[Import]:
        base = package[: len(package) - node.level + 1] if node.level else []
        module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
        for alias in node.names:
            inner = f"{module}.{alias.name}"
            if module == PACKAGE and alias.name.startswith("__"):  # the package's own name or version
                continue
            deeper = module == PACKAGE or (module.startswith(f"{PACKAGE}.") and self.is_module(inner))
            yield Import(node.lineno, inner if deeper else module)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _named(argument: ast.expr, package: list[str]) -> str | None:
    """The module, or the package it lies in, that a call imports by text; None when only running it would tell."""
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if not isinstance(argument, ast.JoinedStr) or not argument.values:
        return None
    first = argument.values[0]
    if isinstance(first, ast.FormattedValue) and getattr(first.value, "id", "") == "__name__":
        return ".".join(package)
    return str(first.value).rpartition(".")[0] or None if isinstance(first, ast.Constant) else None


def findings(tree: Tree) -> Iterator[str]:
    """One line for each import that no table lists."""
    for path in tree.files():
        if tree.room(path) not in ARROWS:
            yield f"{path}:1: the room '{tree.room(path)}' is not in the plan"
            continue
        for found in tree.imports(path):
            problem = _problem(tree.name(path), tree.room(path), found)
            if problem:
                yield f"{path}:{found.line}: {problem}"


def _problem(name: str, room: str, found: Import) -> str | None:
    if found.module is None:
        return None if name in NAMED_AT_RUN_TIME else "imports a module whose name only running it would tell"
    parts = found.module.split(".")
    if parts[0] == PACKAGE:
        return _own_problem(room, parts[1:])
    if parts[0] in sys.stdlib_module_names:
        pure = room != "core" or parts[0] in CORE_STANDARD_LIBRARY or parts[0] in CORE_EXCEPTIONS.get(name, [])
        return None if pure else f"core imports '{found.module}'; time, chance and the world are arguments to it"
    if parts[0] not in PACKAGES:
        return f"the package '{parts[0]}' is not in the plan"
    if not any(_within(name, room, place) for place in PACKAGES[parts[0]]):
        return f"'{parts[0]}' is imported outside {', '.join(PACKAGES[parts[0]])}"
    return None


def _own_problem(room: str, target: list[str]) -> str | None:
    if not target:
        return None if room == "__init__" else f"imports all of {PACKAGE}; name the module that is needed"
    allowed = [place.split(".") for place in ARROWS[room]]
    if target[0] == room or any(target[: len(place)] == place for place in allowed):
        return None
    return f"the arrow {room} -> {'.'.join(target)} is not listed"


def _within(name: str, room: str, place: str) -> bool:
    return place in (room, name) or name.startswith(f"{place}/")


def main() -> int:
    """Print what is wrong; exit code 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1] / "src" / PACKAGE)
    tree = Tree(parser.parse_args().root)
    count = sum(1 for _ in tree.files())
    if not count:
        print(f"no Python files below {tree.root}", file=sys.stderr)
        return 2
    wrong = list(findings(tree))
    print("\n".join(wrong), end="\n" if wrong else "")
    print(f"arrows: {count} files, {len(wrong)} that are not listed")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
