//! What a cycle looked at, as the explanation log keeps it.

use super::class::Pod;
use super::cycle::{Found, State};
use super::framework::{Refusal, weight_of};
use super::preemption::Preempted;
use kit_client::explain::scheduling::{Row, Scheduling};

/// Of how many nodes it is remembered what was found, so that the log of a large cluster stays small.
const ROWS: usize = 100;

/// What a cycle found.
pub fn report(pod: &Pod, found: &Found, state: &State, preempted: Option<&Preempted>) -> Scheduling {
    let list = state.nodes.list();
    let plugins: Vec<_> = found.scores.iter().map(|scores| (scores.plugin, weight_of(scores.plugin))).collect();
    let fits = |(i, place): (usize, &usize)| Row {
        node: list[*place].name,
        refused: None,
        scores: found
            .scores
            .iter()
            .zip(&plugins)
            .map(|(scores, (_, weight))| scores.weighted.get(i).map_or(0, |score| score / weight))
            .collect(),
        total: found.totals.get(i).copied().unwrap_or(0),
    };
    let refused = |(place, refusal): (&usize, &Refusal)| Row {
        node: list[*place].name,
        refused: Some((refusal.plugin, refusal.reasons.clone())),
        scores: Vec::new(),
        total: 0,
    };
    // The chosen one first, lest it be among those that are left out.
    let is_chosen = |place: &usize| Some(list[*place].name) == found.chosen;
    let (chosen, others): (Vec<_>, Vec<_>) = found.feasible.iter().enumerate().partition(|(_, p)| is_chosen(p));
    let rows = chosen.into_iter().chain(others).map(fits).chain(found.refused.iter().map(refused));
    let mut rows: Vec<Row> = rows.take(ROWS).collect();
    rows.sort_by_key(|row| row.node);
    let candidates = preempted.into_iter().flat_map(|preempted| &preempted.candidates);
    let room = candidates.map(|c| (c.node.clone(), c.victims.iter().map(|pod| pod.name.clone()).collect()));
    let requests = &pod.class.request.requests;
    Scheduling {
        milli_cpu: requests.milli_cpu,
        memory: requests.memory,
        nodes: list.len(),
        feasible: found.feasible.len(),
        plugins,
        rows,
        chosen: found.chosen,
        room: room.take(ROWS).collect(),
        nominated: preempted.and_then(|preempted| preempted.node.clone()),
    }
}
