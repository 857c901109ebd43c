//! Machines that a cloud gives and takes while a cluster runs: a kubelet begins on each when it has booted.

use kit_time::agenda::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The machines that were ordered and given back.
#[derive(Debug, Default)]
pub struct Machines {
    /// Those that boot: the group of each, and when it has booted.
    booting: BTreeMap<String, (String, Instant)>,
    gone: Vec<String>,
}

/// The cloud that gives them, and the kubelets on them.
pub type Shared = Rc<RefCell<Machines>>;

impl Machines {
    /// A machine of a group boots until then.
    pub fn boot(&mut self, name: &str, group: &str, until: Instant) {
        self.booting.insert(name.into(), (group.into(), until));
    }

    /// A machine is given back, whether it has booted or not.
    pub fn give_back(&mut self, name: &str) {
        if self.booting.remove(name).is_none() {
            self.gone.push(name.into());
        }
    }

    /// When the next machine has booted.
    pub fn due(&self) -> Option<Instant> {
        self.booting.values().map(|(_, until)| *until).min()
    }

    /// Takes the machines that have booted: their names, and their groups.
    pub fn booted(&mut self, now: Instant) -> Vec<(String, String)> {
        let ready = self.booting.iter().filter(|(_, (_, until))| *until <= now);
        let ready: Vec<(String, String)> = ready.map(|(name, (group, _))| (name.clone(), group.clone())).collect();
        ready.iter().for_each(|(name, _)| _ = self.booting.remove(name));
        ready
    }

    /// Takes the machines that are gone.
    pub fn gone(&mut self) -> Vec<String> {
        std::mem::take(&mut self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_boots_and_goes() {
        let mut machines = Machines::default();
        machines.boot("a", "pool", Instant::seconds(60));
        machines.boot("b", "pool", Instant::seconds(70));
        machines.boot("c", "pool", Instant::seconds(80));
        machines.give_back("c");
        assert_eq!(machines.due(), Some(Instant::seconds(60)));
        assert_eq!(machines.booted(Instant::seconds(60)), [("a".to_string(), "pool".to_string())]);
        machines.give_back("a");
        assert_eq!((machines.gone(), machines.gone()), (vec!["a".to_string()], vec![]), "c never ran");
        assert_eq!(machines.due(), Some(Instant::seconds(70)));
    }
}
