//! What a container runtime and a plugin say to each other: the verbs of CNI and their results, version 1.1.
//!
//! Source: `SPEC.md` of containernetworking/cni, sections 2 and 5, and its `pkg/types/types.go` for the codes.

use crate::ipam::cidr::Cidr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// The version of the results here.
pub const VERSION: &str = "1.1.0";
/// The versions of CNI that the plugins here speak.
pub const VERSIONS: [&str; 6] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", VERSION, "0.2.0"];

/// What comes with a verb: the variables `CNI_…` and the parts of the configuration that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The version that the result must have.
    pub cni_version: String,
    /// The sandbox.
    pub container_id: String,
    /// The pod's network namespace: here its name in the world.
    pub netns: String,
    /// The interface in there.
    pub ifname: String,
}

impl Request {
    /// A request for the interface `eth0`.
    pub fn new(container_id: &str, netns: &str) -> Request {
        Request {
            cni_version: VERSION.into(),
            container_id: container_id.into(),
            netns: netns.into(),
            ifname: "eth0".into(),
        }
    }

    /// Refuses what no plugin can serve.
    ///
    /// # Errors
    ///
    /// A version that is unknown, or a variable that is missing.
    pub fn validate(&self) -> Result<(), Error> {
        if !VERSIONS.contains(&self.cni_version.as_str()) {
            let supported = VERSIONS.join(" ");
            return Err(Error {
                details: format!("config is {:?}, plugin supports [{supported}]", self.cni_version),
                ..Error::new(Code::IncompatibleVersion, "incompatible CNI versions")
            });
        }
        let variables = [("CNI_CONTAINERID", &self.container_id), ("CNI_IFNAME", &self.ifname)];
        let missing: Vec<&str> =
            variables.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| *name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::InvalidEnvironment, &format!("required env variables [{}] missing", missing.join(","))))
    }
}

/// What ADD answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The version that was asked for.
    pub cni_version: String,
    /// All interfaces that were made, on both sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Made>,
    /// The addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Given>,
    /// The pod's routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<ToRoute>,
}

/// An interface that a plugin made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mac: String,
    /// Its MTU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The pod's namespace; empty on the host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
}

/// An address that a plugin gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Which of the interfaces has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<usize>,
    /// The address.
    pub address: Cidr,
    /// The router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A route that a plugin made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToRoute {
    /// The destinations.
    pub dst: Cidr,
    /// The router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// What fits on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

/// Why a verb failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// The version of this very message.
    pub cni_version: String,
    /// The number.
    pub code: u32,
    /// In a few words.
    pub msg: String,
    /// In more words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// The numbers that mean the same for all plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// The version of the configuration.
    IncompatibleVersion = 1,
    /// A field of it.
    UnsupportedField = 2,
    /// There is no such container, so nothing has to be cleaned up.
    UnknownContainer = 3,
    /// A variable.
    InvalidEnvironment = 4,
    /// Reading or writing.
    Io = 5,
    /// What was read makes no sense.
    Decoding = 6,
    /// The configuration makes no sense.
    InvalidConfig = 7,
    /// It may go better later.
    TryAgainLater = 11,
    /// No ADD can be served.
    NotAvailable = 50,
    /// Nor does what is there work well.
    LimitedConnectivity = 51,
    /// Anything else that went wrong within a plugin.
    Internal = 999,
}

impl Error {
    /// An error.
    pub fn new(code: Code, msg: &str) -> Error {
        Error { cni_version: VERSION.into(), code: code as u32, msg: msg.into(), details: String::new() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.details.is_empty() { f.write_str(&self.msg) } else { write!(f, "{}; {}", self.msg, self.details) }
    }
}
