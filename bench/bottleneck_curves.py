"""Every point behind the figures "bottleneck" of `hedgerow bench adapt`: a table, and one picture of agreement against bytes.

    python bench/bottleneck_curves.py [--data ../shared/data] [--holdout FOLDER] [--output out/bottleneck.png]

Needs what `make adapt` makes, and matplotlib (extra `plots`) for the picture; no PyTorch.
"""

import argparse
import sys
from pathlib import Path

from hedgerow.adaptation.sources import remembered
from hedgerow.benchmarks.adapting.bottleneck import ASKED, curves
from hedgerow.benchmarks.adapting.setting import Setting
from hedgerow.views.rates import RateCurve, draw_rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=remembered() or Path("../shared/data"))
    parser.add_argument("--holdout", type=Path)
    parser.add_argument("--output", type=Path, default=Path("out/bottleneck.png"))
    given = parser.parse_args()
    setting = Setting(given.data, given.holdout, lambda text: print(text, file=sys.stderr, flush=True))
    found = curves(setting)
    for curve in found:
        print(f"{curve.name} ({curve.share:.1%} of the multiply-adds before it)")
        best = curve.best()
        for point in curve.points:
            right = "" if point.accuracy is None else f"  right {point.accuracy:.3f}"
            mark = "  <" if point is best else ""
            print(
                f"  {point.setting:24} {point.bytes:9.0f} B  agrees {point.agreement:.3f}{right}  {point.encode_ms:6.2f} ms{mark}"
            )
    lines = [
        RateCurve(
            f"{curve.name}, {curve.share:.0%} of the work before it",
            [(point.bytes, point.agreement) for point in curve.points],
            dashed=curve.name.endswith("prefix"),
        )
        for curve in found
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    draw_rates(
        lines, given.output, asked=ASKED, title="MobileNetV2 against its own uncut answers, photographs that judge"
    )
    print(given.output)


if __name__ == "__main__":
    main()
