"""A document as a Mermaid flowchart, for READMEs: https://mermaid.js.org/syntax/flowchart.html"""

from __future__ import annotations

from windlass.graph.document import Document, Edge

__all__ = ["mermaid"]

# Each noun has one of Mermaid's shapes; a table is a cylinder, a queue a stadium, and so on.
_SHAPES = {
    "table": ("[(", ")]"),
    "queue": ("([", "])"),
    "schedule": ("((", "))"),
    "mailer": (">", "]"),
    "secret": ("{{", "}}"),
    "user_pool": ("[[", "]]"),
    "site": ("[/", "/]"),
    "alarm": ("{{", "}}"),
}


def mermaid(document: Document) -> str:
    """The text of the flowchart, ending in a line break; the same document gives the same text. Arrows that start
    a handler are thick; the others carry the operations that the handler may use."""
    lines = ["flowchart LR"]
    apis = [resource for resource in document.resources if resource.noun == "api" and resource.routes]
    sites = [resource for resource in document.resources if resource.noun == "site"]
    if apis or sites:
        lines.append('  callers(["callers"])')
    for api in apis:
        lines.append(f"  subgraph resource_{api.name}[{_quoted(f'{api.name} (api)')}]")
        lines += [
            f"    {_route(api.name, number)}[{_quoted(f'{route.method} {route.path}')}]"
            for number, route in enumerate(api.routes)
        ]
        lines.append("  end")
    lines += [f"  handler_{handler.name}[{_quoted(handler.name)}]" for handler in document.handlers]
    for resource in document.resources:
        if resource.noun != "api":
            left, right = _SHAPES.get(resource.noun, ("[", "]"))
            lines.append(
                f"  resource_{resource.name}{left}{_quoted(f'{resource.name} ({_words(resource.noun)})')}{right}"
            )
    for api in apis:
        for number, route in enumerate(api.routes):
            lines.append(f"  callers --> {_route(api.name, number)}")
            lines.append(f"  {_route(api.name, number)} ==> handler_{route.handler}")
    lines += [f"  callers --> resource_{site.name}" for site in sites]
    routed = {(f"resource:{api.name}", f"handler:{route.handler}") for api in apis for route in api.routes}
    drawn = {resource.name for resource in document.resources if resource.noun != "api" or resource.routes}
    for edge in document.edges:
        name = edge.source.removeprefix("resource:")
        if (edge.source, edge.target) not in routed and (edge.source.startswith("handler:") or name in drawn):
            lines.append(f"  {_arrow(edge)}")
    return "\n".join(lines) + "\n"


def _arrow(edge: Edge) -> str:
    source, target = edge.source.replace(":", "_"), edge.target.replace(":", "_")
    label = _quoted(", ".join(edge.operations))
    if edge.kind == "triggers":
        return f"{source} == {label} ==> {target}"
    return f"{source} -- {label} --> {target}"


def _route(api: str, number: int) -> str:
    return f"route_{api}_{number}"


def _words(noun: str) -> str:
    return noun.replace("_", " ")


def _quoted(text: str) -> str:
    """`text` between quotes, with Mermaid's own entities for what would end them or be read as markup."""
    entities = {"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    return '"' + "".join(entities.get(character, character) for character in text) + '"'
