"""The drawing: well-formed, self-contained, legible, and the same each time."""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from windlass.graph.build import build
from windlass.graph.document import Document
from windlass.graph.svg import PALETTE, svg
from windlass.model.system import System

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Job:
    id: str


def drawn(document: Document) -> ElementTree.Element:
    return ElementTree.fromstring(svg(document))


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()).replace("\n", " ") for text in root.iter(f"{SVG}text")]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_it_needs_nothing_else(document: Document) -> None:
    text = svg(document)
    root = drawn(document)
    assert not [element for element in root.iter() if element.tag.endswith(("script", "image", "use", "a"))]
    assert "url(" not in text
    assert text.count("http") == 1  # the namespace
    assert text == svg(document)


def test_it_speaks_to_screen_readers(document: Document) -> None:
    root = drawn(document)
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert title.text == "Orders & payments: how it fits together"
    words = description.text or ""
    assert words.startswith("10 resources and 9 handlers. ")
    assert "The api api starts place (POST /orders)." in words
    assert "by_day may use the table placed (by_day.query)." in words


def test_everything_is_in_it(document: Document) -> None:
    found = texts(drawn(document))
    for resource in document.resources:
        assert resource.name in found
        for route in resource.routes:
            assert f"{route.method:<7}{route.path}" in found
    for handler in document.handlers:
        assert handler.name in found
    for edge in document.edges:
        if not edge.operations[0].startswith(("GET", "POST", "DELETE")):
            assert ", ".join(edge.operations) in found


def test_no_label_lies_on_another(document: Document) -> None:
    labels = [
        (float(text.get("x", "")), float(text.get("y", "")), len(text.text or "") * 6.5)
        for group in drawn(document).iter(f"{SVG}g")
        if group.get("transform", "").startswith("translate(28 28)")
        for text in group.findall(f"{SVG}text")
    ]
    assert len(labels) >= 18
    for number, (x, y, width) in enumerate(labels):
        for other_x, other_y, other_width in labels[:number]:
            assert x + width < other_x or other_x + other_width < x or abs(y - other_y) >= 12


def test_what_is_read_stands_out_in_both_schemes() -> None:
    for scheme in (0, 1):
        for name, colours in PALETTE.items():
            if name not in ("ground", "card", "line"):
                for ground in ("ground", "card"):
                    assert contrast(colours[scheme], PALETTE[ground][scheme]) >= 4.5, (name, scheme)


def test_markup_in_a_declaration_stays_text() -> None:
    system = System("sly", title="<script>alert(1)</script> & co")
    system.mailer("mail", sender="Shop <shop@example.com>")
    text = svg(build(system))
    assert "<script>" not in text
    assert "mail from Shop <shop@example.com>" in texts(ElementTree.fromstring(text))


def test_an_allowed_loop_and_an_empty_system_can_be_drawn() -> None:
    system = System("loops")
    assert drawn(build(system)).tag == f"{SVG}svg"
    jobs = system.queue("jobs", Job)

    @jobs.consumer(uses=[jobs.send], allow_cycle=True)
    def again(job: Job) -> None: ...

    assert {"again", "jobs", "send", "receive"} <= set(texts(drawn(build(system))))


def test_the_drawing_of_the_sample_is_as_it_was_looked_at(document: Document) -> None:
    golden = Path(__file__).with_name("orders.svg")
    assert svg(document) == golden.read_text(encoding="utf-8"), f"look at the new drawing, then write it to {golden}"
