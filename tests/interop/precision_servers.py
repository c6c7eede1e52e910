"""The servers whose histories are replayed: twenty that anybody can install, at five versions each, spread over their lives.

They start and tell what they offer without credentials of anybody and without a service; what they want to have for their calls is
made up.
"""

from typing import NamedTuple

NPM, PYPI = "npm", "pypi"
# What none of them should do because of a test.
QUIET = {"DO_NOT_TRACK": "1", "NO_UPDATE_NOTIFIER": "1", "CI": "1"}


class Server(NamedTuple):
    """A server, and how it is started."""

    name: str
    kind: str
    package: str
    # In their order, each with what it is installed beside. From PyPI: all that there was on the day it was published. From npm:
    # packages at versions of its time, since with today's some versions say nothing of their tools' arguments.
    versions: dict
    # `{home}` is a folder of its own.
    args: tuple = ()
    env: dict = {}
    # The program, where it is not called as the package is.
    program: str = ""


def sdk(version, zod="", to_json=""):
    """The SDK, and what it makes schemas with."""
    beside = {"@modelcontextprotocol/sdk": version, "zod": zod, "zod-to-json-schema": to_json}
    return {package: version for package, version in beside.items() if version}


SERVERS = [
    Server(
        "filesystem",
        NPM,
        "@modelcontextprotocol/server-filesystem",
        {
            "0.6.2": sdk("", "3.23.8", "3.23.5"),
            "2025.3.28": sdk("", "3.24.2", "3.24.5"),
            "2025.8.21": sdk("1.17.4", "3.25.76", "3.24.6"),
            "2026.1.14": sdk("1.25.2", "4.3.5"),
            "2026.8.31": sdk("1.30.1", "4.4.3"),
        },
        ("{home}",),
    ),
    Server(
        "everything",
        NPM,
        "@modelcontextprotocol/server-everything",
        {
            "0.6.2": sdk("", "3.23.8", "3.23.5"),
            "2025.4.28": sdk("1.10.2", "3.24.3", "3.24.5"),
            "2025.9.12": sdk("1.18.0", "3.25.76", "3.24.6"),
            "2026.1.26": sdk("1.25.3", "3.25.76"),
            "2026.8.31": sdk("1.30.1", "4.4.3"),
        },
    ),
    Server(
        "memory",
        NPM,
        "@modelcontextprotocol/server-memory",
        {"0.6.2": {}, "2025.4.25": {}, "2025.9.25": {}, "2026.1.26": sdk("1.25.3", "4.3.6"), "2026.8.31": sdk("1.30.1", "4.4.3")},
    ),
    Server(
        "sequential-thinking",
        NPM,
        "@modelcontextprotocol/server-sequential-thinking",
        {
            "0.6.2": {},
            "2025.7.1": {},
            "2025.11.25": sdk("1.22.0", "3.25.76"),
            "2025.12.18": sdk("1.25.1", "4.2.1"),
            "2026.8.31": sdk("1.30.1", "4.4.3"),
        },
    ),
    Server(
        "playwright",
        NPM,
        "@playwright/mcp",
        {
            "0.0.9": sdk("1.8.0", "3.24.2", "3.24.5"),
            "0.0.26": sdk("1.11.4", "3.24.4", "3.24.5"),
            "0.0.41": {},
            "0.0.64": {},
            "0.0.83": {},
        },
    ),
    Server("chrome-devtools", NPM, "chrome-devtools-mcp", {"0.2.7": {}, "0.10.2": {}, "0.20.3": {}, "1.1.1": {}, "1.11.0": {}}),
    Server(
        "context7",
        NPM,
        "@upstash/context7-mcp",
        {
            "1.0.0": sdk("1.8.0", "3.24.2"),
            "1.0.14": sdk("1.12.3", "3.25.67"),
            "2.0.0": sdk("1.25.1", "3.25.76"),
            "2.2.0": sdk("1.29.0", "4.3.6"),
            "4.1.1": {},
        },
    ),
    Server(
        "tavily",
        NPM,
        "tavily-mcp",
        {"0.2.10": {}, "0.2.12": {}, "0.2.16": {}, "0.2.19": {}, "0.2.22": {}},
        env={"TAVILY_API_KEY": "tvly-none"},
    ),
    Server(
        "firecrawl",
        NPM,
        "firecrawl-mcp",
        {"1.3.0": sdk("1.4.1"), "2.0.2": sdk("1.17.4"), "3.3.5": {}, "3.15.0": {}, "3.26.0": {}},
        env={"FIRECRAWL_API_KEY": "fc-none"},
    ),
    Server(
        "mongodb",
        NPM,
        "mongodb-mcp-server",
        {
            "0.1.3": sdk("1.12.3", "3.25.67"),
            "1.0.2": sdk("1.18.0", "3.25.76"),
            "1.5.0": sdk("1.25.3", "3.25.76"),
            "2.1.1": {},
            "3.0.4": {},
        },
        env={"MDB_MCP_TELEMETRY": "disabled"},
    ),
    Server(
        "notion",
        NPM,
        "@notionhq/notion-mcp-server",
        {"1.8.0": sdk("1.8.0"), "1.9.0": sdk("1.17.4"), "2.0.0": sdk("1.25.2"), "2.2.1": sdk("1.29.0"), "2.5.2": sdk("1.30.1")},
        env={"NOTION_TOKEN": "ntn_none", "OPENAPI_MCP_HEADERS": "{}"},
    ),
    Server(
        "figma",
        NPM,
        "figma-developer-mcp",
        {
            "0.1.16": sdk("1.8.0", "3.24.2"),
            "0.3.0": sdk("1.11.4", "3.24.4"),
            "0.6.4": sdk("1.18.2", "3.25.76"),
            "0.9.0": sdk("1.27.1", "3.25.76"),
            "0.13.2": {},
        },
        ("--stdio",),
        {"FIGMA_API_KEY": "none", "NODE_ENV": "cli"},
    ),
    Server(
        "git",
        PYPI,
        "mcp-server-git",
        {"0.6.2": "2024-12-04", "2025.7.1": "2025-07-01", "2025.9.25": "2025-09-25", "2026.6.4": "2026-06-04", "2026.10.19": "2026-10-19"},
    ),
    Server(
        "fetch",
        PYPI,
        "mcp-server-fetch",
        {"0.6.2": "2024-12-04", "2025.1.17": "2025-01-17", "2025.4.7": "2025-04-07", "2026.7.10": "2026-07-10", "2026.10.24": "2026-10-25"},
    ),
    Server(
        "time",
        PYPI,
        "mcp-server-time",
        {"0.6.2": "2024-12-04", "2025.7.1": "2025-07-01", "2025.9.25": "2025-09-25", "2026.7.10": "2026-07-10", "2026.10.19": "2026-10-19"},
        # It tells the zone in its words, and would else ask the machine.
        ("--local-timezone", "Europe/London"),
    ),
    Server(
        "excel",
        PYPI,
        "excel-mcp-server",
        {"0.1.3": "2025-05-20", "0.1.5": "2025-07-05", "1.0.0": "2026-09-28", "2.0.0": "2026-10-10", "2.2.2": "2026-10-21"},
        ("stdio",),
    ),
    Server(
        "duckduckgo",
        PYPI,
        "duckduckgo-mcp-server",
        {"0.1.1": "2025-02-22", "0.1.2": "2026-03-08", "0.4.0": "2026-05-08", "0.6.1": "2026-07-28", "0.7.0": "2026-09-04"},
    ),
    Server(
        "arxiv",
        PYPI,
        "arxiv-mcp-server",
        {"0.2.6": "2025-01-21", "0.3.1": "2025-08-19", "0.4.5": "2026-04-03", "0.6.0": "2026-07-25", "0.8.2": "2026-10-08"},
        ("--storage-path", "{home}"),
    ),
    Server(
        "aws-documentation",
        PYPI,
        "awslabs-aws-documentation-mcp-server",
        {"0.1.4": "2025-05-16", "1.1.0": "2025-06-19", "1.1.8": "2025-09-30", "1.1.20": "2026-03-13", "1.2.3": "2026-10-13"},
        program="awslabs.aws-documentation-mcp-server",
    ),
    Server(
        "atlassian",
        PYPI,
        "mcp-atlassian",
        {"0.2.1": "2025-03-12", "0.8.0": "2025-04-21", "0.11.9": "2025-06-29", "0.17.0": "2026-02-24", "0.23.1": "2026-08-19"},
        env={
            "JIRA_URL": "https://jira.example.com",
            "JIRA_PERSONAL_TOKEN": "none",
            "CONFLUENCE_URL": "https://confluence.example.com",
            "CONFLUENCE_PERSONAL_TOKEN": "none",
            # It writes sets into defaults, in another order at each start; each start would be a change.
            "PYTHONHASHSEED": "0",
        },
    ),
]
