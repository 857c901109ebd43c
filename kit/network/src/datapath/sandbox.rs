//! What kubelet does when a pod gets no network.
//!
//! Two things can be missing. If the runtime has no configuration of a plugin at all, the node isn't ready and pods aren't even tried, but for those
//! that use the host's network. If the plugin's ADD fails, the sandbox is taken down again, the pod stays in `ContainerCreating`, and kubelet tries anew.
//!
//! Source: `pkg/kubelet/pod_workers.go` (`completeWork`), `kubelet.go` (`SyncPod`), `kuberuntime/kuberuntime_manager.go`; the texts are those of
//! containerd's `internal/cri/server/sandbox_run.go`.

use super::cni::Error;

/// kubelet waits so many milliseconds after a pod that could not be brought up, and up to half as much more (`backOffPeriod`).
const BACK_OFF: u64 = 10_000;
/// The same where it may be over soon (`backOffOnTransientErrorPeriod`).
const TRANSIENT: u64 = 1_000;

/// An event about the pod, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The event's reason. All of them are warnings.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
    /// At the earliest after so many milliseconds, drawn anew each time.
    pub after: u64,
    /// At the latest.
    pub until: u64,
}

fn retry(reason: &'static str, message: String, after: u64) -> Retry {
    Retry { reason, message, after, until: after + after / 2 }
}

/// The runtime has no plugin. A pod with the host's network is started all the same.
pub fn without_a_plugin(uses_host_network: bool) -> Option<Retry> {
    let message = "network is not ready: container runtime network not ready: NetworkReady=false \
                   reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    (!uses_host_network).then(|| retry("NetworkNotReady", message.into(), TRANSIENT))
}

/// The plugin `kind` has failed to give a sandbox its network. Whatever its code, kubelet waits equally long: the runtime passes on the text only.
pub fn after_failed_add(sandbox: &str, kind: &str, error: &Error) -> Retry {
    let message = format!(
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"{sandbox}\": \
         plugin type=\"{kind}\" failed (add): {error}"
    );
    retry("FailedCreatePodSandBox", message, BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::cni::Code;

    #[test]
    fn a_failed_add_is_told_in_the_plugins_words_and_tried_again() {
        let error = Error::new(Code::TryAgainLater, "no IP addresses available");
        let retry = after_failed_add("4f1c", "flannel", &error);
        assert_eq!(
            retry.message,
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"4f1c\": plugin \
             type=\"flannel\" failed (add): no IP addresses available"
        );
        assert_eq!((retry.reason, retry.after, retry.until), ("FailedCreatePodSandBox", 10_000, 15_000));
    }

    #[test]
    fn without_a_plugin_only_the_hosts_network_is_to_be_had() {
        assert_eq!(without_a_plugin(true), None);
        assert_eq!(without_a_plugin(false).map(|retry| (retry.reason, retry.after)), Some(("NetworkNotReady", 1_000)));
    }
}
