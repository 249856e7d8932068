"""The post of alarms: what has changed, why, and what to do about it, in one mail for a system."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from windlass.engines.embedded.alarm import AlarmBook
from windlass.engines.embedded.alarm_evidence import Clue, Evidence
from windlass.engines.embedded.mailer import EmbeddedMailer
from windlass.engines.embedded.namespace import Namespace
from windlass.engines.embedded.smtp import SmtpSettings
from windlass.model.mailer import Mailer, MailTemplate
from windlass.model.system import System
from windlass.ports.alarm import AlarmChange, AlarmStatus, said
from windlass.ports.clock import from_epoch
from windlass.ports.mailer import Mail

__all__ = ["MAILER", "AlarmPost", "alarm_mailer"]

MAILER = "alarms"
"""The name of the mailer that every system has for this; a system cannot declare one of that name."""

_NOBODY = "operator@localhost"
# Evaluations come every 60 seconds: what changes at one goes out with what changes at the next.
_TOGETHER_SECONDS = 58.0
_FLAPPING_CHANGES = 4
_FLAPPING_SECONDS = 3600.0
_CALM_SECONDS = 900.0

_TEXT = """\
{% for alarm in alarms -%}
{{ alarm.state }}  {{ alarm.name }}
{%- if alarm.description %}
  {{ alarm.description }}{% endif %}
  {{ alarm.subject }}
  seen:   {{ alarm.seen }}
  rule:   {{ alarm.condition }}
  since:  {{ alarm.since }}
{%- for note in alarm.notes %}
  {{ note }}{% endfor %}
{%- if alarm.clues %}
  latest:
{%- for clue in alarm.clues %}
    {{ clue.moment }}  {{ clue.text }}
{%- if clue.trace %}
      windlass traces {{ clue.trace }}{% endif %}{% endfor %}{% endif %}
{%- for word, command in alarm.commands %}
  {{ word }}:   {{ command }}{% endfor %}

