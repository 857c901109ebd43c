//! `up --real-network` and `enter`: the network in this machine's kernel.

use crate::control::{self, Order};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

#[cfg(target_os = "linux")]
pub use kit_live::real::{Claim, Real, Status, check, has_left};

/// Runs a command in the namespace of a node or a pod, in place of this process: its exit code is the command's.
pub fn enter(folder: &Path, place: &str, command: &[OsString]) -> Result<ExitCode> {
    let namespace = control::send(folder, &Order::Enter(place.into()))?;
    let shell = || vec![std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())];
    let command = if command.is_empty() { shell() } else { command.to_vec() };
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", &namespace]).args(command);
    let path = std::env::var("PATH").unwrap_or_default();
    inside.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    bail!("can't run `ip netns exec {namespace}`: {}", inside.exec())
}

/// Elsewhere there is none.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use kit_cluster::cluster::Plugin;
    use kit_live::Door;

    const WHY: &str = "a real network needs Linux: run it in a virtual machine or a container";

    pub struct Claim;
    pub struct Real;
    #[derive(Clone)]
    pub struct Status;

    impl Claim {
        pub fn take(_: &str) -> Result<Claim, String> {
            Err(WHY.into())
        }
    }

    pub fn has_left(_: &str) -> bool {
        false
    }

    pub fn check(_: &Claim, _: Plugin) -> Result<(), String> {
        Err(WHY.into())
    }

    impl Real {
        pub fn start<M, T>(_: Claim, _: &Door, _: M, _: T) -> Result<Real, String> {
            Err(WHY.into())
        }

        pub fn status(&self) -> Status {
            Status
        }
    }

    impl Status {
        pub fn lines(&self) -> Vec<String> {
            Vec::new()
        }

        pub fn namespace(&self, place: &str) -> String {
            place.into()
        }
    }
}
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Claim, Real, Status, check, has_left};
