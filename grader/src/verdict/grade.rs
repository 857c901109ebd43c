//! From a module to a verdict.

use crate::module::build::Program;
use crate::module::process::{Kind, Loss, Session, Start, Watchdog};
use crate::verdict::cancel;
use crate::verdict::fresh;
use crate::verdict::record::Recorder;
use crate::verdict::report::{Difference, ExerciseResult, ScenarioResult, Status, Varied};
use crate::verdict::scenario::{Expected, Scenario, Script, Seen};
use crate::workspace::{Entry, Workspace};
use anyhow::Result;
use kit_cluster::engine::Clock;
use kit_contract::Modules;
use kit_contract::remote::{Link, Transport};
use kit_stages::variation::Variation;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// After so many timeouts the other scenarios of the exercise are not waited for.
const PATIENCE: usize = 3;

/// Who answers.
pub enum Module<'a> {
    /// The reference, in this process.
    InProcess,
    /// A program, or what the compiler said instead.
    Program(&'a Program),
}

/// Plays all scenarios of one exercise, and then fresh ones.
pub fn grade(workspace: &Workspace, entry: &Entry, module: Module<'_>) -> ExerciseResult {
    let variation = workspace.variation_of(entry).map(|Variation { name, rule, .. }| (name.clone(), rule.clone()));
    let variation = variation.map(|(name, rule)| Varied { name, rule });
    ExerciseResult { variation, ..graded(workspace, entry, module) }
}

fn graded(workspace: &Workspace, entry: &Entry, module: Module<'_>) -> ExerciseResult {
    let mut result = ExerciseResult::of(entry, Status::Passed, None, None);
    let start = match module {
        Module::InProcess => None,
        Module::Program(Program::Ready { start, .. }) => Some(start),
        Module::Program(Program::Broken { errors }) => {
            let errors = anstream::adapter::strip_str(errors).to_string();
            return ExerciseResult::of(entry, Status::Error, Some(Kind::Compile), Some(errors));
        }
    };
    let varied = workspace.variation_of(entry).is_some();
    let scenarios = match workspace.scenarios(entry) {
        // Goldens tell the rules of Kubernetes.
        _ if varied => Vec::new(),
        Ok(scenarios) if !scenarios.is_empty() => scenarios,
        Ok(_) => return grader_error(entry, "there are no scenarios".into()),
        Err(e) => return grader_error(entry, format!("{e:#}")),
    };
    let graded = Graded::new(workspace, entry, start);
    let began = Instant::now();
    let mut timeouts = 0;
    for scenario in scenarios.iter().take_while(|_| !cancel::is_cancelled()) {
        let played = if timeouts == PATIENCE {
            let message = Some(format!("not played, since the module hung in {PATIENCE} scenarios"));
            ScenarioResult { status: Status::Skipped, message, ..unplayed(entry, scenario) }
        } else {
            judge(entry, scenario, &graded)
        };
        timeouts += usize::from(played.kind == Some(Kind::Timeout));
        result.scenarios.push(played);
    }
    // What fails in a golden is explained there; fresh scenarios are for what passes them all, and for who asks for them.
    let passed = result.scenarios.iter().all(|scenario| scenario.status == Status::Passed);
    let wanted = passed || workspace.fresh.count.is_some();
    // The reference agrees with itself, but not with a variation.
    if (start.is_some() || varied) && wanted && !cancel::is_cancelled() {
        match fresh::judge(workspace, entry, &graded) {
            Ok(fresh) => result.fresh = fresh,
            Err(e) => return grader_error(entry, format!("{e:#}")),
        }
    }
    if let (Some(Loss::Error(kind, message)), Some(last)) = (graded.close(), result.last()) {
        // What it did wrong before comes first.
        if last.status == Status::Passed {
            (last.status, last.kind, last.message) = (Status::Error, Some(kind), Some(message));
        }
    }
    result.duration_ms = began.elapsed().as_millis() as u64;
    result.conclude(entry);
    result
}

