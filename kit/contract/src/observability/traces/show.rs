//! How spans, rows and decisions look to people.

use super::{Break, Call, Collected, Context, Decision, Held, Hop, Policy, Row, Section, Span, Status, Tail};
use crate::show::unordered;
use crate::{Show, flow};

/// Milliseconds, or microseconds where they aren't whole.
fn time(us: i64) -> String {
    if us % 1000 == 0 { format!("{}ms", us / 1000) } else { format!("{us}us") }
}

fn context(of: &Context) -> String {
    let flags = if of.flags > 1 { format!(", flags {:02x}", of.flags) } else { String::new() };
    let sampled = if of.flags & 1 == 1 { "sampled" } else { "not sampled" };
    format!("trace {}, span {}, {sampled}{flags}", flow(&of.trace_id), flow(&of.span_id))
}

fn span(of: &Span) -> String {
    let mut line = flow(&of.span_id);
    line += &of.parent_span_id.as_ref().map_or(String::new(), |parent| format!(" under {}", flow(parent)));
    line += &format!(
        ": {} {}, {:?}, {} to {}",
        flow(&of.service),
        flow(&of.name),
        of.kind,
        time(of.start_us),
        time(of.end_us)
    );
    if !of.host.is_empty() {
        line += &format!(", on {}", flow(&of.host));
    }
    if of.status != Status::Unset {
        line += &format!(", {:?}", of.status);
    }
    if !of.attributes.is_empty() {
        line += &format!(", {}", flow(&of.attributes));
    }
    line += &of.links.iter().map(|link| format!(", link {}/{}", link.trace_id, link.span_id)).collect::<String>();
    line
}

fn traced(of: &Span) -> String {
    format!("trace {}: {}", flow(&of.trace_id), span(of))
}

/// The lines of a list whose order is open.
fn sorted<T>(list: &[T], line: impl Fn(&T) -> String) -> Vec<String> {
    let mut lines: Vec<String> = list.iter().map(line).collect();
    lines.sort();
    lines
}

impl Show for Context {
    fn lines(&self) -> Vec<String> {
        vec![context(self)]
    }
}

impl Show for Call {
    fn lines(&self) -> Vec<String> {
        let parent = self.parent.as_ref().map_or("no parent".into(), |parent| format!("parent: {}", context(parent)));
        let based = if self.parent_based { ", parent-based" } else { "" };
        vec![
            parent,
            format!("new trace {}, new span {}", flow(&self.new_trace_id), flow(&self.new_span_id)),
            format!("ratio {}{based}", self.ratio),
        ]
    }
}

impl Show for Span {
    fn lines(&self) -> Vec<String> {
        vec![traced(self)]
    }
}

impl Show for Row {
    fn lines(&self) -> Vec<String> {
        let mut line = format!("{}{}", "  ".repeat(self.depth as usize), flow(&self.span_id));
        if self.orphan {
            line += "  parent missing";
        }
        match self.skew_us {
            0 => {}
            ahead if ahead < 0 => line += &format!("  clock ahead by {}", time(-ahead)),
            behind => line += &format!("  clock behind by {}", time(behind)),
        }
        vec![line]
    }
}

impl Show for Section {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} to {}  {}", time(self.from_us), time(self.to_us), flow(&self.span_id))]
    }
}

impl Show for Hop {
    fn lines(&self) -> Vec<String> {
        let header = self.header.as_ref().map_or("no header".into(), |header| format!("header {}", flow(header)));
        let parent = self.parent_span_id.as_ref().map_or("no parent".into(), |of| format!("parent {}", flow(of)));
        let links = self.links.iter().map(|link| format!(", link {}/{}", link.trace_id, link.span_id));
        vec![
            format!("caller: {}", context(&self.caller)),
            header,
            format!("callee: {}, {parent}{}", context(&self.callee), links.collect::<String>()),
        ]
    }
}

impl Show for Break {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
}

impl Show for Decision {
    fn lines(&self) -> Vec<String> {
        vec![format!("{self:?}")]
    }
}

impl Show for Policy {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Tail {
    fn lines(&self) -> Vec<String> {
        let head = format!("decision_wait {}ms, num_traces {}", self.decision_wait_ms, self.num_traces);
        std::iter::once(head).chain(self.policies.iter().map(flow)).collect()
    }
}

fn held(of: &Held) -> Vec<String> {
    let decision = of.decision.map_or("not decided".into(), |decision| format!("{decision:?}"));
    let head = format!("remembers {}, since {}ms: {decision}", flow(&of.trace_id), of.first_ms);
    std::iter::once(head).chain(of.spans.iter().map(|of| format!("  {}", span(of)))).collect()
}

impl Show for Held {
    fn lines(&self) -> Vec<String> {
        held(self)
    }
}

impl Show for Collected {
    fn lines(&self) -> Vec<String> {
        let mut lines = sorted(&self.sent, |of| format!("sends {}", traced(of)));
        lines.extend(sorted(&self.too_early, |of| format!("too early: {}", flow(of))));
        lines.extend(self.memory.iter().flat_map(held));
        if lines.is_empty() { vec!["nothing to send, nothing remembered".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        let memory: Vec<String> = self.memory.iter().map(Show::meaning).collect();
        format!("{memory:?} {} {}", unordered(&self.sent), unordered(&self.too_early))
    }
}
