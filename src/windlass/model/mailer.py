"""A mailer: sends texts and HTML, written by templates, from one address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.errors import DeclarationError, InvalidItem, TemplateFault
from windlass.model.resource import Resource, check_name, operation
from windlass.ports.binding import port
from windlass.ports.mailer import Mail, MailerPort

if TYPE_CHECKING:
    from jinja2 import Environment, Template

    from windlass.model.system import System

__all__ = ["MailTemplate", "Mailer"]


class MailTemplate:
    """A subject and bodies in Jinja's language, rendered in its sandbox: `{{ name }}`. HTML is escaped; a name
    that the data lacks is an error, never an empty text. A body of more than 10 MB is an error too."""

    def __init__(self, mailer: Mailer, name: str, *, subject: str, text: str | None, html: str | None) -> None:
        self.mailer, self.name = mailer, check_name(name, "mail template")
        if text is None and html is None:
            raise DeclarationError(
                "a template needs a body", where=f"{mailer.where}.{name}", fix="give text=..., html=..., or both"
            )
        self.subject, self.text, self.html = subject, text, html
        self._compiled: dict[str, Template] | None = None

    def check(self) -> None:
        """Raises DeclarationError for a part that is not in Jinja's language. Whoever checks or starts a system
        calls this; a declaration does not, as to import Jinja would cost every start 30 ms."""
        self._templates()

    def render(self, data: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
        """Subject, text and HTML for `data`. Raises TemplateFault naming what `data` lacks."""
        import jinja2

        rendered: dict[str, str] = {}
        for part, template in self._templates().items():
            try:
                rendered[part] = _joined(template.generate(data))
            # Beside its own errors Jinja lets through what an expression raises: {{ 1 / count }}, {{ range(10**9) }}.
            except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise TemplateFault(
                    f"the {part} of the mail template {self.name!r} cannot be rendered: {error}"
                ) from error
        return " ".join(rendered["subject"].split()), rendered.get("text"), rendered.get("html")

    def _templates(self) -> dict[str, Template]:
        """Each part, compiled."""
        if self._compiled is None:
            import jinja2
            from jinja2.meta import find_referenced_templates

            compiled = {}
            for part, source in (("subject", self.subject), ("text", self.text), ("html", self.html)):
                if source is None:
                    continue
                where, environment = f"{self.mailer.where}.{self.name}", _environment(escape=part == "html")
                try:
                    compiled[part] = environment.from_string(source)
                    others = list(find_referenced_templates(environment.parse(source)))
                except jinja2.TemplateError as error:
                    line = getattr(error, "lineno", 1)
                    raise DeclarationError(
                        f"{part}, line {line}: {error.message}",
                        where=where,
                        fix="write it in Jinja's language, https://jinja.palletsprojects.com/templates/",
                    ) from error
                if others:
                    raise DeclarationError(
                        f"{part} includes, imports or extends another template",
                        where=where,
                        fix="put the texts together in Python, before they are given to template()",
                    )
            self._compiled = compiled
        return self._compiled


class Mailer(Resource):
    """Declared with `system.mailer(name, sender="sla@example.com")`; `"Shop <shop@example.com>"` will do too."""

    noun = "mailer"

    def __init__(self, system: System, name: str, *, sender: str) -> None:
        super().__init__(system, name)
        # Imported for a system that sends mail: the email package costs 15 ms.
        from windlass.model.mime import parse_address

        try:
            parse_address(sender, "sender")
        except InvalidItem as error:
            raise DeclarationError(
                f"sender={sender!r}: {error.detail}",
                where=self.where,
                fix='sender="name@example.com" or sender="Name <name@example.com>"',
            ) from None
        self.sender = sender
        self.templates: dict[str, MailTemplate] = {}

    def template(self, name: str, *, subject: str, text: str | None = None, html: str | None = None) -> MailTemplate:
        """Declares a template. A `Path` is not read here: give the texts themselves."""
        if any(isinstance(part, Path) for part in (subject, text, html)):
            raise DeclarationError(
                "a template is given as text, not as a path", where=self.where, fix="text='Dear {{ name }}, ...'"
            )
        if name in self.templates:
            raise DeclarationError(f"the template {name!r} is declared twice", where=self.where, fix="rename one")
        made = MailTemplate(self, name, subject=subject, text=text, html=html)
        self.templates[name] = made
        return made

    @operation
    def send(
        self,
        to: str | Sequence[str],
        template: MailTemplate | None = None,
        data: Mapping[str, Any] | None = None,
        *,
        subject: str = "",
        text: str | None = None,
        html: str | None = None,
        cc: str | Sequence[str] = (),
        bcc: str | Sequence[str] = (),
        reply_to: str | Sequence[str] = (),
    ) -> str:
        """Sends a mail, from a template and its data or from the given subject and bodies; returns its id.

        Accepted means durable: it is delivered even if the process dies now. Raises InvalidItem for a bad address,
        a line break in a header, more than 50 recipients or more than 10 MB, as SES has it.
        """
        if template is not None:
            if template.mailer is not self:
                raise InvalidItem(f"the template {template.name!r} belongs to {template.mailer.name}, not {self.name}")
            if subject or text is not None or html is not None:
                raise InvalidItem("a mail is written by a template, or has a subject and bodies of its own, not both")
            subject, text, html = template.render(data or {})
        elif data is not None:
            raise InvalidItem("data is for a template, and none is given")
        mailer: MailerPort = port(self.name, "send")
        return mailer.send(Mail(self.sender, _each(to), subject, text, html, _each(cc), _each(bcc), _each(reply_to)))


def _each(addresses: str | Sequence[str]) -> tuple[str, ...]:
    return (addresses,) if isinstance(addresses, str) else tuple(addresses)


def _joined(pieces: Iterable[str]) -> str:
    """A template's output, as long as a mail could hold it: a loop in a template ends here at the latest."""
    from windlass.model.mime import MAX_BYTES

    taken: list[str] = []
    room = MAX_BYTES
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise ValueError(f"it is longer than a mail may be, {MAX_BYTES:,} bytes")
        taken.append(piece)
    return "".join(taken)


_environments: dict[bool, Environment] = {}


def _environment(*, escape: bool) -> Environment:
    if escape not in _environments:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        _environments[escape] = ImmutableSandboxedEnvironment(
            autoescape=escape, undefined=StrictUndefined, keep_trailing_newline=True
        )
    return _environments[escape]
