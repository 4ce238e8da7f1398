"""Both models proved right by what they see: the labelled photographs, and the pictures beside the repository."""

from collections.abc import Iterable
from pathlib import Path

import onnx
import pytest

from hedgerow.models.fetch.recipes import MODELS
from hedgerow.models.task import Task

RIGHT_OF_20_MIN = 17  # 18 of 20 were measured for either model
# Both models saw the like of these pictures in training, so this says that the build is right, not how good the model is.
RIGHT_SHARE_MIN = {"mobilenet-v2": 0.75, "efficientnet-lite2": 0.80}


def right_answers(task: Task, name: str, pictures: Iterable[tuple[Path, int]]) -> int:
    with task.open(name) as chain:
        return sum(
            task.interpret(chain.run(task.sample(path)).tensors).label_index == label for path, label in pictures
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_names_the_labelled_photographs(
    imagenet_task: Path, photographs: list[tuple[Path, int]], name: str
) -> None:
    right = right_answers(Task.load(imagenet_task), name, photographs)
    assert right >= RIGHT_OF_20_MIN, f"{name}: {right} of 20"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_agrees_with_the_class_in_the_file_name(imagenet_task: Path, shared_data: Path, name: str) -> None:
    pictures = [(path, int(path.stem)) for path in sorted((shared_data / "images").glob("*.jpg"))[::8]]
    right = right_answers(Task.load(imagenet_task), name, pictures)
    assert right >= RIGHT_SHARE_MIN[name] * len(pictures), f"{name}: {right} of {len(pictures)}"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_agrees_with_the_class_in_all_file_names(imagenet_task: Path, shared_data: Path, name: str) -> None:
    pictures = [(path, int(path.stem)) for path in sorted((shared_data / "images").glob("*.jpg"))]
    right = right_answers(Task.load(imagenet_task), name, pictures)
    print(f"{name}: {right} of {len(pictures)}")
    assert right >= RIGHT_SHARE_MIN[name] * len(pictures)


@pytest.mark.parametrize("name", MODELS)
def test_the_joints_of_a_recipe_are_cuts_of_its_model(imagenet_task: Path, name: str) -> None:
    task = Task.load(imagenet_task)
    with task.open(name) as chain:
        assert [segment.name for segment in chain.segments][1:-1] == list(MODELS[name].joints)
        assert all(len(chain.joint(index)) == 1 for index in range(1, len(chain.segments) - 1))


@pytest.mark.parametrize("name", MODELS)
def test_the_licence_travels_with_the_model(imagenet_task: Path, name: str) -> None:
    model = onnx.load(Task.load(imagenet_task).model(name).path)
    assert MODELS[name].parcel.licence in model.doc_string
