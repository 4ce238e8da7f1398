"""What `make adapt` makes: one file a step, named as in `recipes.STEPS`, each with the function

    make(folder: Path, data: Path | None, *, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]

`folder` is where its files go (home/adapted/TASK), `data` the folder with images/ and cifar10_jpeg.npz, or None. It returns the
tables [[model]] that the step adds to folder/task.toml, the same ones when everything is made already; the first table of a
task that was not fetched names its reference. A table with the name of an earlier one changes only the keys it gives. Paths
in it may be absolute or relative to `folder`; labels go into folder/labels.txt. What it needs and lacks is a UsageError.
"""
