//! What was measured, as a table of a terminal, a drawing, and a page.

use crate::compare::{Compared, Side};
use crate::curve::Point;
use std::fmt::Write;

/// A time in milliseconds as people say it.
pub fn time(ms: Option<f64>) -> String {
    match ms {
        None => "–".into(),
        Some(ms) if ms < 1000.0 => format!("{ms:.0} ms"),
        Some(ms) if ms < 10_000.0 => format!("{:.1} s", ms / 1000.0),
        Some(ms) => format!("{:.0} s", ms / 1000.0),
    }
}

/// USD as people say it.
pub fn money(usd: f64) -> String {
    if usd < 0.01 { format!("${usd:.4}") } else { format!("${usd:.2}") }
}

/// A number with separators.
pub fn number(count: usize) -> String {
    let digits = count.to_string();
    let mut said = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

/// The rows of the table: what is said, of functions, and of the cluster.
pub fn rows(compared: &Compared) -> Vec<[String; 3]> {
    let Compared { function, cluster, reserved_cost, .. } = compared;
    let both = |what: &str, of: &dyn Fn(&Side) -> String| [what.to_string(), of(function), of(cluster)];
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 * 100.0 };
    vec![
        both("cost of the day", &|side| money(side.cost)),
        ["… nodes reserved for a year".into(), "–".into(), money(*reserved_cost)],
        both("answers p50", &|side| time(side.p50)),
        both("answers p95", &|side| time(side.p95)),
        both("answers p99", &|side| time(side.p99)),
        both("failed", &|side| format!("{} ({:.2} %)", number(side.failed), share(side.failed, side.requests))),
        both("longest slow time", &|side| format!("{:.0} s", side.slow)),
        both("starts", &|side| number(side.starts)),
        both("a start p50", &|side| time(side.start_p50)),
        both("a start p95", &|side| time(side.start_p95)),
        both("used of what is paid", &|side| format!("{:.0} %", side.utilization * 100.0)),
        [
            "most at once".into(),
            format!("{} environments", number(function.peak.0)),
            format!("{} pods, {} nodes", number(cluster.peak.0), cluster.peak.1),
        ],
    ]
}

/// The table for a terminal: it fits 80 columns.
pub fn table(compared: &Compared) -> String {
    let mut said = format!("  {:<28}{:>22}{:>24}\n", "", "functions", "cluster");
    for [what, function, cluster] in rows(compared) {
        _ = writeln!(said, "  {what:<28}{function:>22}{cluster:>24}");
    }
    said
}

