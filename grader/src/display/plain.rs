//! What modules print and answer, made harmless for terminals, XML, and whoever reads it.

use crate::verdict::record::TurningPoint;
use crate::verdict::report::{Difference, ExerciseResult, Fresh, Progress, Report, ScenarioResult, Varied};
use std::borrow::Cow;
use std::path::Path;

/// A line of more characters is cut where it is shown; the document in JSON has all of it.
const LINE: usize = 2000;

/// The report as it is shown: see [`clean`].
pub fn report(report: &Report) -> Report {
    Report { exercises: report.exercises.iter().map(exercise).collect(), ..report.clone() }
}

/// One result as it is shown.
pub fn exercise(result: &ExerciseResult) -> ExerciseResult {
    ExerciseResult {
        name: one_line(&result.name),
        title: one_line(&result.title),
        variation: result.variation.as_ref().map(varied),
        message: result.message.as_deref().map(clean),
        warnings: result.warnings.as_deref().map(clean),
        file: result.file.as_deref().map(one_line),
        stages: result.stages.iter().map(|stage| Progress { name: one_line(&stage.name), ..*stage }).collect(),
        scenarios: result.scenarios.iter().map(scenario).collect(),
        fresh: result.fresh.as_ref().map(fresh),
        ..result.clone()
    }
}

/// Results are read back from files, too.
fn varied(of: &Varied) -> Varied {
    Varied { name: one_line(&of.name), rule: one_line(&of.rule) }
}

fn fresh(of: &Fresh) -> Fresh {
    Fresh { seed: one_line(&of.seed), scenario: scenario(&of.scenario), ..*of }
}

fn scenario(result: &ScenarioResult) -> ScenarioResult {
    ScenarioResult {
        name: one_line(&result.name),
        why: one_line(&result.why),
        read: one_line(&result.read),
        message: result.message.as_deref().map(clean),
        difference: result.difference.as_ref().map(difference),
        ..result.clone()
    }
}

fn difference(difference: &Difference) -> Difference {
    Difference {
        say: difference.say.as_deref().map(one_line),
        history: lines(&difference.history),
        asked: lines(&difference.asked),
        expected: lines(&difference.expected),
        yours: difference.yours.as_deref().map(lines),
        printed: clean(&difference.printed),
        turning: difference.turning.as_ref().map(|turning| TurningPoint {
            number: turning.number,
            asked: lines(&turning.asked),
            expected: lines(&turning.expected),
            yours: lines(&turning.yours),
        }),
        ..*difference
    }
}

fn lines(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| one_line(line)).collect()
}

/// A file's name in a sentence.
pub fn name(file: &Path) -> String {
    one_line(&file.display().to_string())
}

fn one_line(text: &str) -> String {
    clean(text).replace('\n', "\\n")
}

/// Takes away what would move a cursor, change colours, turn the direction of what follows, or end an XML document:
/// lines stay, and so do all letters.
pub fn clean(text: &str) -> String {
    // What begins and ends a terminal's sequence goes with it.
    let kept = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{1b}' | '\u{7}');
    let mut shown = String::new();
    text.chars().for_each(|c| if kept(c) { shown.push(c) } else { shown.extend(c.escape_unicode()) });
    let stripped = anstream::adapter::strip_str(&shown).to_string();
    let lines: Vec<Cow<'_, str>> = stripped.split('\n').map(|line| clean_line(line.trim_end_matches('\r'))).collect();
    lines.join("\n")
}

fn clean_line(line: &str) -> Cow<'_, str> {
    let mut out = String::new();
    for (at, c) in line.chars().enumerate() {
        match c {
            _ if at == LINE => {
                out.push('…');
                break;
            }
            '\t' => out.push_str("    "),
            _ if c.is_control() || turns(c) => out.extend(c.escape_unicode()),
            _ if is_noncharacter(c) => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Marks that change the order in which a line is shown, or end one.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Code points that never stand for anything: XML forbids the first two, and nobody can show any.
fn is_noncharacter(c: char) -> bool {
    u32::from(c) & 0xfffe == 0xfffe || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::{clean, one_line};

    #[test]
    fn odd_characters_are_shown_and_do_nothing() {
        let cases = [
            ("plain ✓ 日本 👩\u{200d}💻", "plain ✓ 日本 👩\u{200d}💻"),
            ("one\r\ntwo\n", "one\ntwo\n"),
            ("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x", "red x"),
            ("a\u{8}b\u{0}c\u{7f}d\u{85}e", "a\\u{8}b\\u{0}c\\u{7f}d\\u{85}e"),
            ("\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\u{fdd0}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("if \u{202e}toor\u{2066} \u{2028}", "if \\u{202e}toor\\u{2066} \\u{2028}"),
            ("a\tb", "a    b"),
        ];
        for (text, shown) in cases {
            assert_eq!(clean(text), shown, "{text:?}");
        }
        assert_eq!(one_line("a\n::error::\u{202e}\u{1b}[2J\r"), "a\\n::error::\\u{202e}");
        let long = clean(&"x".repeat(5000));
        assert!(long.ends_with("x…") && long.chars().count() == 2001);
    }
}
