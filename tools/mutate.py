"""Would the tests notice? Changes one spot of the core at a time and runs its tests: `python tools/mutate.py --sample 200`.

No file is ever changed: a parent that has imported pytest and what the tests need, but not the package, forks one child a
mutant; in the child an import hook gives the changed module. A first run without any change times each test and notes which
lines it passes; a mutant meets only tests that pass its lines (all of them when the lines run at import), its module's own
test file first and then the quickest first, with fixed seeds and few examples, until one fails. A mutant is killed by a
failing test, by a test run that cannot begin, or by using far more processor time than the tests do (counted apart).

Results go to a file of JSON lines (`out/mutants.jsonl`); what is there is not run again while the definition around it is the
same (and, for survivors, the tests). Mutants listed in `tools/mutants_equivalent.toml` change nothing that can be seen; the
score is over the others. `docs/mutation.md` says what survives and why. Exit codes: 0 done, 1 below `--at-least`, 2 wrong
input or tests that fail by themselves.
"""

import argparse
import ast
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import random
import resource
import select
import signal
import sys
import time
import tomllib
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import hypothesis
import pytest
from mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES_MAX = 25  # of hypothesis, a test
LEFT_OUT = ("test_a_planted_fault",)  # they try the walk, not the core
WALK_NODES = 300  # of an exhaustive walk (tests/core/test_exhaustive.py reads this from its environment)
MEMORY_MAX = 16 << 30
Z95 = 1.959964
DEBUG = bool(os.environ.get("MUTATE_DEBUG"))  # children keep standard error


@dataclass(slots=True)
class Target:
    """What is changed and what is run: paths, and the package's dotted name."""

    root: Path
    source: Path
    tests: Path
    package: str

    def modules(self) -> dict[str, Path]:
        """Dotted name of each module of the package, to its file."""
        found = {}
        for path in sorted(self.source.rglob("*.py")):
            inner = path.relative_to(self.source).with_suffix("").parts
            parts = inner[:-1] if inner[-1] == "__init__" else inner
            found[".".join([self.package, *parts])] = path
        return found

    def tests_digest(self) -> str:
        """Of all test files: a survivor of other tests is to be tried again."""
        total = hashlib.sha256()
        for path in sorted(self.tests.rglob("*.py")):
            total.update(path.read_bytes())
        return total.hexdigest()[:16]


@dataclass(slots=True)
class Baseline:
    """What a run without any change tells: time and lines of each test, packages to import before forking."""

    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


class Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a tree in memory."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> Any:
        if fullname != self.name:
            return None
        package = self.path.name == "__init__.py"
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(self.path), is_package=package)
        spec.has_location = True
        if package:
            spec.submodule_search_locations = [str(self.path.parent)]
        return spec

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


class Plugin:
    """In a child: puts the tests in order, leaves out the others, and bounds and fixes what hypothesis draws."""

    def __init__(self, order: Sequence[str] | None) -> None:
        self.order = None if order is None else {name: place for place, name in enumerate(order)}
        self.killer = ""
        self.failed: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.order is not None:
            kept = [item for item in items if item.nodeid in self.order]
            items[:] = sorted(kept, key=lambda item: self.order[item.nodeid] if self.order else 0)
        left = [item for item in items if any(word in item.nodeid for word in LEFT_OUT)]
        items[:] = [item for item in items if item not in left]
        for item in items:
            function = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
            if getattr(function, "is_hypothesis_test", False):
                own = function._hypothesis_internal_use_settings  # type: ignore[union-attr]
                function._hypothesis_internal_use_settings = hypothesis.settings(  # type: ignore[union-attr]
                    own, max_examples=min(own.max_examples, EXAMPLES_MAX), derandomize=True, database=None, deadline=None,
                    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
                )  # fmt: skip

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            self.killer = self.killer or report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            self.killer = self.killer or f"import of {report.nodeid}"


class Watcher:
    """In the first run: which lines of the package each test passes, and how long it takes."""

    def __init__(self, source: Path, baseline: Baseline) -> None:
        self._source, self._baseline = f"{source}{os.sep}", baseline
        self._seen: set[tuple[str, int]] = set()

    def _call(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._source) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._seen = set()
        before = time.process_time()
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self._baseline.seconds[item.nodeid] = time.process_time() - before
            self._baseline.lines[item.nodeid] = sorted(self._seen)


