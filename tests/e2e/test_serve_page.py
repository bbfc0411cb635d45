# SPDX-License-Identifier: Apache-2.0
"""The page of oomlab serve in a real browser, with a real app that the kernel kills: what it shows, what can be done from
it, by keyboard too, and what it never does. Its pictures stay in the build directory under screenshots/."""

import json

import pytest

from axe import keep_picture, violations
from serving import APPS, GROUP, Serve, app_body, free_port, serve_beside_a_run, until

SECRET = "hunter22-not-shown"
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
WIDTHS = (360, 1024, 1600)
CHATTY = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo 'first & <b>bold</b>' \"$MARKUP\"; echo oops >&2; while :; do sleep 1 & wait; done"]


@pytest.fixture(scope="module", name="serve")
def serve_with_apps(tmp_path_factory):
    """One app that is killed again and again, one that talks, and a finished run."""
    server = serve_beside_a_run(tmp_path_factory.mktemp("page"))
    env = [("MODE", "hard-oom"), ("DB_PASSWORD", SECRET)]
    assert server.ask("PUT", f"{APPS}/leaky", app_body(image="builtin/leaky", port=free_port(), env=env))[0] == 201
    env = [("API_TOKEN", SECRET), ("MARKUP", MARKUP)]
    assert server.ask("PUT", f"{APPS}/chatty", app_body(CHATTY, memory="64Mi", env=env))[0] == 201
    until(lambda: replicas(server, "leaky")[0]["containers"][0].get("oomlab", {}).get("oomKills", 0) > 0, "the kernel kills", 90)
    yield server
    server.stop()


def replicas(server, app):
    return [r["properties"] for r in server.get(f"{APPS}/{app}/revisions/{app}--0000001/replicas")["value"]]


def seen(browser, condition, what, seconds=30):
    """Wait until an expression holds in the page."""
    return until(lambda: browser.ask(condition), f"{what}: {condition}", seconds)


def open_page(browser, server, width=1280, height=900, dark=False):
    """With the token, as DIR/page has it; live, and with the apps."""
    browser.look(width, height, dark)
    browser.open("about:blank")
    browser.open((server.directory / "page").read_text(encoding="ascii").strip())
    seen(browser, "document.querySelectorAll('#apps-rows tr').length >= 2", "the apps are shown")


def choose(browser, app):
    browser.ask(f"[...document.querySelectorAll('#apps-rows button')].find(b => b.textContent === {json.dumps(app)}).click()")
    seen(browser, f"document.getElementById('app-title').textContent === {json.dumps(app)}", "the app is shown")


def text_of(browser, identity):
    return browser.ask(f"document.getElementById('{identity}').innerText")


def picture(browser, name, width, dark=False):
    """Of the whole page, in a window that is as high: what is drawn for a window is drawn."""
    browser.look(width, browser.ask("document.documentElement.scrollHeight"), dark)
    browser.ask("new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 300))")
    keep_picture(browser, name)


