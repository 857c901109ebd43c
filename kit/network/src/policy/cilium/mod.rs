//! Policies as Cilium 1.16 enforces them: by what a peer is, and not by where it is.
//!
//! A [`rule`] is read and checked. Labels make an [`identity`], a number; so do addresses outside of the cluster. For the
//! identity of one endpoint the [`repository`] finds the rules that select it and resolves them, by [`selector`], to
//! numbers in a policy [`map`]: what the datapath looks up for each packet. HTTP and DNS rules are left to a proxy, which
//! matches requests as [`http`] says, and names as [`dns`] does. Rules about a [`service`] become rules about what is behind it, and
//! [`icmp`] has types where others have ports.

pub mod dns;
pub mod http;
pub mod icmp;
pub mod identity;
pub mod map;
pub mod pattern;
pub mod repository;
pub mod rule;
pub mod selector;
pub mod service;
