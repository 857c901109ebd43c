//! The room over HTTP.

use super::Setup;
use super::guard::{Tokens, is_address, may};
use super::news::{News, Shown, written};
use crate::desk::Desk;
use crate::page::{BASE, markdown};
use crate::report::{Attempt, Report, html};
use crate::session::event::Role;
use crate::session::plan::Ask;
use crate::session::{Action, State};
use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State as With};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How often the clock is sent.
const TICK: Duration = Duration::from_secs(1);
/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a page may take to open the report after the end.
const FAREWELL: Duration = Duration::from_secs(5);
/// An answer is a few pages of text; this is a book.
const MOST: usize = 256 * 1024;
/// Two people with some tabs each.
const CONNECTIONS: usize = 64;

const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The report brings its style with it, and no script.
const REPORT: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Inside {
    desk: Arc<Mutex<Desk>>,
    setup: Setup,
    tokens: Tokens,
    shown: Mutex<Shown>,
    news: watch::Sender<News>,
    stopped: watch::Receiver<bool>,
    /// How many pages listen.
    listening: AtomicUsize,
}

/// Serves until the session is finished, or somebody stops it.
pub(super) async fn serve(
    desk: Arc<Mutex<Desk>>,
    listener: TcpListener,
    setup: Setup,
    tokens: Tokens,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let inside = Arc::new(Inside {
        desk,
        setup,
        tokens,
        shown: Mutex::default(),
        news: watch::Sender::new(News::default()),
        stopped: stopped.clone(),
        listening: AtomicUsize::new(0),
    });
    inside.publish().await;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let accepting = tokio::spawn(accept(listener, routes(inside.clone())));
    let time = async {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            inside.publish().await;
            if inside.news.borrow().finished {
                break;
            }
        }
        // Each page leaves for the report when it hears of the end.
        let left = async {
            while inside.listening.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(TICK / 10).await;
            }
        };
        _ = tokio::time::timeout(FAREWELL, left).await;
        tokio::time::sleep(TICK).await;
    };
    tokio::select! {
        () = time => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    accepting.abort();
    Ok(())
}

/// Takes connections. One that is slow to say what it wants is let go, and nobody takes all of them.
async fn accept(listener: tokio::net::TcpListener, routes: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = free.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptors are left, most likely.
            tokio::time::sleep(TICK / 10).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A browser that goes away is no error.
            _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn routes(inside: Arc<Inside>) -> Router {
    Router::new()
        .route("/candidate", get(candidate))
        .route("/interviewer", get(interviewer))
        .route("/room/{asset}", get(asset))
        .route("/events", get(events))
        .route("/state", get(state))
        .route("/report", get(report))
        .route("/act", post(act))
        .route("/task", post(task))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "There is nothing here."))
        .layer(from_fn(guarded))
        .with_state(inside)
}

/// Refuses requests for a name, and says how browsers have to treat the answer.
async fn guarded(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut response = match is_address(host) {
        true => next.run(request).await,
        false => {
            let said = "The room is asked for by its address, such as http://127.0.0.1:…, and not by a name.";
            refusal(StatusCode::MISDIRECTED_REQUEST, said)
        }
    };
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(PAGE));
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(status: StatusCode, said: impl Into<String>) -> Response {
    (status, axum::Json(json!({"error": said.into()}))).into_response()
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
}

type Asked = (With<Arc<Inside>>, Query<Token>);

const STRANGER: &str = "This address lacks its secret. Open the whole address that the terminal shows, token and all.";

async fn candidate((With(inside), Query(token)): Asked) -> Response {
    match inside.tokens.role(&token.token) {
        Some(Role::Candidate) => axum::response::Html(include_str!("candidate.html")).into_response(),
        Some(Role::Interviewer) => plain("This is the candidate's page, and the secret is the interviewer's."),
        None => plain(STRANGER),
    }
}

async fn interviewer((With(inside), Query(token)): Asked) -> Response {
    match inside.tokens.role(&token.token) {
        Some(Role::Interviewer) => {
            let page = include_str!("interviewer.html").replace("<!-- good -->", &inside.good().await);
            axum::response::Html(page).into_response()
        }
        Some(Role::Candidate) => plain("This is the interviewer's page, and the secret is the candidate's."),
        None => plain(STRANGER),
    }
}

