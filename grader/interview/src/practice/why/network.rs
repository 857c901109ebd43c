//! Services: their names, their endpoints, and their load balancers.

use super::{Asked, list};
use kit_contract::network::{dns, endpoints, load_balancer};
use serde_json::Value;
use std::net::IpAddr;

/// More sentences are too many.
const FEW: usize = 3;

pub fn dns(asked: &Asked<'_>) -> Option<Vec<String>> {
    use dns::{Answer, Data, Kind, ServiceKind};
    let (question, cluster) = (asked.arg::<dns::Question>("question")?, asked.arg::<dns::Cluster>("cluster")?);
    let answer = asked.answer::<Answer>()?;
    let domain = format!("{}.", cluster.domain);
    let Some(below) = question.name.strip_suffix(&domain) else {
        let Answer::Records { answer, .. } = answer else {
            return Some(vec!["No cluster IP and no ready endpoint has such an address.".into()]);
        };
        let of_service = answer.iter().any(|record| match &record.data {
            Data::Ptr(name) => name.strip_suffix(&format!(".svc.{domain}")).is_some_and(|n| n.split('.').count() == 2),
            _ => false,
        });
        return Some(vec![
            match of_service {
                true => "The address is a cluster IP: it has the name of its service, and no other.",
                false => "The address is no cluster IP, so each ready endpoint that has it gives its name.",
            }
            .into(),
        ]);
    };
    let mut labels: Vec<&str> = below.split_terminator('.').collect();
    labels.reverse();
    let one = |said: String| Some(vec![said]);
    let (namespace, name, rest) = match labels.as_slice() {
        [] | ["svc"] => return one("This name exists, but stands for no service, and has no records.".into()),
        ["svc", namespace] if cluster.namespaces.iter().any(|known| known == namespace) => {
            return one(format!("{namespace} is a namespace: its name exists, and has no records."));
        }
        ["svc", namespace] => return one(format!("No namespace is named {namespace}.")),
        ["svc", namespace, name, rest @ ..] if rest.len() < 3 => (*namespace, *name, rest),
        _ => return one("No name of a service, an endpoint or a port has this form.".into()),
    };
    let service = cluster.services.iter().find(|service| service.namespace == namespace && service.name == name);
    let Some(service) = service else { return one(format!("There is no service {name} in {namespace}.")) };
    let mut said = match (&service.kind, rest) {
        (ServiceKind::ExternalName(_), [_, ..]) => {
            return one("A service with an external name exists only under its own name.".into());
        }
        (ServiceKind::ExternalName(external), _) if external.parse::<IpAddr>().is_ok() => {
            return one(format!("{external} is an address, and with that as its external name a service has no name."));
        }
        (ServiceKind::ExternalName(external), _) => {
            return one(format!("{external} is an external name: A, AAAA and CNAME get one CNAME, all else nothing."));
        }
        (_, [host]) => vec![format!("Only ready endpoints of {namespace}/{name} that are called {host} count.")],
        (ServiceKind::ClusterIps(_), _) => vec![format!(
            "{namespace}/{name} has cluster IPs: each of them with each of its ports counts, and endpoints don't."
        )],
        (ServiceKind::Headless, _) => {
            vec![format!("{namespace}/{name} is headless: its ready endpoints count, with the ports of their slices.")]
        }
    };
    if let [protocol, port] = rest {
        said.push(format!("Of the ports only those count that {port} and {protocol} name."));
    }
    let weight = |answer: &[dns::Record]| {
        answer.iter().find_map(|record| if let Data::Srv { weight, .. } = record.data { Some(weight) } else { None })
    };
    said.push(match (&answer, question.kind) {
        (Answer::NxDomain, _) => "Nothing is left of that, so the name doesn't exist.".into(),
        (Answer::NoData, Kind::A) => "The name exists, but has no IPv4 address.".into(),
        (Answer::NoData, Kind::Aaaa) => "The name exists, but has no IPv6 address.".into(),
        (Answer::NoData, Kind::Srv) => "The name exists, but no port of it is known.".into(),
        (Answer::NoData, _) => "The name exists, but only A, AAAA and SRV have records.".into(),
        (Answer::Records { answer, .. }, Kind::Srv) => format!(
            "The weight is 100 divided by the number of all pairs of address and port, rounded down, and at least 1: {}.",
            weight(answer)?
        ),
        (Answer::Records { .. }, _) => "There is one record for each different address of the family.".into(),
    });
    Some(said)
}

