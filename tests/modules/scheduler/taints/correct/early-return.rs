//! Passes: plain loops that leave as soon as they know.

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        'taints: for taint in taints {
            if taint.effect != "NoSchedule" && taint.effect != "NoExecute" {
                continue;
            }
            for toleration in tolerations {
                if let Some(effect) = &toleration.effect
                    && !effect.is_empty()
                    && *effect != taint.effect
                {
                    continue;
                }
                let key = toleration.key.as_deref().unwrap_or("");
                if key != "" && key != taint.key {
                    continue;
                }
                match toleration.operator.as_deref() {
                    Some("Exists") => continue 'taints,
                    None | Some("") | Some("Equal") => {
                        if toleration.value.as_deref().unwrap_or("") == taint.value.as_deref().unwrap_or("") {
                            continue 'taints;
                        }
                    }
                    Some(_) => {}
                }
            }
            return Verdict::Refused(taint.clone());
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
