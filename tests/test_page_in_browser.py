"""The page in a real browser: what a reader does with it works, without a network."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.simulated import many_steps, sweep, write_runs

from waymarks.reports import write_report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

PATIENCE = 60

HOSTILE = "<script>alert(1)</script>"


def _missing(what: str) -> None:
    """Skips, unless whoever runs the tests has said that there is a browser."""
    if os.environ.get("WAYMARKS_NEEDS_BROWSER"):
        pytest.fail(f"{what} is missing, and WAYMARKS_NEEDS_BROWSER is set")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        _missing("chromium or chromedriver")
    try:
        from selenium import webdriver
    except ImportError:
        _missing("selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = str(chromium)
    profile = tmp_path_factory.mktemp("profile")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep of two fields, one of whose arms has a hostile name."""
    study = sweep(seeds=3, bits=3, shares=4)
    first = study.arms[0].model_copy(update={"name": HOSTILE})
    study = study.model_copy(update={"arms": (first, *study.arms[1:])})
    folder = tmp_path_factory.mktemp("sweep")
    return write_report([write_runs(study, folder, 20)], folder).page


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study of twelve steps."""
    folder = tmp_path_factory.mktemp("chain")
    return write_report([write_runs(many_steps(), folder, 12)], folder).page


def show(browser: Any, page: Path, width: int = 1200, scheme: str = "light") -> None:
    """Opens the page; what was logged before is forgotten."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))


def until(holds: Callable[[], Any]) -> Any:
    """Waits until something holds; how long that takes depends on the machine."""
    end = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)
    return found


def figure(browser: Any, title: str) -> Any:
    """The figure whose heading starts so, once it is drawn."""
    found = browser.execute_script(
        "const found = [...document.querySelectorAll('figure')]"
        ".find((one) => one.querySelector('h4').textContent.startsWith(arguments[0]));"
        "return found;",
        title,
    )

    def seen() -> Any:
        """Charts above it grow as they are drawn, and push it out of the window again."""
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        return found.find_elements("css selector", ".chart svg")

    until(seen)
    return found


def drawn(place: Any) -> str:
    return str(place.find_element("css selector", ".chart").get_attribute("innerHTML"))


def press(browser: Any, element: Any) -> None:
    browser.execute_script("arguments[0].click()", element)


def choose(browser: Any, select: Any, value: str) -> None:
    browser.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        select,
        value,
    )


def type_in(browser: Any, field: Any, words: str) -> None:
    browser.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        field,
        words,
    )


def rows(browser: Any, table: str) -> list[list[str]]:
    found: list[list[str]] = browser.execute_script(
        "return [...document.querySelectorAll(`table.${arguments[0]} tbody tr`)]"
        ".map((row) => [...row.children].map((cell) => cell.textContent))",
        table,
    )
    return found


def requests(browser: Any) -> set[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m for m in messages if m["method"] == "Network.requestWillBeSent"]
    return {message["params"]["request"]["url"] for message in sent}


def test_it_loads_without_a_complaint_and_without_a_network(browser: Any, swept: Path) -> None:
    show(browser, swept)
    for title in ("Phase", "Accuracy of parity", "Time to solve", "Every step", "The order"):
        figure(browser, title)
    assert browser.get_log("browser") == []
    assert {url for url in requests(browser) if not url.startswith("data:")} == {swept.as_uri()}


def test_a_hostile_name_stays_text(browser: Any, swept: Path) -> None:
    show(browser, swept)
    assert HOSTILE in rows(browser, "arms")[0][0]
    figure(browser, "Every step")
    texts = browser.execute_script("return document.body.innerText")
    assert HOSTILE in texts
    scripts = browser.execute_script("return document.scripts.length")
    assert scripts == 3


def test_the_axis_is_switched_and_made_logarithmic(browser: Any, swept: Path) -> None:
    show(browser, swept)
    place = figure(browser, "Accuracy of parity")
    before = drawn(place)
    press(browser, browser.find_element("css selector", "input[value=flops]"))
    until(lambda: "floating-point operations" in drawn(place))
    linear = drawn(place)
    assert linear != before
    press(browser, browser.find_element("css selector", "input[value=log]"))
    until(lambda: drawn(place) not in (linear, "") and "floating-point" in drawn(place))
    assert browser.get_log("browser") == []


def test_arms_are_shown_and_hidden(browser: Any, swept: Path) -> None:
    show(browser, swept)
    figure(browser, "Every step")
    multiples = "figure .multiples"
    until(
        lambda: (
            browser.execute_script(
                "return document.querySelector(arguments[0]).querySelectorAll('svg').length",
                multiples,
            )
            == 7
        )
    )
    hidden = browser.find_elements("css selector", "button.arm[aria-pressed=false]")
    assert len(hidden) == 5
    press(browser, hidden[0])
    press(browser, browser.find_element("css selector", "[data-show=none]"))
    press(browser, hidden[1])
    name = hidden[1].text
    first = browser.find_element("css selector", multiples)
    until(lambda: name in browser.find_element("css selector", multiples).text)
    until(lambda: len(first.find_elements("css selector", ".chart")) == 1)


