//! The width of a terminal, and single keys from one that is put back as it was, however the program ends.

use anyhow::Result;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{IsTerminal, Read, stdin, stdout};
use std::sync::mpsc::Sender;

/// How many columns the terminal has; none if what is written goes elsewhere.
pub fn columns() -> Option<usize> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= NARROW)
}

/// Below this, lines are left as they are.
const NARROW: usize = 40;

/// What someone at the keyboard wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    /// Ctrl-C, Ctrl-D, or a signal that says the same.
    Quit,
}

/// A terminal whose keys come one by one. Dropping it puts the terminal back.
pub struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    /// Sends keys, and the signals that end a program, as `event`s. Without a terminal only the signals come.
    pub fn open<E: Send + 'static>(events: &Sender<E>, event: fn(Key) -> E) -> Result<Terminal> {
        let before = (stdin().is_terminal() && stdout().is_terminal()).then(|| tcgetattr(stdin())).transpose()?;
        let terminal = Terminal { before };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT])?;
        let keys = terminal.before.as_ref().map(one_by_one);
        if let Some(keys) = &keys {
            tcsetattr(stdin(), OptionalActions::Now, keys)?;
            let events = events.clone();
            std::thread::spawn(move || read(|key| events.send(event(key)).is_ok()));
        }
        let events = events.clone();
        std::thread::spawn(move || {
            for signal in signals.forever() {
                // Back from Ctrl-Z the shell has set the terminal as it likes it.
                if signal == SIGCONT {
                    let _ = keys.as_ref().map(|keys| tcsetattr(stdin(), OptionalActions::Now, keys));
                } else if events.send(event(Key::Quit)).is_err() {
                    break;
                }
            }
        });
        Ok(terminal)
    }

    /// Whether someone can press keys.
    pub fn has_keys(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// No waiting for the end of a line, and no echo; Ctrl-C and Ctrl-Z stay signals.
fn one_by_one(before: &Termios) -> Termios {
    let mut keys = before.clone();
    keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    keys.special_codes[SpecialCodeIndex::VMIN] = 1;
    keys.special_codes[SpecialCodeIndex::VTIME] = 0;
    keys
}

fn read(mut send: impl FnMut(Key) -> bool) {
    const CTRL_D: u8 = 4;
    const ESCAPE: u8 = 27;
    let mut bytes = [0; 64];
    loop {
        match stdin().lock().read(&mut bytes) {
            Ok(0) => break,
            // An arrow or a function key: its letters are nobody's wish.
            Ok(_) if bytes[0] == ESCAPE => {}
            Ok(n) => {
                let key = |byte: &u8| if *byte == CTRL_D { Key::Quit } else { Key::Char(char::from(*byte)) };
                if !bytes[..n].iter().map(key).all(&mut send) {
                    break;
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
}
