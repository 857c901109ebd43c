//! Which of many selectors mean an object, without a look at all of them.

use kit_api::selector::{Labels, Operator, Selector};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name.
type Name = (String, String);

/// The labels without one of whose values nothing is meant by a selector.
pub fn demanded(selector: &Selector) -> impl Iterator<Item = (&str, &[String])> {
    let all = match selector {
        Selector::Nothing => [].as_slice(),
        Selector::All(requirements) => requirements,
    };
    let fixed = |operator| matches!(operator, Operator::In | Operator::Equals | Operator::DoubleEquals);
    all.iter().filter(move |one| fixed(one.operator)).map(|one| (one.key.as_str(), one.values.as_slice()))
}

/// Selectors of objects, by the names of these.
#[derive(Debug, Default)]
pub struct Selectors {
    all: BTreeMap<Name, Selector>,
    /// The same names by namespace, and by a label and value that the selector demands; both are empty if it demands none.
    by_label: BTreeMap<(String, String, String), BTreeSet<Name>>,
}

impl Selectors {
    /// Takes over the selector of an object; none if it is gone, or selects nothing.
    pub fn set(&mut self, name: &Name, selector: Option<Selector>) {
        if self.all.get(name) == selector.as_ref() {
            return;
        }
        if let Some(before) = self.all.remove(name) {
            for place in places(&name.0, &before) {
                if let Some(names) = self.by_label.get_mut(&place) {
                    names.remove(name);
                    if names.is_empty() {
                        self.by_label.remove(&place);
                    }
                }
            }
        }
        if let Some(selector) = selector {
            for place in places(&name.0, &selector) {
                self.by_label.entry(place).or_default().insert(name.clone());
            }
            self.all.insert(name.clone(), selector);
        }
    }

    /// The selectors of a namespace that mean an object with these labels, by name.
    pub fn matching(&self, namespace: &str, labels: Option<&Labels>) -> BTreeMap<&str, &Selector> {
        let none = Labels::new();
        let labels = labels.unwrap_or(&none);
        let places = labels.iter().map(|(label, value)| (namespace.into(), label.clone(), value.clone()));
        let places = places.chain([(namespace.into(), String::new(), String::new())]);
        let names = places.filter_map(|place| self.by_label.get(&place)).flatten();
        let there = names.filter_map(|name| Some((name.1.as_str(), self.all.get(name)?)));
        there.filter(|(_, selector)| selector.matches(labels)).collect()
    }
}

fn places(namespace: &str, selector: &Selector) -> Vec<(String, String, String)> {
    let place = |label: &str, value: &str| (namespace.to_string(), label.to_string(), value.to_string());
    match demanded(selector).min_by_key(|(_, values)| values.len()) {
        Some((label, values)) => values.iter().map(|value| place(label, value)).collect(),
        None => vec![place("", "")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_a_look_at_all_finds() {
        let texts = [
            "",
            "app=web",
            "app in (web,api)",
            "app!=web",
            "tier,app=web",
            "app=web,app=api",
            "tier notin (a)",
            "!app",
        ];
        let mut selectors = Selectors::default();
        let name = |index: usize| ("shop".to_string(), format!("{index}"));
        let of: Vec<Selector> = texts.iter().map(|text| text.parse().expect("a good selector")).collect();
        of.iter().enumerate().for_each(|(index, one)| selectors.set(&name(index), Some(one.clone())));
        let objects = ["", "app=web", "app=api", "app=web,tier=a", "app=db,tier=b", "tier=a"];
        let labels = objects.map(|text| -> Labels {
            text.split(',')
                .filter_map(|one| one.split_once('='))
                .map(|(key, value)| (key.into(), value.into()))
                .collect()
        });
        let found = |selectors: &Selectors, namespace: &str, labels: &Labels| -> Vec<String> {
            selectors.matching(namespace, Some(labels)).into_keys().map(str::to_string).collect()
        };
        for labels in &labels {
            let all = of.iter().enumerate().filter(|(_, one)| one.matches(labels)).map(|(index, _)| index.to_string());
            assert_eq!(found(&selectors, "shop", labels), all.collect::<Vec<_>>(), "{labels:?}");
            assert_eq!(found(&selectors, "bank", labels), Vec::<String>::new());
        }
        selectors.set(&name(1), "app=api".parse().ok());
        assert!(found(&selectors, "shop", &labels[2]).contains(&"1".into()));
        assert!(!found(&selectors, "shop", &labels[1]).contains(&"1".into()));
        (0..texts.len()).for_each(|index| selectors.set(&name(index), None));
        assert!(selectors.all.is_empty() && selectors.by_label.is_empty());
    }
}
