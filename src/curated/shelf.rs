//! The files, a line for each, in the order of names and versions.

/// What each of them holds.
pub(super) const FILES: [&str; 10] = [
    include_str!("../../registry/io.github.ChromeDevTools/chrome-devtools-mcp/1.11.0.json"),
    include_str!("../../registry/io.github.blazickjp/arxiv-mcp-server/0.8.2.json"),
    include_str!("../../registry/io.github.microsoft/playwright-mcp/0.0.83.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-everything/2026.8.31.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-fetch/2026.10.24.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-filesystem/2026.8.31.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-git/2026.10.19.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-memory/2026.8.31.json"),
    include_str!("../../registry/io.github.modelcontextprotocol/server-sequential-thinking/2026.8.31.json"),
    include_str!("../../registry/io.github.upstash/context7/4.1.1.json"),
];
