//! A database as the module sees it.

use super::Memory;
use kit_api::core::{Node, PersistentVolumeClaim, Pod};
use kit_api::{node, pod};
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::World;
use kit_client::database::{self as shared, CLUSTER, ROLE};
use kit_contract::failure::database_operator as module;
use kit_time::agenda::Instant;
use serde_json::Value;
use std::collections::BTreeMap;

/// A database with all its instances, as caches and reports have it.
pub fn database(
    key: &Key,
    object: &Value,
    world: &World<'_>,
    reports: &BTreeMap<Key, shared::Report>,
    memory: &mut Memory,
) -> module::Database {
    let (spec, status) = (&object["spec"], &object["status"]);
    let number = |field: &str| spec[field].as_u64();
    let small = |field: &str| number(field).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_string);
    let spec = module::Spec {
        instances: small("instances").unwrap_or(1),
        image: spec["image"].as_str().unwrap_or_default().into(),
        synchronous: small("synchronous").unwrap_or(0),
        max_lag: number("maxLag"),
        failover_delay_seconds: small("failoverDelaySeconds").unwrap_or(0),
        isolation_seconds: small("isolationSeconds"),
        wanted_primary: name(&spec["primary"]),
    };
    let mut instances: BTreeMap<u32, module::Instance> = BTreeMap::new();
    let belongs = |labels: &Option<BTreeMap<String, String>>| {
        labels.as_ref().and_then(|labels| labels.get(CLUSTER)).is_some_and(|cluster| **cluster == *key.name)
    };
    let claims = world.cache.list::<PersistentVolumeClaim>(&key.namespace);
    let claims = claims.filter(|it| belongs(&it.metadata.labels) && it.metadata.deletion_timestamp.is_none());
    for claim in claims.filter_map(|claim| claim.metadata.name.as_deref()) {
        add(&mut instances, key, claim);
    }
    for pod in world.cache.list::<Pod>(&key.namespace).filter(|it| belongs(&it.metadata.labels)) {
        let Some(instance) = add(&mut instances, key, pod.metadata.name.as_deref().unwrap_or_default()) else {
            continue;
        };
        let role = pod.metadata.labels.as_ref().and_then(|labels| labels.get(ROLE)).map(String::as_str);
        instance.role = match role {
            Some("primary") => Some(module::Role::Primary),
            Some("replica") => Some(module::Role::Replica),
            _ => None,
        };
        instance.pod = Some(view_of(pod, world));
        instance.report = reports.get(&Key::new(Kind::Pod, &key.namespace, &instance.name)).map(report);
    }
    for instance in instances.values_mut() {
        match instance.report {
            Some(_) => _ = memory.silent.remove(&instance.name),
            None => {
                let since = *memory.silent.entry(instance.name.clone()).or_insert(world.now);
                instance.silent_seconds = seconds(world.now, since);
            }
        }
    }
    let current = name(&status["currentPrimary"]);
    let primary = instances.values().find(|it| Some(&it.name) == current.as_ref());
    let state = primary.and_then(|it| it.report).filter(|report| report.state == module::State::Primary);
    let is_healthy = primary.and_then(|it| it.pod.as_ref()).is_some_and(|pod| pod.ready && !pod.terminating);
    match state {
        Some(report) => memory.primary_lsn = report.lsn,
        None if current.is_none() => memory.primary_lsn = 0,
        None => {}
    }
    memory.failing = match is_healthy && state.is_some() || current.is_none() {
        true => None,
        false => memory.failing.or(Some(world.now)),
    };
    let status = module::Status {
        current_primary: current,
        target_primary: name(&status["targetPrimary"]).filter(|target| target != super::hands::PENDING),
        failing_seconds: memory.failing.map_or(0, |since| seconds(world.now, since)),
        primary_lsn: memory.primary_lsn,
    };
    module::Database { name: key.name.to_string(), spec, status, instances: instances.into_values().collect() }
}

/// The instance of this name, new if it isn't there yet; none if the name is no number of the database.
fn add<'a>(
    instances: &'a mut BTreeMap<u32, module::Instance>,
    key: &Key,
    name: &str,
) -> Option<&'a mut module::Instance> {
    let number = name.strip_prefix(&*key.name)?.strip_prefix('-')?.parse().ok()?;
    let new = || module::Instance { number, name: name.into(), pod: None, role: None, report: None, silent_seconds: 0 };
    Some(instances.entry(number).or_insert_with(new))
}

fn view_of(pod: &Pod, world: &World<'_>) -> module::Pod {
    let node = pod::node_name(pod).and_then(|node| world.cache.fetch::<Node>("", node));
    let image = pod.spec.iter().flat_map(|spec| &spec.containers).find_map(|container| container.image.clone());
    module::Pod {
        image: image.unwrap_or_default(),
        ready: pod::is_ready(pod),
        terminating: pod::is_terminating(pod),
        cordoned: node.and_then(|node| node.spec.as_ref()?.unschedulable) == Some(true),
        out_of_service: node.is_some_and(|node| node::has_taint(node, node::OUT_OF_SERVICE)),
    }
}

fn report(report: &shared::Report) -> module::Report {
    let state = match report.state {
        shared::State::Primary => module::State::Primary,
        shared::State::Replica => module::State::Replica,
        shared::State::Stopped => module::State::Stopped,
    };
    module::Report { state, timeline: report.timeline, lsn: report.lsn, receiving: report.receiving }
}

fn seconds(now: Instant, since: Instant) -> u32 {
    u32::try_from((now - since).nanos / 1_000_000_000).unwrap_or(0)
}
