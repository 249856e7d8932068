"""A layered layout, left to right, after Sugiyama, Tagawa and Toda (1981).

Boxes are put into layers by the longest path that leads to them, ordered within each layer by barycentres to cross
few links, and moved up and down towards what they are linked with. A link that spans layers passes each between in
a slot of its own, so that no link runs across a box and no label across another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Box", "Layout", "Link", "Place", "arrange"]

_SWEEPS = 12
_BOX_GAP = 22.0
_SLOT_GAP = 16.0
_SLOT = 6.0
_HANG = 4.0  # links meet a box a little below its middle, because a label stands on its link
_STEP = 11.0  # between two arrowheads
_ROOM = 60.0  # for the curves between two layers


@dataclass(frozen=True, slots=True)
class Box:
    """Something to place: its size, without the room that its links need."""

    key: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Link:
    """From a box to another. `label` is the width of its label, which stands beside the source; `offset` is how
    far below the source's top it leaves, None where the layout may choose."""

    source: str
    target: str
    label: float = 0.0
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box lies: its upper left corner and its size. All boxes of a layer are equally wide."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """`places` by the boxes' keys; `routes` for each link, in order, the points that it passes. A route goes level
    from its 1st point to its 2nd, then by a curve to its 3rd, level to its 4th, and so on, ending level; one that
    goes `back` is straight from point to point. Everything lies between (0, 0) and (width, height)."""

    width: float
    height: float
    places: dict[str, Place]
    routes: list[list[tuple[float, float]]]
    back: frozenset[int]


@dataclass(slots=True)
class _Node:
    """A box, or the slot of a link in a layer that it only passes (`box` is None then)."""

    key: str
    layer: int
    box: Box | None
    height: float
    y: float = 0.0  # of the centre
    backs: dict[int, float] = field(default_factory=dict)  # where links that go back leave it
    left: list[_Part] = field(default_factory=list)
    right: list[_Part] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """The part of a link between two neighbouring layers. Offsets are from the centres."""

    link: int
    source: _Node
    target: _Node
    fixed: bool
    leaves: float = 0.0
    arrives: float = 0.0


def arrange(boxes: Sequence[Box], links: Sequence[Link], *, row: float = 22.0) -> Layout:
    """Places `boxes` so that `links` read from left to right; the same input gives the same layout. `row` is the
    least distance between two links that leave a box, room enough for a label."""
    back = _backward(boxes, links)
    layer_of = _layers(boxes, [link for number, link in enumerate(links) if number not in back])
    nodes = _nodes(boxes, links, layer_of, row)
    layers: list[list[_Node]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    for node in nodes.values():
        layers[node.layer].append(node)
    parts = _parts(nodes, layers, links, back, layer_of)
    _order(layers)
    _attach(layers, parts, row)
    _settle(layers)
    return _measured(layers, nodes, boxes, links, parts, back, layer_of, row)


def _backward(boxes: Sequence[Box], links: Sequence[Link]) -> frozenset[int]:
    """The links that would close a loop, found depth first in the order of declaration."""
    leaving: dict[str, list[tuple[int, str]]] = defaultdict(list)
    entered = {link.target for link in links}
    for number, link in enumerate(links):
        leaving[link.source].append((number, link.target))
    back: set[int] = set()
    done: dict[str, bool] = {}  # False while what follows is looked at
    starts = sorted((box.key for box in boxes), key=lambda key: key in entered)
    for start in starts:
        if start in done:
            continue
        done[start] = False
        stack = [(start, iter(leaving[start]))]
        while stack:
            key, rest = stack[-1]
            for number, target in rest:
                if target not in done:
                    done[target] = False
                    stack.append((target, iter(leaving[target])))
                    break
                if not done[target]:
                    back.add(number)
            else:
                done[key] = True
                stack.pop()
    return frozenset(back)


def _layers(boxes: Sequence[Box], links: Sequence[Link]) -> dict[str, int]:
    """The longest path to each box; then boxes that nothing leads to move right, next to what they lead to."""
    entering: dict[str, list[str]] = defaultdict(list)
    leaving: dict[str, list[str]] = defaultdict(list)
    for link in links:
        entering[link.target].append(link.source)
        leaving[link.source].append(link.target)
    layer: dict[str, int] = {}
    waiting = {box.key: len(entering[box.key]) for box in boxes}
    ready = [key for key, count in waiting.items() if count == 0]
    for key in ready:
        layer[key] = max((layer[source] + 1 for source in entering[key]), default=0)
        for target in leaving[key]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    first = next((key for key in ready if not entering[key]), None)
    for key in reversed(ready):
        # What is reached from the first box stays; a schedule and its handler go where their work is.
        if leaving[key] and not _reached(first, key, entering):
            layer[key] = max(layer[key], min(layer[target] for target in leaving[key]) - 1)
    used = sorted(set(layer.values()))
    return {key: used.index(number) for key, number in layer.items()}


def _reached(first: str | None, key: str, entering: dict[str, list[str]]) -> bool:
    seen, waiting = {key}, [key]
    for each in waiting:
        if each == first:
            return True
        for source in entering[each]:
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return False


def _nodes(boxes: Sequence[Box], links: Sequence[Link], layer_of: dict[str, int], row: float) -> dict[str, _Node]:
    free = Counter(link.source for link in links if link.offset is None)
    entering = Counter(link.target for link in links)
    nodes = {}
    for box in boxes:
        height = max(box.height, free[box.key] * row + 2 * _HANG, entering[box.key] * _STEP + 2 * _HANG + 6)
        nodes[box.key] = _Node(box.key, layer_of[box.key], box, height)
    return nodes


def _parts(
    nodes: dict[str, _Node],
    layers: list[list[_Node]],
    links: Sequence[Link],
    back: frozenset[int],
    layer_of: dict[str, int],
) -> list[list[_Part]]:
    """Each link cut at the layers that it passes; none for one that goes back."""
    cut: list[list[_Part]] = []
    for number, link in enumerate(links):
        chain: list[_Part] = []
        cut.append(chain)
        if number in back:
            if link.offset is None:
                nodes[link.source].backs[number] = 0.0
            continue
        here, end = nodes[link.source], nodes[link.target]
        while here is not end:
            there = end
            if here.layer + 1 < end.layer:
                there = _Node(f"{number}:{here.layer + 1}", here.layer + 1, None, _SLOT)
                layers[there.layer].append(there)
            fixed = here.box is not None and link.offset is not None
            part = _Part(number, here, there, fixed)
            if fixed and link.offset is not None:
                part.leaves = link.offset - here.height / 2
            here.right.append(part)
            there.left.append(part)
            chain.append(part)
            here = there
    return cut


def _order(layers: list[list[_Node]]) -> None:
    """Sorts each layer by the barycentres of its neighbours, to and fro, and keeps the order with the fewest
    crossings."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        rightward = sweep % 2 == 0
        for layer in layers[1:] if rightward else layers[-2::-1]:
            position = {node.key: place for near in layers for place, node in enumerate(near)}
            centres = {node.key: _barycentre(node, position, rightward) for node in layer}
            layer.sort(key=lambda node: (centres[node.key], position[node.key]))
        _swap(layers)
        crossed = _crossings(layers)
        if crossed < fewest:
            best, fewest = [list(layer) for layer in layers], crossed
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order


