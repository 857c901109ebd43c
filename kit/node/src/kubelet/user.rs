//! Who runs in a container: whom its pod names, or else its image, or else root.
//!
//! Sources: `verifyRunAsNonRoot` of `pkg/kubelet/kuberuntime/security_context_others.go`; `getUserFromImage` of containerd's CRI server,
//! which tells numbers from names; the files from which the images are made.

use super::image::called;
use kit_api::core::{Container, Pod};

/// What some images say; most say nothing, and are root's.
const IMAGES: [(&str, &str); 4] =
    [("grafana", "472"), ("jenkins", "jenkins"), ("nginx-unprivileged", "101"), ("prometheus", "nobody")];
/// The numbers of names; of any other it is that of the first user who is added to a system.
const NUMBERS: [(&str, u32); 2] = [("root", 0), ("nobody", 65534)];
const FIRST: u32 = 1000;

/// The user of an image that no one described.
pub fn of(image: &str) -> &'static str {
    IMAGES.iter().find(|(name, _)| *name == called(image)).map_or("", |(_, user)| user)
}

/// The number of an image's user, and that of the group.
pub fn ids(user: &str) -> (u32, u32) {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let known = |name: &str| NUMBERS.iter().find(|(known, _)| *known == name).map_or(FIRST, |(_, id)| *id);
    let number = |name: &str| name.parse().unwrap_or_else(|_| known(name));
    let uid = if user.is_empty() { 0 } else { number(user) };
    match group {
        // A number alone says nothing of groups.
        "" if user.parse::<u32>().is_ok() => (uid, 0),
        "" => (uid, uid),
        group => (uid, number(group)),
    }
}

/// What a pod says of who may run in one of its containers.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// `runAsNonRoot`
    not_root: bool,
    /// `runAsUser`
    user: Option<i64>,
}

impl Rule {
    /// Of a container of this pod; what the container says counts more.
    pub fn new(pod: &Pod, container: &Container) -> Rule {
        let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let own = container.security_context.as_ref();
        let not_root = own.and_then(|own| own.run_as_non_root).or(of_pod.and_then(|pod| pod.run_as_non_root));
        let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
        Rule { not_root: not_root.unwrap_or_default(), user }
    }

    /// Why a container of an image with this user can't be made; messages name the `pod` and the `container`.
    pub fn refuses(&self, image_user: &str, pod: &str, container: &str) -> Option<String> {
        if !self.not_root {
            return None;
        }
        let name = image_user.split(':').next().unwrap_or_default();
        let number = if name.is_empty() { Some(0) } else { name.parse::<i64>().ok() };
        let why = match (self.user, number) {
            (Some(0), _) => "container's runAsUser breaks non-root policy".to_string(),
            (None, Some(0)) => "container has runAsNonRoot and image will run as root".to_string(),
            (None, None) => format!(
                "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
            ),
            _ => return None,
        };
        Some(format!("{why} (pod: {pod:?}, container: {container})"))
    }
}

#[cfg(test)]
mod tests {
    use crate::kubelet::Kubelets;
    use crate::kubelet::image::Image;
    use crate::kubelet::testing::{Bench, with_programs};
    use serde_json::{Value, json};

    #[test]
    fn who_must_not_be_root_has_to_be_known_by_number() {
        let registry = [("app:1", "7:8"), ("app:2", "app")];
        let registry = registry.map(|(name, user)| (name.to_string(), Image { user: user.into(), ..Image::default() }));
        let mut bench = Bench::new(|kubelets| Kubelets { registry: registry.into(), ..with_programs(kubelets) });
        let root = "container has runAsNonRoot and image will run as root";
        let named = |name: &str| {
            format!(
                "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root"
            )
        };
        /// An image, what the pod and the container say, and why it can't be made or who `id` says runs in it.
        type Case<'a> = (&'a str, Value, Value, Result<&'a str, String>);
        let strict = || json!({"runAsNonRoot": true});
        let cases: Vec<Case<'_>> = vec![
            ("busybox", json!({}), json!({}), Ok("uid=0(root) gid=0(root) groups=0(root)")),
            ("busybox", strict(), json!({}), Err(root.into())),
            ("busybox", strict(), json!({"runAsNonRoot": false}), Ok("uid=0(root) gid=0(root) groups=0(root)")),
            ("busybox", strict(), json!({"runAsUser": 5}), Ok("uid=5 gid=0(root) groups=0(root)")),
            ("busybox", strict(), json!({"runAsUser": 0}), Err("container's runAsUser breaks non-root policy".into())),
            ("app:1", strict(), json!({}), Ok("uid=7 gid=8 groups=8")),
            ("app:2", strict(), json!({}), Err(named("app"))),
            ("app:2", json!({}), json!({}), Ok("uid=1000 gid=1000 groups=1000")),
            ("quay.io/prometheus/prometheus:v3", strict(), json!({}), Err(named("nobody"))),
            ("grafana/grafana", json!({}), strict(), Ok("uid=472 gid=0(root) groups=0(root)")),
        ];
        for (index, (image, pod, own, expected)) in cases.into_iter().enumerate() {
            let name = format!("pod-{index}");
            let command = json!(["sleep", "99"]);
            let container = json!({"name": "main", "image": image, "command": command, "securityContext": own});
            bench.pod(&name, json!({"securityContext": pod, "containers": [container]}));
            bench.wait(2.0);
            let said = bench.status(&name, "/containerStatuses/0/state/waiting");
            match expected {
                Ok(who) => assert_eq!(bench.exec(&name, "main", &["id"], 0.0).0, format!("{who}\n"), "{index}: {said}"),
                Err(why) => {
                    let uid = bench.get(&name).metadata.uid.unwrap_or_default();
                    let why = format!("{why} (pod: \"{name}_default({uid})\", container: main)");
                    assert_eq!(said, json!({"reason": "CreateContainerConfigError", "message": why}), "{index}");
                    let told = format!("Warning Failed: Error: {why}");
                    assert!(bench.events(&name).contains(&told), "{:?}", bench.events(&name));
                }
            }
        }
    }
}
