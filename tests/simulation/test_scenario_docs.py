"""docs/scenarios.md tells every key with its default, and its block is a scenario that runs."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hedgerow.core.policies import by_name
from hedgerow.simulation import cells, parts, scenario
from hedgerow.simulation.faults import KINDS
from hedgerow.simulation.world import run

DOCS = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "Top of the file": scenario.Scenario,
    "`[[group]]`": scenario.GroupPart,
    "`[[stream]]`": scenario.StreamPart,
    "`[[variant]]`": parts.VariantPart,
    "`[[price]]`": scenario.PricePart,
    "`[device]`": scenario.DevicePart,
    "`[cloud]`": scenario.CloudPart,
    "`[tariff]`": scenario.TariffPart,
    "`[[fault]]`": parts.FaultPart,
    "`[battery]`": parts.BatteryPart,
    "`[radio]`": parts.RadioPart,
    "`[budget]`": parts.BudgetPart,
    "`[fleet]`": parts.FleetPart,
    "`[fleet.outage]`": parts.OutagePart,
}


def _rows(section: str) -> dict[str, list[str]]:
    """The section's first table, by key."""
    text = DOCS[re.search(rf"^(## )?{re.escape(section)}", DOCS, re.MULTILINE).end() :]  # type: ignore[union-attr]
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        cells_ = [each.strip() for each in line.strip("|").split("|")]
        if line.startswith("| `"):
            found[cells_[0].strip("`")] = cells_
        elif found:
            break
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_stands_in_its_section_with_its_default_and_no_other(section: str) -> None:
    rows, fields = _rows(section), msgspec.structs.fields(SECTIONS[section])
    assert set(rows) == {field.name for field in fields} - {"where"}
    for field in fields:
        if field.name != "where":
            assert all(rows[field.name][1:4]), field.name
            assert _told(field.default, rows[field.name][3]), (field.name, rows[field.name][3], field.default)


def _told(default: Any, text: str) -> bool:
    """Whether the text says this default; of tables it says it in words."""
    if default is msgspec.NODEFAULT:
        return text == "required"
    if default is None:
        return text in ("none", "the first")
    if isinstance(default, bool | str):
        return text == (f'`"{default}"`' if isinstance(default, str) else f"`{str(default).lower()}`")
    if isinstance(default, int | float):
        return text == f"`{default}`"
    return text in ("`[]`", "as below", "one camera", "one, as below")


def test_every_kind_of_fault_is_told() -> None:
    assert set(_rows("| kind | where")) == set(KINDS)


def test_the_block_is_a_scenario_that_runs() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert len(blocks) == 1
    mine = scenario.parse(blocks[0], name="mine.toml")
    units = cells.units(mine, cells.courses_of(mine))
    assert len(units) == 2
    world = cells.build(mine, cells.profile_of(mine), units[1])
    made = run(world, by_name("ours", world.table), mine.price[0].prices())
    assert not made.late.any()
    assert "remote" not in made.source[210:250]


def test_every_shipped_scenario_is_named() -> None:
    assert all(f"| `{name}` |" in DOCS for name in scenario.shipped())