{% endfor -%}
All alarms of {{ title }}: windlass alarms {{ system }}
"""

_HTML = """\
<!doctype html>
<html lang="en"><body style="font: 15px/1.5 system-ui, sans-serif; max-width: 46em">
{% for alarm in alarms -%}
<div style="border-left: 5px solid {{ alarm.colour }}; margin: 0 0 1.5em; padding: 0 0 0 1em">
<h2 style="font-size: 17px; margin: 0"><span style="color: {{ alarm.colour }}">{{ alarm.state }}</span>
{{ alarm.name }}</h2>
{% if alarm.description %}<p style="margin: 0">{{ alarm.description }}</p>{% endif %}
<table style="border-spacing: 0 2px">
<tr><td style="padding-right: 1em">what</td><td>{{ alarm.subject }}</td></tr>
<tr><td>seen</td><td><b>{{ alarm.seen }}</b></td></tr>
<tr><td>rule</td><td>{{ alarm.condition }}</td></tr>
<tr><td>since</td><td>{{ alarm.since }}</td></tr>
</table>
{% for note in alarm.notes %}<p style="margin: 0">{{ note }}</p>{% endfor %}
{% if alarm.clues %}<ul>{% for clue in alarm.clues %}
<li>{{ clue.moment }} {{ clue.text }}{% if clue.trace %}<br>
<code>windlass traces {{ clue.trace }}</code>{% endif %}</li>{% endfor %}
</ul>{% endif %}
{% for word, command in alarm.commands %}<div>{{ word }}: <code>{{ command }}</code></div>{% endfor %}
</div>
{% endfor -%}
<p>All alarms of {{ title }}: <code>windlass alarms {{ system }}</code></p>
</body></html>
"""

_COLOURS = {"ALARM": "#b3261e", "OK": "#0b7a5b", "NO DATA": "#566370"}


def alarm_mailer(
    system: System, namespace: Namespace, smtp: SmtpSettings | None, arrived: Callable[[], None]
) -> EmbeddedMailer:
    """The mailer for a system's alarms: it hands on to SMTP only where the system says whom to tell."""
    settings = system.alarm_settings
    return EmbeddedMailer(
        Mailer(system, MAILER, sender=settings.sender), namespace, smtp if settings.to else None, arrived
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a mail says of one alarm."""

    state: str
    name: str
    description: str
    subject: str
    condition: str
    seen: str
    since: str
    notes: list[str]
    clues: list[Clue]
    commands: list[tuple[str, str]]
    colour: str = field(default="")


class AlarmPost:
    """Tells of the changes that wait in a book.

    Those of one evaluation and of the next go into one mail. An alarm of which four changes were told within an hour
    flaps: what it does next waits until its state has stayed the same for a quarter of an hour, and is then told as
    one. A mail and the note that its changes were told are one transaction, so each change is told once, whenever the
    process dies. `mask` hides secrets.
    """

    def __init__(
        self,
        book: AlarmBook,
        mailer: EmbeddedMailer,
        namespace: Namespace,
        evidence: Evidence,
        mask: Callable[[str], str],
    ) -> None:
        self._book, self._mailer, self._evidence, self._mask = book, mailer, evidence, mask
        self._store, self._clock = namespace.store, namespace.clock
        self._template = MailTemplate(mailer.model, "changes", subject="{{ subject }}", text=_TEXT, html=_HTML)

    def tell(self) -> int:
        """Sends what is to be told now; returns how many changes wait still."""
        waiting = self._book.waiting()
        if not waiting:
            return 0
        now = self._clock.now()
        told = self._book.told_since(now - _FLAPPING_SECONDS)
        changes: dict[str, list[AlarmChange]] = defaultdict(list)
        for change in waiting:
            changes[change.alarm].append(change)
        ready = {
            name: done
            for name, done in changes.items()
            if told.get(name, 0) < _FLAPPING_CHANGES or not 0 <= now - done[-1].at < _CALM_SECONDS
        }
        if not ready or 0 <= now - min(done[0].at for done in ready.values()) < _TOGETHER_SECONDS:
            return len(waiting)
        statuses = {status.rule.name: status for status in self._book.statuses()}
        entries = [
            self._entry(statuses[name], done, told.get(name, 0)) for name, done in ready.items() if name in statuses
        ]
        entries.sort(key=lambda entry: (entry.state != "ALARM", entry.name))
        gone = [change for done in ready.values() for change in done]
        with self._store.atomic():
            if entries:
                self._mailer.send(self._mail(entries))
            self._book.mark_told(gone)
        return len(waiting) - len(gone)

    def _mail(self, entries: Sequence[_Entry]) -> Mail:
        system = self._book.system
        data: Mapping[str, object] = {
            "subject": f"{system.title}: {_summary(entries)}",
            "title": system.title,
            "system": system.name,
            "alarms": entries,
        }
        subject, text, html = self._template.render(data)
        to = system.alarm_settings.to or (_NOBODY,)
        return Mail(self._mailer.model.sender, to, subject, text, html)

    def _entry(self, status: AlarmStatus, changes: Sequence[AlarmChange], told: int) -> _Entry:
        rule = status.rule
        state = "NO DATA" if status.state == "INSUFFICIENT_DATA" else status.state
        since = changes[-1].at if status.since is None else status.since
        notes = []
        if status.state != "ALARM" and (lasted := self._lasted(rule.name, changes)) is not None:
            notes.append(f"It was in ALARM for {lasted}.")
        if len(changes) > 2:
            notes.append(f"It has changed {len(changes)} times since it was told of last.")
        if told < _FLAPPING_CHANGES <= told + len(changes):
            notes.append(
                "It goes back and forth: its next changes are told when its state has stayed the same for 15 minutes."
            )
        clues, commands = self._evidence.of(rule, changes[0].at, alarmed=status.state == "ALARM")
        return _Entry(
            state=state,
            name=rule.name,
            description=rule.description,
            subject=rule.subject,
            condition=rule.condition,
            seen=status.reason,
            since=_moment(since),
            notes=notes,
            clues=[Clue(clue.moment, self._mask(clue.text), clue.trace) for clue in clues],
            commands=commands,
            colour=_COLOURS[state],
        )

    def _lasted(self, name: str, changes: Sequence[AlarmChange]) -> str | None:
        """How long it was in ALARM before it left that state."""
        left = next((change for change in reversed(changes) if change.old == "ALARM"), None)
        if left is None:
            return None
        entered = (one for one in self._book.history(100, name) if one.new == "ALARM" and one.number < left.number)
        start = next(entered, None)
        return None if start is None else said(max(1.0, left.at - start.at), "seconds")


def _summary(entries: Sequence[_Entry]) -> str:
    if len(entries) == 1:
        return f"{entries[0].state} {entries[0].name}"
    alarms = sum(entry.state == "ALARM" for entry in entries)
    over = len(entries) - alarms
    parts = [f"{alarms} alarm{'s' if alarms > 1 else ''}"] if alarms else []
    parts += [f"{over} over"] if over else []
    return ", ".join(parts)


def _moment(seconds: float) -> str:
    return from_epoch(seconds).strftime("%Y-%m-%d %H:%M:%SZ")
