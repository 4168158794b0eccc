"""The page in a real browser: nothing is asked for, nothing breaks, and it can be used."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jobs import write_report
from tests.jobs.report import tables
from tests.jobs.report.health import planted
from tests.jobs.report.test_writing import SECTIONS

pytestmark = pytest.mark.browser

CHARTS = ["durations", "confusion", "map", "boxes", "histogram", "correlations"]

#: A track of metal below the wrong label.
SWAPPED = "disco/swapped.wav"

_CHROMIUM = "/usr/bin/chromium"
_PHONE = {"width": 390, "height": 844}


#: Colours of the border of an element and of the page.
BORDER_AND_PAPER = """element => [getComputedStyle(element).borderTopColor,
    getComputedStyle(document.body).backgroundColor]"""


def contrast(colours: list[str]) -> float:
    """Contrast ratio of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        shares = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
        r, g, b = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted(map(luminance, colours))
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page of a corpus in which each defect is planted."""
    place = tmp_path_factory.mktemp("report")
    planted.write_good(place / "music")
    planted.write_defects(place / "music")
    planted.write(place / "music" / SWAPPED, planted.music("metal", 200))
    planted.make_table(place)
    write_report(place / "table", place / "report.html")
    return place / "report.html"


@pytest.fixture(scope="module")
def hostile(hostile_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("hostile-report") / "report.html"
    write_report(hostile_table, output)
    return output


class Opened:
    """A page that is open, and what it complained of or asked for."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on("console", lambda message: self.troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", self._requested)
        page.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))
        self._url = path.as_uri()
        page.goto(self._url)

    def _requested(self, request: Any) -> None:
        if request.url != self._url:
            self.troubles.append(f"request: {request.url}")

    def draw_all(self) -> list[str]:
        """Scroll to each chart, wait until it is drawn, and return the names of all charts."""
        names = []
        for chart in self.page.locator(".chart").all():
            chart.scroll_into_view_if_needed()
            self.page.wait_for_function(
                "chart => chart.dataset.state === 'drawn'", arg=chart.element_handle()
            )
            assert chart.locator("canvas").count() == 1
            names.append(str(chart.get_attribute("id")).removeprefix("chart-"))
        return names

    def is_too_wide(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def opened(browser: Browser, path: Path, **options: Any) -> Opened:
    return Opened(browser.new_page(**options), path)


def tooltip_at(opened: Opened, path: str) -> str:
    """Point at a track on the map and return what is shown."""
    page = opened.page
    place = page.evaluate(
        """path => {
            const columns = JSON.parse(document.getElementById("report-data").textContent)
                .map.columns;
            const i = columns.path.indexOf(path);
            return [columns.x[i], columns.y[i]];
        }""",
        path,
    )
    canvas = page.locator("#chart-map canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    domain = 1.06  # of the axes, from -0.03 to 1.03
    margin = 5  # around the view
    width, height = box["width"] - 2 * margin, box["height"] - 2 * margin
    x = box["x"] + margin + width * (place[0] + 0.03) / domain
    y = box["y"] + margin + height * (1 - (place[1] + 0.03) / domain)
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x, y)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5000)
    return tooltip.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, _PHONE], ids=["wide", "phone"])
def test_it_opens_without_errors_or_requests(
    browser: Browser, report: Path, scheme: str, size: dict[str, int]
) -> None:
    found = opened(browser, report, viewport=size, color_scheme=scheme)
    assert found.draw_all() == CHARTS
    for section in SECTIONS:
        assert found.page.locator(f"section#{section} h2").is_visible()
    assert not found.is_too_wide()
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark")
    assert found.troubles == []
    found.page.close()


def test_charts_follow_the_theme(browser: Browser, report: Path) -> None:
    """Most of what the histogram draws has the accent colour, also after a change."""
    found = opened(browser, report, color_scheme="light")
    found.draw_all()
    is_accent = """() => {
        const canvas = document.querySelector("#chart-histogram canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const counts = new Map();
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] < 255) continue;
            const name = "#" + [...data.slice(i, i + 3)]
                .map((value) => value.toString(16).padStart(2, "0")).join("");
            counts.set(name, (counts.get(name) ?? 0) + 1);
        }
        const most = [...counts].sort((one, other) => other[1] - one[1])[0][0];
        const style = getComputedStyle(document.documentElement);
        return most === style.getPropertyValue("--accent").trim();
    }"""
    assert found.page.evaluate(is_accent)
    found.page.emulate_media(color_scheme="dark")
    found.page.wait_for_function(is_accent)
    found.page.close()


def test_paper_is_light_and_has_all_charts_and_findings(browser: Browser, report: Path) -> None:
    found = opened(browser, report, color_scheme="dark")
    page = found.page
    page.evaluate(
        """() => {
            window.printed = [];
            addEventListener("beforeprint", () => {
                const style = getComputedStyle(document.documentElement);
                window.printed.push(style.getPropertyValue("--paper").trim());
                window.printed.push(document.querySelectorAll(
                    "#health details:not([open]), #errors details:not([open])").length);
            });
            // Before other listeners of the page: what was on paper is still there.
            addEventListener("afterprint", () => {
                window.printed.push(document.querySelectorAll(".chart canvas").length);
            }, { capture: true });
        }"""
    )
    n_closed = "document.querySelectorAll('details:not([open])').length"
    closed = page.evaluate(n_closed)
    page.pdf()
    assert page.evaluate("window.printed") == ["#ffffff", 0, len(CHARTS)]
    page.wait_for_function("[...document.querySelectorAll('.chart canvas')].length === 6")
    assert page.evaluate(n_closed) == closed
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert found.troubles == []
    page.close()


