"""A document as a drawing: one SVG file that needs nothing else, for light and dark pages and for screen readers.

Colours are attributes, which a page with a strict Content-Security-Policy shows too; the dark ones are in a style
element, because only a style can ask which scheme is in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from windlass.graph.document import Document, Edge, HandlerNode, ResourceNode
from windlass.graph.layout import Box, Layout, Link, Place, arrange

__all__ = ["PALETTE", "svg"]

_MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_MARGIN = 28.0
_ROW = 22.0
_API_HEAD = 46.0
_API_ROW = 26.0
_CARD = 50.0
_ICON = 34.0  # what the icon takes of a card's width

# Light and dark. What is read is at least 4.5:1 against `ground` and `card` (WCAG 2.2, 1.4.3).
PALETTE = {
    "ground": ("#ffffff", "#0f1419"),
    "card": ("#f7f9fb", "#1a2129"),
    "line": ("#c3ccd6", "#3a4654"),
    "text": ("#17212b", "#e8edf2"),
    "quiet": ("#566370", "#9dabb9"),
    "triggers": ("#1f5fbf", "#7fb2ff"),
    "uses": ("#5f6c79", "#8e9cab"),
    "api": ("#1f5fbf", "#7fb2ff"),
    "handler": ("#0b7a5b", "#4fd1a5"),
    "table": ("#8a5200", "#f0b35c"),
    "queue": ("#a03a13", "#ff9d76"),
    "schedule": ("#7a3fb8", "#c9a0f5"),
    "mailer": ("#b02a5e", "#f790b7"),
    "secret": ("#566370", "#b4c0cc"),
    "user_pool": ("#3b4cb8", "#a3b0ff"),
    "site": ("#00707a", "#4cc9d6"),
    "alarm": ("#b02a5e", "#f790b7"),
}

# 16 by 16, drawn as lines.
_ICONS = {
    "callers": "M8 8a3 3 0 1 0 0-6a3 3 0 0 0 0 6M2.5 14.5c0-3 2.4-5 5.5-5s5.5 2 5.5 5",
    "api": "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M1.5 8h13M8 1.5c-4 4-4 9 0 13M8 1.5c4 4 4 9 0 13",
    "handler": "M5.5 3.5L1.5 8l4 4.5M10.5 3.5l4 4.5l-4 4.5",
    "table": "M2.5 3.8c0-3 11-3 11 0s-11 3-11 0v8.4c0 3 11 3 11 0V3.8M2.5 8c0 3 11 3 11 0",
    "queue": "M1.5 4.5h3v7h-3zM6.5 4.5h3v7h-3zM11.5 4.5h3v7h-3z",
    "schedule": "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M8 4.2V8l2.8 1.8",
    "mailer": "M1.5 3.5h13v9h-13zM1.5 4l6.5 5l6.5-5",
    "secret": "M10.8 1.8a3.4 3.4 0 1 0 .01 0M8.2 7.6L1.8 14M4 11.8l2 2M6 9.8l1.6 1.6",
    "user_pool": "M6 7.5a2.6 2.6 0 1 0 0-5.2a2.6 2.6 0 0 0 0 5.2M1.2 13.8c0-2.9 2-4.8 4.8-4.8s4.8 1.9 4.8 4.8"
    "M10.2 2.6a2.4 2.4 0 0 1 0 4.6M12.4 9.6c1.5.7 2.4 2.2 2.4 4.2",
    "site": "M1.5 2.5h13v11h-13zM1.5 5.8h13M3.6 4.2h.01M5.6 4.2h.01",
    "alarm": "M3 11.5c1.4-1.2 1.5-2.6 1.5-4.5a3.5 3.5 0 0 1 7 0c0 1.9.1 3.3 1.5 4.5z"
    "M6.6 13.6a1.5 1.5 0 0 0 2.8 0M8 3.5V1.8",
    "other": "M2.5 2.5h11v11h-11z",
}


def svg(document: Document) -> str:
    """The drawing, ending in a line break; the same document gives the same text."""
    apis = {resource.name: resource for resource in document.resources if resource.noun == "api"}
    boxes, links, edges = _graph(document, apis)
    layout = arrange(boxes, links, row=_ROW)
    legend = layout.height + 2 * _MARGIN + 6
    width, height = max(layout.width + 2 * _MARGIN, 420.0), legend + _MARGIN
    name = document.system
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
        f'height="{_n(height)}" role="img" aria-labelledby="{name}-title {name}-desc" '
        f'font-family="{_SANS}" font-size="12">',
        f'<title id="{name}-title">{escape(document.title)}: how it fits together</title>',
        f'<desc id="{name}-desc">{escape(_described(document))}</desc>',
        f"<style>{_style(name)}</style>",
        f'<g class="{name}-diagram"><rect width="100%" height="100%" {_colour("fill", "ground")}/>',
        f'<g transform="translate({_n(_MARGIN)} {_n(_MARGIN)})">',
    ]
    for number, edge in enumerate(edges):
        parts.append(_arrow(layout, number, edge))
    for number, edge in enumerate(edges):
        parts.append(_label(layout, number, edge))
    parts += _cards(document, layout.places)
    parts.append("</g>")
    parts += _legend(_MARGIN, legend)
    parts.append("</g></svg>")
    return "\n".join(part for part in parts if part) + "\n"


def _graph(document: Document, apis: dict[str, ResourceNode]) -> tuple[list[Box], list[Link], list[Edge]]:
    """What is laid out: a card for the callers, each resource and each handler, and the arrows among them. An
    api's arrows leave from its rows, one for each route."""
    boxes, links, edges = [], [], []
    called = [api for api in apis.values() if api.routes]
    sites = [resource for resource in document.resources if resource.noun == "site"]
    if called or sites:
        boxes.append(Box("callers", 96.0, 40.0))
    for resource in document.resources:
        boxes.append(_box(resource))
    boxes += [Box(f"handler:{h.name}", _ICON + 12 + _mono(h.name), 38.0) for h in document.handlers]
    for api in called:
        links.append(Link("callers", f"resource:{api.name}"))
        edges.append(Edge("callers", f"resource:{api.name}", "triggers"))
        for number, route in enumerate(api.routes):
            offset = _API_HEAD + (number + 0.5) * _API_ROW
            links.append(Link(f"resource:{api.name}", f"handler:{route.handler}", 0.0, offset))
            edges.append(Edge(f"resource:{api.name}", f"handler:{route.handler}", "triggers"))
    for site in sites:
        links.append(Link("callers", f"resource:{site.name}"))
        edges.append(Edge("callers", f"resource:{site.name}", "triggers"))
    routed = {(edge.source, edge.target) for edge in edges}
    for edge in document.edges:
        if (edge.source, edge.target) in routed:
            continue
        head = _API_HEAD / 2 + 4 if edge.source.removeprefix("resource:") in apis else None
        links.append(Link(edge.source, edge.target, _small(_text(edge)) + 14, head))
        edges.append(edge)
    return boxes, links, edges


