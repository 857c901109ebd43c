//! Who may come in, and what each may do.

use crate::session::Action;
use crate::session::event::Role;
use anyhow::{Context, Result};
use std::io::Read;
use std::net::IpAddr;

/// The secrets of the two pages.
pub(super) struct Tokens {
    pub candidate: String,
    pub interviewer: String,
}

impl Tokens {
    /// Two new ones of 128 bits.
    pub fn new() -> Result<Tokens> {
        Ok(Tokens { candidate: secret()?, interviewer: secret()? })
    }

    /// Whose secret it is. Both are compared whole, so that time tells nothing.
    pub fn role(&self, token: &str) -> Option<Role> {
        let candidate = same(&self.candidate, token);
        let interviewer = same(&self.interviewer, token);
        match (candidate, interviewer) {
            (true, _) => Some(Role::Candidate),
            (_, true) => Some(Role::Interviewer),
            _ => None,
        }
    }
}

fn secret() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let source = "/dev/urandom";
    let read = std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes));
    read.with_context(|| format!("no random secret could be read from {source}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn same(secret: &str, token: &str) -> bool {
    let other = token.bytes().chain(std::iter::repeat(0));
    let differ = secret.bytes().zip(other).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
    differ == 0 && secret.len() == token.len()
}

/// Whether a request's `Host` is an address, and not a name. A page of the web can give a name of its own this machine's
/// address, and its scripts then count as ours (DNS rebinding); it can't make a browser send an address as `Host` that
/// it isn't from.
pub(super) fn is_address(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':').or(Some("0").filter(|_| port.is_empty()))),
        None => host.split_once(':').map_or((host, Some("0")), |(name, port)| (name, Some(port))),
    };
    let known = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    known && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether a page may send this at all; what the session says of it comes on top.
///
/// # Errors
///
/// A sentence that says whose it is.
pub(super) fn may(role: Role, action: &Action, interviewed: bool) -> Result<(), String> {
    let whose = match action {
        Action::Ran { .. } | Action::Checked { .. } => {
            return Err("what a module or a cluster is worth comes from `/task` alone".into());
        }
        Action::Answer { .. } | Action::Hint | Action::Ask { .. } | Action::Write { .. } => Role::Candidate,
        Action::Mark { .. } | Action::Finish if interviewed => Role::Interviewer,
        // The session says whose these are.
        Action::Release { .. } | Action::Probe { .. } | Action::Mark { .. } | Action::Finish => role,
        Action::Next | Action::Pause | Action::Resume => role,
    };
    if whose == role {
        return Ok(());
    }
    Err(match whose {
        Role::Candidate => "that is the candidate's to do".into(),
        Role::Interviewer => "that is the interviewer's to do".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_one_role() {
        let tokens = Tokens::new().unwrap();
        assert_eq!(tokens.candidate.len(), 32);
        assert_ne!(tokens.candidate, tokens.interviewer);
        assert_eq!(tokens.role(&tokens.candidate), Some(Role::Candidate));
        assert_eq!(tokens.role(&tokens.interviewer), Some(Role::Interviewer));
        for wrong in ["", "0", &tokens.candidate[..31], &format!("{}0", tokens.candidate), &"\0".repeat(32)] {
            assert_eq!(tokens.role(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_no_address() {
        for (host, address) in [
            ("127.0.0.1:8080", true),
            ("127.0.0.1", true),
            ("localhost:1", true),
            ("LocalHost", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("10.1.2.3:80", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
            ("127.0.0.1:x", false),
            ("127.0.0.1:", false),
            ("[::1]x", false),
            ("", false),
        ] {
            assert_eq!(is_address(host), address, "{host}");
        }
    }
}
