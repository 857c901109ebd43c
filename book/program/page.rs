//! What a rendered page holds, read with the tokenizer that mdBook reads HTML with, and text that goes into one.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A tag or a piece of text, with its line in the input, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Open { name: String, attrs: Vec<(String, String)>, closed: bool },
    Close { name: String },
    Text(String),
}

/// The pieces of a text in HTML, or of Markdown with HTML in it.
pub fn pieces(html: &str) -> Vec<(usize, Piece)> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let tokenizer = Tokenizer::new(Collector::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.take()
}

#[derive(Default)]
struct Collector(RefCell<Vec<(usize, Piece)>>);

impl TokenSink for Collector {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let piece = match token {
            Token::TagToken(tag) => of_tag(tag),
            Token::CharacterTokens(text) => Piece::Text(text.to_string()),
            _ => return TokenSinkResult::Continue,
        };
        self.0.borrow_mut().push((line as usize, piece));
        TokenSinkResult::Continue
    }
}

fn of_tag(tag: Tag) -> Piece {
    let name = tag.name.to_string();
    match tag.kind {
        TagKind::EndTag => Piece::Close { name },
        TagKind::StartTag => {
            let attrs = tag.attrs.into_iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
            Piece::Open { name, attrs, closed: tag.self_closing }
        }
    }
}

/// What other pages and readers depend on.
#[derive(Debug, Default)]
pub struct Page {
    /// All anchors.
    pub ids: BTreeSet<String>,
    /// Where its links and images lead, in the order of the text.
    pub links: Vec<String>,
    /// Images, drawings and pages in the page that say nothing to a reader who can't see them: a name for each.
    pub silent: Vec<String>,
}

impl Page {
    /// Reads the text of a rendered page; mdBook's frame around it is left out.
    pub fn of(html: &str) -> Page {
        let main = html.split_once("<main>").map_or(html, |(_, rest)| rest);
        let main = main.rsplit_once("</main>").map_or(main, |(main, _)| main);
        let mut page = Page::default();
        for (_, piece) in pieces(main) {
            let Piece::Open { name, attrs, .. } = piece else { continue };
            let attr = |key: &str| attrs.iter().find(|(k, _)| k == key).map(|(_, v)| v.trim());
            page.ids.extend(attr("id").map(String::from));
            match name.as_str() {
                "a" => {
                    // The anchor's older form.
                    page.ids.extend(attr("name").map(String::from));
                    page.links.extend(attr("href").map(String::from));
                }
                "img" => {
                    page.links.extend(attr("src").map(String::from));
                    if attr("alt").is_none_or(str::is_empty) {
                        page.silent.push(attr("src").unwrap_or("img").into());
                    }
                }
                "iframe" => {
                    page.links.extend(attr("src").map(String::from));
                    if attr("title").is_none_or(str::is_empty) {
                        page.silent.push("<iframe".into());
                    }
                }
                "svg" => {
                    let hidden = attr("aria-hidden") == Some("true");
                    let named = attr("role") == Some("img") && attr("aria-label").is_some_and(|l| !l.is_empty());
                    if !hidden && !named {
                        page.silent.push("<svg".into());
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// A text in HTML, between tags or in a quoted attribute.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_stands_in_main() {
        let page = Page::of(
            r##"<nav><a href="no.html">x</a></nav><main><h2 id="how">How</h2><a href="b.html#c">b</a>
            <img src="i.png"><img src="j.png" alt="a node"><svg role="img" aria-label="two nodes"><path d="M0 0"/></svg>
            <svg></svg><iframe src="t.html" title="two nodes"></iframe></main><a href="no.html">y</a>"##,
        );
        assert_eq!(page.ids.into_iter().collect::<Vec<_>>(), ["how"]);
        assert_eq!(page.links, ["b.html#c", "i.png", "j.png", "t.html"]);
        assert_eq!(page.silent, ["i.png", "<svg"]);
    }

    #[test]
    fn pieces_know_their_lines() {
        let seen = pieces("one\n<details>\ntwo\n</details>\n");
        let tags: Vec<_> = seen.iter().filter(|(_, p)| !matches!(p, Piece::Text(_))).map(|(line, _)| *line).collect();
        assert_eq!(tags, [2, 4]);
    }
}
