use super::container::{Container, Sample};
use super::*;
use std::collections::BTreeMap;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

#[test]
fn a_checkpoint_keeps_what_matters() {
    let (mut model, mut container) = (Model::default(), Container::default());
    for hour in 0..200 {
        let at = at(hour * 3600);
        assert!(container.add_cpu(Sample { at, amount: 100 + hour % 7 * 50 }, &mut model));
        assert!(container.add_memory(Sample { at, amount: (200 + hour % 5 * 30) << 20 }, &mut model));
    }
    let again = Model::load(&model.checkpoint()).expect("a good checkpoint");
    let both = [&model, &again].map(|model| recommend(&BTreeMap::from([("main", model)])));
    assert_eq!(both[0], both[1]);
    let mut broken = model.checkpoint();
    broken.cpu.weights.insert(100_000, 1);
    assert!(Model::load(&broken).is_err());
}

#[test]
fn long_times_neither_overflow_nor_bring_old_samples_back() {
    let (mut model, mut container) = (Model::default(), Container::default());
    container.add_cpu(Sample { at: at(0), amount: 4000 }, &mut model);
    let years = 3 * 365 * 86_400;
    for minute in 0..10 {
        container.add_cpu(Sample { at: at(years + minute * 60), amount: 100 }, &mut model);
    }
    let target = recommend(&BTreeMap::from([("main", &model)]))["main"].target;
    assert!(target.cpu < 200, "{target:?}");
}

#[test]
fn a_second_kill_of_the_same_kind_adds_nothing() {
    let (mut model, mut container) = (Model::default(), Container::default());
    container.add_memory(Sample { at: at(0), amount: 500 << 20 }, &mut model);
    let mut target = |seconds| {
        container.record_oom(Sample { at: at(seconds), amount: 500 << 20 }, &mut model);
        recommend(&BTreeMap::from([("main", &model)]))["main"].target.memory
    };
    let first = target(60);
    assert_eq!(first, target(120));
    assert!(!Container::default().add_cpu(Sample { at: at(0), amount: -1 }, &mut model));
}
