"""Agreement against a plain loop over arms and samples, written a second time."""

import time
from pathlib import Path

import pytest

from hedgerow import codecs
from hedgerow.models.task import Task
from hedgerow.profiling.agreement import PREFIX_SHARES, Judge, arm_name, local_name, prefix_name, run_to_joints
from hedgerow.profiling.crossings import LIMITS, crossings_for
from hedgerow.profiling.samples import samples_of
from tests.profiling.tasks import pictures
from tests.wire.latents import CODEC, JOINT, answered_from, frame, latent_task

COUNT = 9
NEVER = time.monotonic() + 1e6


def test_arms_are_named_as_plans_name_them() -> None:
    assert local_name("m") == "local:m"
    assert arm_name("m", -1, "jpeg:75") == "cloud:m:jpeg:75"
    assert arm_name("m", 2, "q4:channel") == "split:m@2:q4:channel"


def test_every_arm_agrees_where_a_plain_run_of_it_does(picture_task: Task) -> None:
    samples = samples_of(picture_task, pictures(COUNT))
    chains = {name: picture_task.open(name) for name in ("small", "big")}
    alive, done = run_to_joints(chains, samples, end_s=NEVER, samples_min=1)
    assert done == COUNT
    places = {key: value for key, value in alive.items() if key[1] < 2}
    judge = Judge(picture_task, chains, alive, crossings_for(places, ("raw", "jpeg:5"), ("q2",)))
    found, judged = judge.judge(judge.arms(lambda _: ("small", "big")), COUNT, end_s=NEVER, samples_min=1)
    assert judged == COUNT
    arms = {f"cloud:{model}:{codec}" for model in chains for codec in ("raw", "jpeg:5")}
    arms |= {f"split:{model}@{place}" for model in chains for place in ("0:raw", "1:q2")}
    assert set(found) == arms | {f"local:{model}" for model in chains}
    for arm, agreement in found.items():
        expected = [_plainly(picture_task, arm, sample.tensors["frame"]) for sample in samples]
        assert agreement.per_sample == "".join("1" if each else "0" for each in expected), arm
        assert agreement.mean == pytest.approx(sum(expected) / COUNT, abs=1e-4)
        assert agreement.count == sum(expected)
    assert 0 < found["local:small"].count < COUNT, "models that always agree prove nothing"
    assert found["local:big"].count == found["cloud:big:raw"].count == COUNT


def _plainly(task: Task, arm: str, frame: object) -> bool:
    """The arm by hand: whole head, encode, decode, whole tail; does it say what the reference says?"""
    kind, _, rest = arm.partition(":")
    model, _, codec = rest.partition(":")
    model, _, joint_text = model.partition("@")
    joint = int(joint_text) if joint_text else -1
    with task.open(model) as chain, task.open(task.reference) as reference:
        tensors = {"frame": frame}
        truth = reference.run(tensors).tensors  # type: ignore[arg-type]
        if kind == "local":
            return task.agrees(chain.run(tensors).tensors, truth)  # type: ignore[arg-type]
        alive = tensors if joint < 0 else chain.run(tensors, last=joint).tensors  # type: ignore[arg-type]
        used = codecs.get(codec)
        received = used.decode(used.encode(alive), limits=LIMITS)  # type: ignore[arg-type]
        return task.agrees(chain.run(received, joint + 1).tensors, truth)


def test_out_of_time_fewer_samples_are_judged_and_never_fewer_than_the_least(picture_task: Task) -> None:
    samples = samples_of(picture_task, pictures(COUNT))
    chains = {name: picture_task.open(name) for name in ("small", "big")}
    alive, done = run_to_joints(chains, samples, end_s=0.0, samples_min=3)
    assert 3 <= done < COUNT
    judge = Judge(picture_task, chains, alive, [])
    found, judged = judge.judge(judge.arms(lambda _: ()), done, end_s=0.0, samples_min=1)
    assert 1 <= judged <= done
    assert {len(each.per_sample) for each in found.values()} == {judged}


def test_an_answer_from_a_part_is_judged_as_the_other_side_would_give_it(tmp_path: Path) -> None:
    task = latent_task(tmp_path)
    samples = samples_of(task, [{"x": frame(seed)} for seed in range(COUNT)])
    chains = task.open_all(1)
    alive, _ = run_to_joints(chains, samples, end_s=NEVER, samples_min=1)
    crossings = crossings_for({("latent", JOINT): alive["latent", JOINT]}, (), ())
    judge = Judge(task, chains, alive, crossings)
    arms = judge.arms(lambda _: ())
    parts = judge.prefixes(arms)
    arm = arm_name("latent", JOINT, CODEC)
    assert [name for name, _, _ in parts] == [prefix_name(arm, share) for share in PREFIX_SHARES]
    found, _ = judge.judge([*arms, *parts], COUNT, end_s=NEVER, samples_min=COUNT)
    (crossing,) = (each for each in crossings if each.codec.name == CODEC)
    for share in PREFIX_SHARES:
        expected = ""
        for sample in range(COUNT):
            codec = crossing.codec_for(sample)
            payload = codec.encode(alive["latent", JOINT][sample])
            end = min(
                each
                for each in codecs.prefix_ends(codec, payload)
                if each >= share * len(payload) or each == last(codec, payload)
            )
            answer = answered_from(chains["latent"], codec, payload[:end])
            expected += "1" if task.agrees(answer, judge.outputs("latent", sample)) else "0"
        assert found[prefix_name(arm, share)].per_sample == expected
    assert found[arm].count == COUNT
    for chain in chains.values():
        chain.close()


def last(codec: codecs.Codec, payload: bytes) -> int:
    return codecs.prefix_ends(codec, payload)[-1]
