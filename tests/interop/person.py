#!/usr/bin/env python3
"""A person at a real browser, for programs that open one to log in (`BROWSER=person.py`): says who they are, and agrees.

PERSON names them, and PERSON_UNTIL what the browser shows when all is done. The page that it ends at, or what went wrong, is left
as JSON in the file that PERSON_REPORT names: the program that opened the browser does not listen.
"""

import json
import os
import sys
import time
from pathlib import Path

from chromium_peer import Chromium


def log_in(browser, who):
    """Passes the issuer's pages, once they show."""
    browser("text", where="h1", text="Sign-in")
    browser("type", where="input[name=login]", text=who)
    browser("type", where="input[name=password]", text="any will do")
    browser("click", name="Sign-in")
    browser("text", where="h1", text="Authorize")
    browser("text", text="mcp.use")
    browser("click", name="Continue")


def opened(report, seconds=60):
    """What the person left in the report, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if report.exists():
            return json.loads(report.read_text())
        time.sleep(0.1)
    raise AssertionError(f"no browser was opened, or nothing came of it within {seconds} s")


def main(address):
    try:
        with Chromium() as browser:
            browser("open", url=address)
            log_in(browser, os.environ["PERSON"])
            browser("text", text=os.environ["PERSON_UNTIL"])
            said = {"shown": browser("read")}
    except Exception as error:
        said = {"failed": str(error)}
    report = Path(os.environ["PERSON_REPORT"])
    whole = report.with_suffix(".part")
    whole.write_text(json.dumps(said))
    whole.rename(report)


if __name__ == "__main__":
    main(sys.argv[1])
