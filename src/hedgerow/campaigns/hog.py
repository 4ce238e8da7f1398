"""Takes what the device needs: `python -m hedgerow.campaigns.hog cpu` or `... memory BYTES`, until it is killed.

`cpu` spins; `memory` maps BYTES, touches every page, gives them back and begins again, as a neighbour that swells and
shrinks. Standard library only, so that it is there at once.
"""

import mmap
import sys

PAGE_BYTES = 4096
BLOCK_BYTES = 64 << 20


def spin() -> None:
    """Use a whole core."""
    while True:
        pass


def swell(size_bytes: int) -> None:
    """Hold up to `size_bytes`, block by block, and start over."""
    while True:
        held = []
        for _ in range(max(1, size_bytes // BLOCK_BYTES)):
            block = mmap.mmap(-1, BLOCK_BYTES)
            block[::PAGE_BYTES] = b"x" * (BLOCK_BYTES // PAGE_BYTES)
            held.append(block)
        for block in held:
            block.close()


def main(words: list[str]) -> None:
    """One hog."""
    print("hogging", flush=True)
    if words[0] == "cpu":
        spin()
    else:
        swell(int(words[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
