use super::container::{Container, Sample};
use super::*;
use kit_contract::workloads::vpa::RecommendRequest;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

fn module() -> Box<dyn VerticalPodAutoscaler> {
    solutions::modules().vpa.make(&())
}

fn target(model: &Model, resource: Resource) -> i64 {
    let request = RecommendRequest { containers: vec![model.history("main")], policies: Vec::new() };
    module().recommend(&request)[0].target[&resource]
}

#[test]
fn a_checkpoint_keeps_what_matters() {
    let (mut model, mut container, module) = (Model::default(), Container::default(), module());
    for hour in 0..200 {
        let at = at(hour * 3600);
        assert!(container.add_cpu(Sample { at, amount: 100 + hour % 7 * 50 }, &mut model, module.as_ref()));
        assert!(container.add_memory(Sample { at, amount: (200 + hour % 5 * 30) << 20 }, &mut model, module.as_ref()));
    }
    let stored = checkpoint::save(&model, at(200 * 3600));
    let again = checkpoint::load(&stored).expect("a good checkpoint");
    for resource in Resource::ALL {
        assert_eq!(target(&model, resource), target(&again, resource));
    }
    let mut broken = stored.clone();
    broken["cpuHistogram"]["bucketWeights"]["100000"] = 1.into();
    assert!(checkpoint::load(&broken).is_err());
    let mut older = stored;
    older["version"] = "v1".into();
    assert!(checkpoint::load(&older).is_err());
}

#[test]
fn long_times_neither_overflow_nor_bring_old_samples_back() {
    let (mut model, mut container, module) = (Model::default(), Container::default(), module());
    container.add_cpu(Sample { at: at(0), amount: 4000 }, &mut model, module.as_ref());
    let years = 3 * 365 * 86_400;
    for minute in 0..10 {
        container.add_cpu(Sample { at: at(years + minute * 60), amount: 100 }, &mut model, module.as_ref());
    }
    assert!(target(&model, Resource::Cpu) < 200);
}

#[test]
fn a_second_kill_of_the_same_kind_adds_nothing() {
    let (mut model, mut container, module) = (Model::default(), Container::default(), module());
    container.add_memory(Sample { at: at(0), amount: 500 << 20 }, &mut model, module.as_ref());
    let mut after_kill = |seconds| {
        container.record_oom(Sample { at: at(seconds), amount: 500 << 20 }, &mut model, module.as_ref());
        target(&model, Resource::Memory)
    };
    let first = after_kill(60);
    assert_eq!(first, after_kill(120));
    let mut model = Model::default();
    assert!(!Container::default().add_cpu(Sample { at: at(0), amount: -1 }, &mut model, module.as_ref()));
}
