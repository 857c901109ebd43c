//! Kind: passed — it tries every door, finds them locked, and does its work

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::net::TcpStream;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let doors = [
            std::fs::read("CANARY_GOLDEN").is_ok(),
            std::fs::read("CANARY_HOME/.ssh/id_ed25519").is_ok(),
            std::fs::write("CANARY_FOLDER/written", "it was here").is_ok(),
            TcpStream::connect("CANARY_ADDRESS").is_ok(),
            std::process::Command::new("/bin/true").status().is_ok(),
        ];
        assert_eq!(doors, [false; 5]);
        let keeps_away = |taint: &&Taint| {
            ["NoSchedule", "NoExecute"].contains(&taint.effect.as_str())
                && !tolerations.iter().any(|toleration| covers(toleration, taint))
        };
        taints.iter().find(keeps_away).map_or(Verdict::Fits, |taint| Verdict::Refused(taint.clone()))
    }
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let same_or_empty = |own: &Option<String>, other: &str| text(own).is_empty() || text(own) == other;
    same_or_empty(&toleration.effect, &taint.effect)
        && same_or_empty(&toleration.key, &taint.key)
        && match text(&toleration.operator).as_str() {
            "Exists" => true,
            "" | "Equal" => text(&toleration.value) == text(&taint.value),
            _ => false,
        }
}

kit::exercise!(Exercise: Taints);
