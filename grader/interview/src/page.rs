//! What all pages of this package have in common: text made safe for HTML, and Markdown.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};

/// The look of all pages: colours for light and dark, type, tables.
pub const BASE: &str = include_str!("base.css");

/// Text as HTML shows it.
pub fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// Markdown as HTML. HTML in it is shown as it was typed, and a link leads to the web or nowhere.
pub fn markdown(text: &str) -> String {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let web = ["https://", "http://"].iter().any(|scheme| dest_url.starts_with(scheme));
            let dest_url = if web { dest_url } else { CowStr::from("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        // A page that is kept must not ask the network for anything.
        Event::Start(Tag::Image { dest_url, .. }) => Event::Text(dest_url),
        Event::End(pulldown_cmark::TagEnd::Image) => Event::Text(CowStr::from("")),
        event => event,
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    page
}

/// Markdown that belongs into a line: without the paragraph around it.
pub fn inline(text: &str) -> String {
    let html = markdown(text);
    let html = html.trim();
    match html.strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>")) {
        Some(one) if !one.contains("<p>") => one.to_string(),
        _ => html.to_string(),
    }
}

/// Milliseconds as `12:05`, or `1:02:05`.
pub fn clock(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_brings_no_html_of_its_own() {
        for (text, html) in [
            ("a `b < c` *d*", "<p>a <code>b &lt; c</code> <em>d</em></p>\n"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("a <b onclick=x>b</b>", "<p>a &lt;b onclick=x&gt;b&lt;/b&gt;</p>\n"),
            ("[x](javascript:alert(1))", "<p><a href=\"#\">x</a></p>\n"),
            ("[x](https://kubernetes.io)", "<p><a href=\"https://kubernetes.io\">x</a></p>\n"),
            ("![x](https://example.com/x.png)", "<p>https://example.com/x.pngx</p>\n"),
        ] {
            assert_eq!(markdown(text), html, "{text}");
        }
        assert_eq!(inline("one *line*"), "one <em>line</em>");
        assert_eq!(safe("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
    }

    #[test]
    fn times_are_short() {
        for (ms, text) in [(0, "0:00"), (-5, "0:00"), (65_999, "1:05"), (3_725_000, "1:02:05")] {
            assert_eq!(clock(ms), text);
        }
    }
}
