"""A small synthetic profile, as the inputs of a certificate: two models on one lane, arms of every kind."""

from hedgerow.assurance.certification import document as d

MS = 1_000_000
STREAMS = """
format = 1
[[stream]]
name = "front"
period_ms = 100
deadline_ms = 90
capture_delay_ms = 3
jitter_ms = 2
criticality = "safety"
reserves = ["small"]
safe_value = "stop"
[[stream]]
name = "side"
period_ms = 200
deadline_ms = 190
[[stream]]
name = "map"
period_ms = 1000
deadline_ms = 3000
criticality = "background"
[[mode]]
name = "nominal"
[[mode]]
name = "slow"
streams.side = { keep_every = 2, reserves = ["small"] }
[[mode]]
name = "safe"
streams.front = { reserves = [] }
"""


def measured(bound_ms: float, samples: int = 20) -> d.Measured:
    """Whose bound is `bound_ms` by the rule for few samples."""
    largest = round(bound_ms * MS / 1.5)
    return d.Measured(samples, largest // 2, largest, largest)


def model(name: str, segments_ms: tuple[float, ...], lane: str = "cpu") -> d.ModelInput:
    parts = [
        d.SegmentInput(f"s{i}", measured(each), measured(sum(segments_ms[i:]))) for i, each in enumerate(segments_ms)
    ]
    return d.ModelInput(name, lane, tuple(parts))


def inputs(streams: str = STREAMS, *, models: tuple[d.ModelInput, ...] = ()) -> d.Inputs:
    """Small takes 3 + 9 + 9 ms, big 3 + 24 + 24 ms."""
    models = models or (model("small", (3, 9, 9)), model("big", (3, 24, 24)))
    arms = [d.ArmInput(f"local:{each.name}", each.lane, each.name, len(each.segments) - 1, None) for each in models]
    arms += [d.ArmInput(f"cloud:{each.name}:jpeg:75", each.lane, each.name, -1, measured(4)) for each in models]
    arms += [d.ArmInput(f"split:{each.name}@1:q4", each.lane, each.name, 1, measured(2)) for each in models]
    return d.Inputs(
        made="2026-01-01T00:00:00+00:00",
        hedgerow="0.1.0",
        streams=streams,
        profile=d.ProfileInput("0" * 64, "2026-01-01T00:00:00+00:00", "1" * 64, "grass", "a processor", False),
        timer=measured(2, samples=2000),
        cancel=measured(6),
        models=models,
        arms=tuple(arms),
    )
