//! What the pages show: made from the desk, and sent when it changed.

use crate::desk::Desk;
use crate::session::event::{Event, Role};
use crate::session::score::HINT;
use crate::session::view::{Clock, Sheet, View};
use crate::session::{State, plan::Ask};
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// What there is to show.
#[derive(Clone, Default)]
pub(super) struct News {
    /// For the candidate.
    pub candidate: Page,
    /// For the interviewer.
    pub interviewer: Page,
    /// The clock, as JSON.
    pub clock: Arc<str>,
    /// Whether the session is finished.
    pub finished: bool,
}

/// What one page shows.
#[derive(Clone, Default)]
pub(super) struct Page {
    /// How often it has changed.
    pub revision: u64,
    /// As JSON, without the clock.
    pub json: Arc<str>,
}

impl News {
    /// The page of this one.
    pub fn of(&self, role: Role) -> &Page {
        match role {
            Role::Candidate => &self.candidate,
            Role::Interviewer => &self.interviewer,
        }
    }

    /// Takes over what is new; the revision of a page counts up if it changed.
    pub fn update(&mut self, all: &Shown, desk: &Desk) {
        for (page, role) in [(&mut self.candidate, Role::Candidate), (&mut self.interviewer, Role::Interviewer)] {
            let mut value = all.value(desk, role);
            for holder in ["/view", "/sheet/view"] {
                if let Some(Value::Object(view)) = value.pointer_mut(holder) {
                    view.remove("clock");
                }
            }
            let json = value.to_string();
            if *json != *page.json {
                *page = Page { revision: page.revision + 1, json: json.into() };
            }
        }
        let now = desk.now();
        let clock = Ticking { clock: desk.session.clock(now), state: desk.session.state() };
        self.clock = serde_json::to_string(&clock).unwrap_or_default().into();
        self.finished = desk.session.state() == State::Finished;
    }
}

#[derive(Serialize)]
struct Ticking {
    #[serde(flatten)]
    clock: Clock,
    state: State,
}

/// What pages show beside the session.
#[derive(Clone, Default, Serialize)]
pub(super) struct Shown {
    /// The grader or the cluster is being asked.
    pub working: bool,
    /// What went wrong with that, or with the room.
    pub trouble: Option<String>,
    /// Whether the trouble is that something could not be kept.
    #[serde(skip)]
    pub unkept: bool,
    /// The part that it was last asked for, and the kubeconfig of its incident.
    #[serde(skip)]
    pub kubeconfig: Option<(usize, Option<PathBuf>)>,
}

#[derive(Serialize)]
struct ForCandidate<'a> {
    role: Role,
    /// The number of the open part, from 0.
    part: Option<usize>,
    /// Whether there is an interviewer, who then releases facts and probes.
    interviewed: bool,
    view: View,
    /// The file of the module.
    file: Option<PathBuf>,
    kubeconfig: Option<&'a PathBuf>,
    hints: Hints,
    /// How often the answer was written: what a later text is based on.
    text: usize,
    #[serde(flatten)]
    shown: &'a Shown,
}

#[derive(Serialize)]
struct Hints {
    left: usize,
    /// What one takes of the points of the part, in percent.
    cost: f64,
}

#[derive(Serialize)]
struct ForInterviewer<'a> {
    role: Role,
    part: Option<usize>,
    interviewed: bool,
    sheet: Sheet,
    /// The facts that the candidate's last question is about and that were not told.
    suggested: Vec<usize>,
    #[serde(flatten)]
    shown: &'a Shown,
}

impl Shown {
    /// Everything that this one is shown, with the clock.
    pub fn value(&self, desk: &Desk, role: Role) -> Value {
        let part = desk.session.current();
        let interviewed = desk.session.plan.interviewer;
        let value = match role {
            Role::Interviewer => serde_json::to_value(ForInterviewer {
                role,
                part,
                interviewed,
                sheet: desk.sheet(),
                suggested: part.map_or_else(Vec::new, |part| suggested(desk, part)),
                shown: self,
            }),
            Role::Candidate => {
                let code = part.filter(|part| matches!(desk.session.plan.parts[*part].ask, Ask::Code { .. }));
                let left = |part| desk.session.hints(part).len() - desk.session.parts[part].hints;
                serde_json::to_value(ForCandidate {
                    role,
                    part,
                    interviewed,
                    view: desk.view(),
                    file: code.and_then(|part| desk.file(part)),
                    kubeconfig: self
                        .kubeconfig
                        .as_ref()
                        .filter(|(of, _)| Some(*of) == part)
                        .and_then(|one| one.1.as_ref()),
                    hints: Hints { left: part.map_or(0, left), cost: 100.0 * HINT },
                    text: written(desk, part),
                    shown: self,
                })
            }
        };
        value.unwrap_or_else(|error| serde_json::json!({"trouble": error.to_string()}))
    }
}

fn suggested(desk: &Desk, part: usize) -> Vec<usize> {
    let progress = &desk.session.parts[part];
    let last = progress.asked.last().filter(|(_, told)| told.is_empty());
    let about = last.zip(desk.session.design(part)).map(|((text, _), design)| design.about(text));
    about.unwrap_or_default().into_iter().filter(|fact| !progress.released.contains(fact)).collect()
}

/// How often the answer of a part was written.
pub(super) fn written(desk: &Desk, part: Option<usize>) -> usize {
    let here = |event: &Event| matches!(event, Event::Wrote { part: of, .. } if Some(*of) == part);
    desk.session.entries.iter().filter(|entry| here(&entry.event)).count()
}