pub fn endpoints(asked: &Asked<'_>) -> Option<Vec<String>> {
    let request = asked.arg::<endpoints::Request>("request")?;
    let plan = asked.answer::<endpoints::Plan>()?;
    let ended = |pod: &endpoints::Pod| matches!(pod.phase.as_str(), "Succeeded" | "Failed");
    let names = |wanted: &dyn Fn(&endpoints::Pod) -> bool| -> Vec<String> {
        request.pods.iter().filter(|pod| wanted(pod)).map(|pod| pod.name.clone()).take(FEW).collect()
    };
    let has = |pod: &endpoints::Pod| pod.address.is_some() && !ended(pod);
    let (out, going) = (names(&|pod| !has(pod)), names(&|pod| has(pod) && pod.terminating));
    let sorted = |ports: &[endpoints::Port]| {
        let mut ports = ports.to_vec();
        ports.sort();
        ports
    };
    let taken = plan.update.iter().find(|update| {
        let before = request.slices.iter().find(|slice| slice.name == update.name);
        before.is_some_and(|slice| sorted(&slice.ports) != sorted(&update.ports))
    });
    let mut said: Vec<String> = Vec::new();
    if plan == endpoints::Plan::default() {
        said.push("The slices already say of the pods what is so, and none of them must be written.".into());
    } else if !request.pods.iter().any(has) {
        said.push("No pod has an endpoint. One empty slice then says that somebody has looked.".into());
    } else if let Some(update) = taken {
        said.push(format!("{} would be deleted, and takes over a slice that would be created.", update.name));
    } else if !plan.delete.is_empty() {
        said.push(format!("No endpoint is left for {}, or none has such ports.", list(&plan.delete)));
    }
    if !plan.create.is_empty() && request.pods.iter().any(has) {
        said.push(format!(
            "What is missing goes into slices that are written anyway, then into one that holds all of it, then into new ones of at most {}.",
            request.max_endpoints
        ));
    } else if !plan.update.is_empty() && taken.is_none() && request.pods.iter().any(has) {
        said.push(
            "What is there and wanted stays in its slice. A slice is written if it changes, or is outdated.".into(),
        );
    }
    if !out.is_empty() {
        said.push(format!("No address, or finished, and so without an endpoint: {}.", list(&out)));
    }
    if !going.is_empty() {
        said.push(format!("Being deleted takes no endpoint away: {}.", list(&going)));
    }
    said.truncate(FEW);
    Some(said)
}

pub fn load_balancer(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "task" => Some(vec![task(&asked.arg("service")?, asked.answer()?)]),
        "hosts" => Some(hosts(&asked.arg::<Vec<load_balancer::Node>>("nodes")?)),
        "service_changed" => Some(vec![service_changed(&asked.arg("old")?, &asked.arg("new")?, asked.answer()?)]),
        "node_changed" => {
            let (old, new) = (asked.arg::<load_balancer::Node>("old")?, asked.arg::<load_balancer::Node>("new")?);
            Some(vec![match (asked.answer::<bool>()?, is_excluded(&old), is_excluded(&new)) {
                (true, false, true) => "It got the label that keeps it out of all load balancers.".into(),
                (true, true, false) => "It lost the label that kept it out of all load balancers.".into(),
                (true, ..) => "Its provider ID is another.".into(),
                _ => "Only that label, there or not, and the provider ID count, and both are as before.".into(),
            }])
        }
        _ => Some(vec![load_balancer_sync(&asked.arg("request")?, &asked.answer()?)]),
    }
}

fn is_excluded(node: &load_balancer::Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(load_balancer::EXCLUDE))
}

fn is_of_type(service: &load_balancer::Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

fn class(service: &load_balancer::Service) -> Option<&str> {
    service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_deref())
}

fn wants(service: &load_balancer::Service) -> bool {
    is_of_type(service) && class(service).is_none()
}

fn task(service: &load_balancer::Service, task: load_balancer::Task) -> String {
    use load_balancer::Task;
    match (task, class(service)) {
        (Task::CleanUp, _) if is_of_type(service) => {
            "It is being deleted and has the finalizer: that comes first.".into()
        }
        (Task::CleanUp, _) => "It has the finalizer, and its type isn't LoadBalancer: that comes first.".into(),
        (Task::Ensure, _) => "Its type is LoadBalancer, it has no class, and there is nothing to clean up.".into(),
        (Task::Nothing, Some(class)) if is_of_type(service) => {
            format!("With the class {class} it is another controller's, and there is nothing to clean up.")
        }
        (Task::Nothing, _) => "Its type isn't LoadBalancer, and it has no finalizer that would have to go.".into(),
    }
}

