//! Tables: the columns that kubectl prints.
//!
//! Source: `pkg/printers/internalversion/printers.go`.

mod pods;
mod serving;
mod text;
mod workloads;

pub use self::pods::{Containers, containers};
pub(crate) use self::text::age;
use self::text::{labels, word};
pub use self::workloads::targets;
use crate::{Stored, apiextensions};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Kind, Object};
use serde_json::{Value, json};

/// The columns of a kind: names with `!` stand in wide output alone, `:` says a type other than text.
fn header(kind: &str) -> &'static str {
    match kind {
        "Pod" => "Name,Ready,Status,Restarts,Age,IP!,Node!,Nominated Node!,Readiness Gates!",
        "PodTemplate" => "Name,Containers,Images,Pod Labels",
        "PodDisruptionBudget" => "Name,Min Available,Max Unavailable,Allowed Disruptions:integer,Age",
        "ReplicaSet" | "ReplicationController" => {
            "Name,Desired:integer,Current:integer,Ready:integer,Age,Containers!,Images!,Selector!"
        }
        "DaemonSet" => {
            "Name,Desired:integer,Current:integer,Ready:integer,Up-to-date:integer,Available:integer,Node Selector,Age,\
             Containers!,Images!,Selector!"
        }
        "Job" => "Name,Status,Completions,Duration,Age,Containers!,Images!,Selector!",
        "CronJob" => {
            "Name,Schedule,Timezone,Suspend:boolean,Active:integer,Last Schedule,Age,Containers!,Images!,Selector!"
        }
        "Service" => "Name,Type,Cluster-IP,External-IP,Port(s),Age,Selector!",
        "Ingress" => "Name,Class,Hosts,Address,Ports,Age",
        "IngressClass" => "Name,Controller,Parameters,Age",
        "StatefulSet" => "Name,Ready,Age,Containers!,Images!",
        "Endpoints" => "Name,Endpoints,Age",
        "Node" => {
            "Name,Status,Roles,Age,Version,Internal-IP!,External-IP!,OS-Image!,Kernel-Version!,Container-Runtime!"
        }
        "Event" => "Last Seen,Type,Reason,Object,Subobject!,Source!,Message,First Seen!,Count:integer!,Name!",
        "Namespace" => "Name,Status,Age",
        "Secret" => "Name,Type,Data,Age",
        "ServiceAccount" => "Name,Secrets,Age",
        "PersistentVolume" => {
            "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age,\
             VolumeMode!"
        }
        "PersistentVolumeClaim" => {
            "Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,VolumeMode!"
        }
        "Deployment" => "Name,Ready,Up-to-date,Available,Age,Containers!,Images!,Selector!",
        "HorizontalPodAutoscaler" => "Name,Reference,Targets,MinPods,MaxPods,Replicas,Age",
        "ConfigMap" => "Name,Data,Age",
        "NetworkPolicy" => "Name,Pod-Selector,Age",
        "RoleBinding" | "ClusterRoleBinding" => "Name,Role,Age,Users!,Groups!,ServiceAccounts!",
        "StorageClass" => "Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age",
        "Lease" => "Name,Holder,Age",
        "ControllerRevision" => "Name,Controller,Revision,Age",
        "ResourceQuota" => "Name,Request,Limit,Age",
        "PriorityClass" => "Name,Value,Global-Default:boolean,Age,PreemptionPolicy",
        "EndpointSlice" => "Name,AddressType,Ports,Endpoints,Age",
        "VolumeAttachment" => "Name,Attacher,PV,Node,Attached:boolean,Age",
        "CSINode" => "Name,Drivers:integer,Age",
        "RuntimeClass" => "Name,Handler,Age",
        "APIService" => "Name,Service,Available,Age",
        "CertificateSigningRequest" => "Name,Age,SignerName,Requestor,RequestedDuration,Condition",
        "CSIDriver" => {
            "Name,AttachRequired:boolean,PodInfoOnMount:boolean,StorageCapacity:boolean,TokenRequests,\
             RequiresRepublish:boolean,Modes,Age"
        }
        "CSIStorageCapacity" => "Name,StorageClassName,Capacity",
        "FlowSchema" => "Name,PriorityLevel,MatchingPrecedence:integer,DistinguisherMethod,Age,MissingPL",
        "IPAddress" => "Name,ParentRef",
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => "Name,Webhooks:integer,Age",
        "PriorityLevelConfiguration" => {
            "Name,Type,NominalConcurrencyShares:integer,Queues:integer,HandSize:integer,QueueLengthLimit:integer,Age"
        }
        "ServiceCIDR" => "Name,CIDRs,Age",
        "ValidatingAdmissionPolicy" => "Name,Validations:integer,ParamKind,Age",
        "ValidatingAdmissionPolicyBinding" => "Name,PolicyName,ParamRef,Age",
        "Role" | "ClusterRole" | "LimitRange" | "CustomResourceDefinition" => "Name,Created At",
        _ => "Name,Age",
    }
}