/// The first of these scenarios that a module does not pass, and what became of it.
pub fn caught_by<'s>(
    workspace: &Workspace,
    entry: &Entry,
    scenarios: impl IntoIterator<Item = &'s Scenario>,
    start: &Start,
) -> Result<Option<ScenarioResult>> {
    let graded = Graded::new(workspace, entry, Some(start));
    for scenario in scenarios {
        let played = judge(entry, scenario, &graded);
        match played.status {
            Status::Passed => {}
            Status::GraderError => anyhow::bail!("{}: {}", scenario.name, played.message.unwrap_or_default()),
            _ => return Ok(Some(played)),
        }
    }
    Ok(None)
}

/// Whether a fresh scenario catches a module.
pub fn caught_fresh(workspace: &Workspace, entry: &Entry, start: &Start) -> Result<bool> {
    Ok(fresh::first(workspace, entry, &Graded::new(workspace, entry, Some(start)))?.is_some())
}

/// A scenario's result before anything went wrong.
fn unplayed(entry: &Entry, scenario: &Scenario) -> ScenarioResult {
    ScenarioResult {
        name: scenario.name.clone(),
        status: Status::Passed,
        kind: None,
        why: scenario.why.clone(),
        read: format!("book/src/{}.md#{}", entry.name, scenario.read),
        message: None,
        difference: None,
        timeline: !matches!(scenario.script, Script::Cases(_)),
        cluster: matches!(scenario.script, Script::Timeline(_)),
    }
}

fn grader_error(entry: &Entry, message: String) -> ExerciseResult {
    ExerciseResult::of(entry, Status::GraderError, None, Some(message))
}

/// What an exercise is when the exercise that it builds on did not pass.
pub fn skipped(entry: &Entry, builds_on: &str) -> ExerciseResult {
    ExerciseResult::of(entry, Status::Skipped, None, Some(format!("it builds on {builds_on}, which did not pass")))
}

/// Plays one scenario and holds it against its golden.
///
/// To start a process takes longer than to play a scenario, so that they share one. It is a process of its own that
/// decides, since what lies there from earlier scenarios is none of this one's business.
fn judge(entry: &Entry, scenario: &Scenario, graded: &Graded<'_>) -> ScenarioResult {
    let apart = scenario.is_apart(&entry.name);
    let is_shared = graded.again(apart);
    let mut result = unplayed(entry, scenario);
    hold(scenario, graded, &mut result);
    if is_shared && result.status != Status::Passed {
        graded.begin(apart);
        result = unplayed(entry, scenario);
        hold(scenario, graded, &mut result);
    }
    result
}