fn hosts(nodes: &[load_balancer::Node]) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for node in nodes {
        let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let why = if node.metadata.deletion_timestamp.is_some() {
            "it is being deleted"
        } else if is_excluded(node) {
            "it has the label for that, whatever its value"
        } else if taints.any(|taint| taint.key == load_balancer::TO_BE_DELETED) {
            "the autoscaler is about to delete it"
        } else {
            continue;
        };
        said.push(format!("{} is left out: {why}.", node.metadata.name.as_deref().unwrap_or("A node")));
    }
    said.truncate(FEW - 1);
    said.push("Whether a node is ready, cordoned or part of the control plane doesn't matter.".into());
    said
}

fn service_changed(old: &load_balancer::Service, new: &load_balancer::Service, answer: bool) -> String {
    const FIELDS: [&str; 10] = [
        "/spec/loadBalancerSourceRanges",
        "/spec/loadBalancerIP",
        "/spec/ports",
        "/spec/sessionAffinity",
        "/spec/sessionAffinityConfig",
        "/spec/externalIPs",
        "/spec/externalTrafficPolicy",
        "/spec/healthCheckNodePort",
        "/metadata/annotations",
        "/metadata/uid",
    ];
    match (wants(old), wants(new)) {
        (false, false) => return "It wanted no load balancer and wants none, so nothing else counts.".into(),
        (false, true) => return "It wants a load balancer now, and wanted none before.".into(),
        (true, false) => return "It wants no load balancer any more.".into(),
        (true, true) if !answer => {
            return "Nothing that counts is another than before: empty and absent are the same, and of the IP families only the number counts.".into();
        }
        (true, true) => {}
    }
    let [old, new] = [old, new].map(|service| serde_json::to_value(service).unwrap_or_default());
    let field = |service: &Value, path: &str| match service.pointer(path) {
        Some(Value::Array(all)) if all.is_empty() => Value::Null,
        Some(Value::Object(all)) if all.is_empty() => Value::Null,
        other => other.cloned().unwrap_or_default(),
    };
    let changed = FIELDS.iter().filter(|path| field(&old, path) != field(&new, path));
    let changed: Vec<String> = changed.map(|path| path[1..].replace('/', ".")).collect();
    match changed.is_empty() {
        true => "One of the fields that count is another than before.".into(),
        false => format!("What counts is another than before: {}.", list(&changed)),
    }
}

fn load_balancer_sync(request: &load_balancer::SyncRequest, result: &load_balancer::SyncResult) -> String {
    use load_balancer::{Action, Call, Happened};
    let does = |wanted: fn(&Action) -> bool| result.actions.iter().any(wanted);
    let ensures = does(|action| matches!(action, Action::Ensure { .. }));
    let told: Vec<String> = request.told.iter().map(|host| host.name.clone()).collect();
    match &request.happened {
        Happened::Service if ensures && does(|action| *action == Action::AddFinalizer) => {
            "The service wants a load balancer. The finalizer comes before the call, so that none is left behind."
                .into()
        }
        Happened::Service if ensures => "The service wants a load balancer, and has the finalizer already.".into(),
        Happened::Service if request.in_cloud => {
            "There must be no load balancer, and the cloud has one. All else waits until it is deleted.".into()
        }
        Happened::Service => {
            "There must be no load balancer, and the cloud has none: finalizer and addresses go, if there are any."
                .into()
        }
        Happened::Deleted => "The load balancer is gone: so finalizer and addresses go, if there are any.".into(),
        Happened::Ensured { .. } if does(|action| matches!(action, Action::SetStatus { .. })) => {
            "The status has other addresses than the cloud gave, so it is written.".into()
        }
        Happened::Ensured { .. } => "The status has the addresses already, and isn't written again.".into(),
        Happened::Nodes if !wants(&request.service) => {
            "It wants no load balancer here, so its hosts don't matter.".into()
        }
        Happened::Nodes if result.actions.is_empty() => {
            "The hosts are those that the cloud was told last, by names and provider IDs, in any order.".into()
        }
        Happened::Nodes => {
            format!("The cloud was told {} last, and now the hosts are others, by name or provider ID.", list(&told))
        }
        Happened::Updated if told.is_empty() => "The cloud was told that there are no hosts, so nobody serves.".into(),
        Happened::Updated => format!("The cloud has the hosts that it was told: {}.", list(&told)),
        Happened::Failed { call: Call::UpdateHosts, .. } if !request.in_cloud => {
            "The cloud has no load balancer any more, and so nothing is missing.".into()
        }
        Happened::Failed { call: Call::UpdateHosts, .. } => {
            "When hosts can't be updated, the whole service is looked at again at once.".into()
        }
        Happened::Failed { call: Call::Ensure, retry_after_seconds: Some(seconds) } => {
            format!("The cloud itself says when to come again: after {seconds} s.")
        }
        Happened::Failed { .. } => format!(
            "The delay is 5 s, doubled for each of the {} failures before, and 300 s at most. Only Ensure would listen to the cloud.",
            request.failures
        ),
    }
}
