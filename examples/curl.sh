#!/bin/sh
# One request to each surface of the gateway, with nothing but curl.
#
#   portolan serve                                     # in one terminal
#   portolan server add demo -- portolan demo-server   # in another
#   sh examples/curl.sh
#
# PORTOLAN_URL names another gateway, PORTOLAN_KEY a key where one is needed.
set -eu

url="${PORTOLAN_URL:-http://127.0.0.1:8484}"

post() { # PATH, BODY, then more arguments for curl
    path="$1" body="$2"
    shift 2
    if [ -n "${PORTOLAN_KEY:-}" ]; then set -- -H "authorization: Bearer $PORTOLAN_KEY" "$@"; fi
    curl -sS --fail-with-body "$url$path" -H 'content-type: application/json' \
        -H 'accept: application/json, text/event-stream' "$@" -d "$body"
    echo
}

echo '== MCP, stateless (2026-07-28): one request, nothing to open or to close'
post /mcp '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{
    "name":"demo__echo","arguments":{"text":"ahoy"},
    "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
             "io.modelcontextprotocol/clientInfo":{"name":"curl","version":"8"},
             "io.modelcontextprotocol/clientCapabilities":{}}}}' \
    -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: tools/call' -H 'mcp-name: demo__echo'

echo '== MCP, a session (2025-11-25), at one server: its tools have their own names'
head="$(mktemp)"
trap 'rm -f "$head"' EXIT
post /mcp/demo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",
    "capabilities":{},"clientInfo":{"name":"curl","version":"8"}}}' -D "$head"
session="$(sed -n 's/^mcp-session-id: *\([^[:space:]]*\).*/\1/p' "$head")"
in_session() { post /mcp/demo "$1" -H "mcp-session-id: $session" -H 'mcp-protocol-version: 2025-11-25'; }
in_session '{"jsonrpc":"2.0","method":"notifications/initialized"}'
in_session '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow",
    "arguments":{"steps":2,"delay_ms":50},"_meta":{"progressToken":"p"}}}'

echo '== OpenAI-compatible, streamed'
post /v1/chat/completions '{"model":"portolan/echo","stream":true,
    "messages":[{"role":"user","content":"hello there"}]}'

echo '== OpenAI-compatible, with the tools of a server, which the gateway runs'
post /v1/chat/completions '{"model":"portolan/echo",
    "messages":[{"role":"user","content":"call demo__time"}],
    "tools":[{"type":"mcp","server_label":"demo","require_approval":"never"}],
    "portolan":{"report":true}}'