def complaints(browser):
    return browser.told("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def asked_urls(browser):
    return [request["request"]["url"] for request in browser.told("Network.requestWillBeSent")]


@pytest.fixture(name="quiet")
def nothing_said_and_nobody_else_asked(browser, serve):
    """Whatever a test did: no word on the console, no request to another place, the token in no address."""
    yield
    assert complaints(browser) == []
    urls = [url for url in asked_urls(browser) if url != "about:blank"]
    assert urls and all(url.startswith(f"http://127.0.0.1:{serve.port()}/") for url in urls), urls
    assert all(serve.token() not in url for url in urls)
    assert browser.ask("document.title") == "oomlab serve"


# --- the token ----------------------------------------------------------------------------------


def test_without_a_token_it_asks_for_one_and_for_nothing_else(browser, serve, axe):
    browser.look(1280, 800)
    browser.open(f"http://127.0.0.1:{serve.port()}/")
    browser.ask("sessionStorage.clear()")
    browser.open(f"http://127.0.0.1:{serve.port()}/?")
    seen(browser, "document.activeElement.id === 'token'", "the field has the focus")
    assert not browser.ask("document.getElementById('content').checkVisibility()")
    assert all("/oomlab/" not in url and "/subscriptions/" not in url for url in asked_urls(browser))
    assert complaints(browser) == []
    assert violations(browser, axe) == []
    keep_picture(browser, "page-token")


def test_a_wrong_token_is_asked_for_again(browser, serve):
    browser.look(1280, 800)
    browser.open(f"http://127.0.0.1:{serve.port()}/")
    for wrong in ("wrong", "with ümlaut"):
        seen(browser, "document.activeElement.id === 'token'", "the field has the focus")
        browser.write(wrong)
        browser.press_enter()
        seen(browser, "document.getElementById('token-error').textContent !== ''", "it says what is wrong")
        seen(browser, "document.getElementById('token').value === ''", "the field is empty again")
    browser.write(serve.token())
    browser.press_enter()
    seen(browser, "document.querySelectorAll('#apps-rows tr').length >= 2", "the right one opens the page")
    browser.open(f"http://127.0.0.1:{serve.port()}/?again")
    seen(browser, "document.querySelectorAll('#apps-rows tr').length >= 2", "the tab remembers it")


def test_the_token_leaves_the_address_at_once(browser, serve, quiet):
    open_page(browser, serve)
    assert browser.ask("location.href") == f"http://127.0.0.1:{serve.port()}/"
    assert browser.ask("document.documentElement.outerHTML").find(serve.token()) == -1


# --- what it shows ------------------------------------------------------------------------------


def test_a_kill_is_shown_with_its_cause(browser, serve, quiet):
    open_page(browser, serve)
    choose(browser, "leaky")
    seen(browser, "document.querySelector('#ends li.bad') !== null", "the end is in the list")
    end = browser.ask("document.querySelector('#ends li.bad').textContent")
    assert "leaky--0000001" in end and "the container's memory limit" in end
    assert any(level in end for level in ("Measured", "Observed", "Correlated")), end
    row = browser.ask("[...document.querySelectorAll('#replicas-rows tr')].map(r => [...r.cells].map(c => c.textContent))")[0]
    assert int(row[6]) >= 1 and "exit code 137" in row[7], row
    assert "ContainerTerminated" in text_of(browser, "log-rows")
    kills = int(row[6])
    seen(browser, f"Number(document.querySelector('#replicas-rows tr').cells[6].textContent) > {kills}",
         "the next kill comes by itself", 120)


def test_the_chart_is_drawn(browser, serve, quiet):
    """Pixels of the limit's and of the line's colour, the latter in more than one place; and what it says in words."""
    open_page(browser, serve)
    choose(browser, "chatty")
    seen(browser, "/from .* to .*; the limit is 64.0 MiB/.test(document.getElementById('chart-text').textContent)",
         "the chart in words")
    counts = """(() => {
        const canvas = document.getElementById('chart');
        const drawn = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
        drawn.drawImage(canvas, 0, 0);
        const {data} = drawn.getImageData(0, 0, canvas.width, canvas.height);
        const near = (name) => {
            const probe = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
            probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
            probe.fillRect(0, 0, 1, 1);
            const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
            let count = 0;
            const columns = new Set();
            for (let i = 0; i < data.length; i += 4)
                if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 24 && data[i + 3] > 200) {
                    count++;
                    columns.add((i / 4) % canvas.width);
                }
            return [count, columns.size];
        };
        return {width: canvas.width, limit: near('--limit'), line: near('--ws-a')};
    })()"""
    drawn = until(lambda: (c := browser.ask(counts))["line"][1] > 40 and c, "the line grows")
    assert drawn["limit"][1] > 200, drawn
    box = browser.ask("(b => [b.width, b.height])(document.getElementById('chart').getBoundingClientRect())")
    assert box[0] > 300 and box[1] > 200


DRAWN = """(() => {
    const sets = Chart.getChart('chart').data.datasets;
    return {text: document.getElementById('chart-text').textContent, sets: sets.map(set => ({
        label: set.label, name: set.name ?? '', points: set.data, gap: set.spanGaps, line: set.type === 'line' && set.showLine !== false}))};
})()"""


def test_a_reloaded_chart_says_no_more_than_is_known(browser, serve, quiet):
    """Minutes of before the page are points with a key, not lines through the ends; and the words count the crosses."""
    kills = replicas(serve, "leaky")[0]["containers"][0]["oomlab"]["oomKills"]
    until(lambda: replicas(serve, "leaky")[0]["containers"][0]["oomlab"]["oomKills"] > max(kills, 1), "one more kill", 120)
    open_page(browser, serve)
    choose(browser, "leaky")
    crosses = lambda drawn: sum(len(s["points"]) for s in drawn["sets"] if s["label"] == "container ended")
    drawn = until(lambda: (d := browser.ask(DRAWN)) and any(s["label"] == "minute maxima" for s in d["sets"]) and crosses(d) and d,
                  "minutes of before")
    assert f"; {crosses(drawn)} end" in drawn["text"] and "circles are minute maxima" in drawn["text"], drawn["text"]
    maxima = [s for s in drawn["sets"] if s["name"].endswith("minute maximum")]
    assert len(maxima) == 1 and not maxima[0]["line"] and maxima[0]["points"], maxima
    made = browser.ask("Date.parse('%s')" % serve.get(f"{APPS}/leaky/revisions")["value"][0]["properties"]["createdTime"])
    assert min(p["x"] for p in maxima[0]["points"]) >= made
    picture(browser, "page-reloaded", 1280)

    known = crosses(drawn)
    drawn = until(lambda: (d := browser.ask(DRAWN)) and crosses(d) > known and d, "a kill while the page looks on", 120)
    until(lambda: browser.ask("Chart.getChart('chart').data.datasets[0].data.at(-1).y !== null"), "it runs again")
    drawn = browser.ask(DRAWN)
    ends = [p["x"] for s in drawn["sets"] if s["label"] == "container ended" for p in s["points"]]
    assert f"; {crosses(drawn)} end" in drawn["text"], drawn["text"]
    assert len([p for p in drawn["sets"][0]["points"] if p["y"] is not None]) >= 1
    for a, b in zip(drawn["sets"][0]["points"], drawn["sets"][0]["points"][1:]):
        joined = a["y"] is not None and b["y"] is not None and b["x"] - a["x"] <= drawn["sets"][0]["gap"]
        assert not (joined and any(a["x"] < end <= b["x"] for end in ends)), (a, b, ends)


def test_other_spans_come_from_the_metrics(browser, serve, quiet):
    open_page(browser, serve)
    choose(browser, "leaky")
    for minutes in (1440, 360, 60):
        browser.ask(f"document.querySelector('#range input[value=\"{minutes}\"]').click()")
        seen(browser, f"""(match => match && Math.abs(Date.now() - new Date(match[1].replace(' ', 'T')) - {minutes} * 60000) < 60000)(
             /largest working set of each revision, since (.{{19}}): from/.exec(document.getElementById('chart-text').textContent))""",
             f"{minutes} minutes")


def test_what_apps_say_stays_text(browser, serve, quiet):
    """Markup in the environment and on the console; secrets in neither."""
    open_page(browser, serve)
    choose(browser, "chatty")
    environment = browser.ask("document.querySelector('#revisions-rows td.lines').textContent")
    assert MARKUP in environment and "API_TOKEN=[redacted]" in environment
    browser.ask("document.getElementById('console').open = true")
    seen(browser, "document.getElementById('console-text').textContent.includes('err oops')", "the console is read")
    said = browser.ask("document.getElementById('console-text').textContent")
    assert f"out first & <b>bold</b> {MARKUP}" in said
    assert browser.ask("document.querySelectorAll('img, main script, main b').length") == 0
    assert SECRET not in browser.ask("document.documentElement.outerHTML")


# --- what can be done ---------------------------------------------------------------------------


def fill(browser, form, **values):
    for name, value in values.items():
        browser.ask(f"(f => {{ f.value = {json.dumps(value)}; }})(document.getElementById('{form}-{name}'))")


def submit(browser, form):
    browser.ask(f"document.getElementById('{form}').requestSubmit()")


def test_an_app_is_deployed_and_deleted(browser, serve):
    """What the API refuses stands at the field; then it is made, shown, and deleted after a question."""
    open_page(browser, serve)
    browser.ask("document.getElementById('deploy-details').open = true")
    form = "deploy-form"
    for name in ("No_Name", "Bad_Näme", "a", "a--b", "b-", "1a", "a" * 33):
        fill(browser, form, name=name, image="builtin/leaky", size="0.25", env="MODE=healthy")
        submit(browser, form)
        seen(browser, f"document.getElementById('{form}-name-error').textContent.includes('lower case letters')", f"{name} is wrong")
        assert browser.ask(f"document.activeElement.id === '{form}-name' && document.activeElement.ariaInvalid === 'true'")
        assert "There is nothing at" not in text_of(browser, "deploy")
        fill(browser, form, name="")
        submit(browser, form)
        seen(browser, f"document.getElementById('{form}-name-error').textContent.includes('empty')", "it is read again")
    fill(browser, form, name="made", env="no variable")
    submit(browser, form)
    seen(browser, f"document.getElementById('{form}-env-error').textContent.includes('NAME=VALUE')", "the variable is wrong")
    fill(browser, form, env="MODE=healthy\nA=b=c", image="nothing:here")
    submit(browser, form)
    seen(browser, f"document.getElementById('{form}-image-error').textContent !== ''", "the image is wrong")
    fill(browser, form, image="builtin/leaky", ingress="external", port="")
    submit(browser, form)
    seen(browser, f"document.getElementById('{form}-port-error').textContent !== ''", "the port is missing")
    fill(browser, form, port=str(free_port()), replicas="2", group="new-group", environment="new-env")
    browser.events.clear()
    submit(browser, form)
    seen(browser, "[...document.querySelectorAll('#apps-rows tr')].some(r => /^made.*Healthy2 of 2/.test(r.textContent))",
         "it runs", 60)
    assert [event for event in browser.events if event["method"] == "Log.entryAdded"] == []  # what was missing is no error
    choose(browser, "made")
    apps = APPS.replace("/rg/", "/new-group/")
    app = serve.get(f"{apps}/made")["properties"]["template"]["containers"][0]
    assert app["env"] == [{"name": "MODE", "value": "healthy"}, {"name": "A", "value": "b=c"}]
    browser.ask("document.getElementById('app-delete').click()")
    seen(browser, "document.activeElement.id === 'confirm-no'", "it asks first")
    browser.press_enter()
    seen(browser, "!document.getElementById('confirm').open", "No is an answer")
    assert serve.get(f"{apps}/made")["name"] == "made"
    browser.ask("document.getElementById('app-delete').click()")
    browser.press_tab()
    browser.press_enter()
    seen(browser, "![...document.querySelectorAll('#apps-rows th')].some(r => r.textContent === 'made')", "it is gone", 60)
    assert serve.ask("GET", f"{apps}/made")[0] == 404
    assert browser.ask("document.activeElement.id") == "apps-title"


def tab_to(browser, condition, most=200):
    """Press Tab until what has the focus fits; it shows that it has it."""
    for _ in range(most):
        browser.press_tab()
        if browser.ask(f"(e => {condition})(document.activeElement)"):
            style = browser.ask("(s => [s.outlineStyle, s.outlineWidth])(getComputedStyle(document.activeElement))")
            assert style[0] != "none" and style[1] != "0px", style
            return
    raise AssertionError(f"{most} times Tab, and nothing fits {condition}")


def test_a_restart_by_keyboard_alone(browser, serve, quiet):
    open_page(browser, serve)
    tab_to(browser, "e.tagName === 'BUTTON' && e.textContent === 'chatty'")
    browser.press_enter()
    seen(browser, "document.activeElement.id === 'app-title' && document.activeElement.textContent === 'chatty'",
         "the app's title has the focus")
    restarts = replicas(serve, "chatty")[0]["containers"][0]["restartCount"]
    tab_to(browser, "e.id === 'app-restart'")
    browser.press_enter()
    seen(browser, "document.getElementById('app-done').textContent === 'Restart: chatty: done'", "it says that it is done")
    seen(browser, f"Number(document.querySelector('#replicas-rows tr').cells[5].textContent) > {restarts}", "it is restarted", 60)
    assert browser.ask("document.activeElement.id") == "app-restart"


def test_everything_is_reached_by_keyboard(browser, serve, quiet):
    """What can be used or scrolled has the focus once, and the focus comes around."""
    open_page(browser, serve, 360, 800)
    browser.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    wanted = browser.ask("""(() => {
        window.reachable = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter(
            item => item.checkVisibility() && !item.disabled && (item.type !== 'radio' || item.checked));
        return reachable.length;
    })()""")
    stops = set()
    for _ in range(wanted + 5):
        browser.press_tab()
        stops.add(browser.ask("reachable.indexOf(document.activeElement)"))
    assert set(range(wanted)) <= stops, browser.ask(
        f"{json.dumps(sorted(set(range(wanted)) - stops))}.map(i => reachable[i].outerHTML.slice(0, 120))")


def test_an_update_keeps_the_secrets_that_it_never_saw(browser, serve, quiet):
    open_page(browser, serve)
    choose(browser, "chatty")
    browser.ask("document.getElementById('update').open = true")
    seen(browser, "document.getElementById('update-form-env').value.includes('API_TOKEN=[redacted]')", "the form is filled")
    browser.ask("document.getElementById('update-form-env').value += '\\nMORE=1'")
    submit(browser, "update-form")
    seen(browser, "document.querySelectorAll('#revisions-rows tr').length === 2", "there is a new revision")
    container = serve.get(f"{APPS}/chatty")["properties"]["template"]["containers"][0]
    assert {v["name"]: v["value"] for v in container["env"]} == {"API_TOKEN": SECRET, "MARKUP": MARKUP, "MORE": "1"}
    assert container["resources"]["memory"] == "64Mi"
    seen(browser, "document.querySelectorAll('#revisions-rows tr')[1].textContent.includes('Activate')", "the old one is stopped", 60)
    browser.ask("document.querySelectorAll('#revisions-rows tr')[0].querySelector('button[aria-label^=Deactivate]').click()")
    seen(browser, "[...document.querySelectorAll('#apps-rows tr')].some(r => /^chatty.*Stopped/.test(r.textContent))", "it is stopped")
    browser.ask("document.querySelectorAll('#revisions-rows tr')[0].querySelector('button[aria-label^=Activate]').click()")
    seen(browser, "[...document.querySelectorAll('#apps-rows tr')].some(r => /^chatty.*Healthy/.test(r.textContent))", "it runs again", 60)


def test_a_finished_run_and_its_report(browser, serve, quiet):
    open_page(browser, serve)
    seen(browser, "document.querySelectorAll('#runs-rows tr').length === 1", "the run is listed")
    verdict = serve.get("/oomlab/runs")["value"][0]["verdict"]
    row = text_of(browser, "runs-rows")
    assert verdict["summary"] in row and verdict["level"] in row
    browser.ask("document.querySelector('#runs-rows button').click()")
    seen(browser, "document.activeElement.id === 'report-title'", "the report is shown")
    until(lambda: "The kernel killed it" in json.dumps(browser.frame_document("/oomlab/reports/")),
          "the report is in its frame")
    picture(browser, "page-report", 1280)
    browser.ask("document.getElementById('report-close').click()")
    assert browser.ask("document.activeElement.textContent") == "Report"


# --- how it looks -------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_keeps_nobody_out(browser, serve, axe, width, dark, quiet):
    """At each width, in both colours, with everything open: nothing is wider than the window, and axe finds nothing."""
    open_page(browser, serve, width, 900, dark)
    choose(browser, "leaky")
    seen(browser, "document.querySelectorAll('#runs-rows tr').length === 1", "the runs are there")
    picture(browser, f"page-{width}{'-dark' if dark else ''}", width, dark)
    browser.look(width, 900, dark)
    browser.ask("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    seen(browser, "document.getElementById('console-text').textContent !== ''", "the console is read")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert violations(browser, axe) == []
    colours = browser.ask("getComputedStyle(document.body).backgroundColor")
    browser.look(width, 900, not dark)
    assert browser.ask("getComputedStyle(document.body).backgroundColor") != colours
    browser.look(width, 900, dark)
    picture(browser, f"page-{width}{'-dark' if dark else ''}-open", width, dark)


# --- serve comes and goes -----------------------------------------------------------------------


def test_a_new_serve_has_a_new_token(browser, tmp_path):
    """The page says that the connection is lost, and asks for the new token; then it goes on."""
    port = free_port()
    server = Serve(tmp_path / "serve", "--port", str(port))
    server.start()
    server.prepare()
    try:
        server.ask("PUT", f"{APPS}/one", app_body(["/bin/sleep", "1000"]))
        browser.look(1280, 900)
        browser.open("about:blank")
        browser.open((server.directory / "page").read_text(encoding="ascii").strip())
        seen(browser, "document.querySelectorAll('#apps-rows tr').length === 1", "the app is shown")
        server.stop()
        seen(browser, "document.getElementById('connection').className === 'lost'", "the connection is lost")
        server.start()
        seen(browser, "document.activeElement.id === 'token'", "it asks for the new token")
        browser.write(server.token())
        browser.press_enter()
        seen(browser, "document.getElementById('connection').className === 'open'", "it goes on")
        assert server.ask("GET", GROUP)[0] == 200
    finally:
        server.stop()
