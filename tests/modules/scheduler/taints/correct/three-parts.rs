//! Passes: each of the three parts of a toleration is judged apart.

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let keeps_away = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
        let covered = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
        match taints.iter().filter(keeps_away).find(|taint| !covered(taint)) {
            Some(taint) => Verdict::Refused(taint.clone()),
            None => Verdict::Fits,
        }
    }
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let is = |field: &Option<String>, wanted: &str| field.as_deref().unwrap_or_default() == wanted;
    let effect = is(&toleration.effect, "") || is(&toleration.effect, &taint.effect);
    let key = is(&toleration.key, "") || is(&toleration.key, &taint.key);
    let value = match toleration.operator.as_deref().unwrap_or_default() {
        "Exists" => true,
        "Equal" | "" => is(&toleration.value, taint.value.as_deref().unwrap_or_default()),
        _ => false,
    };
    effect && key && value
}

kit::exercise!(Exercise: Taints);
