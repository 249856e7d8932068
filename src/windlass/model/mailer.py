"""A mailer: sends texts and HTML, written by templates, from one address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from windlass.errors import DeclarationError, InvalidItem
from windlass.model.resource import Resource, check_name, operation
from windlass.ports.binding import port
from windlass.ports.mailer import Mail, MailerPort

if TYPE_CHECKING:
    from jinja2 import Environment

    from windlass.model.system import System

__all__ = ["MailTemplate", "Mailer"]


class MailTemplate:
    """A subject and bodies in Jinja's language, rendered in its sandbox: `{{ name }}`. HTML is escaped; a name
    that the data lacks is an error, never an empty text."""

    def __init__(self, mailer: Mailer, name: str, *, subject: str, text: str | None, html: str | None) -> None:
        self.mailer, self.name = mailer, check_name(name, "mail template")
        if text is None and html is None:
            raise DeclarationError(
                "a template needs a body", where=f"{mailer.where}.{name}", fix="give text=..., html=..., or both"
            )
        self.subject, self.text, self.html = subject, text, html

    def render(self, data: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
        """Subject, text and HTML for `data`. Raises InvalidItem naming what `data` lacks."""
        import jinja2  # imported when a mail is written: it would cost every start 30 ms

        try:
            subject = _environment(escape=False).from_string(self.subject).render(data)
            text = None if self.text is None else _environment(escape=False).from_string(self.text).render(data)
            html = None if self.html is None else _environment(escape=True).from_string(self.html).render(data)
        except jinja2.TemplateError as error:
            raise InvalidItem(f"the mail template {self.name!r} cannot be rendered: {error}") from error
        return " ".join(subject.split()), text, html


class Mailer(Resource):
    """Declared with `system.mailer(name, sender="sla@example.com")`."""

    noun = "mailer"

    def __init__(self, system: System, name: str, *, sender: str) -> None:
        super().__init__(system, name)
        if "@" not in sender or any(ord(c) < 32 for c in sender):
            raise DeclarationError(
                f"sender={sender!r} is not a mail address", where=self.where, fix='sender="name@example.com"'
            )
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
        cc: Sequence[str] = (),
        bcc: Sequence[str] = (),
        reply_to: Sequence[str] = (),
    ) -> str:
        """Sends a mail, from a template and its data or from the given subject and bodies; returns its id.

        Accepted means durable: it is delivered even if the process dies now. Raises InvalidItem for a bad address,
        a line break in a header, more than 50 recipients or more than 10 MB, as SES has it.
        """
        if template is not None:
            if template.mailer is not self:
                raise InvalidItem(f"the template {template.name!r} belongs to {template.mailer.name}, not {self.name}")
            subject, text, html = template.render(data or {})
        mailer: MailerPort = port(self.name, "send")
        recipients = (to,) if isinstance(to, str) else tuple(to)
        return mailer.send(
            Mail(self.sender, recipients, subject, text, html, tuple(cc), tuple(bcc), tuple(reply_to))
        )


_environments: dict[bool, Environment] = {}


def _environment(*, escape: bool) -> Environment:
    if escape not in _environments:
        from jinja2 import StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        _environments[escape] = ImmutableSandboxedEnvironment(
            autoescape=escape, undefined=StrictUndefined, keep_trailing_newline=True
        )
    return _environments[escape]
