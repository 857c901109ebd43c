//! The walls of Linux: Landlock for files, seccomp for everything else that reaches out of a process.

use super::{Policy, Walls, system_calls};
use anyhow::{Result, bail};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::path::{Path, PathBuf};

/// The newest rules that are asked for; an older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V6;

/// What a dynamically linked program needs to start. Missing ones are no error.
const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
];
/// Each process sees its own; the standard library finds the end of its stack there.
const OWN: &str = "/proc/self";
/// Devices that hold nothing.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// Which walls can be built here. Restricts the calling thread for good.
pub fn probe() -> Walls {
    let files = ruleset().and_then(close).is_ok_and(|status| {
        matches!(status.landlock, LandlockStatus::Available { .. }) && status.ruleset != RulesetStatus::NotEnforced
    });
    Walls { files, calls: system_calls::deny(false).is_ok() }
}

/// Puts the calling process behind the walls that the policy names.
pub fn restrict(policy: &Policy, program: &Path) -> Result<()> {
    // The superuser keeps its name and loses its power; no right comes back by executing a program.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    // If the grader is killed, nobody else would end the module.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if policy.walls.files {
        let read = AccessFs::from_read(NEWEST);
        let libraries = LIBRARIES.iter().chain([&OWN]).map(PathBuf::from);
        let mut rules = ruleset()?;
        for path in libraries.chain(policy.read.iter().cloned()).chain([program.to_path_buf()]) {
            rules = allow(rules, &path, read)?;
        }
        for device in DEVICES {
            rules = allow(rules, Path::new(device), AccessFs::ReadFile | AccessFs::WriteFile)?;
        }
        for path in &policy.write {
            rules = allow(rules, path, AccessFs::from_all(NEWEST))?;
        }
        if close(rules)?.ruleset == RulesetStatus::NotEnforced {
            bail!("Landlock is not enforced any more");
        }
    }
    if policy.walls.calls {
        system_calls::deny(policy.children)?;
    }
    Ok(())
}

fn ruleset() -> Result<RulesetCreated> {
    Ok(Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?)
}

/// Allows `access` at and below `path`, if there is such a path.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated> {
    let Ok(fd) = PathFd::new(path) else { return Ok(rules) };
    // A right that only folders know is an error on a file.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    Ok(rules.add_rule(PathBeneath::new(fd, access))?)
}

fn close(rules: RulesetCreated) -> Result<RestrictionStatus> {
    Ok(rules.restrict_self()?)
}
