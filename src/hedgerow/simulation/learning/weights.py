"""The learned policy's weights as a module of Python text, and back: the form in which they are shipped."""

from pathlib import Path

from hedgerow.core.policies.learned import Network
from hedgerow.errors import HostError, UsageError

_HEAD = '''"""The learned policy's weights: little-endian float32 in hexadecimal; docs/learned.md is their model card.

Made by `python -m hedgerow.simulation.learning.training`; not edited by hand.
"""

WEIGHTS = """
'''
_TAIL = '\n"""\n'


def module_text(weights: str) -> str:
    """A module with these weights, checked; UsageError when they are none."""
    return f"{_HEAD}{Network.of_text(weights).text()}{_TAIL}"


def load(path: Path | str) -> Network:
    """Read such a module without running it; UsageError says what is wrong with it, HostError that it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there are no weights {path}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no module of weights") from None
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from None
    _, found, rest = text.partition('WEIGHTS = """')
    if not found:
        raise UsageError(f"{path} is no module of weights: it has no WEIGHTS")
    return Network.of_text(rest.partition('"""')[0])
