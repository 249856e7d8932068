"""Properties of every layout: nothing overlaps, and links go from where they start to where they end."""

from hypothesis import given
from hypothesis import strategies as st

from windlass.graph.layout import Box, Layout, Link, Place, arrange

Graph = tuple[list[Box], list[Link]]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    sizes = draw(st.lists(st.tuples(st.integers(20, 200), st.integers(20, 120)), min_size=1, max_size=9))
    boxes = [Box(f"b{number}", float(width), float(height)) for number, (width, height) in enumerate(sizes)]
    keys = [box.key for box in boxes]
    ends = draw(st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(keys)), unique=True, max_size=16))
    links = []
    for source, target in ends:
        offset = draw(st.sampled_from([None, 10.0]))
        links.append(Link(source, target, float(draw(st.integers(0, 90))), offset))
    return boxes, links


def apart(one: Place, other: Place) -> bool:
    return (
        one.x + one.width < other.x
        or other.x + other.width < one.x
        or one.y + one.height < other.y
        or other.y + other.height < one.y
    )


def level_parts(layout: Layout, number: int) -> list[tuple[float, float, float]]:
    """The stretches of a route that are level: from x, to x, at y. The first begins at a box, and is left out."""
    points = layout.routes[number]
    pairs = zip(points[2::2], points[3::2], strict=False)
    return [(start[0], end[0], start[1]) for start, end in pairs]


@given(graphs())
def test_boxes_do_not_overlap_and_are_large_enough(graph: Graph) -> None:
    boxes, links = graph
    layout = arrange(boxes, links)
    places = list(layout.places.values())
    assert all(apart(one, other) for number, one in enumerate(places) for other in places[:number])
    for box in boxes:
        place = layout.places[box.key]
        assert place.width >= box.width
        assert place.height >= box.height
        assert place.x >= 0
        assert place.y >= -0.001
        assert place.x + place.width <= layout.width
        assert place.y + place.height <= layout.height + 0.001


@given(graphs())
def test_links_end_at_their_boxes(graph: Graph) -> None:
    boxes, links = graph
    layout = arrange(boxes, links)
    for link, points in zip(links, layout.routes, strict=True):
        source, target = layout.places[link.source], layout.places[link.target]
        assert points[0][0] == source.x + source.width
        assert source.y <= points[0][1] <= source.y + source.height
        assert points[-1][0] == target.x
        assert target.y <= points[-1][1] <= target.y + target.height


@given(graphs())
def test_links_go_to_the_right_and_pass_between_the_boxes(graph: Graph) -> None:
    boxes, links = graph
    layout = arrange(boxes, links)
    for number in set(range(len(links))) - layout.back:
        points = layout.routes[number]
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        for start, end, y in level_parts(layout, number):
            for place in layout.places.values():
                assert not (start < place.x + place.width and place.x < end and place.y < y < place.y + place.height)


@given(graphs())
def test_the_same_graph_has_the_same_layout(graph: Graph) -> None:
    assert arrange(*graph) == arrange(*graph)


def test_a_chain_is_a_straight_line() -> None:
    boxes = [Box(key, 100.0, 40.0) for key in "abc"]
    layout = arrange(boxes, [Link("a", "b"), Link("b", "c")])
    assert len({place.y for place in layout.places.values()}) == 1
    assert [layout.places[key].x for key in "abc"] == sorted(layout.places[key].x for key in "abc")


def test_a_box_that_nothing_leads_to_stands_before_what_it_leads_to() -> None:
    boxes = [Box(key, 100.0, 40.0) for key in ("first", "second", "third", "schedule")]
    layout = arrange(boxes, [Link("first", "second"), Link("second", "third"), Link("schedule", "third")])
    assert layout.places["schedule"].x == layout.places["second"].x


def test_a_loop_goes_back_below() -> None:
    boxes = [Box(key, 100.0, 40.0) for key in "ab"]
    layout = arrange(boxes, [Link("a", "b"), Link("b", "a", 30.0)])
    assert layout.back == {1}
    assert max(y for _, y in layout.routes[1]) > max(p.y + p.height for p in layout.places.values())


def test_nothing_at_all() -> None:
    assert arrange([], []) == Layout(0.0, 0.0, {}, [], frozenset())
