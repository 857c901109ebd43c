//! The processes of a group: one for each member, which ends with its module.

use super::{Loss, Session, Start};
use crate::commands::settings::Limits;
use kit_contract::remote::{Link, Transport};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// What is known of all processes of a group.
#[derive(Default)]
pub struct Fellows {
    /// How the first of them was lost. Then none of them is asked any more.
    pub loss: Option<Loss>,
    /// What was printed last.
    pub printed: String,
    /// When the scenario must be over, for all of them; set by the first question.
    deadline: Option<Instant>,
}

/// A storm is one scenario of many schedules, and takes so many times as long as one that is written down.
const SCHEDULES: u32 = 2;

/// One of the processes.
pub struct Fellow {
    session: Session,
    fellows: Rc<RefCell<Fellows>>,
}

impl Fellow {
    /// A link to a process of its own.
    pub fn link(start: Start, mut limits: Limits, fellows: Rc<RefCell<Fellows>>) -> Link {
        limits.scenario *= SCHEDULES;
        let session = Session::new(start, limits);
        Link::new(Rc::new(RefCell::new(Fellow { session, fellows })))
    }
}

impl Transport for Fellow {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        if self.fellows.borrow().loss.is_some() {
            return None;
        }
        let mut fellows = self.fellows.borrow_mut();
        self.session.deadline = fellows.deadline;
        let answer = self.session.ask(call, args);
        fellows.deadline = self.session.deadline;
        fellows.loss = self.session.loss();
        let printed = self.session.take_printed();
        if !printed.is_empty() {
            fellows.printed = printed;
        }
        answer
    }

    fn reject(&mut self, reason: String) {
        self.session.reject(reason);
        self.fellows.borrow_mut().loss = self.session.loss();
    }
}
