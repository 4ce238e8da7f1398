"""Who takes a dead server's port: `python -m hedgerow.campaigns.impostor version|garbage PORT TASK`.

`version`: the real server's code, speaking the protocol after this one. `garbage`: random bytes to whoever connects, at once and
again for everything that is said. Says `prepared`, takes the port at the line `take` (then says `taken`), ends with its input.
"""

import asyncio
import contextlib
import os
import random
import socket
import sys
import threading
from pathlib import Path

BYTES_MAX = 4000


def garbage(port: int) -> None:
    """Accept and answer with random bytes until standard input ends."""
    print("prepared", flush=True)
    if sys.stdin.readline().strip() != "take":
        return
    listener = socket.create_server(("127.0.0.1", port))
    print("taken", flush=True)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    sys.stdin.read()


def _accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_babble, args=(connection,), daemon=True).start()


def _babble(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while True:
            connection.sendall(os.urandom(random.randint(1, BYTES_MAX)))
            if not connection.recv(65536):
                return


async def other_version(port: int, task: Path) -> None:
    """Serve `task` in a protocol that this version does not speak."""
    from hedgerow.wire import messages

    messages.PROTOCOL_VERSION += 1  # before the server's modules take it over
    from hedgerow.cloud.catalogue import Catalogue
    from hedgerow.cloud.server import Endpoint, Server

    server = Server(Catalogue.load([task]))
    print("prepared", flush=True)
    loop = asyncio.get_running_loop()
    if (await loop.run_in_executor(None, sys.stdin.readline)).strip() != "take":
        return
    await server.start(Endpoint("127.0.0.1", port))
    print("taken", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    await server.stop()


def main(words: list[str]) -> None:
    """One impostor."""
    kind, port, task = words
    if kind == "garbage":
        garbage(int(port))
    else:
        asyncio.run(other_version(int(port), Path(task)))


if __name__ == "__main__":
    main(sys.argv[1:])
