"""Rules of arbitration as a user writes them: what is read, and what is wrong told with its place."""

from pathlib import Path

import pytest

from hedgerow.core.arbitration import Arbiter, Arbitration, Group
from hedgerow.errors import UsageError
from hedgerow.models.task import Task
from hedgerow.planning.arbitrating import arbitration_for, plain_arbitration, read_arbitration, version_of
from tests.device.small import pair_task

HEAD = "format = 1\n"
GROUPS = """
[groups.low]
holds = ["label0", 1]
inside = 0.25
[groups.all]
holds = ["low", "label2"]
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return pair_task(tmp_path_factory.mktemp("pair"))


def written(folder: Path, text: str) -> Path:
    path = folder / "arbitration.toml"
    path.write_text(text)
    return path


def test_nothing_declared_is_every_mistake_alike_and_the_tasks_own_versions(task: Task, tmp_path: Path) -> None:
    rules = read_arbitration(written(tmp_path, HEAD), task)
    versions = tuple((model.name, version_of(model.model_id)) for model in task.models)
    assert rules == Arbitration(5, versions=versions) == plain_arbitration(task)
    assert all(len(version) == 16 for _, version in versions)


def test_groups_hold_groups_and_costs_name_either(task: Task, tmp_path: Path) -> None:
    text = HEAD + 'wrong = 2\nmemory = 0.5\nage_max_ms = 250\nstreams = ["front"]\nagreed_labels = "stand"\n'
    text += '[[cost]]\nsaid = "*"\ntrue = "all"\ncost = 4\n[[cost]]\nsaid = 3\ntrue = "low"\ncost = 9.5\n'
    text += "[weights]\nsmall = 0.5\n[prior]\nlabel4 = 3\n" + GROUPS
    rules = read_arbitration(written(tmp_path, text), task)
    assert rules.groups == (Group("low", (0, 1), 0.25), Group("all", (0, 1, 2)))
    assert (rules.wrong, rules.memory, rules.age_max_ns, rules.agreed_stand) == (2.0, 0.5, 250_000_000, True)
    assert (rules.weights, rules.streams, rules.prior) == ((("small", 0.5),), ("front",), (1.0, 1.0, 1.0, 1.0, 3.0))
    arbiter = Arbiter(rules)
    assert [arbiter.cost(said, true) for said, true in ((3, 0), (4, 2), (0, 3), (1, 1))] == [9.5, 4.0, 2.0, 0.0]


def test_a_matrix_is_read_row_by_row(task: Task, tmp_path: Path) -> None:
    rows = [[0 if said == true else said + true / 10 for true in range(5)] for said in range(5)]
    rules = read_arbitration(written(tmp_path, f"{HEAD}matrix = {rows}\n"), task)
    assert Arbiter(rules).cost(3, 1) == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'format' must be 1"),
        ("format = 2", "'format' must be 1"),
        (HEAD + "cost_matrix = 1", "unknown key 'cost_matrix'"),
        (HEAD + "wrong = -1", "'wrong' must be a number of 0 or more"),
        (HEAD + "wrong = nan", "'wrong' must be a number of 0 or more"),
        (HEAD + "matrix = [[0, 1], [1, 0]]", "5 x 5"),
        (HEAD + "matrix = [[0, 1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 0, 1], [1, 1, 1, 1, 0]]", "5 x 5"),
        (HEAD + 'matrix = [[0, "a"]]', "matrix row 0"),
        (HEAD + "matrix = [[0, nan]]", "matrix row 0"),
        (HEAD + "matrix = 3", "list of rows"),
        (HEAD + '[[cost]]\nsaid = "label9"\ntrue = "*"\ncost = 1', "no label or group 'label9'"),
        (HEAD + '[[cost]]\nsaid = 5\ntrue = "*"\ncost = 1', "no label or group 5"),
        (HEAD + '[[cost]]\nsaid = "label1"\ntrue = "*"', "'said', 'true' and 'cost'"),
        (HEAD + '[[cost]]\nsaid = "label1"\ntrue = "*"\ncost = -2', "'cost' must be a number"),
        (HEAD + "[weights]\nmedium = 1", "no model 'medium'"),
        (HEAD + "[weights]\nsmall = true", "'small' must be a number"),
        (HEAD + '[versions]\nmedium = "0123456789abcdef"', "no model 'medium'"),
        (HEAD + '[versions]\nsmall = "01"', "first 16 digits"),
        (HEAD + '[groups.a]\nholds = ["b"]\n[groups.b]\nholds = ["c"]\n[groups.c]\nholds = ["a"]', "circle: a -> b -> c -> a"),
        (HEAD + '[groups.a]\nholds = ["a"]', "circle: a -> a"),
        (HEAD + "[groups.a]\nholds = []", "at least one label"),
        (HEAD + '[groups.a]\nhold = ["label1"]', "needs 'holds'"),
        (HEAD + '[groups.label1]\nholds = ["label2"]', "called like a label"),
        (HEAD + '[groups.a]\nholds = ["label1"]\ninside = -1', "'inside' must be a number"),
        (HEAD + "[prior]\nlabel9 = 1", "no label or group 'label9'"),
        (HEAD + 'agreed_labels = "maybe"', "agreed_labels"),
        (HEAD + "age_max_ms = 0", "more than 0"),
        (HEAD + "streams = [1]", "list of names"),
        (HEAD + "weights = 3", "must be a table"),
        (HEAD + "cost = 3", "tables"),
        ("format = ", "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(task: Task, tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=words) as caught:
        read_arbitration(path, task)
    assert str(path) in str(caught.value)


def test_a_missing_file_two_equal_labels_and_no_labels_are_told(task: Task, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the rules"):
        read_arbitration(tmp_path / "none.toml", task)
    double = Task("pair", "classification", task.models, "big", ("a", "b", "a", "c", "d"))
    with pytest.raises(UsageError, match=r"2 labels are called 'a'; give the index, one of \[0, 2\]"):
        read_arbitration(written(tmp_path, HEAD + '[[cost]]\nsaid = "a"\ntrue = 1\ncost = 1\n'), double)
    bare = Task("pair", "classification", task.models, "big")
    with pytest.raises(UsageError, match="has no labels"):
        read_arbitration(written(tmp_path, HEAD), bare)


def test_rules_made_by_hand_must_fit_the_task(task: Task) -> None:
    assert arbitration_for(None, task) is None
    assert arbitration_for(Arbitration(5), task) == Arbitration(5)
    with pytest.raises(UsageError, match="for 4 labels"):
        arbitration_for(Arbitration(4), task)
