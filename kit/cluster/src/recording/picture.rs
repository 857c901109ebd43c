//! A cluster as a recording shows it at one moment, for who reads recordings.

use super::form::{Change, Increment, Numbered, Recording, State, Subject};
use super::state::lay_over;

/// The objects of a recording, and how each is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picture {
    /// Every object that was ever named.
    pub subjects: Vec<Subject>,
    /// How it is; none if it isn't there.
    pub states: Vec<Option<State>>,
}

impl Picture {
    /// The cluster at this time: everything up to it has happened.
    pub fn at(recording: &Recording, time: i64) -> Picture {
        let subjects = recording.objects.clone();
        let mut picture = Picture { states: vec![None; subjects.len()], subjects };
        recording.changes.iter().take_while(|change| change.0 <= time).for_each(|change| picture.apply(change));
        picture
    }

    /// What has come to a live recording.
    pub fn add(&mut self, increment: &Increment) {
        for Numbered(id, subject) in &increment.objects {
            if *id == self.subjects.len() {
                self.subjects.push(subject.clone());
                self.states.push(None);
            } else if let (Some(known), Some(state)) = (self.subjects.get_mut(*id), self.states.get_mut(*id)) {
                (*known, *state) = (subject.clone(), None);
            }
        }
        increment.changes.iter().for_each(|change| self.apply(change));
    }

    fn apply(&mut self, Change(_, id, _, change): &Change) {
        let Some(state) = self.states.get_mut(*id) else { return };
        match change.contains_key("gone") {
            true => *state = None,
            false => lay_over(state.get_or_insert_default(), change),
        }
    }

    /// The objects that are there, with their numbers, in the order in which they were first named.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Subject, &State)> {
        let both = self.subjects.iter().zip(&self.states).enumerate();
        both.filter_map(|(id, (subject, state))| Some((id, subject, state.as_ref()?)))
    }
}