def _box(resource: ResourceNode) -> Box:
    key = f"resource:{resource.name}"
    if resource.noun == "api":
        rows = [_mono(f"{_method(r.method)}{r.path}") + (22 if not r.public else 0) for r in resource.routes]
        head = _ICON + max(_mono(resource.name), _small(_note(resource)))
        return Box(key, 26 + max([head, *rows]), _API_HEAD + len(rows) * _API_ROW + (8 if rows else 0))
    return Box(key, _ICON + 14 + max(_mono(resource.name), _small(_note(resource))), _CARD)


def _mono(text: str) -> float:
    return len(text) * 7.9


def _small(text: str) -> float:
    return len(text) * 6.5


def _method(method: str) -> str:
    return f"{method:<7}"


def _text(edge: Edge) -> str:
    return ", ".join(edge.operations)


def _note(resource: ResourceNode) -> str:
    """The second line of a resource's card: its noun and the one setting that tells most."""
    settings = resource.settings
    match resource.noun:
        case "api":
            auth: dict[str, Any] = settings["auth"] or {}
            return f"api, {'; '.join(f'{_words(kind)} {name}' for kind, name in auth.items()) or 'open to all'}"
        case "table":
            return f"table by {', '.join(key for key in (settings['key'], settings['sort']) if key)}"
        case "queue":
            return f"{'FIFO ' if settings['fifo'] else ''}queue, {settings['max_attempts']} attempts"
        case "schedule":
            every = settings["every"]
            return settings["cron"] if every is None else f"every {timedelta(seconds=every)}"
        case "mailer":
            return f"mail from {settings['sender']}"
        case "user_pool":
            return f"users by {settings['sign_in']}"
        case "site":
            return f"site from {settings['folder']}/"
        case "alarm":
            return f"{settings['watched']} {settings['bound']}"
        case noun:
            return _words(noun)