def _swap(layers: list[list[_Node]]) -> None:
    """Swaps neighbours as long as that crosses fewer links: barycentres alone leave some such pairs."""
    position = {node.key: place for layer in layers for place, node in enumerate(layer)}
    improved, rounds = True, 0
    while improved and rounds < _SWEEPS:
        improved, rounds = False, rounds + 1
        for layer in layers:
            for place in range(len(layer) - 1):
                upper, lower = layer[place], layer[place + 1]
                if _crossed(upper, lower, position) > _crossed(lower, upper, position):
                    layer[place], layer[place + 1] = lower, upper
                    position[upper.key], position[lower.key] = place + 1, place
                    improved = True


def _crossed(upper: _Node, lower: _Node, position: dict[str, int]) -> int:
    """How many links of the two would cross, the one being above the other."""
    left = [[_rank(part, position, True) for part in node.left] for node in (upper, lower)]
    right = [[_rank(part, position, False) for part in node.right] for node in (upper, lower)]
    return sum(1 for high, low in (left, right) for one in high for other in low if one > other)


def _barycentre(node: _Node, position: dict[str, int], rightward: bool) -> float:
    parts = node.left if rightward else node.right
    if not parts:
        return float(position[node.key])
    return sum(_rank(part, position, rightward) for part in parts) / len(parts)


def _rank(part: _Part, position: dict[str, int], rightward: bool) -> float:
    """Where the far end of a part is among its layer, with the row of a card that it leaves from."""
    if not rightward:
        return float(position[part.target.key])
    return position[part.source.key] + (part.leaves / part.source.height if part.fixed else 0.0)


def _crossings(layers: list[list[_Node]]) -> int:
    crossed = 0
    for layer in layers[:-1]:
        position = {node.key: place for near in layers for place, node in enumerate(near)}
        ends = sorted(
            (_rank(part, position, True), float(position[part.target.key])) for node in layer for part in node.right
        )
        for number, (leaves, arrives) in enumerate(ends):
            crossed += sum(1 for other in ends[:number] if other[0] < leaves and other[1] > arrives)
    return crossed


def _attach(layers: list[list[_Node]], parts: list[list[_Part]], row: float) -> None:
    """Says where on its boxes each part ends: sorted by where it goes, so that parts of one box do not cross."""
    position = {node.key: place for layer in layers for place, node in enumerate(layer)}
    for layer in layers:
        for node in layer:
            free = sorted((p for p in node.right if not p.fixed), key=lambda part: position[part.target.key])
            if node.box is not None:
                first = _HANG - (len(free) + len(node.backs) - 1) / 2 * row
                for number, part in enumerate(free):
                    part.leaves = first + number * row
                node.backs = {link: first + (len(free) + n) * row for n, link in enumerate(node.backs)}
            hang = 0.0 if node.box is None else _HANG
            arriving = sorted(node.left, key=lambda part: _rank(part, position, True))
            for number, part in enumerate(arriving):
                part.arrives = hang + (number - (len(arriving) - 1) / 2) * _STEP


