"""The page in headless Chromium: every view, by mouse and by keyboard, in light and dark, on paper."""

import pytest
from browser import Browser
from replays import page_of, untrained

from microgpt_lab.inspection import budget

pytestmark = pytest.mark.slow
SECTIONS = ("against", "expected", "attention", "why", "code", "health", "embeddings", "ablation")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    html, _ = page_of(untrained(embed=8, heads=2, layers=2), "emma", untrained(embed=8, heads=2, seed=1))
    path = tmp_path_factory.mktemp("page") / "emma.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """The page as it is just after it was opened, in a light theme."""
    browser.errors.clear()
    browser.dark(False)
    browser.open(file)
    yield browser
    assert browser.errors == []


def test_every_view_is_there_and_nothing_else_is_fetched(page, file):
    for name in SECTIONS:
        assert len(page.text(f"#section-{name}")) > 100, name
    requests = [parameters for method, parameters in page.events if method == "Network.requestWillBeSent"]
    assert {each["request"]["url"] for each in requests} == {file.as_uri()}


def test_a_click_on_a_number_shows_its_value_and_the_sum_of_its_gradient(page):
    page.run(
        "[...document.querySelectorAll('.chip')].find(x => x.innerText.includes('attention.wv')).id = 'wv'"
    )
    page.click("#wv")
    page.click("#grids [data-at='5,3']")
    assert page.text("#value-title") == "layer0.attention.wv[5, 3]"
    assert "it adds up" in page.text("#sum")
    page.click("#value td button")  # its first use
    assert page.text("#value-title").startswith("layer0.attention.v[head 1, 0 ·")
    assert "it adds up" in page.text("#sum")
    page.click("#value .end button")
    assert page.text("#value-title") == "layer0.attention.wv[5, 3]"


def test_each_value_of_the_named_tensors_adds_up(page):
    wrong = page.run("""
        GRAPH.tensors.filter((t) => t.name).flatMap((t) => [t.values[0], t.values.at(-1)]).filter((v) => {
          const { rows, difference } = ledger(GRAPH, v);
          return rows.length && Math.abs(difference) > 1e-12;
        }).map(nameOf)""")
    assert wrong == []


def test_the_keyboard_alone_is_enough(page):
    def focus():
        return page.run("document.activeElement.dataset.at || document.activeElement.innerText")

    title = page.text("#why-title")
    page.press("ArrowRight")
    assert page.text("#why-title") != title  # from prediction to prediction, from anywhere
    order = []
    for _ in range(30):
        page.press("Tab")
        order.append(focus())
    links = ["two runs", "expected", "attention", "why", "code", "health", "embeddings", "ablation"]
    assert order[:9] == [*links, "light or dark"]
    assert "layer 0" in order and "layer 1" in order
    assert page.run("getComputedStyle(document.activeElement).outlineWidth") != "0px"

    page.run("document.querySelector('.token.selected').focus()")
    at = focus()
    page.press("ArrowLeft")
    assert focus() != at and page.run("document.activeElement.classList.contains('selected')")
    page.press("ArrowDown", "ArrowDown", "Enter")  # the second likeliest token
    assert page.run("document.activeElement.classList.contains('chosen')")

    page.run("document.querySelector('.chip').focus()")
    page.press("Enter")
    assert page.text("#panel h3") == "wte"
    page.run("document.querySelector('#grids [tabindex=\"0\"]').focus()")
    page.press(*["ArrowDown"] * 4, "ArrowRight", "Enter")
    assert page.text("#value-title") == "wte[e, 1]" and focus() == "4,1"
    page.press("Tab", "Enter")  # its first use
    assert "embed" in page.text("#value-title") and "it adds up" in page.text("#sum")


def test_the_theme_follows_the_system_and_the_button(page):
    def lightness():
        colour = page.run("getComputedStyle(document.body).backgroundColor")
        return sum(int(x) for x in colour.strip("rgb()").split(",")) / 3

    assert lightness() > 200
    page.click("#theme")
    assert lightness() < 60
    page.click("#theme")
    assert lightness() > 200
    page.dark(True)
    page.send("Page.reload")
    page.events.clear()
    while not any(method == "Page.loadEventFired" for method, _ in page.events):
        page.receive()
    assert lightness() < 60


def test_it_can_be_read_when_projected(page):
    assert page.run("document.documentElement.scrollWidth") <= 1280
    small = page.run("""
        [...document.querySelectorAll('main *')].filter((x) => x.children.length === 0 && x.innerText
          && parseFloat(getComputedStyle(x).fontSize) < 11).map((x) => x.outerHTML)""")
    assert small == []


def test_the_lines_of_a_print_are_whole(page):
    page.click(".chip")  # wte, which is higher than its box on the screen
    page.send("Emulation.setEmulatedMedia", media="print")
    boxes = "[...document.querySelectorAll('.panel, .grids')]"
    cut = page.run(f"{boxes}.filter((x) => x.scrollHeight > x.clientHeight + 1).length")
    hidden = page.run("getComputedStyle(document.querySelector('nav')).display")
    page.send("Emulation.setEmulatedMedia", media="")
    assert (cut, hidden) == (0, "none")


def test_a_page_without_code_has_no_empty_boxes(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "BUDGET", 100_000)
    html, _ = page_of(untrained(embed=8, heads=2, layers=2), "emma")
    (tmp_path / "less.html").write_text(html, encoding="utf-8")
    browser.errors.clear()
    browser.open(tmp_path / "less.html")
    assert browser.errors == []
    assert "The code and its numbers are left out" in browser.text("#notes")
    assert browser.text("#section-code").count("\n") == 0
    assert browser.run("document.querySelector('#code').offsetHeight") == 0


@pytest.mark.parametrize("text", ["</script><b>&", "🙂é\u202e", "x" * 10_000], ids=["html", "emoji", "long"])
def test_odd_text_is_shown_as_it_stands(browser, tmp_path, text):
    html, replay = page_of(untrained(chars=sorted(set(text)), embed=4, heads=1, block_size=8), text)
    (tmp_path / "odd.html").write_text(html, encoding="utf-8")
    browser.errors.clear()
    browser.open(tmp_path / "odd.html")
    assert browser.errors == []
    came = [replay.labels[i] for i in replay.targets]
    assert browser.run("[...document.querySelectorAll('.came')].map((x) => x.innerText)") == came
    assert browser.run("document.querySelectorAll('main b:not([class])').length") >= len(came)
