//! The file that tells kubectl where the cluster is and who asks
//! (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>).

use crate::certificates::{Certificates, write_private};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// Writes a kubeconfig of the administrator. `name` is that of the cluster, its user and its context.
///
/// # Errors
///
/// If the file can't be written.
pub fn write(path: &Path, name: &str, address: SocketAddr, certificates: Option<&Certificates>) -> std::io::Result<()> {
    let data = |pem: &str| Value::from(STANDARD.encode(pem));
    let (scheme, cluster, user) = match certificates {
        Some(made) => (
            "https",
            json!({"certificate-authority-data": data(&made.authority)}),
            json!({"client-certificate-data": data(&made.admin.0), "client-key-data": data(&made.admin.1)}),
        ),
        None => ("http", json!({}), json!({})),
    };
    let mut cluster = cluster;
    cluster["server"] = format!("{scheme}://{address}").into();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    });
    // JSON is YAML, and kubectl reads and rewrites it as such.
    let text = serde_json::to_string_pretty(&config).map_err(std::io::Error::other)?;
    write_private(path, &(text + "\n"))
}
