//! What a chapter's Markdown holds, with line numbers: code, headings, includes and raw HTML.

use crate::page::{Piece, pieces};
use mdbook_markdown::pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Tag, TagEnd};
use mdbook_markdown::{MarkdownOptions, new_cmark_parser};
use std::ops::Range;

/// One chapter. All lines count from 1.
#[derive(Debug, Default)]
pub struct Source {
    pub text: String,
    /// Code between backticks that isn't the text of a link.
    pub spans: Vec<(usize, String)>,
    pub blocks: Vec<Block>,
    /// The headings of the second level.
    pub sections: Vec<(usize, String)>,
    pub includes: Vec<Include>,
    /// Everything but code, as HTML.
    pub html: Vec<(usize, Piece)>,
}

/// A code block.
#[derive(Debug)]
pub struct Block {
    pub line: usize,
    /// What stands behind the backticks: `rust,ignore`.
    pub info: String,
    pub text: String,
}

/// An `{{#include file:part}}`.
#[derive(Debug, PartialEq, Eq)]
pub struct Include {
    pub line: usize,
    pub file: String,
    pub part: Part,
}

/// Which part of a file is included.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    All,
    Anchor(String),
    /// The last line that is asked for.
    Lines(usize),
}

impl Source {
    pub fn of(text: &str) -> Source {
        let mut source = Source { text: text.into(), includes: includes(text), ..Source::default() };
        let line = |range: &Range<usize>| text[..range.start].matches('\n').count() + 1;
        let mut code: Vec<Range<usize>> = Vec::new();
        let (mut links, mut block, mut heading) = (0, None::<Block>, None::<(usize, String)>);
        for (event, range) in new_cmark_parser(text, &MarkdownOptions::default()).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { .. }) => links += 1,
                Event::End(TagEnd::Link) => links -= 1,
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block { line: line(&range), info, text: String::new() });
                    code.push(range);
                }
                Event::End(TagEnd::CodeBlock) => source.blocks.extend(block.take()),
                Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                    heading = Some((line(&range), String::new()));
                }
                Event::End(TagEnd::Heading(HeadingLevel::H2)) => source.sections.extend(heading.take()),
                Event::Text(part) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&part);
                    } else if let Some((_, title)) = &mut heading {
                        title.push_str(&part);
                    }
                }
                Event::Code(part) => {
                    if let Some((_, title)) = &mut heading {
                        title.push_str(&part);
                    }
                    if links == 0 {
                        source.spans.push((line(&range), part.to_string()));
                    }
                    code.push(range);
                }
                _ => {}
            }
        }
        source.html = pieces(&without(text, &code));
        source
    }

    /// The lines on which a link to `target` is written; the first line if it comes from elsewhere.
    pub fn lines_of(&self, target: &str) -> Vec<usize> {
        // mdBook turns .md into .html when it renders.
        let written = [target.to_string(), target.replacen(".html", ".md", 1)];
        let on = |line: &str| {
            written.iter().any(|target| {
                line.match_indices(target.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + target.len()..].chars().next();
                    before.is_none_or(|c| "(\"'<: ".contains(c)) && after.is_none_or(|c| ")\"'> ".contains(c))
                })
            })
        };
        let found: Vec<usize> = self.text.lines().enumerate().filter(|(_, l)| on(l)).map(|(i, _)| i + 1).collect();
        if found.is_empty() { vec![1] } else { found }
    }

    /// The first and the last line of each element `name`; the end of the text closes those that are left open.
    pub fn elements(&self, name: &str) -> Vec<(usize, usize)> {
        let (mut open, mut found) = (Vec::new(), Vec::new());
        for (line, piece) in &self.html {
            match piece {
                Piece::Open { name: n, .. } if n == name => open.push(*line),
                Piece::Close { name: n } if n == name => found.extend(open.pop().map(|from| (from, *line))),
                _ => {}
            }
        }
        found.extend(open.into_iter().map(|from| (from, usize::MAX)));
        found
    }
}

/// The text with blanks in place of `ranges`, so that lines stay what they are.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        out.push_str(&text[at..range.start]);
        out.extend(text[range.clone()].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// mdBook looks for includes everywhere in the text, code or not; `\{{` is how a text speaks of them.
fn includes(text: &str) -> Vec<Include> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("{{#") {
            let Some((inside, _)) = line[at + 3..].split_once("}}") else { continue };
            let mut words = inside.split_whitespace();
            let (Some("include" | "rustdoc_include" | "playground"), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            if line[..at].ends_with('\\') {
                continue;
            }
            let mut parts = what.split(':');
            let file = parts.next().unwrap_or_default().to_string();
            let numbers: Vec<&str> = parts.collect();
            let last = numbers.iter().filter_map(|n| n.parse().ok()).next_back();
            let part = match (numbers.first(), last) {
                (None, _) => Part::All,
                (_, Some(last)) => Part::Lines(last),
                (Some(name), None) if !name.is_empty() => Part::Anchor((*name).into()),
                _ => Part::All,
            };
            found.push(Include { line: i + 1, file, part });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_links_and_sections() {
        let source = Source::of(
            "# T\n\n## A `b` c\n\nRun `cargo x`, see [`kit/y`](https://e.org).\n\n```rust,ignore\nlet a;\n```\n<b>\n",
        );
        assert_eq!(source.sections, [(3, "A b c".to_string())]);
        let spans: Vec<_> = source.spans.iter().map(|(line, s)| (*line, s.as_str())).collect();
        assert_eq!(spans, [(3, "b"), (5, "cargo x")], "the text of a link is no span");
        let block = &source.blocks[0];
        assert_eq!((block.line, block.info.as_str(), block.text.as_str()), (7, "rust,ignore", "let a;\n"));
        assert_eq!(source.elements("b"), [(10, usize::MAX)]);
    }

    #[test]
    fn includes_in_all_forms() {
        let text = "{{#include a.rs}}\n{{#include a.rs:part}} \\{{#include no.rs}}\n{{#include a.rs:2:5}}\n{{#include a.rs::7}}\n{{#title x}}";
        let seen: Vec<_> = includes(text).into_iter().map(|i| (i.line, i.part)).collect();
        let anchor = Part::Anchor("part".into());
        assert_eq!(seen, [(1, Part::All), (2, anchor), (3, Part::Lines(5)), (4, Part::Lines(7))]);
    }

    #[test]
    fn links_are_found_as_they_are_written() {
        let source = Source::of("x\n[a](b.md#c) [b](b.md)\n<a href=\"b.html#c\">a</a>\n");
        assert_eq!(source.lines_of("b.html#c"), [2, 3]);
        assert_eq!(source.lines_of("b.html"), [2]);
        assert_eq!(source.lines_of("elsewhere.html"), [1]);
    }
}
