//! A trace as a waterfall: its spans below each other, and those that were waited for.
//!
//! Jaeger's critical path (`packages/jaeger-ui/src/components/TracePage/CriticalPath`) is that of one answer: it leaves out what
//! somebody does after a message. Here it goes from the first start to the last end, whoever heard of it by whatever way: a span
//! that begins when its parent is over, or that is a `Consumer`, came after it and not inside of it. From the end of a span it goes back
//! through the child that ended last, as there.

use super::{Kind, Span};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Its id.
    pub id: String,
    /// When its first span began, in microseconds.
    pub start_us: i64,
    /// When its last one ended.
    pub end_us: i64,
    /// Its spans: each is followed by those below it, in order of time.
    pub rows: Vec<Row>,
}

/// One span of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The span.
    pub span: Span,
    /// How many are above it.
    pub depth: usize,
    /// Whether its parent isn't there: that is not over yet, or was lost on the way, or somebody broke the context.
    pub orphan: bool,
    /// From when to when it was waited for.
    pub critical: Vec<(i64, i64)>,
}

/// All traces of some spans, the one that began last first; each has a row at least. A span that was sent twice counts once.
pub fn traces(spans: &[Span]) -> Vec<Trace> {
    let mut by_id: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for span in spans.iter().filter(|span| seen.insert((&span.trace_id, &span.span_id))) {
        by_id.entry(&span.trace_id).or_default().push(span);
    }
    let mut traces: Vec<Trace> = by_id.into_values().map(|spans| trace(&spans)).collect();
    traces.retain(|trace| !trace.rows.is_empty());
    traces.sort_by(|a, b| b.start_us.cmp(&a.start_us).then_with(|| a.id.cmp(&b.id)));
    traces
}

fn trace(spans: &[&Span]) -> Trace {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    // Who hears of something does so after all that was done for it.
    let place = |span: &Span| (span.start_us, span.kind == Kind::Consumer, span.end_us);
    order.sort_by_key(|&index| (place(spans[index]), &spans[index].span_id));
    let by_id: HashMap<&str, usize> =
        spans.iter().enumerate().map(|(index, span)| (span.span_id.as_str(), index)).collect();
    let parent = |index: usize| spans[index].parent_span_id.as_deref().and_then(|id| by_id.get(id).copied());
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    order.iter().for_each(|&index| children.entry(parent(index)).or_default().push(index));
    // Whoever is its own ancestor is below nobody.
    let mut rows: Vec<(usize, usize)> = Vec::new();
    let mut stack: Vec<(usize, usize)> =
        children.get(&None).into_iter().flatten().rev().map(|&index| (index, 0)).collect();
    while let Some((index, depth)) = stack.pop() {
        rows.push((index, depth));
        stack.extend(children.get(&Some(index)).into_iter().flatten().rev().map(|&child| (child, depth + 1)));
    }
    let bounds = |from: fn(&Span) -> i64| rows.iter().map(move |&(index, _)| from(spans[index]));
    let (start_us, end_us) =
        (bounds(|span| span.start_us).min().unwrap_or(0), bounds(|span| span.end_us).max().unwrap_or(0));
    // What came after another span stands beside it.
    let after = |index: usize| {
        let of = parent(index)
            .filter(|&parent| spans[index].kind != Kind::Consumer && spans[index].start_us < spans[parent].end_us);
        of.filter(|&parent| spans[index].end_us <= spans[parent].end_us)
    };
    let mut inside: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    rows.iter().for_each(|&(index, _)| inside.entry(after(index)).or_default().push(index));
    let mut critical: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
    walk(None, (start_us, end_us), spans, &inside, &mut critical);
    let row = |(index, depth): (usize, usize)| {
        let mut critical = critical.remove(&index).unwrap_or_default();
        critical.reverse();
        let span = spans[index].clone();
        Row { orphan: span.parent_span_id.is_some() && parent(index).is_none(), span, depth, critical }
    };
    let id = spans.first().map(|span| span.trace_id.clone()).unwrap_or_default();
    Trace { id, start_us, end_us, rows: rows.into_iter().map(row).collect() }
}

/// Goes back from the end of a span to its start.
fn walk(
    of: Option<usize>,
    (from, until): (i64, i64),
    spans: &[&Span],
    inside: &HashMap<Option<usize>, Vec<usize>>,
    critical: &mut HashMap<usize, Vec<(i64, i64)>>,
) {
    let mut at = until;
    let own = |from: i64, until: i64, critical: &mut HashMap<usize, Vec<(i64, i64)>>| {
        if let Some(index) = of.filter(|_| from < until) {
            critical.entry(index).or_default().push((from, until));
        }
    };
    while at > from {
        let ended = |&&child: &&usize| {
            spans[child].end_us <= at && spans[child].start_us < spans[child].end_us && spans[child].end_us > from
        };
        let last = inside
            .get(&of)
            .into_iter()
            .flatten()
            .filter(ended)
            .max_by_key(|&&child| (spans[child].end_us, -spans[child].start_us));
        let Some(&child) = last else { break };
        own(spans[child].end_us, at, critical);
        let start = spans[child].start_us.max(from);
        walk(Some(child), (start, spans[child].end_us), spans, inside, critical);
        at = start;
    }
    own(from, at, critical);
}

