"""Where a model can be cut in two, and what must cross there.

Definition. A head is a set of nodes closed under "whoever made what I read"; alive after it are the tensors that
exist by then and are still needed (`graph.py`): inputs that the tail still reads and outputs that the head already
made count too. The alive set of a head that is neither empty nor everything is a *cut*. A *candidate* is a cut
- of at most k tensors,
- minimal: no proper, non-empty subset of it is the alive set of any head, the empty head included (so a set that
  contains all the model's inputs is no candidate: sending the inputs alone would do), and
- of tensors that can be sent: of known type and rank, no sequences, optionals, maps or strings.
A model without dynamic inputs, or without nodes that depend on them, has no candidates. It still runs whole.

Two heads with the same alive set are the same head, since every node leads to an output: a cut's name says it all.
With k = 1 the candidates are nested, and found in one sweep; those with more tensors lie between two neighbouring ones
and are found by search there: each tensor in turn is kept alive, or all that read it join the head.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from hedgerow.errors import UsageError
from hedgerow.models.graph import Graph
from hedgerow.models.tensors import TensorSpec
from hedgerow.models.ways import Ways

TENSORS_MAX = 8  # in one cut
STEPS_MAX = 100_000  # of the search for cuts of more than one tensor: some ten seconds


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut: its index among the candidates, its tensors, their bytes and the share of work before it (0..1).

    The name is the tensors' names joined by "+", inputs first, then in the order they are made.
    """

    index: int
    name: str
    tensors: tuple[TensorSpec, ...]
    bytes: int
    work_before: float


def find_cuts(graph: Graph, k: int = 1) -> list[Cut]:
    """All candidates of 1..k tensors, by depth (nodes in the head). UsageError if k is out of range or too costly."""
    if not 1 <= k <= TENSORS_MAX:
        raise UsageError(f"a cut has 1 to {TENSORS_MAX} tensors, not {k}")
    found = [place for place in _minimal(graph, k) if not _obstacle(graph, place.alive)]
    return _describe(graph, found)


def blocked_places(graph: Graph, k: int = 1) -> list[str]:
    """What would be a candidate, were its tensors of a kind that can be sent: a reason for each."""
    return [reason for place in _minimal(graph, k) if (reason := _obstacle(graph, place.alive))]


def named_cut(graph: Graph, name: str) -> Cut:
    """The cut of that name, candidate or not (it need not be minimal). UsageError if there is none."""
    tensors = _split_name(graph, name.split("+"))
    if tensors is None:
        raise UsageError(
            f"no cut '{name}': the model has no such tensor that could cross; see `hedgerow model inspect`"
        )
    head = graph.head_of(tensors)
    alive = graph.alive(head)
    if set(alive) != set(tensors) or head in (0, graph.everything):
        others = sorted(set(alive) - set(tensors))
        why = f"'{others[0]}' must cross there too" if others else "nothing is left on one side of it"
        raise UsageError(f"'{name}' is no cut of the model: {why}; see `hedgerow model inspect`")
    reason = _obstacle(graph, alive)
    if reason:
        raise UsageError(f"the model cannot be cut at '{name}': {reason}")
    return _describe(graph, [_Place(head, frozenset(alive))])[0]


def choose_cuts(graph: Graph, joints: Sequence[str | int]) -> list[Cut]:
    """The cuts to keep as joints, by depth: names, or indices among the single-tensor candidates.

    UsageError if one does not exist, is named twice, or if two cross (neither's head contains the other's).
    """
    candidates = find_cuts(graph) if any(isinstance(joint, int) for joint in joints) else []
    chosen: list[Cut] = []
    for joint in joints:
        if isinstance(joint, str):
            chosen.append(named_cut(graph, joint))
        elif 0 <= joint < len(candidates):
            chosen.append(candidates[joint])
        else:
            raise UsageError(f"no cut {joint}: the model has {len(candidates)} candidates, counted from 0")
    chosen.sort(key=lambda cut: head_of(graph, cut).bit_count())
    for earlier, later in pairwise(chosen):
        if earlier.name == later.name:
            raise UsageError(f"joint '{earlier.name}' is named twice")
        if head_of(graph, earlier) & ~head_of(graph, later):
            raise UsageError(f"joints '{earlier.name}' and '{later.name}' cross: neither lies before the other")
    return chosen


def head_of(graph: Graph, cut: Cut) -> int:
    """The head before the cut."""
    return graph.head_of(tensor.name for tensor in cut.tensors)