fn plain(said: &'static str) -> Response {
    (StatusCode::FORBIDDEN, said).into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "base.css" => ("text/css; charset=utf-8", BASE),
        "room.css" => ("text/css; charset=utf-8", include_str!("room.css")),
        "room.js" => ("text/javascript; charset=utf-8", include_str!("room.js")),
        "candidate.js" => ("text/javascript; charset=utf-8", include_str!("candidate.js")),
        "interviewer.js" => ("text/javascript; charset=utf-8", include_str!("interviewer.js")),
        _ => return refusal(StatusCode::NOT_FOUND, "There is nothing here."),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A page that listens, as long as it does.
struct Listener(Arc<Inside>);

impl Listener {
    fn new(inside: Arc<Inside>) -> Self {
        inside.listening.fetch_add(1, Ordering::SeqCst);
        Listener(inside)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listening.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn events((With(inside), Query(token)): Asked) -> Response {
    let Some(role) = inside.tokens.role(&token.token) else { return refusal(StatusCode::FORBIDDEN, STRANGER) };
    let mut news = inside.news.subscribe();
    news.mark_changed();
    let mut stopped = inside.stopped.clone();
    stopped.mark_changed();
    let begin = (Listener::new(inside), news, stopped, 0);
    let stream = futures_util::stream::unfold(begin, move |(listener, mut news, mut stopped, sent)| async move {
        tokio::select! {
            changed = news.changed() => changed.ok()?,
            _ = stopped.wait_for(|stopped| *stopped) => return None,
        }
        let now = news.borrow_and_update().clone();
        let page = now.of(role);
        let event = match page.revision == sent {
            true => Event::default().event("clock").data(&*now.clock),
            false => {
                // The clock comes with it: the next tick may be a second away.
                let data = format!("{{\"clock\":{},\"page\":{}}}", now.clock, page.json);
                Event::default().event("page").id(page.revision.to_string()).data(data)
            }
        };
        Some((Ok::<_, Infallible>(event), (listener, news, stopped, page.revision)))
    });
    Sse::new(stream).into_response()
}

async fn state((With(inside), Query(token)): Asked) -> Response {
    let Some(role) = inside.tokens.role(&token.token) else { return refusal(StatusCode::FORBIDDEN, STRANGER) };
    let value = inside.with_desk(move |inside, desk| inside.shown().value(desk, role)).await;
    axum::Json(value).into_response()
}

async fn report((With(inside), Query(token)): Asked) -> Response {
    if inside.tokens.role(&token.token).is_none() {
        return refusal(StatusCode::FORBIDDEN, STRANGER);
    }
    let page = inside.with_desk(|inside, desk| {
        (desk.session.state() == State::Finished).then(|| {
            let report = Report::of(&desk.session, &inside.setup.id);
            let mut attempts = inside.setup.attempts.clone();
            attempts.retain(|one| one.id != report.id);
            attempts.push(Attempt::from(&report));
            html(&report, &attempts, None)
        })
    });
    match page.await {
        Some(page) => ([(header::CONTENT_SECURITY_POLICY, REPORT)], axum::response::Html(page)).into_response(),
        None => refusal(StatusCode::CONFLICT, "the report is there when the session is finished"),
    }
}

/// What somebody does, and what it was based on: a page that is behind must not do to one part what was meant for another.
#[derive(Debug, Deserialize)]
struct Act {
    #[serde(flatten)]
    action: Action,
    #[serde(default)]
    on: On,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct On {
    /// The number of the part, from 0.
    part: Option<usize>,
    /// The number of the question in it, from 1.
    question: Option<usize>,
    /// How often the answer had been written.
    text: Option<usize>,
}

const EXPECTED: &str = "An action is JSON such as {\"do\": \"hint\"}. What can be done: \
    answer {\"answer\": {\"chosen\": [\"…\"]} or {\"number\": 3} or {\"order\": [\"…\"]} or \"skipped\"}, hint, ask {\"text\": \"…\"}, \
    write {\"text\": \"…\"}, release {\"fact\": 0}, probe {\"probe\": 0}, mark {\"part\": 3, \"line\": \"…\", \"mark\": 3, \"evidence\": \"…\"}, \
    next, pause, resume, finish.";

async fn act((With(inside), Query(token)): Asked, body: Body) -> Response {
    let Some(role) = inside.tokens.role(&token.token) else { return refusal(StatusCode::FORBIDDEN, STRANGER) };
    let body = match tokio::time::timeout(PATIENCE, to_bytes(body, MOST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let said = format!("what is sent has at most {} kB", MOST / 1024);
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, said);
        }
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "what is sent took too long to arrive"),
    };
    let Act { action, on } = match serde_json::from_slice(&body) {
        Ok(act) => act,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, format!("{error}. {EXPECTED}")),
    };
    let done = inside.with_desk(move |_, desk| {
        if let Err(said) = may(role, &action, desk.session.plan.interviewer) {
            return Ok(Err(json!({"error": said})));
        }
        let current = desk.session.current();
        if let (Some(text), Action::Write { .. }) = (on.text, &action)
            && on.part == current
            && text != written(desk, current)
        {
            let newest = current.map(|part| desk.session.parts[part].text.clone());
            let said = "the answer was changed in another window meanwhile";
            return Ok(Err(json!({"error": said, "newest": newest, "text": written(desk, current)})));
        }
        if let (Some(question), Some(part)) = (on.question, current)
            && on.part == current
            && desk.session.open(part).is_none_or(|open| open + 1 != question)
        {
            return Ok(Err(json!({"error": "that question has its answer already"})));
        }
        let same = |part: usize, text: &String| desk.session.parts[part].text == *text;
        if matches!((&action, current), (Action::Write { text }, Some(part)) if same(part, text)) {
            return Ok(Ok(json!({"text": written(desk, current)})));
        }
        let done = desk.act_in(on.part, role, action)?;
        let current = desk.session.current();
        Ok(done.map(|()| json!({"text": written(desk, current)})).map_err(|said| json!({"error": said})))
    });
    let done: Result<Result<Value, Value>> = done.await;
    inside.publish().await;
    match done {
        Ok(Ok(value)) => axum::Json(value).into_response(),
        Ok(Err(value)) => (StatusCode::CONFLICT, axum::Json(value)).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
    }
}

async fn task((With(inside), Query(token)): Asked) -> Response {
    match inside.tokens.role(&token.token) {
        None => return refusal(StatusCode::FORBIDDEN, STRANGER),
        Some(Role::Interviewer) => return refusal(StatusCode::CONFLICT, "that is the candidate's to do"),
        Some(Role::Candidate) => {}
    }
    // A page that goes away meanwhile must not take the result with it.
    let done = tokio::spawn(async move { inside.work().await }).await;
    match done {
        Ok(Ok(())) => axum::Json(json!({})).into_response(),
        Ok(Err(said)) => refusal(StatusCode::CONFLICT, said),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the work fell over"),
    }
}

impl Inside {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the desk, where waiting is allowed.
    async fn with_desk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Inside, &mut Desk) -> T + Send + 'static,
    ) -> T {
        let inside = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut desk = inside.desk.lock().unwrap_or_else(PoisonError::into_inner);
            work(&inside, &mut desk)
        });
        match done.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and nobody is there to answer to.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Lets time pass, and tells all pages.
    async fn publish(self: &Arc<Self>) {
        self.with_desk(|inside, desk| {
            let ticked = desk.tick();
            let mut shown = inside.shown();
            match ticked {
                Err(error) => (shown.trouble, shown.unkept) = (Some(format!("{error:#}")), true),
                // What could not be kept is kept with the next tick.
                Ok(_) if shown.unkept => (shown.trouble, shown.unkept) = (None, false),
                Ok(_) => {}
            }
            let part = desk.session.current();
            // A cluster that doesn't come up is not tried again each second.
            if part != shown.kubeconfig.as_ref().map(|(of, _)| *of) {
                let path = desk.kubeconfig();
                shown.trouble = path.as_ref().err().map(|error| format!("{error:#}")).or(shown.trouble.take());
                shown.kubeconfig = part.map(|part| (part, path.ok().flatten()));
            }
            let shown = shown.clone();
            inside.news.send_modify(|news| news.update(&shown, desk));
        })
        .await;
    }

    /// Grades or checks, while others go on.
    async fn work(self: Arc<Self>) -> Result<(), String> {
        let task = self
            .with_desk(|inside, desk| {
                let mut shown = inside.shown();
                if shown.working {
                    return Err("that is being done already".to_string());
                }
                let task = desk.task()?;
                (shown.working, shown.trouble) = (true, None);
                Ok(task)
            })
            .await?;
        self.publish().await;
        let part = task.part;
        let done = tokio::task::spawn_blocking(move || task.work()).await;
        let done = done.context("it fell over").and_then(|action| action);
        let said = self
            .with_desk(move |inside, desk| {
                let said = match done {
                    Ok(action) => desk.act_in(Some(part), Role::Candidate, action),
                    Err(error) => Ok(Err(format!("{error:#}"))),
                };
                let said = said.unwrap_or_else(|error| Err(format!("{error:#}")));
                let mut shown = inside.shown();
                (shown.working, shown.trouble) = (false, said.clone().err());
                said
            })
            .await;
        self.publish().await;
        said
    }

    /// What good looks like in each part, for the interviewer's page.
    async fn good(self: &Arc<Self>) -> String {
        self.with_desk(|_, desk| {
            let mut all = String::new();
            for (at, part) in desk.session.plan.parts.iter().enumerate() {
                let text = match part.ask {
                    Ask::Design(_) => desk.session.design(at).map(|design| &design.model),
                    Ask::Incident(_) => desk.session.incident(at).map(|incident| &incident.debrief),
                    _ => None,
                };
                if let Some(text) = text {
                    all += &format!("<template id=\"good-{at}\">{}</template>\n", markdown(text));
                }
            }
            all
        })
        .await
    }
}
