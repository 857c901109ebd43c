//! Simple commands, pipes between them, and where they read and write.

use super::commands;
use super::files::{MISSING, absolute};
use super::shell::{Flow, Io, Shell, Sink, Source};
use super::syntax::{How, Node, Redirect, Word};
use super::system::{Pipe, Shared};
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

impl Shell {
    pub(super) async fn pipeline(&mut self, nodes: &[Node], io: &Io) -> Flow {
        let mut parts: Vec<Pin<Box<dyn Future<Output = i32> + '_>>> = Vec::new();
        let mut before: Option<Shared> = None;
        for (index, node) in nodes.iter().enumerate() {
            let after = (index + 1 < nodes.len()).then(|| Rc::new(RefCell::new(Pipe::default())));
            let mut mine = io.clone();
            if let Some(pipe) = &before {
                mine.stdin = Source::Pipe(pipe.clone());
            }
            if let Some(pipe) = &after {
                mine.stdout = Sink::Pipe(pipe.clone());
            }
            let (shell, from, to) = (self.fork(), before.take(), after.clone());
            parts.push(Box::pin(async move {
                let system = shell.system.clone();
                let status = shell.lives(node, &mine).await;
                to.iter().for_each(|pipe| system.close(pipe));
                from.iter().for_each(|pipe| system.abandon(pipe));
                status
            }));
            before = after;
        }
        let mut codes: Vec<Option<i32>> = vec![None; parts.len()];
        poll_fn(|context| {
            for (part, code) in parts.iter_mut().zip(&mut codes) {
                if code.is_none()
                    && let Poll::Ready(ended) = part.as_mut().poll(context)
                {
                    *code = Some(ended);
                }
            }
            if codes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.status = codes.last().copied().flatten().unwrap_or_default();
        Flow::On
    }

    pub(super) async fn simple(
        &mut self,
        assigns: &[(String, Word)],
        words: &[Word],
        redirects: &[Redirect],
        io: &Io,
    ) -> Flow {
        let words = match self.words(words, io).await {
            Ok(words) => words,
            Err(why) => return self.fail(io, &why).await,
        };
        // Assignments before a command are for that command alone.
        let before = (!words.is_empty() && !assigns.is_empty()).then(|| self.variables.clone());
        if words.is_empty() {
            self.status = 0;
        }
        for (name, word) in assigns {
            match self.text(word, io).await {
                Ok(value) => self.set(name, &value),
                Err(why) => return self.fail(io, &why).await,
            }
            if before.is_some() {
                self.variables.entry(name.clone()).and_modify(|(_, exported)| *exported = true);
            }
        }
        let flow = match self.redirect(redirects, io).await {
            Ok(io) => match words.is_empty() {
                true => Flow::On,
                false => commands::run(self, &words, &io).await,
            },
            Err(why) => self.fail_softly(io, &why).await,
        };
        if let Some(before) = before {
            self.variables = before;
        }
        flow
    }

    pub(super) async fn redirect(&mut self, redirects: &[Redirect], io: &Io) -> Result<Io, String> {
        let mut io = io.clone();
        for redirect in redirects {
            let to = self.text(&redirect.to, &io).await?;
            if redirect.how == How::Copy {
                let sink = match to.as_str() {
                    "1" => io.stdout.clone(),
                    "2" => io.stderr.clone(),
                    _ => return Err(format!("{to}: bad file descriptor")),
                };
                *(if redirect.fd == 2 { &mut io.stderr } else { &mut io.stdout }) = sink;
                continue;
            }
            let path = absolute(&self.directory, &to);
            if redirect.how == How::Read {
                let bytes = self.system.files.open(&path);
                let reason = |why| if why == MISSING { "no such file" } else { why };
                let bytes = bytes.map_err(|why| format!("can't open {to}: {}", reason(why)))?;
                let pipe = Rc::new(RefCell::new(Pipe::default()));
                pipe.borrow_mut().hold(&bytes);
                io.stdin = Source::Pipe(pipe);
                continue;
            }
            let sink = match path.as_str() {
                "/dev/null" => Sink::Null,
                "/dev/stdout" => io.stdout.clone(),
                "/dev/stderr" => io.stderr.clone(),
                _ => {
                    let append = redirect.how == How::Append;
                    let made = self.system.files.write(&path, b"", append);
                    made.map_err(|why| format!("can't create {to}: {why}"))?;
                    Sink::File(path)
                }
            };
            *(if redirect.fd == 2 { &mut io.stderr } else { &mut io.stdout }) = sink;
        }
        Ok(io)
    }
}
