"""Would a campaign notice what the tests did not? Gives the survivors of `tools/mutate.py` to simulated worlds.

    python tools/mutate_campaign.py --results out/mutants.jsonl --seeds 60 --requests 300

Each survivor whose source is still the same is planted in memory, in a forked child that has not imported the package, and worlds
are run one seed after the other until an invariant does not hold, the core raises, or far more processor time was used than the
same worlds take without a change (counted apart). The first run is without a change and must find nothing. Results go to a file of
JSON lines beside the tests'; the score is told without and with the campaign. Exit codes: 0 done, 2 wrong input.
"""

import argparse
import ast
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mutants import Mutant, mutants
from mutate import ROOT, Child, Hook, Target, read_equivalent, wilson

CPU_FACTOR = 4.0  # beyond this many times the unchanged time, a mutant is killed by time
CPU_SPARE_S = 20.0


def try_worlds(seeds: range, requests: int, planted: tuple[Mutant, ast.Module, Path] | None) -> dict[str, Any]:
    """In a child: plant the change, run the worlds until one notices."""
    if planted is not None:
        mutant, tree, path = planted
        mutant.apply()
        code = compile(tree, str(path), "exec", dont_inherit=True)
        sys.meta_path.insert(0, Hook(mutant.module, path, code))
    began = time.process_time()
    from hedgerow.simulation.campaign import (
        try_seed,
    )  # here: not before the change; if it fails, the child dies and says so

    for seed in seeds:
        found = try_seed(seed, requests).violation
        if found is not None:
            killer = f"campaign: {found.invariant} (seed {seed})"
            return {"status": "killed", "killer": killer, "cpu_s": time.process_time() - began}
    return {"status": "survived", "killer": "", "cpu_s": time.process_time() - began}


class Runs:
    """Several survivors at once, each in its own child."""

    def __init__(self, seeds: range, requests: int, workers: int, results: Path) -> None:
        self.seeds, self.requests, self.workers, self.results = seeds, requests, workers, results

    def unchanged_s(self) -> float:
        """Processor time of the same worlds without a change; a violation there ends everything."""
        child = Child(lambda: try_worlds(self.seeds, self.requests, None), 3600.0)
        while not child.read():
            pass
        told = child.result
        if told is None or told["status"] != "survived":
            print(f"the campaign fails without any change: {told}", file=sys.stderr)
            raise SystemExit(2)
        return float(told["cpu_s"])

    def run(self, rows: list[tuple[Mutant, Path]], cpu_s: float) -> list[dict[str, Any]]:
        waiting, running, found = list(rows)[::-1], dict[int, tuple[Child, Mutant]](), []
        while waiting or running:
            while waiting and len(running) < self.workers:
                child, mutant = self._child(*waiting.pop(), cpu_s)
                running[child.pipe] = (child, mutant)
            for pipe in select.select(list(running), [], [], 1.0)[0]:
                child, mutant = running[pipe]
                if child.read():
                    del running[pipe]
                    found.append(self._note(mutant, child))
        return found

    def _child(self, mutant: Mutant, path: Path, cpu_s: float) -> tuple[Child, Mutant]:
        # a tree of its own: a mutant changes it for good
        tree, fresh = mutants(mutant.module, path.read_text(encoding="utf-8"))
        mine = next(each for each in fresh if each.key == mutant.key)
        return Child(lambda: try_worlds(self.seeds, self.requests, (mine, tree, path)), cpu_s), mutant

    def _note(self, mutant: Mutant, child: Child) -> dict[str, Any]:
        told = child.result
        overran = os.WIFSIGNALED(child.status) and os.WTERMSIG(child.status) in (signal.SIGXCPU, signal.SIGKILL)
        status = told["status"] if told else "timeout" if overran else "killed"
        killer = told["killer"] if told else "campaign: far more time" if overran else "campaign: the process died"
        row = {
            "key": mutant.key, "module": mutant.module, "function": mutant.function, "line": mutant.line,
            "original": mutant.original, "mutated": mutant.mutated, "status": status, "killer": killer,
            "digest": mutant.digest, "seconds": round(time.monotonic() - child.began, 2),
        }  # fmt: skip
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return row


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--results", type=Path, default=ROOT / "out" / "mutants.jsonl", help="what tools/mutate.py wrote"
    )
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def survivors(target: Target, rows: list[dict[str, Any]]) -> list[tuple[Mutant, Path]]:
    """The survivors among these rows whose source is as it was."""
    digests = {row["key"]: row["digest"] for row in rows if row["status"] == "survived"}
    found = []
    for name, path in target.modules().items():
        _, some = mutants(name, path.read_text(encoding="utf-8"))
        found += [(each, path) for each in some if digests.get(each.key) == each.digest]
    return found


def main() -> int:
    """Run the survivors and report; see the module's docstring."""
    options = arguments()
    if not options.results.exists():
        print(f"no results of tools/mutate.py at {options.results}", file=sys.stderr)
        return 2
    root = options.root.resolve()
    target = Target(root, root / "src/hedgerow/core", root / "tests/core", "hedgerow.core")
    rows = list({(row := json.loads(text))["key"]: row for text in options.results.read_text().splitlines()}.values())
    same = read_equivalent(root / "tools" / "mutants_equivalent.toml")
    rows = [row for row in rows if (row["module"], row["function"], row["original"], row["mutated"]) not in same]
    sys.path[:0] = [str(root / "src")]
    import numpy  # noqa: F401 - once here instead of in each child

    out = options.results.with_name(options.results.stem + "_campaign.jsonl")
    runs = Runs(range(options.seed, options.seed + options.seeds), options.requests, options.workers, out)
    tried = {row["key"] for row in rows}
    chosen = [each for each in survivors(target, rows) if each[0].key in tried]
    found = runs.run(chosen, CPU_FACTOR * runs.unchanged_s() + CPU_SPARE_S)
    return report(rows, found, options.json)


def report(rows: list[dict[str, Any]], found: list[dict[str, Any]], as_json: bool) -> int:
    """The score without and with the campaign."""
    by_tests = sum(row["status"] != "survived" for row in rows)
    more = [row for row in found if row["status"] != "survived"]
    left = [row for row in found if row["status"] == "survived"]
    low, high = wilson(by_tests + len(more), len(rows))
    told = {
        "run": len(rows), "killed_by_tests": by_tests, "tried": len(found), "killed_by_campaign": len(more),
        "score": round(by_tests / max(1, len(rows)), 4),
        "score_with_campaign": round((by_tests + len(more)) / max(1, len(rows)), 4),
        "interval": [round(low, 4), round(high, 4)], "killed": more, "survivors": left,
    }  # fmt: skip
    if as_json:
        print(json.dumps(told))
        return 0
    for row in found:
        print(f"{row['status']}: {row['module']}:{row['line']} {row['function']} {row['killer']}")
        print(f"  - {row['original']}\n  + {row['mutated']}")
    print(f"killed by the tests {by_tests} of {len(rows)}; of {len(found)} survivors the campaign killed {len(more)}: "
          f"{100 * told['score_with_campaign']:.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f})")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
