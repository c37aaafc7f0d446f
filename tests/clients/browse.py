"""Opens pages in Chromium and lets axe-core judge them. It must never reach a network.

`python -m tests.clients.browse CHROMIUM AXE PAGE...`

Prints one line of JSON for each page, colour scheme and width: what axe found, what the page asked for, what the console said, and
which tables are wider than a sheet of paper.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

SHOWN = (("light", 1000), ("dark", 1000), ("light", 390))
"""Colour schemes and widths of the window."""

SHEET = 680
"""Pixels of an A4 sheet between its margins."""

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def main() -> None:
    """Every page in all ways of showing it."""
    chromium, axe, *pages = sys.argv[1:]
    source = Path(axe).read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=[*root, "--disable-gpu"])
        for page in pages:
            for scheme, width in SHOWN:
                print(json.dumps(judged(browser, Path(page), scheme, width, source)), flush=True)
        browser.close()


def judged(browser: Browser, file: Path, scheme: Any, width: int, axe: str) -> dict[str, Any]:
    """What axe says of one page as it is shown."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    too_wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    page.evaluate(axe)
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": SHEET, "height": 900})
    spilt = page.evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.offsetWidth > document.body.clientWidth + 1).map(t => t.caption.innerText)"
    )
    context.close()
    return {
        "page": file.name,
        "scheme": scheme,
        "width": width,
        "violations": [{"id": each["id"], "nodes": [node["html"] for node in each["nodes"]][:5]} for each in found["violations"]],
        "passes": len(found["passes"]),
        "asked": asked[1:],
        "said": said,
        "too_wide": too_wide,
        "spilt": spilt,
    }


if __name__ == "__main__":
    main()