def _words(noun: str) -> str:
    return noun.replace("_", " ")


def _cards(document: Document, places: dict[str, Place]) -> Iterator[str]:
    if "callers" in places:
        yield _card(places["callers"], "callers", "callers", "", "uses", "Whoever sends requests", round=True)
    for resource in document.resources:
        place = places[f"resource:{resource.name}"]
        if resource.noun == "api":
            yield from _api(resource, place)
        else:
            colour = resource.noun if resource.noun in PALETTE else "quiet"
            tip = f"{_words(resource.noun)} {resource.name}"
            yield _card(place, resource.noun, resource.name, _note(resource), colour, tip)
    for handler in document.handlers:
        yield _card(places[f"handler:{handler.name}"], "handler", handler.name, "", "handler", _tip(handler))


def _tip(handler: HandlerNode) -> str:
    return f"{handler.name}: {handler.doc}" if handler.doc else f"{handler.module}.{handler.qualname}"


def _card(place: Place, icon: str, name: str, note: str, colour: str, tip: str, *, round: bool = False) -> str:
    middle = place.height / 2
    radius = place.height / 2 if round else 8.0
    lines = f'<text x="{_n(_ICON)}" y="{_n(middle + (-3 if note else 4.5))}" {_name()}>{escape(name)}</text>'
    if note:
        lines += f'<text x="{_n(_ICON)}" y="{_n(middle + 14)}" {_quiet()}>{escape(note)}</text>'
    return (
        f'<g transform="translate({_n(place.x)} {_n(place.y)})"><title>{escape(tip)}</title>'
        f'<rect width="{_n(place.width)}" height="{_n(place.height)}" rx="{_n(radius)}" '
        f"{_colour('fill', 'card')} {_colour('stroke', 'line')}/>"
        f"{_icon(icon, colour, 10, middle - 8)}{lines}</g>"
    )


def _api(resource: ResourceNode, place: Place) -> Iterator[str]:
    yield (
        f'<g transform="translate({_n(place.x)} {_n(place.y)})"><title>{escape(f"api {resource.name}")}</title>'
        f'<rect width="{_n(place.width)}" height="{_n(place.height)}" rx="8" '
        f"{_colour('fill', 'card')} {_colour('stroke', 'line')}/>"
        f"{_icon('api', 'api', 10, _API_HEAD / 2 - 8)}"
        f'<text x="{_n(_ICON)}" y="{_n(_API_HEAD / 2 - 3)}" {_name()}>{escape(resource.name)}</text>'
        f'<text x="{_n(_ICON)}" y="{_n(_API_HEAD / 2 + 13)}" {_quiet()}>{escape(_note(resource))}</text>'
    )
    for number, route in enumerate(resource.routes):
        y = _API_HEAD + number * _API_ROW
        tip = "for anybody" if route.public else f"for {' or '.join(route.roles) or 'whoever is signed in'}"
        yield (
            f"<g><title>{escape(f'{route.method} {route.path}, {tip}')}</title>"
            f'<path d="M0 {_n(y)}h{_n(place.width)}" {_colour("stroke", "line")} fill="none"/>'
            f'<text x="12" y="{_n(y + _API_ROW / 2 + 4.5)}" font-family="{_MONO}" xml:space="preserve">'
            f'<tspan {_colour("fill", "triggers")} font-weight="600">{_method(route.method)}</tspan>'
            f"<tspan {_colour('fill', 'text')}>{escape(route.path)}</tspan></text>"
        )
        if not route.public:
            yield _lock(place.width - 20, y + _API_ROW / 2)
        yield "</g>"
    yield "</g>"


def _lock(x: float, y: float) -> str:
    return (
        f'<path d="M{_n(x)} {_n(y - 1)}h8v6h-8zM{_n(x + 1.5)} {_n(y - 1)}v-2a2.5 2.5 0 0 1 5 0v2" fill="none" '
        f'{_colour("stroke", "quiet")} stroke-width="1.2"/>'
    )


