"""The report is sound HTML that loads nothing, escapes everything and says what it leaves out."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from autods.report.facts import Counts, Examples, Facts, Labels, Refused
from autods.report.html import render_report, write_report
from test_report_facts import (
    HOSTILE,
    any_facts,
    cats,
    empty,
    few,
    many_classes,
    one_class,
    picture,
)

_VOID = {"meta", "img", "br", "link", "input", "hr"}
_LOADING = ("src", "href", "action", "formaction", "data", "poster", "srcset", "background")


class _Reader(HTMLParser):
    """Reads a page as elements, and refuses one whose elements do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, [name for name, _ in attrs]) for tag, attrs in self.elements]


def _assert_sound(page: str) -> _Reader:
    reader = _Reader(page)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for _, attrs in reader.elements:
        for name, value in attrs:
            assert not name.startswith("on")
            if name in _LOADING:
                assert re.match(r"#|data:image/(jpeg|png|gif|webp);base64,", value or "")
    return reader


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_and_nothing_else(text: str) -> None:
    page = render_report(cats(text))
    assert _assert_sound(page).shape == _Reader(render_report(cats("harmless"))).shape


def test_control_characters_and_turned_text_are_shown_as_escapes() -> None:
    page = render_report(cats(HOSTILE[5]))
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800-\udfff]", page)
    assert "\\u202egnp.exe" in page


@few
@given(any_facts())
@pytest.mark.slow
def test_any_facts_make_a_sound_page(facts: Facts) -> None:
    page = render_report(facts)
    _assert_sound(page)
    page.encode()


@pytest.mark.parametrize(
    "facts",
    [empty(), one_class("cat"), one_class(None), one_class("\u0642\u0637\u0637 \u732b")],
    ids=["nothing accepted", "one class", "no labels", "other scripts"],
)
def test_small_versions_have_a_page_too(facts: Facts) -> None:
    _assert_sound(render_report(facts))


def test_styles_load_nothing() -> None:
    style = re.search(r"<style>(.*?)</style>", render_report(cats()), re.DOTALL)
    assert style
    assert not re.search(r"url\(|@import|@font-face|https?:", style[1])


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_bars_stand_out_from_the_paper(scheme: int) -> None:
    """The least contrasts of WCAG 2: 4.5 for text, 3 for what is drawn."""
    root = re.findall(r":root \{(.*?)\}", render_report(cats()), re.DOTALL)[scheme]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", root))
    paper = colours.pop("paper")
    text = {"ink", "soft", "link", "kept", "twin", "held", "refused", "failed"}
    for name in colours.keys() - {"line", "wash"}:
        darker, lighter = sorted((_luminance(colours[name]), _luminance(paper)))
        assert (lighter + 0.05) / (darker + 0.05) >= (4.5 if name in text else 3), name


def test_every_link_leads_to_a_place_on_the_page_and_every_id_is_one() -> None:
    elements = _Reader(render_report(cats())).elements
    ids = [value for _, attrs in elements for name, value in attrs if name == "id"]
    links = [value for _, attrs in elements for name, value in attrs if name == "href"]
    assert len(ids) == len(set(ids))
    assert {f"#{one}" for one in ids} >= set(links)


def test_pictures_have_alternative_text_and_tables_have_scopes_and_captions() -> None:
    elements = _Reader(render_report(cats())).elements
    for tag, attrs in elements:
        assert tag != "img" or dict(attrs)["alt"]
        assert tag != "th" or "scope" in dict(attrs)
        assert tag != "svg" or dict(attrs)["aria-label"]
    tags = [tag for tag, _ in elements]
    assert tags.count("table") == tags.count("caption") > 5
    assert tags.count("h1") == 1


def test_the_page_shows_the_sum_and_the_score_with_their_numbers() -> None:
    text = " ".join(_Reader(render_report(cats())).text.split())
    assert "130 inputs = 100 accepted + 11 duplicates + 1 withheld + 15 rejected + 3 failed" in text
    assert "Quality score 78.7 = 100 × 100 accepted ÷ (130 inputs − 3 failed)" in text


def test_long_lists_are_cut_and_the_page_says_so() -> None:
    facts = replace(
        cats(),
        counts=Counts(inputs=10_100, accepted=100, rejected_by={"blank": 10_000}),
        examples=Examples(
            gallery=[picture(f"{n}.jpg") for n in range(60)],
            refused=[Refused(uri=f"{n}.jpg", reason="blank") for n in range(5_000)],
        ),
    )
    text = " ".join(_Reader(render_report(facts)).text.split())
    assert "showing 8 of 60" in text
    assert "showing 100 of 10,000" in text
    assert "99.jpg" in text
    assert "100.jpg" not in text


def test_a_thousand_classes_are_counted_and_the_page_stays_small() -> None:
    page = render_report(many_classes(1500))
    assert "Showing 1,000 of 1,500 classes" in page
    assert len(page) < 2_000_000


def test_bytes_that_are_no_picture_are_never_embedded() -> None:
    svg = replace(picture(), data=b"<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    page = render_report(replace(cats(), examples=Examples(gallery=[svg])))
    assert "no preview" in page
    assert "image/svg" not in page


def _turned(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(reversed(list(mapping.items())))


def test_the_same_facts_give_the_same_page_in_whatever_order_they_were_counted() -> None:
    facts = cats()
    counts, labels = facts.counts, facts.labels
    turned = replace(
        facts,
        counts=replace(counts, rejected_by=_turned(counts.rejected_by)),
        labels=Labels(
            by_class_and_split=_turned(labels.by_class_and_split),
            kinds=_turned(labels.kinds),
            conflicts=labels.conflicts,
            functions=labels.functions,
        ),
    )
    assert render_report(facts) == render_report(facts) == render_report(turned)


def test_write_report_leaves_one_complete_file(tmp_path: Path) -> None:
    path = write_report(cats(HOSTILE[5]), tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == render_report(cats(HOSTILE[5]))
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_where_the_members_lie_is_told_by_tier() -> None:
    text = _Reader(render_report(cats())).text
    assert "hot, 1.5 MB" in text
    assert "cold, 900 B" in text