/// So wide is the column of names, and so wide the picture beside it.
const NAMES: usize = 44;
const PICTURE: usize = 24;

impl Trace {
    /// How many services had a part in it.
    pub fn services(&self) -> usize {
        self.rows.iter().map(|row| &row.span.service).collect::<BTreeSet<_>>().len()
    }

    /// The trace as lines of at most 79 characters: `█` where it was waited for a span, `░` where it was not, and `?` before one without
    /// its parent.
    pub fn lines(&self) -> Vec<String> {
        let took = time(self.end_us - self.start_us);
        let head = format!("trace {}  {} spans · {} services · {took}", self.id, self.rows.len(), self.services());
        let mut above: Vec<&str> = Vec::new();
        let rows = self.rows.iter().map(|row| {
            above.truncate(row.depth);
            let service = if above.last() == Some(&row.span.service.as_str()) {
                String::new()
            } else {
                format!("{}: ", row.span.service)
            };
            above.push(&row.span.service);
            let mark = if row.orphan { '?' } else { ' ' };
            let failed = if row.span.status == super::Status::Error { " ✗" } else { "" };
            let name = cut(&format!("{mark}{}{service}{}{failed}", " ".repeat(row.depth), row.span.name));
            let took = time(row.span.end_us - row.span.start_us);
            format!("{name:<NAMES$} {took:>8} {}", self.bar(row)).trim_end().to_string()
        });
        std::iter::once(head).chain(rows.collect::<Vec<_>>()).collect()
    }

    fn bar(&self, row: &Row) -> String {
        let whole = (self.end_us - self.start_us).max(1) as i128;
        let cell = |us: i64| (i128::from(us - self.start_us) * PICTURE as i128 / whole) as usize;
        let cells = |from: i64, until: i64| {
            let first = cell(from).min(PICTURE - 1);
            first..cell(until).clamp(first + 1, PICTURE)
        };
        let mut bar = vec![' '; PICTURE];
        cells(row.span.start_us, row.span.end_us).for_each(|at| bar[at] = '░');
        row.critical.iter().flat_map(|&(from, until)| cells(from, until)).for_each(|at| bar[at] = '█');
        bar.into_iter().collect()
    }
}

fn cut(text: &str) -> String {
    match text.chars().count() > NAMES {
        true => text.chars().take(NAMES - 1).chain(['…']).collect(),
        false => text.into(),
    }
}

/// A length of time, in the largest unit that it fills.
pub fn time(us: i64) -> String {
    match us {
        0 => "0".into(),
        1_000_000.. => format!("{:.2}s", us as f64 / 1e6),
        1000.. => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{us}µs"),
    }
}

/// The page, with this text where the traces belong.
const PAGE: &str = include_str!("page.html");
const PLACE: &str = "/*TRACES*/";

/// A page that shows these traces; where it lies at an address, it asks `spans` beside it for what comes later.
///
/// # Errors
///
/// If they can't be written as JSON.
pub fn page(traces: &[Trace]) -> Result<String, serde_json::Error> {
    // Nothing in a text may end the script element: https://html.spec.whatwg.org/#restrictions-for-contents-of-script-elements
    Ok(PAGE.replacen(PLACE, &serde_json::to_string(traces)?.replace('<', "\\u003c"), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `service name from until kind [parent]`, times in milliseconds; the id is the name.
    fn spans(text: &str) -> Vec<Span> {
        let span = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ms = |at: usize| words[at].parse::<i64>().expect("a number") * 1000;
            Span {
                trace_id: "t".into(),
                span_id: words[1].into(),
                parent_span_id: words.get(5).map(ToString::to_string),
                name: words[1].into(),
                service: words[0].into(),
                start_us: ms(2),
                end_us: ms(3),
                kind: if words[4] == "consumer" { Kind::Consumer } else { Kind::Internal },
                ..Span::default()
            }
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(span).collect()
    }

    #[test]
    fn the_critical_path_goes_through_what_came_after() {
        // The answer is over at 10; who heard of it does something from 12 on, and its last part begins when the first is over.
        let all = spans(
            "api post 0 10 server
             api store 2 8 internal post
             node watch 10 12 consumer post
             node sync 12 100 internal watch
             node pull 20 60 client sync
             node start 60 90 client sync
             node beside 30 40 client sync
             x lost 50 55 internal nobody",
        );
        let [trace] = &traces(&all)[..] else { panic!("one trace") };
        let rows: Vec<String> = trace
            .rows
            .iter()
            .map(|row| {
                let critical: Vec<String> =
                    row.critical.iter().map(|(from, until)| format!("{}-{}", from / 1000, until / 1000)).collect();
                format!(
                    "{}{} {}{}",
                    " ".repeat(row.depth),
                    row.span.name,
                    critical.join(","),
                    if row.orphan { "?" } else { "" }
                )
            })
            .collect();
        let expected = [
            "post 0-2,8-10",
            " store 2-8",
            " watch 10-12",
            "  sync 12-20,90-100",
            "   pull 20-60",
            "   beside ",
            "   start 60-90",
            "lost ?",
        ];
        assert_eq!(rows, expected);
        let lines = trace.lines();
        assert!(lines.iter().all(|line| line.chars().count() <= 79), "{lines:?}");
        assert!(lines[8].starts_with("?x: lost"), "{lines:?}");
    }
}