def test_a_chart_that_is_drawn_again_leaves_no_listeners(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.add_init_script(
        """window.listening = 0;
        const { addEventListener: add, removeEventListener: remove } = window;
        window.addEventListener = (...all) => { window.listening += 1; add(...all); };
        window.removeEventListener = (...all) => { window.listening -= 1; remove(...all); };"""
    )
    page.goto(report.as_uri())
    page.locator("#chart-histogram").scroll_into_view_if_needed()
    page.wait_for_selector("#chart-histogram[data-state=drawn] canvas")
    page.wait_for_selector("#chart-boxes[data-state=drawn] canvas")
    counts = []
    for _ in range(8):
        page.locator("#feature-on").click()
        page.wait_for_selector("#chart-histogram canvas")
        page.wait_for_timeout(100)
        counts.append(page.evaluate("window.listening"))
    assert counts[-1] == counts[2]
    page.close()


def test_without_scripts_it_does_not_promise_charts(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert "Scripts are off" in page.inner_text("#main")
    assert "is drawn when" not in page.inner_text("#main")
    assert SWAPPED in str(page.text_content("#finding-mislabelled"))
    context.close()


def test_hover_shows_the_file(browser: Browser, report: Path) -> None:
    found = opened(browser, report, viewport={"width": 1280, "height": 900})
    found.draw_all()
    for name in (SWAPPED, "folk/hum.wav"):
        assert name in tooltip_at(found, name)
    assert found.troubles == []
    found.page.close()


def test_the_map_follows_label_and_name(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    found.draw_all()
    page.locator("#map-list summary").click()
    page.locator("#map-query").fill("CANCELL")
    expect(page.locator("#map-rows th")).to_have_text(["disco/cancelling.wav"])
    page.locator("#map-query").fill("")
    page.locator("#map-pick").select_option(index=2)
    label, count = page.locator("#map-pick option").nth(2).inner_text()[:-1].split(" (")
    expect(page.locator("#map-rows tr")).to_have_count(int(count))
    assert set(page.locator("#map-rows td:nth-child(2)").all_inner_texts()) == {label}
    page.locator("#map-reset").click()
    assert page.locator("#map-pick").input_value() == "-1"
    assert found.troubles == []
    page.close()


def test_another_feature_is_chosen(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    found.draw_all()
    page.locator("#feature-pick").select_option(value="0")
    assert "root" in page.locator("#feature-definition").inner_text().lower()
    page.locator("figure:has(#feature-rows) summary").first.click()
    first = page.locator("#feature-rows").inner_text()
    page.locator("figure:has(#feature-bins) summary").last.click()
    counts = [int(n) for n in page.locator("#feature-bins td:last-child").all_inner_texts()]
    data = page.evaluate("JSON.parse(document.getElementById('report-data').textContent)")
    assert counts == [n for n in data["features"]["features"][0]["bins"] if n]
    page.locator("#feature-on").click()
    assert page.locator("#feature-pick").input_value() == "1"
    assert page.locator("#feature-rows").inner_text() != first
    page.locator("[data-feature]").first.click()
    assert page.locator("#feature-pick").input_value() not in ("0", "1")
    found.draw_all()
    assert found.troubles == []
    page.close()


def test_for_keyboards_and_screen_readers(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for landmark in ("banner", "navigation", "main"):
        assert page.get_by_role(landmark).count() == 1  # type: ignore[arg-type]
    found.draw_all()
    images = page.get_by_role("img").all()
    assert len(images) == len(CHARTS)
    assert all(len(str(image.get_attribute("aria-label"))) > 30 for image in images)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    borders = page.locator("select, input, button").all()
    assert all(contrast(border.evaluate(BORDER_AND_PAPER)) >= 3 for border in borders)
    unnamed = page.evaluate(
        """[...document.querySelectorAll("select, input, button")].filter(
            (e) => !e.closest("label") && !e.ariaLabel && !e.textContent.trim()).length"""
    )
    assert unnamed == 0
    page.close()


def test_all_planted_defects_are_named(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    for kind, names in {**planted.PLANTED, "mislabelled": {SWAPPED}}.items():
        article = found.page.locator(f"#finding-{kind}")
        assert "What to do:" in article.inner_text()
        place = found.page.locator("#errors") if kind == "unusable" else article
        assert all(name in str(place.text_content()) for name in names), kind
        assert found.page.locator(f"#overview a[href='#finding-{kind}']").is_visible()
    found.page.close()


def test_hostile_names_do_nothing(browser: Browser, hostile: Path) -> None:
    found = opened(browser, hostile, viewport=_PHONE)
    page = found.page
    found.draw_all()
    name = "<img src=x onerror=window.hacked=1>.wav"
    assert name in tooltip_at(found, name)
    page.locator("#map-list summary").click()
    expect(page.locator("#map-rows")).to_contain_text(name)
    for position in range(3):
        page.locator("#map-pick").select_option(value=str(position))
    assert page.locator("img, b").count() == 0
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert not found.is_too_wide()
    assert found.troubles == []
    page.close()


def test_pages_with_little_on_them(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "empty.wav").write_bytes(b"")
    table = tables.make_table(tmp_path / "corpus", tmp_path / "table", max_failed=1.0)
    write_report(table, tmp_path / "report.html")
    found = opened(browser, tmp_path / "report.html")
    assert found.draw_all() == []
    assert "no track with features" in found.page.inner_text("#overview")
    assert found.troubles == []
    found.page.close()
