"""One file per runtime; `engine.py` says what each must offer."""

from hedgerow.models.engines.engine import Call, Cancelled, Engine, Program, get_engine

__all__ = ["Call", "Cancelled", "Engine", "Program", "get_engine"]
