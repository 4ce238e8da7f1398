"""Folders of the kernel's shape, made from a table."""

from pathlib import Path


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write every file below `root`; returns it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root
