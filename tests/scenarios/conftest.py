"""Scenarios run on the same small task, profile and server as the device's own tests."""

from tests.device.conftest import profile, server, task, task_file

__all__ = ["profile", "server", "task", "task_file"]