/// The columns that a definition asks for, if it does.
fn own(kind: Kind) -> Option<&'static Value> {
    let columns = match kind {
        Kind::Other(resource) => &resource.definition.as_ref()?.columns,
        _ => return None,
    };
    columns.as_array().filter(|columns| !columns.is_empty()).map(|_| columns)
}

/// The definitions of a kind's columns.
pub fn columns(kind: Kind) -> Value {
    if let Some(wanted) = own(kind) {
        return apiextensions::columns::columns(wanted);
    }
    let column = |text: &str| {
        let (text, priority) = text.strip_suffix('!').map_or((text, 0), |text| (text, 1));
        let (name, type_) = text.split_once(':').unwrap_or((text, "string"));
        // The name of an event stands last, and is a name all the same.
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": type_, "format": format, "description": "", "priority": priority})
    };
    header(kind.name()).split(',').map(column).collect()
}

/// What stands in the columns for an object of the store.
pub fn cells_of(stored: &Stored, now: Timestamp) -> Vec<Value> {
    match &stored.object {
        Object::Pod(of) => pods::pod(of, now),
        object => cells(object.kind(), &stored.to_value(), now),
    }
}

/// What stands in the columns for one object.
pub fn cells(kind: Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    if let Some(wanted) = own(kind) {
        return apiextensions::columns::cells(wanted, object, now);
    }
    let (meta, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let name = meta["name"].clone();
    let old = || Value::from(age(&meta["creationTimestamp"], now));
    let count = |value: &Value| Value::from(value.as_i64().unwrap_or_default());
    let entries = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    match kind.name() {
        "Pod" => match Object::from_value(kind, object.clone()) {
            Ok(Object::Pod(pod)) => pods::pod(&pod, now),
            _ => vec![name, old()],
        },
        "Node" => pods::node(object, now),
        "Event" => pods::event(object, now),
        "ReplicaSet" | "ReplicationController" => workloads::replica_set(object, now),
        "DaemonSet" => workloads::daemon_set(object, now),
        "Deployment" => workloads::deployment(object, now),
        "StatefulSet" => workloads::stateful_set(object, now),
        "Job" => workloads::job(object, now),
        "CronJob" => workloads::cron_job(object, now),
        "HorizontalPodAutoscaler" => workloads::autoscaler(object, now),
        "Service" => workloads::service(object, now),
        "Ingress" => workloads::ingress(object, now),
        "Endpoints" => vec![name, workloads::endpoints(object).into(), old()],
        "EndpointSlice" => workloads::endpoint_slice(object, now),
        "PersistentVolume" => workloads::volume(object, now),
        "PersistentVolumeClaim" => workloads::claim(object, now),
        "PodTemplate" => {
            let (containers, images) = workloads::containers(&object["template"]["spec"]);
            vec![name, containers.into(), images.into(), labels(&object["template"]["metadata"]["labels"]).into()]
        }
        "PodDisruptionBudget" => {
            let or_none = |value: &Value| if value.is_null() { "N/A".into() } else { word(value) };
            let (least, most) = (or_none(&spec["minAvailable"]), or_none(&spec["maxUnavailable"]));
            vec![name, least.into(), most.into(), count(&status["disruptionsAllowed"]), old()]
        }
        "Namespace" => vec![name, status["phase"].clone(), old()],
        "Secret" => vec![name, object["type"].clone(), entries(&object["data"]).into(), old()],
        "ConfigMap" => vec![name, (entries(&object["data"]) + entries(&object["binaryData"])).into(), old()],
        "ServiceAccount" => vec![name, object["secrets"].as_array().map_or(0, Vec::len).into(), old()],
        "NetworkPolicy" => vec![name, text::selector(&spec["podSelector"]).into(), old()],
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = &object["roleRef"];
            let of = |kind: &str| {
                let all = object["subjects"].as_array().into_iter().flatten().filter(|s| s["kind"] == kind);
                let name = |subject: &Value| match subject["namespace"].as_str() {
                    Some(namespace) => format!("{namespace}/{}", word(&subject["name"])),
                    None => word(&subject["name"]),
                };
                all.map(name).collect::<Vec<_>>().join(", ")
            };
            let role = format!("{}/{}", word(&role["kind"]), word(&role["name"]));
            vec![name, role.into(), old(), of("User").into(), of("Group").into(), of("ServiceAccount").into()]
        }
        "StorageClass" => {
            let annotations = &meta["annotations"];
            let default = annotations["storageclass.kubernetes.io/is-default-class"] == "true";
            let shown = if default { format!("{} (default)", word(&name)) } else { word(&name) };
            let expands = object["allowVolumeExpansion"].as_bool().unwrap_or_default();
            let plain = ["provisioner", "reclaimPolicy", "volumeBindingMode"].map(|field| object[field].clone());
            let [provisioner, reclaim, binding] = plain;
            vec![shown.into(), provisioner, reclaim, binding, expands.into(), old()]
        }
        "IngressClass" => {
            let parameters = &spec["parameters"];
            let shown = match parameters.is_null() {
                true => "<none>".into(),
                false => format!("{}/{}", word(&parameters["kind"]), word(&parameters["name"])),
            };
            vec![name, spec["controller"].clone(), shown.into(), old()]
        }
        "Lease" => vec![name, word(&spec["holderIdentity"]).into(), old()],
        "ControllerRevision" => vec![name, text::controller(meta).into(), count(&object["revision"]), old()],
        "ResourceQuota" => {
            let (requests, limits) = text::quota(status);
            vec![name, requests.into(), limits.into(), old()]
        }
        "PriorityClass" => {
            let default = object["globalDefault"].as_bool().unwrap_or_default();
            vec![name, count(&object["value"]), default.into(), old(), word(&object["preemptionPolicy"]).into()]
        }
        "VolumeAttachment" => {
            let volume = word(&spec["source"]["persistentVolumeName"]);
            let attached = status["attached"].as_bool().unwrap_or_default();
            vec![name, spec["attacher"].clone(), volume.into(), spec["nodeName"].clone(), attached.into(), old()]
        }
        "CSINode" => vec![name, spec["drivers"].as_array().map_or(0, Vec::len).into(), old()],
        "RuntimeClass" => vec![name, object["handler"].clone(), old()],
        "APIService" => serving::api_service(object, now),
        "CertificateSigningRequest" => serving::certificate_request(object, now),
        "CSIDriver" => serving::driver(object, now),
        "CSIStorageCapacity" => {
            let capacity = object["capacity"].as_str().unwrap_or("<unset>");
            vec![name, object["storageClassName"].clone(), capacity.into()]
        }
        "FlowSchema" => serving::flow_schema(object, now),
        "IPAddress" => vec![name, serving::parent(&spec["parentRef"]).into()],
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            vec![name, object["webhooks"].as_array().map_or(0, Vec::len).into(), old()]
        }
        "PriorityLevelConfiguration" => serving::priority_level(object, now),
        "ServiceCIDR" => {
            let ranges = spec["cidrs"].as_array().into_iter().flatten().map(word).collect::<Vec<_>>();
            vec![name, ranges.join(",").into(), old()]
        }
        "ValidatingAdmissionPolicy" => {
            let rules = spec["validations"].as_array().map_or(0, Vec::len);
            vec![name, rules.into(), serving::param_kind(&spec["paramKind"]).into(), old()]
        }
        "ValidatingAdmissionPolicyBinding" => {
            vec![name, spec["policyName"].clone(), serving::param(&spec["paramRef"]).into(), old()]
        }
        "Role" | "ClusterRole" | "LimitRange" | "CustomResourceDefinition" => {
            vec![name, meta["creationTimestamp"].clone()]
        }
        _ => vec![name, old()],
    }
}
