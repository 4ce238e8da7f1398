"""Writes the shipped links: `python tools/make_links.py` (`--check` only compares; exit code 1 if one is stale)."""

import argparse
import sys
from pathlib import Path

from hedgerow.emulation.generate import SHIPPED, generate, to_csv

FOLDER = Path(__file__).parents[1] / "src" / "hedgerow" / "emulation" / "links"


def main() -> int:
    """Write or compare every shipped link."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    stale = 0
    for name, spec in SHIPPED.items():
        path, text = FOLDER / f"{name}.csv", to_csv(generate(spec))
        if check:
            same = path.exists() and path.read_text(encoding="utf-8") == text
            stale += not same
            print(f"{path}: {'same' if same else 'differs; run tools/make_links.py'}")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {len(text)} bytes")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main())
