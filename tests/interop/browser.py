#!/usr/bin/env python3
"""A browser without a window, for programs that open one to log in (`BROWSER=browser.py`): it follows an address to its end."""

import sys
import urllib.request

# Redirects are followed by themselves, with the cookies that were set on the way.
browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
with browser.open(sys.argv[1], timeout=30) as page:
    page.read()
