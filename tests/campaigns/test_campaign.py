"""The plan of trials, the sums of a campaign, and a real one: processes, faults, verdicts."""

import json
import random
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from hedgerow.campaigns.campaign import Ran, Settings, memory_leaks, summary, violated
from hedgerow.campaigns.faults import KINDS, faketime_library, limited
from hedgerow.campaigns.judging import Verdict
from hedgerow.campaigns.trial import plan
from hedgerow.errors import UsageError


def test_there_are_fifteen_kinds_and_every_stage_of_a_reset_is_tried() -> None:
    assert len(KINDS) == 15
    stages = {plan(KINDS["reset"], number, 0)[0].stage for number in range(20)}
    assert stages == {"connect", "opening", "upload", "waiting", "answer"}


def test_a_trial_is_the_same_again_and_its_phase_differs_from_the_others() -> None:
    first, again = plan(KINDS["stall"], 4, 7), plan(KINDS["stall"], 4, 7)
    assert first[0] == again[0]
    assert first[1].random() == again[1].random()
    phases = {plan(KINDS["stall"], number, seed)[0].phase_s for number in range(20) for seed in range(2)}
    assert len(phases) > 30
    assert first[0].again == "hedgerow faults --kind stall --seed 7 --trial 4"


def test_what_is_judged_is_summed_and_any_of_it_is_a_violation() -> None:
    good = plan(KINDS["stall"], 0, 0)[0]
    bad = replace(plan(KINDS["stall"], 1, 0)[0], verdict=Verdict(3, ["a"], ["b", "c"], ["d"], ["e"], ["f", "g"]))
    calm = summary([Ran(KINDS["stall"], [good])])
    assert (calm["kinds"], calm["trials"], violated(calm)) == (1, 1, False)
    result = summary([Ran(KINDS["stall"], [good, bad]), Ran(KINDS["clock-step"], [], "no library")])
    counts = [result[name] for name in ("kinds", "trials", "unanswered", "late_link", "wrong_accepted", "leaks")]
    assert counts == [1, 2, 1, 2, 1, 1]
    assert (result["late_device"], result["not_run"]) == (1, {"clock-step": "no library"})
    assert result["violations"] == [bad.again]
    assert violated(result)
    assert violated(summary([], ["port 1 still answers"]))
    assert violated(summary([Ran(KINDS["stall"], [replace(good, replay="step 3")])]))


def test_memory_that_grows_over_the_trials_is_a_leak_and_a_level_is_none() -> None:
    chance = random.Random(0)
    level = [200_000_000 + chance.randrange(8_000_000) for _ in range(20)]
    assert memory_leaks(level) == []
    assert memory_leaks([each + 4_000_000 * place for place, each in enumerate(level)])
    assert memory_leaks([1, 10**12]) == []  # too few to say


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind of fault 'rain'; there are: blackout"):
        Settings(tmp_path, kinds=("rain",)).check()


def test_another_process_is_limited_and_set_free_again(tmp_path: Path) -> None:
    code = "f = open('kept', 'wb', 0)\nfor _ in range(3):\n input()\n try: print(f.write(b'x' * 100))\n except OSError as e: print(e.errno)"
    with subprocess.Popen(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def write() -> int:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write("\n")
            child.stdin.flush()
            return int(child.stdout.readline())

        assert write() == 100
        with limited(child.pid, resource.RLIMIT_FSIZE, 100):
            assert write() == 27  # EFBIG
        assert write() == 100


def run(out: Path, *words: str, timeout_s: float = 110.0) -> tuple[int, dict[str, object]]:
    """The command in a process of its own, as a user runs it."""
    command = [sys.executable, "-m", "hedgerow.cli.main", "faults", "--json", "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.stdout.count("\n") == 1, done.stderr
    return done.returncode, json.loads(done.stdout)


def children() -> set[int]:
    """This process's; other tests have theirs."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_three_kinds_for_real(tmp_path: Path) -> None:
    kinds, before = ("one-way-loss", "server-stop", "disk-full"), children()
    code, result = run(tmp_path, "--trials", "1", *(word for kind in kinds for word in ("--kind", kind)))
    assert (result["kinds"], result["trials"]) == (3, 3)
    assert (result["unanswered"], result["wrong_accepted"], result["leaks"], result["not_replayed"]) == (0, 0, 0, 0)
    assert code == (1 if result["late_link"] else 0)
    trials = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert [trial["kind"] for trial in trials] == list(kinds)
    assert all(trial["verdict"]["requests"] > 10 for trial in trials)
    assert "ends here" in trials[2]["journal_ended"]
    assert children() <= before


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_kind_once_for_real(tmp_path: Path) -> None:
    _, result = run(tmp_path, "--quick", timeout_s=280.0)
    runs = 15 if faketime_library() else 14
    assert (result["kinds"], result["trials"]) == (runs, runs)
    assert (result["unanswered"], result["wrong_accepted"], result["leaks"], result["not_replayed"]) == (0, 0, 0, 0)
