"""The mutations of `tools/mutate.py`: every small change to a module's syntax tree that a test ought to notice.

A mutant replaces one node by another in a parsed tree; nothing is written anywhere. Left alone, because a change there is no
change of behaviour or no fault that a test of behaviour should find: docstrings, annotations and type aliases, imports,
decorators, `assert` (they narrow types here), `__all__`, values of string enumerations, the text of f-strings and of errors.
Operators follow Offutt et al., "An experimental determination of sufficient mutant operators" (1996): relations, connectors,
arithmetic and constants; beside them statements, results and calls, as in the mutation tools for Python.
"""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_RELATIONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Pow: ast.Mult,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
_KEYWORDS = ("key", "default", "reverse")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`parent.field` (at `index` if it is a list) becomes `new`. `original` and `mutated` are the statement's own lines.

    `function` is the dotted name within the module ("" outside any); `lines` those of the statement; `at_import` says that
    it runs when the module is imported; `digest` is of the surrounding definition's source, so that results can be kept.
    """

    module: str
    function: str
    line: int
    lines: tuple[int, int]
    at_import: bool
    operator: str
    original: str
    mutated: str
    digest: str
    key: str
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def apply(self) -> None:
        """Change the tree that this mutant was found in; there is no way back."""
        _set(self.parent, self.field, self.index, self.new)


def _set(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> ast.AST:
    if index is None:
        old = getattr(parent, field)
        setattr(parent, field, new)
    else:
        old = getattr(parent, field)[index]
        getattr(parent, field)[index] = new
    assert isinstance(old, ast.AST)
    return old


@dataclass(slots=True)
class _Place:
    """Where the walk is: the innermost statement and definition."""

    function: str = ""
    statement: ast.stmt | None = None
    digest: str = ""
    at_import: bool = True
    enum: bool = False


def header(node: ast.stmt) -> str:
    """The statement's own source: without the statements inside it, without a docstring."""
    if isinstance(node, ast.Match):
        return f"match {ast.unparse(node.subject)}: " + "; ".join(
            f"case {ast.unparse(each.pattern)}" + (f" if {ast.unparse(each.guard)}" if each.guard else "")
            for each in node.cases
        )
    inner = [name for name in ("body", "orelse", "finalbody", "handlers") if hasattr(node, name)]
    if not inner:
        return ast.unparse(node)
    kept = {name: getattr(node, name) for name in inner}
    for name in inner:
        setattr(node, name, [ast.Pass()] if name == "body" else [])
    text = ast.unparse(node).removesuffix("pass").strip()
    for name, value in kept.items():
        setattr(node, name, value)
    return text


def mutants(module: str, source: str) -> tuple[ast.Module, list[Mutant]]:
    """The parsed module and all its mutants, each a change of that very tree."""
    tree = ast.parse(source)
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for place, parent, field, index, operator, new in _walk(tree, _Place()):
        statement = place.statement
        assert statement is not None
        before = header(statement)
        old = _set(parent, field, index, new)
        after = header(statement) if old is not statement else ast.unparse(new)
        _set(parent, field, index, old)
        if before == after:
            continue
        words = f"{module}\n{place.function}\n{operator}\n{before}\n{after}"
        seen[words] = seen.get(words, 0) + 1
        key = hashlib.sha256(f"{words}\n{seen[words]}".encode()).hexdigest()[:16]
        end = _own_end(statement)
        lines = (statement.lineno, end)
        ast.copy_location(new, old)
        ast.fix_missing_locations(new)
        found.append(Mutant(
            module, place.function, getattr(old, "lineno", statement.lineno), lines, place.at_import, operator, before, after,
            place.digest, key, parent, field, index, new,
        ))  # fmt: skip
    return tree, found


def _own_end(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None) or (statement.cases[0].body if isinstance(statement, ast.Match) else None)
    last = statement.end_lineno or statement.lineno
    if body and isinstance(statement, ast.Match):
        return last
    return max(statement.lineno, body[0].lineno - 1) if body else last


_Found = tuple[_Place, ast.AST, str, int | None, str, ast.AST]


def _walk(node: ast.AST, place: _Place) -> Iterator[_Found]:
    for field, value in ast.iter_fields(node):
        if _left_alone(node, field):
            continue
        if isinstance(value, ast.AST):
            yield from _child(node, field, None, value, place)
        elif isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, ast.AST):
                    yield from _child(node, field, index, each, place)


def _left_alone(node: ast.AST, field: str) -> bool:
    """Whether nothing in this field of this node is a matter for tests of behaviour."""
    if field in ("annotation", "returns", "decorator_list", "bases", "ctx", "names", "type_params"):
        return True
    if isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.Assert | ast.Raise):
        return True
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "assert_never"


def _child(parent: ast.AST, field: str, index: int | None, node: ast.AST, place: _Place) -> Iterator[_Found]:
    here = copy.copy(place)
    if isinstance(node, ast.stmt):
        here.statement = node
        if _no_behaviour(node, place):
            return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        here.function = f"{place.function}.{node.name}".lstrip(".")
    if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.stmt) and not place.digest):
        here.digest = hashlib.sha256(header(node).encode()).hexdigest()[:16]
        if isinstance(node, ast.FunctionDef) or not hasattr(node, "body"):
            here.digest = hashlib.sha256(ast.unparse(node).encode()).hexdigest()[:16]
    if isinstance(node, ast.ClassDef):
        here.digest = ""
        here.enum = any("Enum" in ast.unparse(base) for base in node.bases)
    if here.statement is not None:
        for operator, new in _changes(parent, field, node):
            yield here, parent, field, index, operator, new
    if isinstance(node, ast.FunctionDef):
        yield from _defaults(node, here)
        here.at_import = False
        for number, statement in enumerate(node.body):
            yield from _child(node, "body", number, statement, here)
        return
    yield from _walk(node, here)


