"""`hedgerow certify`: prove that every stream's reserves are in time, check such a proof, or try the prover itself."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hedgerow.errors import HedgerowError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from hedgerow.assurance.certification.proving import LanePlan, Proof

WIDTH_WITHOUT_TERMINAL = 140
SELFTEST_SETS_MAX = 10_000_000


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("certify")(certify)


def certify(
    streams: Annotated[Path | None, typer.Argument(help="A streams file; docs/certificate.md shows one.")] = None,
    profile: Annotated[Path | None, typer.Option(help="A file that `hedgerow profile` wrote here.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the certificate is to go.")] = None,
    check: Annotated[Path | None, typer.Option(help="Check this certificate; with --profile, its bounds too.")] = None,
    run_counterexample: Annotated[
        bool, typer.Option(help="Act out on a virtual clock why the streams are not feasible, turn by turn.")
    ] = False,
    selftest: Annotated[int | None, typer.Option(help="Try the proof on this many random stream sets.")] = None,
    seed: Annotated[int, typer.Option(help="Of the self-test's random sets.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Prove every stream's deadline before the vehicle moves, or show the smallest pattern that breaks one (exit 1)."""
    if sum(each is not None for each in (streams, check, selftest)) != 1:
        raise UsageError("give a streams file to certify, or --check CERT, or --selftest N; one of them")
    if selftest is not None:
        _selftest(selftest, seed, as_json)
    elif check is not None:
        _check(check, profile, as_json)
    else:
        assert streams is not None
        _certify(streams, profile, output, run_counterexample, as_json)


def _console() -> "Console":
    from hedgerow.views.literal import literal_console

    return literal_console(width_characters=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)


def _text(path: Path) -> str:
    """A streams file's text."""
    from hedgerow.assurance.certification.streams import STREAMS_BYTES_MAX

    try:
        if path.is_file() and path.stat().st_size > STREAMS_BYTES_MAX:
            raise UsageError(f"{path} is larger than {STREAMS_BYTES_MAX} bytes: that is no streams file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no streams file {path}; docs/certificate.md shows one") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a streams file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file") from None


def _certify(streams: Path, profile: Path | None, output: Path | None, run: bool, as_json: bool) -> None:
    from hedgerow.assurance.certification import checker
    from hedgerow.assurance.certification.inputs import inputs_of
    from hedgerow.assurance.certification.proving import prove
    from hedgerow.profiling.profile import Profile
    from hedgerow.views.certificates import show_certificate

    if profile is None:
        raise UsageError("give the profile that the bounds come from: --profile FILE, as `hedgerow profile` writes it")
    text = _text(streams)
    try:
        proof = prove(inputs_of(text, Profile.load(profile)))
    except UsageError as error:
        raise UsageError(f"{streams}: {error}" if str(profile) not in str(error) else str(error)) from None
    if proof.document is None:
        _refuse(proof, run, as_json)
    assert proof.document is not None
    wrong = checker.check(proof.document)
    if wrong:
        raise HedgerowError(
            f"the prover and the checker disagree: what the prover just proved of {streams} the checker refuses ({wrong[0]});"
            " nothing was written. Hedgerow is at fault: please report it with the streams file and the profile"
        )
    if output is not None:
        proof.document.save(output)
    if as_json:
        print(json.dumps({"verdict": "feasible", "certificate": str(output or ""), **_claims(proof)}))
        return
    console = _console()
    show_certificate(proof.document, console, modes_declared=proof.problem.declared.modes_declared)
    where = f"written to {output}" if output is not None else "not written: give -o FILE"
    console.print(f"{where}; digest {proof.document.digest[:16]}; checked by `hedgerow certify --check`")


def _claims(proof: "Proof") -> dict[str, Any]:
    from hedgerow.assurance.certification.document import plain

    assert proof.document is not None
    document = plain(proof.document)
    return {key: document[key] for key in ("digest", "margins", "modes", "changes", "statement")}


def _refuse(proof: "Proof", run: bool, as_json: bool) -> None:
    """Print why it is infeasible and end with exit code 1."""
    from hedgerow.assurance.certification.counterexample import counterexample
    from hedgerow.assurance.certification.mending import mends
    from hedgerow.views.certificates import show_failure

    failures = [(plan, counterexample(plan), mends(proof.problem, plan)) for plan in proof.failing]
    if as_json:
        parts = [
            {
                "mode": plan.mode,
                "lane": plan.lane,
                "utilisation": round(float(plan.demand().utilisation), 6),
                "counterexample": None if found is None else dataclasses.asdict(found),
                "mends": [dataclasses.asdict(each) for each in mended],
            }
            for plan, found, mended in failures
        ]
        print(json.dumps({"verdict": "infeasible", "lanes": parts}))
        raise typer.Exit(1)
    console = _console()
    for plan, found, mended in failures:
        show_failure(plan, found, mended, console)
        if run and found is not None:
            _act_out(plan, console)
    console.print("no certificate was written")
    if not run:
        console.print("--run-counterexample acts the pattern out, turn by turn")
    raise typer.Exit(1)


def _act_out(plan: "LanePlan", console: "Console") -> None:
    """The pattern on the lane, turn by turn, played anew."""
    from hedgerow.assurance.certification.counterexample import counterexample

    found = counterexample(plan)
    assert found is not None
    console.print("turn by turn (earliest deadline first, one segment at a time):")
    for turn in found.turns:
        who = (
            "held"
            if turn.job < 0
            else f"{found.samples[turn.job].stream}, needed by {found.samples[turn.job].due_ns / 1e6:.1f}"
        )
        console.print(f"  {turn.start / 1e6:9.1f} to {turn.end / 1e6:9.1f} ms  {who}")
    for each in found.samples:
        if each.late_ns:
            console.print(
                f"  {each.stream} is done at {each.done_ns / 1e6:.1f} ms: late by {each.late_ns / 1e6:.1f} ms"
            )


def _check(path: Path, profile: Path | None, as_json: bool) -> None:
    """Accept or reject a certificate; exit code 1 if a claim does not hold."""
    from hedgerow.assurance.certification import checker
    from hedgerow.assurance.certification.document import load_document
    from hedgerow.assurance.certification.inputs import differences_from
    from hedgerow.profiling.profile import Profile

    document = load_document(path, whole=False)
    wrong = checker.check(document)
    if profile is not None:
        wrong += differences_from(document.inputs, Profile.load(profile))
    if as_json:
        print(json.dumps({"accepted": not wrong, "wrong": wrong, "digest": document.digest}))
    elif wrong:
        for each in wrong:
            print(f"rejected: {each}")
    else:
        beside = "; its bounds are the profile's" if profile is not None else ""
        print(f"accepted: every claim follows from the inputs{beside}; digest {document.digest[:16]}")
    if wrong:
        raise typer.Exit(1)


def _selftest(sets: int, seed: int, as_json: bool) -> None:
    """Try the proof; exit code 1 if anything was found."""
    from hedgerow.assurance.certification.selftest import selftest

    if not 1 <= sets <= SELFTEST_SETS_MAX:
        raise UsageError(f"--selftest {sets}: give 1 to {SELFTEST_SETS_MAX:,} sets")
    processes = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    found = selftest(sets, seed=seed, processes=processes)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        for name, value in found.as_dict().items():
            print(f"{name.replace('_', ' ')}: {value}")
    for fault in found.faults:
        print(f"hedgerow: set {fault}", file=sys.stderr)
    if not found.sound:
        raise typer.Exit(1)
