"""The Mermaid flowchart."""

from windlass.graph.build import build
from windlass.graph.diagram import mermaid
from windlass.graph.document import Document, ResourceNode, RouteNode
from windlass.model.system import System
from windlass.ports.api import Caller, Request


def test_the_flowchart_of_a_small_system() -> None:
    system = System("small")

    @system.authorizer()
    def guard(request: Request) -> Caller:
        return Caller("1")

    key = system.secret("key")
    api = system.api("api", auth=guard)
    system.api("unused")

    @api.get("/items/{id}", uses=[key.read])
    def one(id: str) -> None: ...

    assert mermaid(build(system)) == (
        "flowchart LR\n"
        '  callers(["callers"])\n'
        '  subgraph resource_api["api (api)"]\n'
        '    route_api_0["GET /items/{id}"]\n'
        "  end\n"
        '  handler_guard["guard"]\n'
        '  handler_one["one"]\n'
        '  resource_key{{"key (secret)"}}\n'
        "  callers --> route_api_0\n"
        "  route_api_0 ==> handler_one\n"
        '  handler_one -- "read" --> resource_key\n'
        '  resource_api == "authorize" ==> handler_guard\n'
    )


def test_every_noun_has_a_shape(document: Document) -> None:
    lines = mermaid(document).splitlines()
    for line in (
        '  resource_placed[("placed (table)")]',
        '  resource_payments(["payments (queue)"])',
        '  resource_nightly(("nightly (schedule)"))',
        '  resource_mail>"mail (mailer)"]',
        '  resource_bank_key{{"bank_key (secret)"}}',
        '  resource_users[["users (user pool)"]]',
        '  resource_nightly == "tick" ==> handler_summary',
        '  handler_by_day -- "by_day.query" --> resource_placed',
        '  resource_api -- "verify" --> resource_users',
    ):
        assert line in lines
    assert lines.count("  callers --> route_api_0") == 1


def test_what_is_markup_to_mermaid_is_escaped() -> None:
    route = RouteNode(method="GET", path='/"<b>#`&', handler="read", status=200, public=True, roles=[], max_body=1)
    api = ResourceNode(name="api", noun="api", settings={}, routes=[route])
    made = Document(system="sly", title="", description="", resources=[api], handlers=[], edges=[])
    assert '    route_api_0["GET /#quot;#lt;b#gt;#35;#96;#amp;"]' in mermaid(made).splitlines()
