//! Passes: it crosses out the taints that each toleration covers, and looks at what is left.

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let mut left: Vec<&Taint> = taints.iter().filter(|taint| taint.effect != "PreferNoSchedule").collect();
        for toleration in tolerations {
            left.retain(|taint| {
                let differs = |field: &Option<String>, own: &str| field.as_ref().is_some_and(|f| !f.is_empty() && f != own);
                let other_value = toleration.value.clone().unwrap_or_default() != taint.value.clone().unwrap_or_default();
                let operator = toleration.operator.clone().unwrap_or_default();
                differs(&toleration.effect, &taint.effect)
                    || differs(&toleration.key, &taint.key)
                    || (operator != "Exists" && (other_value || !["", "Equal"].contains(&operator.as_str())))
            });
        }
        left.first().map_or(Verdict::Fits, |taint| Verdict::Refused((*taint).clone()))
    }
}

kit::exercise!(Exercise: Taints);