def _defaults(node: ast.FunctionDef, place: _Place) -> Iterator[_Found]:
    for field in ("defaults", "kw_defaults"):
        for number, value in enumerate(getattr(node.args, field)):
            if value is not None:
                yield from _child(node.args, field, number, value, place)


def _no_behaviour(node: ast.stmt, place: _Place) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert | ast.Pass):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring, or `...`
        return True
    if isinstance(node, ast.Assign):
        named = [target.id for target in node.targets if isinstance(target, ast.Name)]
        value = node.value
        text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        numbered = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "auto"
        union = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr) and place.at_import
        generic = isinstance(value, ast.Subscript) and place.at_import
        return "__all__" in named or (place.enum and (text or numbered)) or union or generic
    return False


def _changes(parent: ast.AST, field: str, node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What this node may become: (operator, new node)."""
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.Constant):
        yield from _constants(node, parent, field)
    elif isinstance(node, ast.Compare):
        for position, relation in enumerate(node.ops):
            for other in _RELATIONS.get(type(relation), ()):
                new = copy.deepcopy(node)
                new.ops[position] = other()
                yield "relation", new
    elif isinstance(node, ast.BinOp):
        yield from _binary(node, parent, field)
    elif isinstance(node, ast.BoolOp):
        yield from _connectors(node)
    elif isinstance(node, ast.UnaryOp):
        yield "unary", node.operand
    elif isinstance(node, ast.IfExp):
        yield "branch", node.body
        yield "branch", node.orelse
    elif isinstance(node, ast.comprehension):
        for position in range(len(node.ifs)):
            yield "filter", _without(node, "ifs", position)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Slice):
        for bound in ("lower", "upper"):
            if getattr(node, bound) is not None:
                longer, shorter = copy.deepcopy(node), copy.deepcopy(node)
                setattr(longer, bound, None)
                yield "slice", longer
                setattr(shorter, bound, ast.BinOp(copy.deepcopy(getattr(node, bound)), ast.Add(), ast.Constant(1)))
                yield "slice", shorter
    if field == "test" and isinstance(node, ast.expr) and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield "negation", ast.UnaryOp(ast.Not(), copy.deepcopy(node))


def _without(node: ast.AST, field: str, position: int) -> ast.AST:
    new = copy.deepcopy(node)
    del getattr(new, field)[position]
    return new


def _binary(node: ast.BinOp, parent: ast.AST, field: str) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.op, ast.BitOr):
        if field == "args":  # isinstance(x, A | B)
            yield "alternative", node.left
            yield "alternative", node.right
        elif not (isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.BitOr)):
            yield "arithmetic", ast.BinOp(copy.deepcopy(node.left), ast.BitAnd(), copy.deepcopy(node.right))
        return
    other = _ARITHMETIC.get(type(node.op))
    if other is not None:
        yield "arithmetic", ast.BinOp(copy.deepcopy(node.left), other(), copy.deepcopy(node.right))


def _connectors(node: ast.BoolOp) -> Iterator[tuple[str, ast.AST]]:
    new = copy.deepcopy(node)
    new.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    yield "connector", new
    for position in range(len(node.values)):
        if len(node.values) == 2:
            yield "operand", node.values[1 - position]
        else:
            yield "operand", _without(node, "values", position)


def _constants(node: ast.Constant, parent: ast.AST, field: str) -> Iterator[tuple[str, ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant", ast.Constant(value + 1)
        yield "constant", ast.Constant(value - 1)
    elif isinstance(value, float):
        yield "constant", ast.Constant(value * 2 if value else 1.0)
    elif isinstance(value, str) and not (isinstance(parent, ast.Constant) or field == "conversion"):
        yield "constant", ast.Constant(value + "_")


def _calls(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    called = getattr(node.func, "id", "")
    if called in _CALLS:
        new = copy.deepcopy(node)
        new.func = ast.Name(_CALLS[called], ast.Load())
        if called == "sorted":
            new.keywords = []
        yield "call", new
    if called in ("min", "max") and len(node.args) > 1:
        for position in range(len(node.args)):
            if len(node.args) == 2:
                yield "bound", node.args[1 - position]
            else:
                yield "bound", _without(node, "args", position)
    for position, keyword in enumerate(node.keywords):
        if keyword.arg in _KEYWORDS:
            yield "keyword", _without(node, "keywords", position)


def _statements(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Expr):
        yield "statement", ast.Pass()
    elif isinstance(node, ast.Raise | ast.Continue | ast.Break | ast.Delete | ast.AugAssign):
        yield "statement", ast.Pass()
        if isinstance(node, ast.AugAssign) and type(node.op) in _ARITHMETIC | {ast.BitOr: 0}:
            new = copy.deepcopy(node)
            new.op = _ARITHMETIC.get(type(node.op), ast.BitAnd)()
            yield "arithmetic", new
    elif isinstance(node, ast.Assign):
        if not all(isinstance(target, ast.Name) for target in node.targets):
            yield "statement", ast.Pass()
    elif isinstance(node, ast.Return) and node.value is not None:
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "result", ast.Return(ast.Constant(None))
        if isinstance(node.value, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield "result", ast.Return(ast.UnaryOp(ast.Not(), copy.deepcopy(node.value)))
    elif isinstance(node, ast.Match) and len(node.cases) > 1:
        for position in range(len(node.cases)):
            if ast.unparse(node.cases[position].pattern) != "_":
                yield "case", _without(node, "cases", position)
