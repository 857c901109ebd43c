//! Scripts: a whole text, or line by line as somebody types.

use super::parse::{Problem, parse};
use super::shell::{Flow, Io, Shell, Source};

impl Shell {
    /// Runs a whole script.
    pub async fn script(&mut self, text: &str, io: &Io) -> Flow {
        match parse(text) {
            Ok(node) => self.run(&node, io).await,
            Err(problem) => {
                let what = match problem {
                    Problem::Incomplete => "end of file".into(),
                    Problem::Unexpected(what) => format!("{what:?}"),
                };
                self.complain(io, &format!("syntax error: unexpected {what}")).await;
                self.status = 2;
                Flow::Wrong
            }
        }
    }

    /// Reads commands line by line until there are no more.
    pub async fn read(&mut self, io: &Io) {
        self.interactive = self.system.tty && matches!(io.stdin, Source::Input);
        if self.interactive {
            self.system.heed_interrupts();
        }
        let mut text = String::new();
        loop {
            if self.interactive {
                self.system.forget_interrupt();
                let prompt = match (text.is_empty(), self.name()) {
                    (false, _) => "> ".to_string(),
                    (true, "bash") => format!("root@{}:{}# ", self.system.hostname, self.directory),
                    (true, _) => format!("{} # ", self.directory),
                };
                self.write(&io.stdout, prompt.as_bytes()).await;
            }
            let Some(line) = self.line(io).await else {
                if !text.is_empty() {
                    _ = self.script(&text, io).await;
                }
                return;
            };
            if self.system.interrupted() {
                text.clear();
                continue;
            }
            text.push_str(&String::from_utf8_lossy(&line));
            if parse(&text) == Err(Problem::Incomplete) && text.len() < super::expand::LONGEST {
                continue;
            }
            match self.script(&std::mem::take(&mut text), io).await {
                Flow::Exit => return,
                Flow::Wrong if !self.interactive => return,
                _ => {}
            }
        }
    }

    /// All of the input, or its beginning if it is longer than this.
    pub async fn all(&mut self, io: &Io, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < most {
            let more = match &io.stdin {
                Source::Null => Vec::new(),
                Source::Input => self.system.some().await,
                Source::Pipe(pipe) => self.system.some_of(pipe).await,
            };
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        all
    }

    /// The next line of the input.
    pub async fn line(&mut self, io: &Io) -> Option<Vec<u8>> {
        match &io.stdin {
            Source::Null => None,
            Source::Input => self.system.line().await,
            Source::Pipe(pipe) => self.system.line_of(pipe).await,
        }
    }
}
