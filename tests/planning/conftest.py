"""The small tasks and quick profiles of tests/profiling, for plans."""

from tests.profiling.conftest import picture_profile, picture_task, tensor_profile, tensor_task

__all__ = ["picture_profile", "picture_task", "tensor_profile", "tensor_task"]
