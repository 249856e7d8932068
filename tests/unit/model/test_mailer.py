"""Declaring a mailer and its templates; what a template does with its data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from windlass.errors import DeclarationError, TemplateFault
from windlass.model.mailer import Mailer, MailTemplate
from windlass.model.system import System


def mailer(sender: str = "shop@example.com") -> Mailer:
    return System("shop").mailer("mails", sender=sender)


def template(text: str | None = None, *, subject: str = "Hello", html: str | None = None) -> MailTemplate:
    return mailer().template("welcome", subject=subject, text=text, html=html)


def test_a_template_is_filled_in() -> None:
    made = template("Dear {{ name }},\n", subject="Hello {{ name }}", html="<p>Dear {{ name }}</p>")
    assert made.render({"name": "Ann & Bob <3"}) == (
        "Hello Ann & Bob <3",
        "Dear Ann & Bob <3,\n",
        "<p>Dear Ann &amp; Bob &lt;3</p>",
    )


def test_bodies_that_are_not_there_stay_away() -> None:
    assert template("hi").render({}) == ("Hello", "hi", None)
    assert template(html="<p>hi</p>").render({}) == ("Hello", None, "<p>hi</p>")


def test_html_is_escaped_in_attributes_too() -> None:
    made = template(html='<a title="{{ title }}">{{ items | join(", ") }}</a>')
    attack = '" onclick="alert(1)'
    assert made.render({"title": attack, "items": ["<b>", "c"]})[2] == (
        '<a title="&#34; onclick=&#34;alert(1)">&lt;b&gt;, c</a>'
    )


def test_data_is_not_a_template() -> None:
    assert template("{{ name }}").render({"name": "{{ 7 * 7 }}"})[1] == "{{ 7 * 7 }}"


@pytest.mark.parametrize("attack", ["x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\x85Bcc: e", "x\u2028y"])
def test_a_subject_stays_on_one_line(attack: str) -> None:
    subject, _, _ = template("hi", subject="Hello {{ name }}").render({"name": attack})
    assert len(subject.splitlines()) == 1


@pytest.mark.parametrize(
    ("source", "data", "part"),
    [
        ("{{ name }}", {}, "'name' is undefined"),
        ("{{ user.name }}", {"user": {}}, "has no attribute 'name'"),
        ("{% if name %}x{% endif %}", {}, "'name' is undefined"),
        ("{% for item in items %}x{% endfor %}", {}, "'items' is undefined"),
        ("{{ 1 / count }}", {"count": 0}, "division by zero"),
        ("{{ count + 1 }}", {"count": "one"}, "str"),
        ("{{ range(10 ** 9) | list }}", {}, "Range too big"),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{{ line }}{% endfor %}{% endfor %}",
            {"line": "x" * 999},
            "longer than",
        ),
        # The ways out of a sandbox: https://jinja.palletsprojects.com/en/stable/sandbox/
        ("{{ ''.__class__.__mro__ }}", {}, "unsafe"),
        ("{{ ''['__class__']['__mro__'] }}", {}, "unsafe"),
        ("{{ (''|attr('__class__')).__mro__ }}", {}, "unsafe"),
        ("{{ name.send.__globals__ }}", {"name": mailer()}, "unsafe"),
        ("{{ '{0.__class__.__mro__}'.format(name) }}", {"name": "x"}, "unsafe"),
        ("{{ (name|attr('format'))(1) }}", {"name": "{0.__class__.__mro__}"}, "unsafe"),
        ("{{ items.append(1) }}", {"items": []}, "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", {}, "unsafe"),
    ],
)
def test_what_cannot_be_rendered_is_explained(source: str, data: Mapping[str, Any], part: str) -> None:
    with pytest.raises(TemplateFault, match="the text of the mail template 'welcome' cannot be rendered") as raised:
        template(source).render(data)
    assert part in str(raised.value)


def test_a_template_that_is_right_passes() -> None:
    template(
        "{% for n in names %}{{ n|upper }}{% endfor %}", html="{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}"
    ).check()


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("one\n{{ name", "text, line 2: "),
        ("{% if %}", "text, line 1: "),
        ("{% for x in y %}", "text, line 1: "),
        ("{{ name | no_such_filter }}", "no_such_filter"),
        ("{% include 'other.txt' %}", "includes, imports or extends"),
        ("{% extends base %}", "includes, imports or extends"),
    ],
)
def test_a_template_that_is_wrong_is_found_before_it_is_used(source: str, part: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        template(source).check()
    assert raised.value.where == "shop.mails.welcome"
    assert part in raised.value.summary
    assert raised.value.fix


def test_a_template_needs_a_body() -> None:
    with pytest.raises(DeclarationError, match="needs a body"):
        template()


def test_a_template_is_a_text() -> None:
    with pytest.raises(DeclarationError, match="not as a path"):
        mailer().template("welcome", subject="Hello", text=Path("welcome.txt"))  # type: ignore[arg-type]


def test_a_template_has_its_own_name() -> None:
    declared = mailer()
    declared.template("welcome", subject="Hello", text="hi")
    with pytest.raises(DeclarationError, match="declared twice"):
        declared.template("welcome", subject="Hello", text="hi")


@pytest.mark.parametrize("sender", ["shop@example.com", "The shop <shop@example.com>", "Łąka <shop@example.com>"])
def test_a_sender_is_an_address(sender: str) -> None:
    assert mailer(sender).sender == sender


@pytest.mark.parametrize("sender", ["shop", "shop@", "a@b.de, c@d.de", "shop@example.com\r\nBcc: eve@example.com", ""])
def test_a_sender_that_is_none_is_refused(sender: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        mailer(sender)
    assert raised.value.where == "shop.mails"
    assert "sender=" in raised.value.fix
