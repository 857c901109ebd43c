//! What is counted, alerts, and who is told of them.

use super::{Asked, list};
use kit_contract::observability::alerts::{
    Alert, Destination, Flush, Group, Labels, Matcher, Quiet, Route, Rule, Sent, State, Timer,
};
use kit_contract::observability::logs::{Block, Part};
use kit_contract::observability::metrics::{Bucket, Figure, Function, Number, Page, Sample};

pub fn alerts(asked: &Asked<'_>) -> Option<Vec<String>> {
    let now: i64 = asked.arg("now_ms").unwrap_or_default();
    match asked.call {
        "evaluate" => evaluate(asked, now),
        "send" => send(asked, now),
        "route" => route(&asked.arg("tree")?, &asked.arg("labels")?, &asked.answer::<Vec<Destination>>()?),
        "join" => {
            let group: Timer = asked.arg("group")?;
            let age = now - asked.arg::<i64>("starts_at_ms")?;
            Some(vec![match group.next_ms {
                _ if group.flushed => "A group that was flushed keeps its rhythm, whoever joins.".into(),
                _ if age > group.group_wait_ms => {
                    format!("The alert is {} old, more than group_wait: it is told at once.", seconds(age))
                }
                None => format!("A new group waits for group_wait, {}.", seconds(group.group_wait_ms)),
                Some(_) => "The group waits already, and the alert joins it.".into(),
            }])
        }
        "mutes" => mutes(asked, now),
        "flush" => flush(asked, now),
        _ => None,
    }
}

/// Why blocks end where they end, and why what follows isn't read.
pub fn logs(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (part, blocks): (Part, Vec<Block>) = (asked.arg("part")?, asked.answer()?);
    let several = blocks.iter().filter(|block| block.records.len() > 1);
    let mut said: Vec<String> = several
        .map(|block| format!("{} records overlap in the block up to {}.", block.records.len(), block.end))
        .collect();
    let end = blocks.last().map_or(0, |block| block.end);
    let rest = part.text.get(usize::try_from(end).ok()?..)?;
    said.push(match rest {
        "" => "Everything is complete.".into(),
        rest if !rest.contains('\n') => "What has no line end is no line yet.".into(),
        _ => format!("Behind {end} a record isn't complete, so nothing is read from there on."),
    });
    if part.is_quiet {
        said.push("The file is quiet, so what is open is complete.".into());
    }
    Some(said)
}