/// Plays a scenario, and sets what of it is not as in the golden.
fn hold(scenario: &Scenario, graded: &Graded<'_>, result: &mut ScenarioResult) {
    let Graded { exercise, modules, reference, clock, session, recorder, .. } = graded;
    let grader_error = |result: &mut ScenarioResult, message: String| {
        result.status = Status::GraderError;
        result.message = Some(message);
    };
    let golden = match scenario.golden() {
        Ok(golden) => golden,
        Err(e) => return grader_error(result, format!("{e:#}")),
    };
    // The reference is trusted to come to an end.
    let timed = session.is_some() && matches!(scenario.script, Script::Timeline(_));
    let watchdog = timed.then(|| Watchdog::new(graded.time, clock.stop()));
    let played = play(scenario, exercise, modules, reference, clock);
    drop(watchdog);
    let seen = match played {
        Ok(seen) => seen,
        Err(e) => {
            // A well-formed answer can still be more than a cluster bears, such as a number of replicas that overflows.
            let Some(turning) = recorder.as_ref().and_then(|recorder| recorder.borrow().turning_point(exercise)) else {
                return grader_error(result, format!("{e:#}"));
            };
            result.status = Status::Failed;
            result.message = Some(format!("the cluster came to an end over what the module answered: {e:#}"));
            result.difference = Some(Difference {
                question: 1,
                of: scenario.len(),
                say: None,
                history: Vec::new(),
                asked: golden[0].asked.clone(),
                expected: golden[0].answer.clone(),
                yours: None,
                printed: String::new(),
                turning: Some(turning),
            });
            return;
        }
    };
    if golden.iter().zip(&seen).any(|(golden, seen)| golden.asked != seen.asked) {
        return grader_error(result, scenario.stale());
    }
    if let Some(session) = session {
        session.borrow_mut().finish();
        if timed && clock.stop().load(Ordering::Relaxed) && seen.len() < golden.len() {
            session.borrow_mut().overtime();
        }
    }
    let wrong = golden.iter().zip(&seen).position(|(golden, seen)| golden.answer != seen.answer);
    let loss = session.as_ref().and_then(|session| session.borrow().loss());
    match (wrong, loss) {
        (None, None) if seen.len() == golden.len() => return,
        (None, None) => return grader_error(result, format!("{} of {} steps were played", seen.len(), golden.len())),
        // A worker that is lost ends the scenario, but an answer that was wrong before is the first divergence.
        (Some(_), _) => result.status = Status::Failed,
        (None, Some(Loss::NotStarted(message))) => {
            result.status = Status::NotStarted;
            result.message = Some(message);
        }
        (None, Some(Loss::Grader(message))) => return grader_error(result, message),
        (None, Some(Loss::Error(kind, message))) => {
            result.status = Status::Error;
            result.kind = Some(kind);
            result.message = Some(message);
        }
    }
    // A worker can be lost after its last answer, too.
    let at = wrong.unwrap_or(seen.len()).min(golden.len() - 1);
    let questions = session.as_ref().map(|session| session.borrow());
    if !matches!(scenario.script, Script::Cases(_)) {
        let turning = recorder.as_ref().and_then(|recorder| recorder.borrow().turning_point(exercise));
        let during = turning.as_ref().map_or(usize::MAX, |turning| turning.number);
        let printed = questions.as_ref().map(|q| q.printed.get(during).cloned().unwrap_or_else(|| q.printed_last()));
        result.difference = Some(Difference {
            question: at + 1,
            of: scenario.len(),
            say: None,
            history: Vec::new(),
            asked: golden[at].asked.clone(),
            expected: golden[at].answer.clone(),
            yours: wrong.map(|at| seen[at].answer.clone()),
            printed: printed.unwrap_or_default(),
            turning,
        });
        return;
    }
    // The first question makes the module, so that step 1 is the second one.
    let during = questions.as_ref().map_or(at + 1, |q| (at + 1).min(q.printed.len().saturating_sub(1)));
    let printed = questions.as_ref().and_then(|q| q.printed.get(during)).map_or("", String::as_str);
    let made = during > 0;
    result.difference = Some(Difference {
        question: if made { at + 1 } else { 0 },
        of: scenario.len(),
        say: golden[at].say.clone().filter(|_| made),
        history: Vec::new(),
        asked: if made { golden[at].asked.clone() } else { vec![kit_contract::wire::NEW.into()] },
        expected: if made { golden[at].answer.clone() } else { vec!["a new module".into()] },
        yours: wrong.map(|at| seen[at].answer.clone()),
        printed: printed.into(),
        turning: None,
    });
}

/// Who is graded.
pub struct Graded<'a> {
    pub exercise: &'a str,
    pub modules: Modules,
    /// Who is right: the solutions, by a changed rule if there is one.
    pub reference: Modules,
    pub clock: Clock,
    session: Option<Rc<RefCell<Session>>>,
    recorder: Option<Rc<RefCell<Recorder>>>,
    /// Real time for one scenario of a program.
    time: Duration,
}