/// What the curve says in a sentence.
pub fn break_even(rate: Option<f64>) -> String {
    match rate {
        Some(rate) if rate >= 10.0 => {
            format!("From {rate:.0} requests a second on average on, the cluster is cheaper.")
        }
        Some(rate) => format!("From {rate:.1} requests a second on average on, the cluster is cheaper."),
        None => "Up to 1,000 requests a second on average, functions are cheaper.".into(),
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 44.0;

/// The bill over the load as a drawing, both in powers of ten.
pub fn drawing(points: &[Point], break_even: Option<f64>) -> String {
    let bills = || points.iter().flat_map(|point| [point.function, point.cluster]).filter(|bill| *bill > 0.0);
    let decade = |value: f64, up: bool| if up { value.log10().ceil() } else { value.log10().floor() };
    let (low, high) = (
        decade(bills().fold(f64::INFINITY, f64::min), false).max(-3.0),
        decade(bills().fold(f64::NEG_INFINITY, f64::max), true),
    );
    let rates = || points.iter().map(|point| point.rate);
    let (first, last) = (rates().fold(f64::INFINITY, f64::min).log10(), rates().fold(0.0, f64::max).log10());
    let x = |rate: f64| LEFT + (rate.log10() - first) / (last - first).max(1e-9) * (WIDTH - LEFT - 16.0);
    let y = |bill: f64| {
        let share = (bill.log10().max(low) - low) / (high - low).max(1e-9);
        HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - 16.0)
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"USD for a day over requests a second: a rising line of \
         functions crosses a line of the cluster that is flat at first.\" xmlns=\"http://www.w3.org/2000/svg\" \
         font-family=\"sans-serif\" font-size=\"12\">\n"
    );
    for power in low as i32..=high as i32 {
        let (at, bill) = (y(10_f64.powi(power)), 10_f64.powi(power));
        let label =
            if power < 0 { format!("${bill:.*}", power.unsigned_abs() as usize) } else { format!("${bill:.0}") };
        _ = writeln!(svg, "<path d='M{LEFT} {at:.1}H{:.0}' stroke='#8884'/>", WIDTH - 16.0);
        _ = writeln!(
            svg,
            "<text x='{:.0}' y='{:.1}' text-anchor='end' fill='currentColor'>{label}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for power in first.round() as i32..=last.round() as i32 {
        let (at, rate) = (x(10_f64.powi(power)), 10_f64.powi(power));
        _ = writeln!(
            svg,
            "<text x='{at:.1}' y='{:.0}' text-anchor='middle' fill='currentColor'>{rate}</text>",
            HEIGHT - BOTTOM + 18.0
        );
    }
    let middle = (LEFT + WIDTH) / 2.0;
    _ = writeln!(
        svg,
        "<text x='{middle:.0}' y='{:.0}' text-anchor='middle' fill='currentColor'>requests a second, on average over the day</text>",
        HEIGHT - 6.0
    );
    type Of = fn(&Point) -> f64;
    let lines: [(&str, &str, Of); 2] =
        [("functions", "#d9730d", |p| p.function), ("cluster", "#2f6feb", |p| p.cluster)];
    for (number, (name, colour, of)) in lines.into_iter().enumerate() {
        let path: Vec<String> =
            points.iter().map(|point| format!("{:.1} {:.1}", x(point.rate), y(of(point)))).collect();
        _ = writeln!(svg, "<path d='M{}' fill='none' stroke='{colour}' stroke-width='2'/>", path.join("L"));
        _ = writeln!(
            svg,
            "<text x='{:.0}' y='{:.0}' fill='{colour}'>{name}</text>",
            LEFT + 10.0,
            28.0 + 16.0 * number as f64
        );
    }
    if let Some(rate) = break_even {
        let at = x(rate);
        _ = writeln!(
            svg,
            "<path d='M{at:.1} 16V{:.0}' stroke='currentColor' stroke-dasharray='4 4'/>",
            HEIGHT - BOTTOM
        );
        _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.0}' fill='currentColor'>{rate:.1} a second</text>",
            at + 6.0,
            HEIGHT - BOTTOM - 8.0
        );
    }
    svg + "</svg>\n"
}

/// A page that stands by itself.
pub fn page(
    title: &str,
    compared: &Compared,
    points: &[Point],
    rate: Option<f64>,
    prices: &crate::prices::Prices,
) -> String {
    let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let row = |[what, function, cluster]: [String; 3]| {
        format!(
            "<tr><th scope='row'>{}</th><td>{}</td><td>{}</td></tr>\n",
            safe(&what),
            safe(&function),
            safe(&cluster)
        )
    };
    let rows: String = rows(compared).into_iter().map(row).collect();
    let sources: Vec<String> = prices.sources.iter().map(|url| format!("<a href='{0}'>{0}</a>", safe(url))).collect();
    format!(
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>\n\
         <title>{title}</title>\n<style>\n:root {{ color-scheme: light dark }}\nbody {{ font-family: sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}\n\
         table {{ border-collapse: collapse; width: 100% }}\nth, td {{ text-align: right; padding: .3rem .6rem; border-bottom: 1px solid #8884 }}\n\
         th[scope=row] {{ text-align: left; font-weight: normal }}\nsvg {{ width: 100%; height: auto; margin-top: 1.5rem }}\n</style></head>\n<body>\n<h1>{title}</h1>\n\
         <table><thead><tr><td></td><th>functions</th><th>cluster</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n{svg}<p>{sentence}</p>\n\
         <p><small>List prices of {date}: {sources}</small></p>\n</body></html>\n",
        title = safe(title),
        svg = drawing(points, rate),
        sentence = safe(&break_even(rate)),
        date = safe(&prices.date),
        sources = sources.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_people_do() {
        assert_eq!([0, 12, 1234, 1_234_567].map(number), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!([0.0012, 1.5, 12.0].map(money), ["$0.0012", "$1.50", "$12.00"]);
        assert_eq!([None, Some(12.4), Some(1234.0), Some(61_000.0)].map(time), ["–", "12 ms", "1.2 s", "61 s"]);
    }
}
