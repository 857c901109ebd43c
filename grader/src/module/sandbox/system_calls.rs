//! The system calls that programs behind the walls don't get.
//!
//! What is not listed is allowed: a module may be written in any language, and their runtimes differ in what they call.

use anyhow::{Context, Result};
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpArgLen::Qword, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};
use std::collections::BTreeMap;

/// Never needed to answer questions or to compile: other machines, other processes, the kernel's own settings, and
/// what outlives a process without being a file.
const NEVER: &[c_long] = &[
    // Talking to others. A socket that can't be made can't be connected.
    libc::SYS_socket,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Looking into others.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    // Notes left for the next process.
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Changing the world.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_setrlimit,
    // Leaving the group that is ended with the program.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Landlock guards what is in a file, and not what stands beside it: these take a path to any file.
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    // Ending others. A compiler's threads wake each other by `tgkill`.
    libc::SYS_tkill,
];

/// What a compiler and its linker do with files that they have open, and a module must not.
const NOT_IN_MODULES: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fsetxattr,
    libc::SYS_fremovexattr,
    // Being heard before others, on a machine that grades several.
    libc::SYS_setpriority,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_ioprio_set,
    // Watching others, and making them wait: what can be read can be locked.
    libc::SYS_inotify_init1,
    libc::SYS_fanotify_init,
    libc::SYS_flock,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_inotify_init,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// As [`NEVER`], and younger than the C library's lists: `fchmodat2`, `setxattrat`, `removexattrat`,
/// `file_setattr`. New calls have one number on all machines.
const YOUNG: &[c_long] = &[452, 463, 466, 469];

/// Some kernels know the calls of x86-64 under second numbers, as the ABI x32. Nothing here needs it: load the call's
/// number, and if its bit 30 is set return `ENOSYS`. In the terms of `linux/bpf_common.h` and `linux/seccomp.h`.
const NO_X32: [sock_filter; 3] = [
    sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
    sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 },
    sock_filter { code: 0x06, jt: 0, jf: 0, k: 0x0005_0000 | libc::ENOSYS as u32 },
];

/// What `fcntl` does with a file that others may use, too.
const LOCKS: [libc::c_int; 6] =
    [libc::F_SETLK, libc::F_SETLKW, libc::F_OFD_SETLK, libc::F_OFD_SETLKW, libc::F_SETLEASE, libc::F_NOTIFY];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denies these calls to the calling thread and all that it becomes; without `children` also the start of processes.
pub fn deny(children: bool) -> Result<()> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).context("seccomp")?;
    let mut rules = Rules::new();
    NEVER.iter().chain(YOUNG).for_each(|call| add(&mut rules, *call, Vec::new()));
    // Asking for a limit is harmless; the superuser could raise one.
    let mut limits = vec![rule(2, Qword, SeccompCmpOp::Ne, 0)?];
    if children {
        // Without a path, it is about an open file.
        add(&mut rules, libc::SYS_utimensat, vec![rule(1, Qword, SeccompCmpOp::Ne, 0)?]);
        for call in [libc::SYS_kill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            add(&mut rules, call, Vec::new());
        }
    } else {
        add(&mut rules, libc::SYS_utimensat, Vec::new());
        NOT_IN_MODULES.iter().for_each(|call| add(&mut rules, *call, Vec::new()));
        let thread = libc::CLONE_THREAD as u64;
        add(&mut rules, libc::SYS_clone, vec![rule(0, Dword, SeccompCmpOp::MaskedEq(thread), 0)?]);
        // An abort is a signal to oneself. The program keeps the number of the process that it replaces.
        let own = u64::from(std::process::id());
        for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            add(&mut rules, call, vec![rule(0, Dword, SeccompCmpOp::Ne, own)?]);
        }
        let of_others = || -> Result<SeccompRule> {
            let others = [0, own].map(|own| SeccompCondition::new(0, Dword, SeccompCmpOp::Ne, own));
            Ok(SeccompRule::new(others.into_iter().collect::<Result<_, _>>()?)?)
        };
        add(&mut rules, libc::SYS_sched_setaffinity, vec![of_others()?]);
        limits.push(of_others()?);
        let locks = LOCKS.iter().map(|lock| rule(1, Dword, SeccompCmpOp::Eq, *lock as u64));
        add(&mut rules, libc::SYS_fcntl, locks.collect::<Result<_>>()?);
        // The signal that ends the module with the grader stays on.
        let death = libc::PR_SET_PDEATHSIG as u64;
        add(&mut rules, libc::SYS_prctl, vec![rule(0, Dword, SeccompCmpOp::Eq, death)?]);
        // Its flags lie in memory, where a filter can't look. Libraries that hear that there is no such call use the
        // older one.
        let mut clone3 = Rules::new();
        add(&mut clone3, libc::SYS_clone3, Vec::new());
        apply(clone3, libc::ENOSYS, arch)?;
    }
    add(&mut rules, libc::SYS_prlimit64, limits);
    apply(rules, libc::EPERM, arch)
}

/// Denies `call` where one of the conditions holds; always, if there is none.
fn add(rules: &mut Rules, call: c_long, when: Vec<SeccompRule>) {
    rules.insert(call, when);
}

fn rule(argument: u8, len: seccompiler::SeccompCmpArgLen, op: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, len, op, value)?])?)
}

fn apply(rules: Rules, errno: libc::c_int, arch: TargetArch) -> Result<()> {
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?;
    let mut program: BpfProgram = filter.try_into()?;
    if arch == TargetArch::x86_64 {
        program.splice(0..0, NO_X32);
    }
    Ok(apply_filter(&program)?)
}
