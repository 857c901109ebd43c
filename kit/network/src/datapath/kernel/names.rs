//! Names that a kernel takes for namespaces and interfaces.

use sha2::{Digest, Sha256};

/// A longer name of a namespace is cut, and gets a hash. Names of files may be longer, but people read these.
const LONGEST: usize = 100;
/// The longest name of an interface (`IFNAMSIZ` less what ends it).
const LONGEST_DEVICE: usize = 15;

/// How namespaces of one cluster are called: `kit:node-1`, `kit:shop:web-1`. No name of a cluster, a node or a pod has a colon, so that
/// two clusters on one machine don't meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    cluster: String,
}

impl Names {
    /// The names of a cluster's namespaces.
    pub fn new(cluster: &str) -> Names {
        Names { cluster: cluster.into() }
    }

    /// With what all of them begin.
    pub fn prefix(&self) -> String {
        format!("{}:", self.cluster)
    }

    /// The namespace of a host, or of a pod `namespace/name`.
    pub fn of(&self, place: &str) -> String {
        format!("{}{}", self.prefix(), safe(&place.replace('/', ":"), LONGEST))
    }

    /// The namespace of the wires.
    pub fn switch(&self) -> String {
        format!("{}:switch", self.prefix())
    }

    /// A namespace in which it is tried out what the kernel can do.
    pub fn trial(&self) -> String {
        format!("{}:trial", self.prefix())
    }
}

/// The interface of a wire, or of a plug into one.
pub fn device(name: &str) -> String {
    safe(&name.replace('/', "-"), LONGEST_DEVICE)
}

/// The name itself if it is short and plain; else its beginning, and a hash of all of it.
fn safe(name: &str, longest: usize) -> String {
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_.:".contains(*letter);
    if name.len() <= longest && name.chars().all(|letter| is_plain(&letter)) {
        return name.into();
    }
    let hash: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let begin: String = name.chars().take_while(is_plain).take(longest - hash.len() - 1).collect();
    format!("{begin}-{hash}")
}