impl<'a> Graded<'a> {
    /// The program that `start` starts, or else the reference in this process.
    fn new(workspace: &Workspace, entry: &'a Entry, start: Option<&Start>) -> Self {
        let session = start.map(|start| Rc::new(RefCell::new(Session::new(start.clone(), workspace.limits.clone()))));
        let recorder = session.as_ref().map(|session| Rc::new(RefCell::new(Recorder::new(session.clone()))));
        let mut modules = solutions::modules();
        if let Some(recorder) = &recorder {
            modules.replace(&entry.name, Link::new(recorder.clone()));
        }
        let reference = workspace.reference(entry);
        let (clock, time) = (Clock::default(), workspace.limits.scenario);
        Graded { exercise: &entry.name, modules, reference, clock, session, recorder, time }
    }

    /// Makes ready for a scenario in a process of its own; with `apart` each member of a group gets one, too.
    pub fn begin(&self, apart: bool) {
        if let Some(session) = &self.session {
            session.borrow_mut().begin();
        }
        self.again(apart);
    }

    /// The same in the process that is there. False if the scenario has one of its own after all.
    pub fn again(&self, apart: bool) -> bool {
        let (Some(session), Some(recorder)) = (&self.session, &self.recorder) else { return false };
        recorder.borrow_mut().questions.clear();
        session.borrow_mut().apart = apart;
        session.borrow_mut().again() && !apart
    }

    /// After the last scenario: how the module was lost, if it was while it came to its end.
    fn close(&self) -> Option<Loss> {
        self.session.as_ref()?.borrow_mut().close()
    }

    /// How the module was lost, if it was; an answer that nobody asked for counts, too.
    pub fn loss(&self) -> Option<Loss> {
        let session = self.session.as_ref()?;
        session.borrow_mut().finish();
        session.borrow().loss()
    }
}

/// Plays a scenario; a panic of code in this process is an error of the grader.
pub fn play(
    scenario: &Scenario,
    exercise: &str,
    modules: &Modules,
    reference: &Modules,
    clock: &Clock,
) -> Result<Vec<Seen>> {
    caught(scenario, || scenario.play(exercise, modules, reference, clock))
}

/// Plays it with the module of who is graded, where it is known what the reference says.
pub fn play_beside(scenario: &Scenario, graded: &Graded<'_>, expected: &Expected) -> Result<Vec<Seen>> {
    let Graded { exercise, modules, reference, clock, .. } = graded;
    caught(scenario, || match &scenario.script {
        Script::Cases(steps) => scenario.ask(steps, exercise, modules, expected),
        _ => scenario.play(exercise, modules, reference, clock),
    })
}

/// What the reference says.
pub fn expected(scenario: &Scenario, graded: &Graded<'_>) -> Result<Expected> {
    caught(scenario, || scenario.expected(graded.exercise, &graded.reference))
}

fn caught<T>(scenario: &Scenario, play: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(play))
        .unwrap_or_else(|_| anyhow::bail!("{}: the reference panicked", scenario.path.display()))
}

/// The transcript of a program, and how it was lost if it was; a timeline can be recorded.
pub fn transcript(
    workspace: &Workspace,
    exercise: &str,
    scenario: &Scenario,
    start: Start,
    recorder: Option<&mut kit_cluster::recording::Recorder>,
) -> Result<(Vec<Seen>, Option<String>)> {
    let session: Rc<RefCell<Session>> = Rc::new(RefCell::new(Session::new(start, workspace.limits.clone())));
    session.borrow_mut().apart = scenario.is_apart(exercise);
    let transport: Rc<RefCell<dyn Transport>> = session.clone();
    let reference = solutions::modules();
    let mut modules = reference.clone();
    modules.replace(exercise, Link::new(transport));
    let clock = Clock::default();
    let played = match recorder {
        None => play(scenario, exercise, &modules, &reference, &clock),
        recorder => caught(scenario, || scenario.record(&modules, &clock, recorder)),
    };
    let seen = played?;
    let lost = session.borrow().loss().map(|loss| match loss {
        Loss::NotStarted(message) => message,
        Loss::Grader(message) => format!("error of the grader: {message}"),
        Loss::Error(kind, message) => format!("error: {kind} — {message}"),
    });
    Ok((seen, lost))
}
