"""The verb `serve`: what it prints and with which status it ends."""

from pathlib import Path

import pytest

from tests.cli.typed import hedgerow
from tests.wire.serving import PATIENCE_S, server_process, write_task


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing argument"),
        (["missing.toml"], "missing.toml"),
        (["TASK", "--port", "70000"], "65535"),
        (["TASK", "--lanes", "0"], "--lanes"),
        (["TASK", "--address", "0.0.0.0"], "--insecure"),
        (["TASK", "--tls-cert", "missing.pem", "--tls-key", "missing.key"], "cannot read"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_says_what_is_wrong(tmp_path: Path, arguments: list[str], says: str) -> None:
    task = write_task(tmp_path)
    done = hedgerow("serve", *[str(task) if argument == "TASK" else argument for argument in arguments])
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    other = write_task(tmp_path, name="other", seed=1).with_suffix(".onnx")
    with server_process(task, other, "--lanes", "2", "--threads", "2") as server:
        assert server.address.startswith("127.0.0.1:")
        server.process.terminate()
        said = server.process.communicate(timeout=PATIENCE_S)[1]
        assert server.process.returncode == 0
        assert said.count("task 'tiny': tiny (5 segments)\n") == 1
        assert said.count("task 'other': other (2 segments)\n") == 1