def run_tests(target: Target, files: Iterable[Path], plugins: list[object]) -> int:
    """pytest in this very process; its exit code."""
    options = [
        "-x",
        "--tb=no",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        "timeout=0",
        "-m",
        "not slow",
    ]
    arguments = [*options, "--rootdir", str(target.root), "-c", str(target.root / "pyproject.toml")]
    return int(pytest.main([*arguments, *(str(path) for path in files)], plugins=plugins))


class Child:
    """A forked process that tells its result through a pipe; what it prints goes nowhere."""

    def __init__(self, work: Any, cpu_s: float) -> None:
        self.began = time.monotonic()
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(reading)
                _confine(cpu_s)
                words = json.dumps(work()).encode()
                with os.fdopen(writing, "wb") as pipe:
                    pipe.write(words)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(0)
        os.close(writing)
        self.pipe = reading
        self.text = b""
        self.status = 0

    def read(self) -> bool:
        """Take what has come; True once the child is over."""
        block = os.read(self.pipe, 1 << 20)
        self.text += block
        if block:
            return False
        os.close(self.pipe)
        self.status = os.waitpid(self.pid, 0)[1]
        return True

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    @property
    def result(self) -> Any:
        return json.loads(self.text) if self.text else None


def _confine(cpu_s: float) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if DEBUG else (0, 1, 2):
        os.dup2(nowhere, descriptor)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    seconds = math.ceil(cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def find_baseline(target: Target) -> Baseline:
    """Run everything unchanged, in a child, so that the package is not imported here."""

    def work() -> dict[str, object]:
        found = Baseline()
        before = set(sys.modules)
        plugin = Plugin(None)
        code = run_tests(target, [target.tests], [plugin, Watcher(target.source, found)])
        own = target.package.split(".")[0]
        new = {name.split(".")[0] for name in set(sys.modules) - before}
        found.packages = sorted(name for name in new if name not in (own, "tests", "conftest") and name.isidentifier())
        failed = plugin.failed or ([] if code == 0 else [f"pytest ended with exit code {code}"])
        return {"failed": failed, "seconds": found.seconds, "lines": found.lines, "packages": found.packages}

    child = Child(work, 3600.0)
    while not child.read():
        pass
    if child.result is None:
        return Baseline(failed=["the run without any change died"])
    told = child.result
    lines = {test: [(path, line) for path, line in each] for test, each in told["lines"].items()}
    return Baseline(told["failed"], told["seconds"], lines, told["packages"], sum(told["seconds"].values()))


def order_for(mutant: Mutant, path: Path, baseline: Baseline) -> list[str]:
    """The tests that pass the mutant's lines: those of its module's own file first, then the quickest first."""
    first, last = mutant.lines

    def passes(test: str) -> bool:
        return mutant.at_import or any(str(path) == name and first <= line <= last for name, line in lines[test])

    lines = baseline.lines
    own = f"test_{path.stem}.py"
    chosen = [test for test in baseline.seconds if passes(test)]
    return sorted(chosen, key=lambda test: (f"/{own}::" not in f"/{test}", baseline.seconds[test], test))


def try_mutant(target: Target, mutant: Mutant, tree: ast.Module, path: Path, order: list[str]) -> dict[str, object]:
    """In a child: change, import, run. The result for the file."""
    mutant.apply()
    code = compile(tree, str(path), "exec", dont_inherit=True)
    sys.meta_path.insert(0, Hook(mutant.module, path, code))
    plugin = Plugin(order)
    files = dict.fromkeys(target.root / test.partition("::")[0] for test in order)
    status = run_tests(target, files, [plugin])
    return {"status": "survived" if status == 0 else "killed", "killer": plugin.killer or f"exit code {status}"}


class Campaign:
    """Runs mutants on several workers and keeps what came of them."""

    def __init__(self, target: Target, baseline: Baseline, results: Path, workers: int, patience_s: float) -> None:
        self.target, self.baseline, self.workers, self.patience_s = target, baseline, workers, patience_s
        self.results, self.tests_digest = results, target.tests_digest()
        self.known: dict[str, dict[str, Any]] = {}
        if results.exists():
            for text in results.read_text(encoding="utf-8").splitlines():
                row = json.loads(text)
                self.known[row["key"]] = row

    def keeps(self, mutant: Mutant) -> bool:
        """Whether an earlier result still stands."""
        row = self.known.get(mutant.key)
        if row is None or row["digest"] != mutant.digest:
            return False
        return bool(row["status"] != "survived" or row["tests"] == self.tests_digest)

    def run(self, chosen: Sequence[Mutant], trees: dict[str, ast.Module], quiet: bool = False) -> None:
        """Run what no earlier result tells; each result is written as soon as it is known."""
        paths = self.target.modules()
        waiting = [each for each in chosen if not self.keeps(each)][::-1]
        total, running = len(waiting), dict[int, tuple[Child, Mutant]]()
        while waiting or running:
            while waiting and len(running) < self.workers:
                mutant = waiting.pop()
                order = order_for(mutant, paths[mutant.module], self.baseline)
                if not order:
                    self._note(mutant, "survived", "no test passes here", 0.0)
                    continue
                child = self._child(mutant, trees[mutant.module], paths[mutant.module], order)
                running[child.pipe] = (child, mutant)
            self._collect(running)
            if not quiet and sys.stderr.isatty():
                print(f"\r{total - len(waiting)} of {total}", end="", file=sys.stderr)

    def _child(self, mutant: Mutant, tree: ast.Module, path: Path, order: list[str]) -> Child:
        expected = sum(self.baseline.seconds[test] for test in order)
        return Child(lambda: try_mutant(self.target, mutant, tree, path, order), 2 * expected + self.patience_s)

    def _collect(self, running: dict[int, tuple[Child, Mutant]]) -> None:
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for pipe in ready:
            child, mutant = running[pipe]
            if child.read():
                del running[pipe]
                told = child.result
                overran = os.WIFSIGNALED(child.status) and os.WTERMSIG(child.status) in (signal.SIGXCPU, signal.SIGKILL)
                status = told["status"] if told else "timeout" if overran else "killed"
                killer = told["killer"] if told else "the process ended without a result"
                self._note(mutant, status, "" if status == "survived" else killer, time.monotonic() - child.began)
        for child, _ in running.values():  # asleep, not busy: the limit of processor time never comes
            if time.monotonic() - child.began > 600:
                child.kill()

    def _note(self, mutant: Mutant, status: str, killer: str, seconds: float) -> None:
        row = {
            "key": mutant.key, "module": mutant.module, "function": mutant.function, "line": mutant.line,
            "operator": mutant.operator, "original": mutant.original, "mutated": mutant.mutated, "status": status,
            "killer": killer, "seconds": round(seconds, 2), "digest": mutant.digest, "tests": self.tests_digest,
        }  # fmt: skip
        self.known[mutant.key] = row
        self.results.parent.mkdir(parents=True, exist_ok=True)
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_equivalent(path: Path) -> set[tuple[str, str, str, str]]:
    """(module, function, original, mutated) of the mutants that nothing can tell from the original."""
    if not path.exists():
        return set()
    listed = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return {(each["module"], each["function"], each["original"], each["mutated"]) for each in listed if each["why"]}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    share, square = hits / count, Z95 * Z95
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return middle - half, middle + half


def report(
    rows: Sequence[dict[str, Any]], equivalent: set[tuple[str, str, str, str]], all_count: int
) -> dict[str, Any]:
    """The counts and the score; per module too."""

    def is_equivalent(row: dict[str, Any]) -> bool:
        return (row["module"], row["function"], row["original"], row["mutated"]) in equivalent

    def count(of: Sequence[dict[str, Any]]) -> dict[str, Any]:
        timeouts = sum(row["status"] == "timeout" for row in of)
        survived = [row for row in of if row["status"] == "survived"]
        same = sum(is_equivalent(row) for row in survived)
        killed = len(of) - len(survived)
        low, high = wilson(killed, len(of) - same)
        score = killed / (len(of) - same) if len(of) > same else 0.0
        return {
            "run": len(of), "killed": killed, "timeouts": timeouts, "survived": len(survived) - same, "equivalent": same,
            "score": round(score, 4), "interval": [round(low, 4), round(high, 4)],
        }  # fmt: skip

    modules = {
        name: count([row for row in rows if row["module"] == name]) for name in sorted({r["module"] for r in rows})
    }
    survivors = [row for row in rows if row["status"] == "survived" and not is_equivalent(row)]
    return {"mutants": all_count, **count(rows), "modules": modules, "survivors": survivors}


def show(told: dict[str, Any]) -> None:
    """The report for a person."""
    for row in told["survivors"]:
        place = f"{row['module']}:{row['line']} {row['function']}"
        print(f"survived: {place} ({row['operator']})\n  - {row['original']}\n  + {row['mutated']}")
    for name, each in [*told["modules"].items(), ("all", told)]:
        low, high = each["interval"]
        print(
            f"{name}: {each['killed']} of {each['run'] - each['equivalent']} killed ({each['timeouts']} by time), "
            f"{each['equivalent']} equivalent: {100 * each['score']:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})"
        )


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, help="run only so many, drawn with --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--module", action="append", default=[], help="only modules whose name ends so; may be repeated"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--patience", type=float, default=20.0, help="processor seconds beyond twice what the tests take"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    parser.add_argument("--at-least", type=float, default=0.0, help="exit with 1 below this score (share)")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--source", default="src/hedgerow/core", help="the package's folder, from the root")
    parser.add_argument("--tests", default="tests/core", help="the tests' folder, from the root")
    parser.add_argument("--results", type=Path, help="file of JSON lines (default: out/mutants.jsonl below the root)")
    parser.add_argument("--equivalent", type=Path, help="default: tools/mutants_equivalent.toml below the root")
    return parser.parse_args()


