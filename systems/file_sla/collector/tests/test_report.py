from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_sla_collector.report import MAX_BODY_BYTES, Post, encode, split
from file_sla_collector.scan import Breach, LateFile
from hand_clock import START
from hypothesis_settings import fixed_examples

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
FILES = st.builds(LateFile, NAMES, st.datetimes(timezones=st.just(START.tzinfo)))
BREACHES = st.lists(
    st.builds(Breach, NAMES, st.integers(20, 1440), st.lists(FILES, min_size=1, max_size=12).map(tuple)),
    max_size=8,
)


def test_a_post_is_what_the_contract_says() -> None:
    (post,) = split([Breach("/data/in", 20, (LateFile("é.csv", START - timedelta(hours=1)),))])
    assert post.payload() == {
        "sla_error": [
            {
                "folder": "/data/in",
                "sla": 20,
                "files": [{"filename": "é.csv", "creationDate": "2026-03-01T11:00:00.000000Z"}],
            }
        ]
    }


def test_no_breach_is_no_post() -> None:
    assert list(split([])) == []


@fixed_examples
@given(BREACHES, st.integers(700, 3000), st.integers(1, 20), st.integers(1, 5))
def test_splitting_keeps_every_file_in_order_and_every_bound(
    breaches: list[Breach], max_bytes: int, max_files: int, max_entries: int
) -> None:
    posts = list(split(breaches, max_bytes=max_bytes, max_files=max_files, max_entries=max_entries))
    sent = [(b.folder, b.sla, file) for post in posts for b in post.breaches for file in b.files]
    assert sent == [(b.folder, b.sla, file) for b in breaches for file in b.files]
    for post in posts:
        assert len(encode(post.payload())) <= max_bytes
        assert 1 <= sum(len(breach.files) for breach in post.breaches) <= max_files
        assert 1 <= len(post.breaches) <= max_entries
        assert all(breach.files for breach in post.breaches)


@fixed_examples
@given(BREACHES)
def test_what_fits_is_one_post(breaches: list[Breach]) -> None:
    assert list(split(breaches)) == ([Post(tuple(breaches))] if breaches else [])


def test_a_post_is_filled_to_the_byte() -> None:
    breaches = [Breach("in", 20, (LateFile("a", START),)), Breach("in", 20, (LateFile("b", START),))]
    both = len(encode(Post(tuple(breaches)).payload()))
    assert len(list(split(breaches, max_bytes=both))) == 1
    assert len(list(split(breaches, max_bytes=both - 1))) == 2


def test_a_folder_with_very_many_files_becomes_several_posts() -> None:
    files = tuple(LateFile(f"{n:06d}-{'x' * 200}", START) for n in range(5000))
    posts = list(split([Breach("in", 20, files)]))
    assert len(posts) > 1
    assert all(len(encode(post.payload())) <= MAX_BODY_BYTES for post in posts)
    assert [f for post in posts for b in post.breaches for f in b.files] == list(files)


def test_the_longest_paths_there_are_fit_into_a_post() -> None:
    longest = "\u20ac" * 32_767
    assert len(list(split([Breach(longest, 1440, (LateFile(longest, START),))]))) == 1


def test_one_file_above_the_bound_is_an_error_not_a_loss() -> None:
    with pytest.raises(ValueError, match="more than the"):
        list(split([Breach("in", 20, (LateFile("x" * 500, START),))], max_bytes=300))


@fixed_examples
@given(BREACHES)
def test_encoding_is_the_same_again_after_reading_back(breaches: list[Breach]) -> None:
    body = encode(Post(tuple(breaches)).payload())
    assert encode(json.loads(body)) == body