def test_the_phase_diagram_changes_its_axes_and_its_quantity(browser: Any, swept: Path) -> None:
    show(browser, swept)
    place = figure(browser, "Phase diagram")

    def select(label: str) -> Any:
        return place.find_element("css selector", f"[data-choice='{label}'] select")

    assert select("across").get_attribute("value") == "supervision.sum"
    assert len(re.findall(r">\d+%<", drawn(place))) >= 12
    before = drawn(place)
    choose(browser, select("across"), "task.bits")
    until(lambda: drawn(place) not in (before, ""))
    assert select("up").get_attribute("value") == "supervision.sum"
    turned = drawn(place)
    choose(browser, select("colour"), "time")
    until(lambda: drawn(place) not in (turned, "") and "–" in drawn(place))  # noqa: RUF001
    assert browser.get_log("browser") == []


def test_runs_are_sorted_filtered_and_linked(browser: Any, swept: Path) -> None:
    show(browser, swept)
    place = browser.find_element("css selector", "[data-table=runs]")
    headings = place.find_elements("css selector", "th button")
    [seconds] = [heading for heading in headings if heading.text.startswith("time")]
    seconds.send_keys("\n")
    times = [float(row[-2].split()[0]) for row in rows(browser, "runs")]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert len(set(times)) > 1
    seconds.send_keys("\n")
    assert float(rows(browser, "runs")[0][-2].split()[0]) == 12
    assert place.find_element("css selector", "[aria-sort=descending]").text.startswith("time")

    choose(browser, place.find_element("css selector", "select"), "diverged")
    assert {row[2].split("the")[0] for row in rows(browser, "runs")} == {"diverged"}
    assert "of 36 rows" in place.find_element("css selector", "[role=status]").text
    type_in(browser, place.find_element("css selector", "input"), "p = 0.05")
    [row] = rows(browser, "runs")
    link = place.find_element("css selector", "tbody a").get_attribute("href")
    folder = Path(link.removeprefix("file://"))
    assert (folder / "metrics.jsonl").exists()
    assert folder.name == row[-1].split("/")[-1]


def test_charts_and_tables_are_taken_away(browser: Any, swept: Path, tmp_path: Path) -> None:
    show(browser, swept)
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    place = figure(browser, "Accuracy of parity")
    for kind in ("png", "svg", "csv"):
        press(browser, place.find_element("css selector", f"[data-download={kind}]"))
        until((tmp_path / f"phase-parity-accuracy.{kind}").exists)
    assert (tmp_path / "phase-parity-accuracy.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "phase-parity-accuracy.svg").read_text()
    assert "accuracy of parity" in svg
    assert "var(" not in svg
    lines = (tmp_path / "phase-parity-accuracy.csv").read_text().splitlines()
    assert lines[0] == "arm,x,median,low,high,part,seeds"
    assert lines[1].startswith(f"{HOSTILE},0,0.")

    runs = browser.find_element("css selector", "[data-table=runs] [data-download=csv]")
    press(browser, runs)
    until((tmp_path / "phase-runs.csv").exists)
    assert len((tmp_path / "phase-runs.csv").read_text().splitlines()) == 37
    other = figure(browser, "Every step")
    press(browser, other.find_element("css selector", "[data-download=svg]"))
    until((tmp_path / "phase-every-step.svg").exists)
    assert browser.get_log("browser") == []


def test_one_of_many_steps_is_chosen(browser: Any, chain: Path) -> None:
    show(browser, chain)
    place = figure(browser, "Accuracy of variable 12")
    before = drawn(place)
    choose(browser, place.find_element("css selector", "select.which"), "11")
    until(lambda: drawn(place) not in (before, ""))
    assert place.find_element("css selector", "h4").text == "Accuracy of variable 1"
    assert "12 of 12" in rows(browser, "arms")[1][5]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_either_scheme(
    browser: Any, swept: Path, chain: Path, scheme: str
) -> None:
    for page in (swept, chain):
        show(browser, page, width=390, scheme=scheme)
        figure(browser, "The order")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 23, 26)" if scheme == "dark" else "rgb(255, 255, 255)")


def test_it_is_used_by_keyboard(browser: Any, chain: Path) -> None:
    show(browser, chain)
    button = browser.find_element("css selector", "button.arm")
    button.send_keys(" ")
    assert button.get_attribute("aria-pressed") == "false"
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