def chosen_mutants(target: Target, options: argparse.Namespace) -> tuple[dict[str, ast.Module], list[Mutant], int]:
    """The trees, the mutants to run (in the order of the files) and how many there are of these modules."""
    trees: dict[str, ast.Module] = {}
    found: list[Mutant] = []
    for name, path in target.modules().items():
        if not options.module or any(name.endswith(end) for end in options.module):
            trees[name], some = mutants(name, path.read_text(encoding="utf-8"))
            found += some
    if options.sample is None or options.sample >= len(found):
        return trees, found, len(found)
    drawn = sorted(random.Random(options.seed).sample(range(len(found)), options.sample))
    return trees, [found[place] for place in drawn], len(found)


def main() -> int:
    """Run the mutants and report; see the module's docstring."""
    options = arguments()
    root = options.root.resolve()
    source = root / options.source
    target = Target(root, source, root / options.tests, ".".join(Path(options.source).parts[1:]))
    trees, chosen, count = chosen_mutants(target, options)
    if not chosen:
        print(f"no mutants: no Python files with such names below {source}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{m.module}:{m.line} ({m.operator})\n  - {m.original}\n  + {m.mutated}" for m in chosen))
        return 0
    sys.path[:0] = [str(root / Path(options.source).parts[0]), str(root)]
    os.environ["HEDGEROW_WALK_NODES"] = str(WALK_NODES)
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    baseline = find_baseline(target)
    if baseline.failed:
        print(f"the tests fail without any change: {', '.join(baseline.failed)}", file=sys.stderr)
        return 2
    for package in baseline.packages:  # once here instead of in each child
        if importlib.util.find_spec(package) is not None:
            importlib.import_module(package)
    own = target.package.split(".")[0]
    assert not [name for name in sys.modules if name.startswith(target.package)], f"{own} was imported before the fork"
    campaign = Campaign(
        target, baseline, options.results or root / "out" / "mutants.jsonl", options.workers, options.patience
    )
    campaign.run(chosen, trees, options.json)
    rows = [campaign.known[mutant.key] for mutant in chosen]
    told = report(rows, read_equivalent(options.equivalent or root / "tools" / "mutants_equivalent.toml"), count)
    if options.json:
        print(json.dumps(told))
    else:
        show(told)
    return int(told["score"] < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
