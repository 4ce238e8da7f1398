"""What `hedgerow bench adapt` measures: one file for each figure, with `measure(setting) -> dict`; none needs PyTorch."""
