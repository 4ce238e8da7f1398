"""Checks the house rules that a machine can: `python tools/check_house.py`. What breaks one is listed here with its reason.

Rules: a file has at most 600 lines and a function 60; core in all 4,560 beside its policies (2,500 by the design;
docs/decisions/0005 to 0007, 0011, 0012 and 0015 say what is above it and why); a policy 150. Every module but a test's says why it exists.
No broad `except` that swallows, outside a top-level supervisor. Core computes with what gives equal bits on every
processor: no random numbers, linear algebra, exponentials, logarithms or powers. Generated files are left out.
`--root DIR` reads another repository of the same shape (tests plant their violations there).
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("src", "tests", "tools", "bench")
GENERATED = "src/hedgerow/wire/generated"
CORE = "src/hedgerow/core"
POLICIES = f"{CORE}/policies"

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
POLICY_LINES_MAX = 150
CORE_LINES_MAX = (
    4560  # 2500 by the design; docs/decisions/0005, 0006, 0007, 0011, 0012 and 0015 say what is above it and why
)

LONG: dict[str, str] = {
    # "path" or "path:function": why it may be longer
}
SUPERVISORS = {
    # "path:function": the broad `except` that it may hold
    "src/hedgerow/core/policies/guarding.py:choose": "a policy is the caller's code; its request is answered anyway",
    "src/hedgerow/core/policies/guarding.py:learn": "as above",
    "src/hedgerow/core/policies/guarding.py:_short": "a caller's object that cannot say what it is",
    "src/hedgerow/cloud/lanes.py:run": "one job's unforeseen failure is logged and refused; the lane lives on",
    "src/hedgerow/device/lane.py:execute": "an engine's unforeseen failure ends that job alone; the lane lives on",
    "src/hedgerow/device/auditor.py:_agrees": "an unforeseen failure leaves that comparison open; the thread lives on",
    "src/hedgerow/device/driver.py:post": "a fault in taking an event is logged; the lane's or timer's thread lives on",
    "src/hedgerow/device/driver.py:_tell": "a listener is the caller's code, on a thread that all requests need",
    "src/hedgerow/device/driver.py:_advise": "on_advice is the caller's code, on a thread that all requests need",
}
UNEQUAL_BITS = {
    *("random", "linalg", "fft", "dot", "vdot", "inner", "outer", "matmul", "einsum", "tensordot"),
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow", "power", "float_power", "sin", "cos", "tanh"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file; `name` is its path from the repository's root, with slashes."""

    name: str
    text: str
    tree: ast.Module


def sources(root: Path) -> Iterator[Source]:
    """Every Python file of the project that a person wrote."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(GENERATED):
                text = path.read_text(encoding="utf-8")
                yield Source(name, text, ast.parse(text, name))


def findings(source: Source) -> Iterator[str]:
    """One line for each broken rule in one file."""
    lines = len(source.text.splitlines())
    if lines > FILE_LINES_MAX and source.name not in LONG:
        yield f"{source.name}:1: {lines} lines; at most {FILE_LINES_MAX}"
    if source.name.startswith(POLICIES) and lines > POLICY_LINES_MAX:
        yield f"{source.name}:1: a policy of {lines} lines; at most {POLICY_LINES_MAX}"
    if source.text.strip() and not source.name.startswith("tests/") and not ast.get_docstring(source.tree):
        yield f"{source.name}:1: no docstring that says why the module exists"
    if lines > FUNCTION_LINES_MAX:
        yield from _long_functions(source)
    if "except" in source.text or "suppress" in source.text:  # a walk over every node costs more than all the rest
        yield from _broad_handlers(source.tree, source.name, "")
    if source.name.startswith(CORE):
        yield from _unequal_bits(source)


def _long_functions(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX and f"{source.name}:{node.name}" not in LONG:
                yield f"{source.name}:{node.lineno}: {node.name} has {lines} lines; at most {FUNCTION_LINES_MAX}"


def _broad_handlers(node: ast.AST, name: str, function: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if _swallows(child) and f"{name}:{inside}" not in SUPERVISORS:
            line = getattr(child, "lineno", 1)
            yield f"{name}:{line}: a broad except that does not raise again; name the errors, or list the supervisor"
        yield from _broad_handlers(child, name, inside)


def _swallows(node: ast.AST) -> bool:
    if isinstance(node, ast.ExceptHandler):
        last = node.body[-1]
        return _is_broad(node.type) and not (isinstance(last, ast.Raise) and last.exc is None)
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return called == "suppress" and any(_is_broad(argument) for argument in node.args)
    return False


def _is_broad(kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(element) for element in kind.elts)
    return kind is None or getattr(kind, "id", "") in ("Exception", "BaseException")


def _unequal_bits(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        word = ""
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("np", "numpy", "math"):
            word = node.attr if node.attr in UNEQUAL_BITS else ""
        elif isinstance(node, ast.ImportFrom) and node.module in ("math", "numpy"):
            word = ", ".join(alias.name for alias in node.names if alias.name in UNEQUAL_BITS)
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            word = "@"
        if word:
            yield f"{source.name}:{getattr(node, 'lineno', 1)}: core uses {word}, whose bits differ between processors"


def stale(names: set[str]) -> Iterator[str]:
    """One line for each listed exception that names nothing any more."""
    for entry in [*LONG, *SUPERVISORS]:
        if entry.partition(":")[0] not in names:
            yield f"tools/check_house.py: lists {entry}, which is not there"


def main() -> int:
    """Print what is wrong; exit code 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).parents[1]
    parser.add_argument("--root", type=Path, default=here)
    root: Path = parser.parse_args().root
    wrong, names, core_lines = list[str](), set[str](), 0
    for source in sources(root):  # no tree is kept: the collector would look through all of them again and again
        wrong += findings(source)
        names.add(source.name)
        if source.name.startswith(CORE) and not source.name.startswith(POLICIES):
            core_lines += len(source.text.splitlines())
    if not names:
        print(f"no Python files below {root}", file=sys.stderr)
        return 2
    if core_lines > CORE_LINES_MAX:
        wrong.append(f"{CORE}: {core_lines} lines in all; at most {CORE_LINES_MAX}")
    if root == here:
        wrong += stale(names)
    print("\n".join(wrong), end="\n" if wrong else "")
    print(f"house rules: {len(names)} files, core {core_lines} lines, {len(wrong)} broken")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