def _settle(layers: list[list[_Node]]) -> None:
    """Moves every node towards its neighbours, without changing the order or letting two overlap."""
    for layer in layers:
        _spread(layer, [0.0] * len(layer), [1.0] * len(layer))
    for sweep in range(2 * _SWEEPS):
        rightward = sweep % 2 == 0
        last = sweep >= 2 * _SWEEPS - 2
        for layer in layers[1:] if rightward else layers[-2::-1]:
            wanted, weights = [], []
            for node in layer:
                pulls = _pulls(node, rightward, both=last)
                weight = sum(strength for strength, _ in pulls)
                wanted.append(sum(s * y for s, y in pulls) / weight if weight else node.y)
                weights.append(weight or 0.1)
            _spread(layer, wanted, weights)


def _pulls(node: _Node, rightward: bool, *, both: bool) -> list[tuple[float, float]]:
    """How strongly each neighbour pulls, and to which y. Slots pull each other most: long links run straight."""
    pulls = []
    if rightward or both:
        for part in node.left:
            strength = 6.0 if node.box is None and part.source.box is None else 1.0
            pulls.append((strength, part.source.y + part.leaves - part.arrives))
    if not rightward or both:
        for part in node.right:
            strength = 6.0 if node.box is None and part.target.box is None else 1.0
            pulls.append((strength, part.target.y + part.arrives - part.leaves))
    return pulls


def _spread(layer: list[_Node], wanted: list[float], weights: list[float]) -> None:
    """Gives each node the y nearest to the wanted one (least squares) at which the nodes keep their order and
    their distances: isotonic regression by pooling adjacent violators."""
    shift, shifts = 0.0, []
    for number, node in enumerate(layer):
        if number:
            shift += _distance(layer[number - 1], node)
        shifts.append(shift)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for y, weight, moved in zip(wanted, weights, shifts, strict=True):
        mean, total, count = y - moved, weight, 1
        while pools and pools[-1][0] > mean:
            other_mean, other_total, other_count = pools.pop()
            mean = (mean * total + other_mean * other_total) / (total + other_total)
            total, count = total + other_total, count + other_count
        pools.append((mean, total, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for node, mean, moved in zip(layer, means, shifts, strict=True):
        node.y = mean + moved


def _distance(upper: _Node, lower: _Node) -> float:
    gap = _BOX_GAP if upper.box is not None and lower.box is not None else _SLOT_GAP
    return (upper.height + lower.height) / 2 + gap


def _measured(
    layers: list[list[_Node]],
    nodes: dict[str, _Node],
    boxes: Sequence[Box],
    links: Sequence[Link],
    parts: list[list[_Part]],
    back: frozenset[int],
    layer_of: dict[str, int],
    row: float,
) -> Layout:
    if not boxes:
        return Layout(0.0, 0.0, {}, [], back)
    top = min(node.y - node.height / 2 for layer in layers for node in layer)
    lowest = max(node.y + node.height / 2 for layer in layers for node in layer) - top
    widths = [max((node.box.width for node in layer if node.box), default=0.0) for layer in layers]
    labels = [0.0] * len(layers)
    for link in links:
        labels[layer_of[link.source]] = max(labels[layer_of[link.source]], link.label)
    lefts = [0.0]
    for number, width in enumerate(widths[:-1]):
        lefts.append(lefts[-1] + width + labels[number] + _ROOM)
    places = {
        key: Place(lefts[node.layer], node.y - node.height / 2 - top, widths[node.layer], node.height)
        for key, node in nodes.items()
    }
    routes: list[list[tuple[float, float]]] = []
    lanes = 0
    for number, link in enumerate(links):
        if number in back:
            lanes += 1
            source = places[link.source]
            offset = source.height / 2 + nodes[link.source].backs[number] if link.offset is None else link.offset
            out = source.x + source.width + link.label + min(7 + 5 * lanes, _ROOM - 10)
            routes.append(_around(source, places[link.target], source.y + offset, out, lowest + lanes * row))
            continue
        points = []
        for part in parts[number]:
            layer, after = part.source.layer, part.target.layer
            y = part.source.y + part.leaves - top
            points.append((lefts[layer] + (widths[layer] if part.source.box is not None else 0.0), y))
            points.append((lefts[layer] + widths[layer] + labels[layer], y))
        y = part.target.y + part.arrives - top
        points.append((lefts[after], y))
        routes.append(points)
    width = lefts[-1] + widths[-1] + (labels[-1] + _ROOM if lanes else 0.0)
    return Layout(width, lowest + (lanes + 0.5) * row * bool(lanes), places, routes, back)


def _around(source: Place, target: Place, leaves: float, out: float, lane: float) -> list[tuple[float, float]]:
    """A way back: to the right as far as `out`, down to a lane below everything, left, up, and in from the left."""
    into, arrives = target.x - 18, target.y + target.height - 8
    return [
        (source.x + source.width, leaves),
        (out, leaves),
        (out, lane),
        (into, lane),
        (into, arrives),
        (target.x, arrives),
    ]
