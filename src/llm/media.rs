//! Images and documents as clients of OpenAI's dialects send them: at an address, or here in base64.

use super::conversation::{Source, Wrong};
use super::fields::Fields;

/// An address, or the bytes in a `data:` URL.
pub(super) fn source(url: String, path: &str) -> Result<Source, Wrong> {
    let Some(rest) = url.strip_prefix("data:") else { return Ok(Source::Url(url)) };
    match rest.split_once(";base64,") {
        // What stands behind the type, like a charset, nobody takes.
        Some((kind, data)) => Ok(Source::Data(kind.split(';').next().unwrap_or_default().to_owned(), data.to_owned())),
        None => Err(Wrong::at(path, format!("`{path}`: a `data:` URL must hold base64, as in `data:image/png;base64,…`"))),
    }
}

/// A document's bytes, as a `data:` URL or in plain base64; its name then says what it is.
pub(super) fn file(data: String, name: Option<&str>, path: &str) -> Result<Source, Wrong> {
    // Base64 has no colon.
    if data.contains(':') { source(data, path) } else { Ok(Source::Data(kind(name).to_owned(), data)) }
}

/// The media type that a name stands for.
fn kind(name: Option<&str>) -> &'static str {
    let ending = name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("md") => "text/markdown",
        Some("txt" | "log" | "json" | "xml" | "yaml" | "yml") => "text/plain",
        _ => "application/pdf",
    }
}

/// How closely an image is looked at is not told to other dialects; says so, unless it was left to the model.
pub(super) fn detail(image: &Fields<'_, '_>, lost: &mut Vec<String>) {
    const NAME: &str = "image detail";
    if image.some("detail").is_some_and(|detail| detail.get() != "\"auto\"") && !lost.iter().any(|lost| lost == NAME) {
        lost.push(NAME.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bytes_and_addresses_are_addresses() {
        let data = |source| match source {
            Ok(Source::Data(kind, data)) => format!("{kind} {data}"),
            Ok(Source::Url(url)) => url,
            other => panic!("{other:?}"),
        };
        assert_eq!(data(file("JVBERi0=".into(), Some("a.pdf"), "p")), "application/pdf JVBERi0=");
        assert_eq!(data(file("aGk=".into(), Some("A.TXT"), "p")), "text/plain aGk=");
        assert_eq!(data(file("data:text/plain;charset=utf-8;base64,aGk=".into(), None, "p")), "text/plain aGk=");
        assert_eq!(data(source("https://example.com/a;base64,b".into(), "p")), "https://example.com/a;base64,b");
        let wrong = source("data:image/svg+xml;utf8,<svg/>".into(), "messages[0].content[1]").unwrap_err();
        assert_eq!(wrong.param.as_deref(), Some("messages[0].content[1]"));
    }
}
