"""`hedgerow serve`: answer crossings and Open Inference Protocol requests for tasks."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

SWITCH_INTERVAL_S = 0.0005
"""How long one Python thread may keep another waiting: the event loop beside a computing lane."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="serve")(serve)


def serve(
    tasks: Annotated[list[Path], typer.Argument(metavar="TASK...", help="Task files (TOML) or single .onnx models.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8001,
    address: Annotated[str, typer.Option(help="Address to listen on; another than loopback needs TLS.")] = "127.0.0.1",
    lanes: Annotated[int, typer.Option(min=1, max=64, help="Requests computed at once.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Processor threads of each lane.")] = 1,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of this server (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Only clients with a certificate signed by this.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Another address than loopback, in the clear.")] = False,
    queue_max: Annotated[int, typer.Option(min=1, help="Requests that may wait for a lane.")] = 64,
    payload_mib_max: Annotated[int, typer.Option(min=1, max=1024, help="Largest payload in MiB.")] = 16,
) -> None:
    """Answer crossings and Open Inference Protocol (gRPC) requests until SIGTERM or SIGINT.

    Prints `serving on HOST:PORT` when the models are warm and requests are answered; its tasks on standard error.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    from hedgerow.cloud.catalogue import Catalogue
    from hedgerow.cloud.limits import ServerLimits
    from hedgerow.cloud.server import Endpoint, Server, serve_until_signal
    from hedgerow.wire.limits import MIB

    endpoint = Endpoint(address, port, tls_cert, tls_key, tls_client_ca, insecure)
    endpoint.credentials()
    limits = ServerLimits(
        payload_bytes_max=payload_mib_max * MIB,
        received_bytes_max=max(256, 2 * payload_mib_max) * MIB,
        queue_length_max=queue_max,
    )
    catalogue = Catalogue.load(tasks, threads=threads)
    server = Server(catalogue, lanes=lanes, limits=limits)

    def ready(where: str) -> None:
        for task in catalogue.info():
            models = ", ".join(f"{model.name} ({len(model.segments)} segments)" for model in task.models)
            print(f"task '{task.name}': {models}", file=sys.stderr, flush=True)
        print(f"serving on {where}", flush=True)

    asyncio.run(serve_until_signal(server, endpoint, ready))