fn seconds(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

/// What tells the alerts of one rule apart.
fn name(labels: &Labels) -> String {
    labels.get("pod").map_or("the alert without a pod".into(), |pod| format!("the alert of {pod}"))
}

fn evaluate(asked: &Asked<'_>, now: i64) -> Option<Vec<String>> {
    let (rule, known): (Rule, Vec<Alert>) = (asked.arg("rule")?, asked.arg("known")?);
    let holding: Vec<Labels> = asked.arg("holding")?;
    let new = holding.iter().filter(|labels| !known.iter().any(|alert| alert.labels == **labels));
    let mut said: Vec<String> = new.map(|labels| format!("{} begins now.", name(labels))).collect();
    for alert in &known {
        let holds = holding.contains(&alert.labels);
        let what = match (alert.state, holds) {
            (State::Inactive, true) => "had resolved, holds again, and begins anew".into(),
            (State::Pending, true) => {
                format!("has held for {}, of {} that for asks", seconds(now - alert.active_at_ms), seconds(rule.for_ms))
            }
            (State::Firing, true) => "holds, and fires on".into(),
            (State::Pending, false) => "was only pending, and is forgotten".into(),
            (State::Firing, false) if rule.keep_firing_for_ms > 0 => format!(
                "doesn't hold since {}, and is kept for {}",
                seconds(now - alert.keep_firing_since_ms.unwrap_or(now)),
                seconds(rule.keep_firing_for_ms)
            ),
            (State::Firing, false) => "doesn't hold, and resolves".into(),
            (State::Inactive, false) => {
                format!("resolved {} ago, of 900 s that it is remembered", seconds(now - alert.resolved_at_ms?))
            }
        };
        said.push(format!("{} {what}.", name(&alert.labels)));
    }
    said.truncate(6);
    Some(said)
}

fn send(asked: &Asked<'_>, now: i64) -> Option<Vec<String>> {
    let (rule, known): (Rule, Vec<Alert>) = (asked.arg("rule")?, asked.arg("known")?);
    let sent: Vec<Sent> = asked.answer()?;
    let mut said: Vec<String> = (known.iter())
        .map(|alert| {
            let why = match alert.last_sent_at_ms {
                _ if alert.state == State::Pending => "is pending".into(),
                None => "was never sent".into(),
                Some(last) if alert.resolved_at_ms > Some(last) => "has resolved since it was sent".into(),
                Some(last) => {
                    format!("was sent {} ago, with a delay of {}", seconds(now - last), seconds(rule.resend_delay_ms))
                }
            };
            let goes = sent.iter().any(|sent| sent.labels == alert.labels);
            format!("{} {why}: {}.", name(&alert.labels), if goes { "sent" } else { "not sent" })
        })
        .collect();
    said.truncate(6);
    Some(said)
}

fn route(tree: &Route, labels: &Labels, answer: &[Destination]) -> Option<Vec<String>> {
    let mut said = Vec::new();
    for to in answer {
        let (mut at, mut way) = (tree, Vec::new());
        for place in &to.path {
            at = at.routes.get(*place)?;
            way.push(place.to_string());
        }
        let way = if way.is_empty() { "the root".into() } else { format!("route {}", way.join(".")) };
        let below = at.routes.len();
        let why = if below == 0 { "there is nothing below it" } else { "none of those below it fits" };
        said.push(format!("It ends at {way}, since {why}."));
    }
    let fits: Vec<&Route> = tree.routes.iter().filter(|route| Matcher::all_fit(&route.matchers, labels)).collect();
    if fits.len() > 1 {
        let goes_on = if fits[0].continues { "says continue, so the next one is asked" } else { "ends the search" };
        said.push(format!("Of the {} routes below the root that fit, the first {goes_on}.", fits.len()));
    }
    Some(said)
}

fn mutes(asked: &Asked<'_>, now: i64) -> Option<Vec<String>> {
    let (quiet, labels): (Quiet, Labels) = (asked.arg("quiet")?, asked.arg("labels")?);
    let muted: bool = asked.answer()?;
    let runs = |from: i64, to: i64| from <= now && now < to;
    let silenced = quiet
        .silences
        .iter()
        .any(|silence| runs(silence.starts_at_ms, silence.ends_at_ms) && Matcher::all_fit(&silence.matchers, &labels));
    let targets = quiet.inhibit_rules.iter().filter(|rule| Matcher::all_fit(&rule.target, &labels)).count();
    Some(vec![match (muted, silenced, targets) {
        (true, true, _) => "A silence runs whose matchers all fit.".into(),
        (true, false, _) => "It is the target of a rule, and a source with equal labels fires.".into(),
        (false, _, 0) => "No silence that runs fits, and it is the target of no rule.".into(),
        (false, _, rules) => format!(
            "No silence that runs fits. It is the target of {rules} of the rules, but no source fires that has equal labels, or it fits both sides as the alert itself does."
        ),
    }])
}

fn flush(asked: &Asked<'_>, now: i64) -> Option<Vec<String>> {
    let (group, answer): (Group, Flush) = (asked.arg("group")?, asked.answer()?);
    let heard = || group.alerts.iter().filter(|alert| !alert.muted);
    let names = |over: bool| -> Vec<String> {
        heard().filter(|alert| (alert.ends_at_ms <= now) == over).map(|alert| name(&alert.labels)).collect()
    };
    let (firing, resolved) = (names(false), names(true));
    let mut said = Vec::new();
    if firing.len() + resolved.len() < 6 {
        said.push(format!("What fires: {}. What has resolved: {}.", list(&firing), list(&resolved)));
    }
    let told = answer.last != group.last;
    said.push(match &group.last {
        None if told => "Nobody was told yet, and something fires.".into(),
        None => "Nobody was told yet, and nothing fires.".into(),
        Some(_) if told && firing.is_empty() => {
            "Nothing fires any more, and something did when it was told last.".into()
        }
        Some(last) if told => format!(
            "Something fires or has resolved that was not told so {} ago, or more than repeat_interval has passed.",
            seconds(now - last.at_ms)
        ),
        Some(_) => "Nothing is news since it was told last, and repeat_interval hasn't passed.".into(),
    });
    if told && !group.send_resolved {
        said.push("The receiver doesn't want what has resolved; it is remembered all the same.".into());
    }
    Some(said)
}

pub fn metrics(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "expose" => Some(vec![match asked.answer()? {
            Page::Refused => "One fault is enough, and the whole page isn't served: a name that is none, the same series twice, or a name that a line of a histogram has.".into(),
            Page::Text(text) if text.contains("_bucket{") => {
                "Nothing is wrong with it. Buckets are added up, and the last one has all observations.".into()
            }
            Page::Text(_) => "Nothing is wrong with it. Families come by name, metrics by the values of their labels.".into(),
        }]),
        "latest" => {
            let (samples, now): (Vec<Sample>, i64) = (asked.arg("samples")?, asked.arg("now_ms")?);
            let newest = samples.iter().rfind(|sample| sample.at_ms <= now);
            Some(vec![match newest {
                None => "Nothing was scraped by then.".into(),
                Some(Sample { value: None, .. }) => "The newest sample says that the series has ended.".into(),
                Some(sample) => format!("The newest sample is {} old, of at most 300 s.", seconds(now - sample.at_ms)),
            }])
        }
        "over_range" => Some(over_range(asked)?),
        "histogram_quantile" => {
            let (Number(q), buckets): (Number, Vec<Bucket>) = (asked.arg("q")?, asked.arg("buckets")?);
            let of = |le: f64| buckets.iter().filter(|bucket| bucket.le.0 == le).map(|bucket| bucket.count.0).sum::<f64>();
            let total = of(f64::INFINITY);
            Some(vec![match () {
                () if !(0.0..=1.0).contains(&q) => "There is no such share.".into(),
                () if total == 0.0 => "There is no bucket for everything, or it is empty.".into(),
                () => format!("The rank is {} of {}.", Number(q * total), Number(total)),
            }])
        }
        "figure" => {
            let figure: Figure = asked.arg("figure")?;
            let (_, expr) = Figure::ALL.into_iter().find(|(known, _)| *known == figure)?;
            Some(vec![format!("It is {expr}.")])
        }
        _ => None,
    }
}

fn over_range(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (function, samples): (Function, Vec<Sample>) = (asked.arg("function")?, asked.arg("samples")?);
    let values: Vec<(i64, f64)> = samples.iter().filter_map(|one| Some((one.at_ms, one.value?.0))).collect();
    let [(first_at, first), .., (last_at, last)] = values[..] else {
        return Some(vec!["It takes two samples to know of a change.".into()]);
    };
    let restarts = values.windows(2).filter(|pair| pair[1].1 < pair[0].1);
    let lost: f64 = if function == Function::Delta { 0.0 } else { restarts.map(|pair| pair[0].1).sum() };
    let (start, end): (i64, i64) = (asked.arg("start_ms")?, asked.arg("end_ms")?);
    Some(vec![
        format!("The samples show {}, {} of them from before restarts.", Number(last - first + lost), Number(lost)),
        format!(
            "They lie {} apart on average, with {} before the first and {} after the last.",
            seconds((last_at - first_at) / (values.len() as i64 - 1)),
            seconds(first_at - start),
            seconds(end - last_at)
        ),
    ])
}