def _obstacle(graph: Graph, names: Iterable[str]) -> str:
    """Why these tensors cannot cross, as a sentence; "" if they can."""
    return next((f"tensor '{name}' {graph.obstacle(name)}" for name in sorted(names) if graph.obstacle(name)), "")


def _describe(graph: Graph, places: Iterable["_Place"]) -> list[Cut]:
    """Cuts of these places, by depth and numbered."""
    total = graph.work or 1.0
    cuts: list[Cut] = []
    before, before_work = 0, 0.0
    for place in sorted(places, key=lambda place: (place.head.bit_count(), place.head)):
        if before & ~place.head:  # not nested, as cuts of several tensors may be: count from the start
            before, before_work = 0, 0.0
        before_work += graph.head_work(place.head & ~before)
        before = place.head
        names = graph.in_order(place.alive)
        specs = tuple(graph.spec(name) for name in names)
        size_bytes = sum(graph.assumed_bytes(name) for name in names)
        cuts.append(Cut(len(cuts), "+".join(names), specs, size_bytes, before_work / total))
    return cuts


def _split_name(graph: Graph, parts: list[str]) -> list[str] | None:
    """Tensor names joined by "+", where a name may itself hold one: the longest first that lets all be known."""
    if not parts:
        return []
    for count in range(len(parts), 0, -1):
        name = "+".join(parts[:count])
        if graph.knows(name):
            rest = _split_name(graph, parts[count:])
            if rest is not None:
                return [name, *rest]
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """A head and what is alive after it."""

    head: int
    alive: frozenset[str]

    def absorb(self, graph: Graph, name: str) -> "_Place":
        """The smallest larger head that holds every reader of `name`."""
        head = self.head | graph.head_that_reads(name)
        touched = set(self.alive)
        for node in graph.members(head & ~self.head):
            touched.update(node.makes)
        return _Place(head, frozenset(other for other in touched if graph.is_alive(other, head)))


def _minimal(graph: Graph, k: int) -> list[_Place]:
    """Places of the minimal cuts of 1..k tensors, whatever their kind."""
    start = _Place(0, frozenset(graph.alive(0)))
    if not start.alive:
        return []
    singles = list(_singles(graph, start))
    if k == 1:
        return singles
    found = list(_between(graph, [start, *singles], k))
    sets = {place.alive for place in (start, *singles, *found)}
    return singles + [place for place in found if not _contains_another(place.alive, sets)]


def _contains_another(alive: frozenset[str], sets: set[frozenset[str]]) -> bool:
    """Whether a proper, non-empty subset is in `sets`."""
    return any(frozenset(part) in sets for size in range(1, len(alive)) for part in combinations(alive, size))


def _singles(graph: Graph, place: _Place) -> Iterator[_Place]:
    """Places with one tensor alive after `place`, by depth, before that of everything.

    Whatever is alive beside a second tensor is no single cut itself, so letting its readers join skips none; an
    output of the model stays alive for good.
    """
    while True:
        free = place.alive - graph.output_names
        if not free:
            return
        place = place.absorb(graph, graph.first(free))
        if len(place.alive) == 1 and place.head != graph.everything:
            yield place


def _between(graph: Graph, nested: list[_Place], k: int) -> Iterator[_Place]:
    """Places with 2..k tensors alive that lie strictly between two neighbours of the nested ones, or after the last.

    A minimal cut of several tensors never straddles a single one, nor holds its tensor. Depth first with its own
    stack: a block may be a thousand nodes deep. A tensor is kept only where the rest can still cross in what is left.
    """
    steps = 0
    ways = Ways(graph)
    ends = [*nested[1:], _Place(graph.everything, frozenset())]
    for start, end in zip(nested, ends, strict=True):
        waiting: list[tuple[_Place, frozenset[str]]] = [(start, frozenset())]
        while waiting:
            steps += 1
            if steps > STEPS_MAX:
                raise UsageError(
                    f"too many ways to cut this model with {k} tensors ({STEPS_MAX:,} steps); ask for fewer"
                )
            place, kept = waiting.pop()
            if not kept <= place.alive or place.head & end.head == end.head:
                continue
            free = place.alive - kept
            if not free:
                if len(kept) > 1 and place.head:
                    yield place
                continue
            name = graph.first(free)
            if name not in graph.output_names:
                waiting.append((place.absorb(graph, name), kept))
            more = kept | {name}
            if len(more) <= k and not ways.more_than(k - len(more), free - {name}, more, end.alive):
                waiting.append((place, more))
