//! The names of chains: short, and the same on every node and after every restart.

use kit_contract::network::{ProxyChains, ServiceProtocol};
use sha2::{Digest, Sha256};

/// The first characters, at most 16, of base32 of a SHA-256. iptables takes names of 28, and 16 with the longest prefix are 25 (`portProtoHash` in
/// `pkg/proxy/iptables/proxier.go`).
pub(super) fn hash(parts: &[&str], length: u32) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
    }
    // 16 characters of 5 bits are 10 bytes.
    let bits = digest.finalize().iter().take(10).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let letter = |at: u32| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> (75 - 5 * at) & 31) as usize];
    (0..length.min(16)).map(|at| char::from(letter(at))).collect()
}

/// The chains of a service port, by its name `namespace/name:port`.
pub fn of_port(name: &str, protocol: ServiceProtocol) -> ProxyChains {
    let hash = hash(&[name, protocol.lower()], 16);
    let chain = |prefix: &str| format!("{prefix}{hash}");
    ProxyChains {
        cluster: chain("KUBE-SVC-"),
        local: chain("KUBE-SVL-"),
        external: chain("KUBE-EXT-"),
        firewall: chain("KUBE-FW-"),
    }
}

/// The chain of an endpoint of a service port, by its `address:port`.
pub fn of_endpoint(name: &str, protocol: ServiceProtocol, endpoint: &str) -> String {
    format!("KUBE-SEP-{}", hash(&[name, protocol.lower(), endpoint], 16))
}

/// Whether a chain was made for a service or an endpoint, and may be deleted when that is gone.
pub fn is_ours(chain: &str) -> bool {
    ["KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-"].iter().any(|prefix| chain.starts_with(prefix))
}
