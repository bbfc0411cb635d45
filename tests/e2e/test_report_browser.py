# SPDX-License-Identifier: Apache-2.0
"""report.html in a real browser: that it says nothing on the console, asks for nothing, draws its charts, can be used by
keyboard and by a screen reader (axe-core), and fits narrow and wide windows. Its pictures stay in the build directory
under screenshots/."""

import re
import subprocess

import pytest

from axe import keep_picture, violations
from conftest import make_run
from test_report import KINDS

WIDTHS = (360, 1280, 1600)


@pytest.fixture(scope="module", params=KINDS, name="report")
def report_of_each_kind(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    done = subprocess.run([make_run(), request.param, directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return request.param, directory


def open_report(browser, report, width=1280, height=800, dark=False):
    browser.look(width, height, dark)
    browser.open((report[1] / "report.html").as_uri())


def test_it_is_quiet_and_asks_for_nothing(browser, report):
    open_report(browser, report)
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    asked = [request["request"]["url"] for request in browser.told("Network.requestWillBeSent")]
    assert asked == [(report[1] / "report.html").as_uri()]
    assert browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []


def test_its_charts_are_drawn(browser, report):
    """As many as the Markdown has, each of them with a size, and lines or areas that have one."""
    kind, directory = report
    open_report(browser, report)
    charts = browser.ask("""[...document.querySelectorAll('svg')].filter(svg => svg.checkVisibility()).map(svg => {
        const box = svg.getBoundingClientRect();
        const drawn = [...svg.querySelectorAll('path, polyline, rect, line, circle')].filter(shape => {
            const b = shape.getBoundingClientRect();
            const style = getComputedStyle(shape);
            return b.width + b.height > 0 && style.visibility === 'visible' && style.display !== 'none' &&
                (style.stroke !== 'none' || style.fill !== 'none');
        });
        const out = [...svg.querySelectorAll('text')].filter(text => {
            const b = text.getBoundingClientRect();
            return b.width > 0 && (b.left < box.left - 1 || b.right > box.right + 1);
        });
        return [box.width, box.height, drawn.length, out.map(text => text.textContent)];
    })""")
    assert len(charts) == len(re.findall(r"!\[", (directory / "report.md").read_text(encoding="utf-8")))
    assert len(charts) >= {"lab": 10, "empty": 0}.get(kind, 3)
    for width, height, drawn, out in charts:
        assert width > 200 and height > 50 and drawn > 0 and out == []


@pytest.mark.parametrize("width", (360, 480, 560, 640, 800, 900, 1280))
def test_the_front_chart_fits(browser, report, width):
    """One drawing is seen, whole: nothing to scroll, every label inside, and every kill of the arm."""
    kind, _ = report
    if kind == "empty":
        return
    open_report(browser, report, width)
    seen = browser.ask("""(() => {
        const figure = document.querySelector('figure');
        const [svg, ...more] = [...figure.querySelectorAll('svg')].filter(svg => svg.checkVisibility());
        const box = figure.getBoundingClientRect();
        const out = [...svg.querySelectorAll('text, .kill')].filter(item => {
            const b = item.getBoundingClientRect();
            return b.left < Math.max(box.left, 0) - 0.5 || b.right > Math.min(box.right, innerWidth) + 0.5;
        });
        const all = Math.max(...[...figure.querySelectorAll('svg')].map(svg => svg.querySelectorAll('.kill').length));
        return {more: more.length, out: out.map(item => item.textContent), kills: svg.querySelectorAll('.kill').length, all,
                scrolls: svg.parentElement.scrollWidth > svg.parentElement.clientWidth + 1};
    })()""")
    assert seen["more"] == 0 and seen["out"] == [] and seen["kills"] == seen["all"] and not seen["scrolls"], seen


def test_what_scrolls_has_a_name(browser, report):
    """A screen reader says what it is that takes the focus, and no two are called the same."""
    open_report(browser, report)
    names = browser.ask("""[...document.querySelectorAll('[tabindex="0"]')].map(
        item => [item.getAttribute('role'), item.getAttribute('aria-label')])""")
    assert all(role == "region" and name for role, name in names), names
    assert len({name for _, name in names}) == len(names), names


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window(browser, report, width):
    """Nothing but what scrolls by itself is wider than the window; the lab's picture is kept, in light and dark."""
    kind, _ = report
    open_report(browser, report, width)
    colour = "getComputedStyle(document.body).backgroundColor"
    assert browser.ask("document.documentElement.scrollWidth") <= width
    light_colour = browser.ask(colour)
    if kind == "lab":
        keep_picture(browser, f"report-{kind}-{width}")
    browser.look(width, 800, True)
    assert browser.ask(colour) != light_colour
    if kind == "lab" and width != 1600:
        keep_picture(browser, f"report-{kind}-{width}-dark")


def test_the_first_screen_answers(browser, report):
    """Who, which limit, how often, leak or not, what to do: without scrolling at 1280 x 800."""
    kind, _ = report
    open_report(browser, report)
    seen = browser.ask("""[...document.querySelectorAll('.answer, dt, dd')].map(item => {
        const box = item.getBoundingClientRect();
        return [item.textContent, box.top >= 0 && box.bottom <= innerHeight && box.width > 0];
    })""")
    assert all(visible for _, visible in seen), seen
    questions = ["Leak or not", "What to do"] if kind == "empty" else [
        "Who killed it", "Which limit", "How often", "Leak or not", "What to do"]
    assert [text for text, _ in seen if text in questions] == questions


def test_it_can_be_used_by_keyboard(browser, report):
    """Tab reaches everything that can be used or scrolled, in the page's order, and each one shows that it is there."""
    open_report(browser, report, 360, 800)
    wanted = browser.ask("""(() => {
        window.reachable = [...document.querySelectorAll('a[href], summary, [tabindex="0"]')].filter(
            item => item.getClientRects().length > 0);
        return reachable.length;
    })()""")
    stops = []
    for _ in range(wanted):
        browser.press_tab()
        stops.append(browser.ask("""(() => {
            const style = getComputedStyle(document.activeElement);
            return [reachable.indexOf(document.activeElement), style.outlineStyle !== 'none' && style.outlineWidth !== '0px'];
        })()"""))
    assert [place for place, _ in stops] == list(range(wanted))
    assert all(shown for _, shown in stops)
    hidden = browser.ask("""[...document.querySelectorAll('*')].filter(item =>
        /auto|scroll/.test(getComputedStyle(item).overflowX) && item.scrollWidth > item.clientWidth + 1 &&
        item.tabIndex < 0 && !item.querySelector('a, [tabindex="0"]')).map(item => item.outerHTML.slice(0, 80))""")
    assert hidden == []


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)], ids=["narrow-light", "wide-dark"])
def test_axe_finds_nothing(browser, report, axe, width, dark):
    open_report(browser, report, width, 800, dark)
    assert violations(browser, axe) == []
