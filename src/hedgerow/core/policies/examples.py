"""Small tables and steady links on which a policy's choice can be worked out by hand: for doctests, tests and `check_policy`."""

from collections.abc import Sequence

import numpy as np

from hedgerow.core.arms import Arm, ArmTable, CrossStep, Floats, GateStep, LocalModel, RunStep
from hedgerow.core.policies import View
from hedgerow.core.records import MS, Prices

ENCODE_MS = 1.0


def local(name: str, medians_ms: Sequence[float], quality: float, spread: float = 1.25) -> LocalModel:
    """A model on lane "cpu" whose bounds are its medians times `spread`."""
    medians = tuple(round(each * MS) for each in medians_ms)
    bounds = tuple(round(each * spread) for each in medians)
    tails = tuple((sum(medians[first:]), sum(bounds[first:])) for first in range(len(medians)))
    return LocalModel(name, "cpu", quality, medians, bounds, *zip(*tails, strict=True))


def chain(
    device_ms: Sequence[float], cloud_ms: Sequence[float], kilobytes: Sequence[float], encode_ms: float = ENCODE_MS
) -> ArmTable:
    """Every cut of one network "net", a quick model "tiny" beside it. `kilobytes[j]` cross when `j` layers run on the device.

    Arms: "cut 0" sends the input, "cut j" the output of layer j-1, "cut n" (n layers) is the whole network here; "local:tiny".
    """
    net, tiny = local("net", device_ms, 1.0), local("tiny", (max(0.2, sum(device_ms) / 20),), 0.6)
    layers, arms = len(device_ms), []
    for cut in range(layers + 1):
        head = RunStep("device", "net", 0, cut - 1, sum(net.segment_median_ns[:cut]))
        size = (
            (round(kilobytes[cut] * 1000), round(encode_ms * MS), round(2 * encode_ms * MS))
            if cut < layers
            else (0, 0, 0)
        )
        cross = CrossStep("cloud", "raw", *size)
        tail = RunStep("cloud", "net", cut, layers - 1, round(sum(cloud_ms[cut:]) * MS))
        steps: tuple[RunStep | CrossStep, ...] = ((head,) if cut else ()) + ((cross, tail) if cut < layers else ())
        arms.append(Arm(f"cut {cut}", steps, 1.0))
    arms.append(Arm("local:tiny", (RunStep("device", "tiny", 0, 0, tiny.segment_median_ns[0]),), 0.6))
    return ArmTable(tuple(arms), (net, tiny))


def cascade(thresholds: Sequence[tuple[float, float, float]] = ((0.6, 0.7, 0.85), (0.9, 0.4, 0.95))) -> ArmTable:
    """A small model here whose answer stands where it is confident, a big one in the cloud for the rest.

    `thresholds`: (at_least, stop_share, quality of the whole arm), one gated arm each, beside both ways without a gate.
    """
    small, big = local("small", (1, 8, 8), 0.7), local("big", (2, 60, 60), 1.0)
    here, cross = RunStep("device", "small", 0, 2, 17 * MS), CrossStep("cloud", "jpeg:75", 11_000, MS, 2 * MS)
    there = RunStep("cloud", "big", 0, 2, 12 * MS)
    gated = tuple(
        Arm(f"gate {at_least:g}", (here, GateStep(at_least, stop), cross, there), quality)
        for at_least, stop, quality in thresholds
    )
    plain = (Arm("local:small", (here,), 0.7), Arm("cloud:big", (cross, there), 0.97))
    whole = Arm("local:big", (RunStep("device", "big", 0, 2, 122 * MS),), 1.0)
    return ArmTable((*plain, whole, *gated), (small, big))


def steady(
    table: ArmTable,
    *,
    rtt_ms: float = 20.0,
    mbps: float = 8.0,
    deadline_ms: float = 100.0,
    request: int = 0,
    now_ns: int = 0,
) -> View:
    """What a policy sees on a link that has always been like this, the device idle and a reserve of the quickest model held."""
    sample = np.array([[rtt_ms * MS, 8e3 / mbps, 1.0]])
    network: Floats = np.zeros(len(table.arms))
    for value, row in zip(sample[0], table.rows(("trips", "bytes", "tier"), "cloud"), strict=True):
        network = network + value * row
    device = sum((row for name, row in table.amounts.items() if name.startswith("lane:")), np.zeros(len(table.arms)))
    energy = table.busy_ns * (table.energy.active_mw * 1e-9) + table.is_remote * table.energy.radio_tail_mj
    energy = energy + table.up_bytes * (sample[0, 1] * table.energy.radio_mw * 1e-9)
    reserve = min(table.locals, key=lambda model: model.tail_bound_ns[0])
    available = deadline_ms * MS - reserve.tail_bound_ns[0]
    prices = Prices()
    return View(
        table,
        network_ns=network[None, :],
        device_ns=device,
        weights=np.ones(1),
        admissible=device <= np.where(table.is_remote, available, deadline_ms * MS),
        energy_mj=energy,
        cost_mj=energy + prices.disagreement_mj * table.disagreement,
        available_ns=available,
        time_left_ns=deadline_ms * MS,
        reserve_energy_mj=table.energy.busy_mj(reserve.tail_median_ns[0]),
        reserve_quality=reserve.quality,
        prices=prices,
        request=request,
        now_ns=now_ns,
        deadline_ns=now_ns + round(deadline_ms * MS),
        samples=sample,
    )