def _icon(icon: str, colour: str, x: float, y: float) -> str:
    drawing = _ICONS.get(icon, _ICONS["other"])
    return (
        f'<path transform="translate({_n(x)} {_n(y)})" d="{drawing}" fill="none" {_colour("stroke", colour)} '
        f'stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _arrow(layout: Layout, number: int, edge: Edge) -> str:
    points = layout.routes[number]
    x, y = points[-1]
    if number in layout.back:
        path = _straight(points)
    else:
        path = f"M{_n(points[0][0])} {_n(points[0][1])}"
        for index in range(1, len(points)):
            (x0, y0), (x1, y1) = points[index - 1], points[index]
            bend = (x1 - x0) * 0.5
            if index % 2 == 1 or abs(y1 - y0) < 0.05:
                path += f"L{_n(x1)} {_n(y1)}"
            else:
                path += f"C{_n(x0 + bend)} {_n(y0)} {_n(x1 - bend)} {_n(y1)} {_n(x1)} {_n(y1)}"
    triggers = edge.kind == "triggers"
    dash = "" if triggers else ' stroke-dasharray="5 3"'
    return (
        f'<path d="{path}" fill="none" {_colour("stroke", edge.kind)} stroke-width="{1.8 if triggers else 1.3}"{dash}/>'
        f'<path d="M{_n(x)} {_n(y)}l-8 -4v8z" {_colour("fill", edge.kind)}/>'
    )


def _straight(points: list[tuple[float, float]]) -> str:
    """A line through `points` with round corners."""
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (x0, y0), (x1, y1) = _towards(corner, before), _towards(corner, after)
        path += f"L{_n(x0)} {_n(y0)}Q{_n(corner[0])} {_n(corner[1])} {_n(x1)} {_n(y1)}"
    return path + f"L{_n(points[-1][0])} {_n(points[-1][1])}"


def _towards(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """A point 8 from `start` on the way to `end`, half-way where that is nearer."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = abs(dx) + abs(dy)
    share = min(8.0, length / 2) / length if length else 0.0
    return start[0] + dx * share, start[1] + dy * share


def _label(layout: Layout, number: int, edge: Edge) -> str:
    if not edge.operations:
        return ""
    x, y = layout.routes[number][0]
    return (
        f'<text x="{_n(x + 7)}" y="{_n(y - 5)}" {_colour("fill", edge.kind)} font-size="11">'
        f"{escape(_text(edge))}</text>"
    )


def _legend(x: float, y: float) -> Iterator[str]:
    for kind, text, left in (("triggers", "starts", x), ("uses", "may use", x + 100)):
        dash = ' stroke-dasharray="5 3"' if kind == "uses" else ""
        yield (
            f'<path d="M{_n(left)} {_n(y)}h30" {_colour("stroke", kind)} stroke-width="1.6"{dash}/>'
            f'<path d="M{_n(left + 34)} {_n(y)}l-8 -4v8z" {_colour("fill", kind)}/>'
            f'<text x="{_n(left + 42)}" y="{_n(y + 4)}" {_quiet()}>{text}</text>'
        )
    yield _lock(x + 218, y) + f'<text x="{_n(x + 233)}" y="{_n(y + 4)}" {_quiet()}>asks who is calling</text>'


def _described(document: Document) -> str:
    """The drawing in words: every arrow is a sentence."""
    sentences = [f"{len(document.resources)} resources and {len(document.handlers)} handlers."]
    nouns = {resource.name: _words(resource.noun) for resource in document.resources}
    for edge in document.edges:
        source, target = (end.split(":", 1)[1] for end in (edge.source, edge.target))
        operations = ", ".join(edge.operations)
        if edge.kind == "triggers":
            sentences.append(f"The {nouns[source]} {source} starts {target} ({operations}).")
        else:
            sentences.append(f"{source} may use the {nouns.get(target, '')} {target} ({operations}).")
    return " ".join(sentences)


def _style(name: str) -> str:
    dark = "".join(
        f".{name}-diagram [{attribute}={quoteattr(light)}]{{{attribute}:{dark}}}"
        for light, dark in dict(PALETTE.values()).items()
        for attribute in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark){{{dark}}}"


def _colour(attribute: str, name: str) -> str:
    return f'{attribute}="{PALETTE[name][0]}"'


def _name() -> str:
    return f'font-family="{_MONO}" font-size="13" font-weight="600" {_colour("fill", "text")}'


def _quiet() -> str:
    return f'font-size="11" {_colour("fill", "quiet")}'


def _n(value: float) -> str:
    """A number with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")
