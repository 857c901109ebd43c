//! `top`, as the image has it: BusyBox' or that of procps, one screen after the other.
//!
//! Sources: `procps/top.c` of BusyBox 1.36, and top(1) of procps-ng 4. Of CPU and memory it knows what the first process of a
//! container or its last worker uses when somebody comes in; any other process is small and idle.

use super::super::processes::Entry;
use super::super::shell::{Io, Shell};
use super::super::system::FOREVER;
use super::{say, wrong};
use std::collections::BTreeMap;

/// What a small program takes of memory, in KiB: of addresses, of pages, of pages that others have, too.
const SMALL: (i64, i64, i64) = (4404, 1664, 1280);
/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[J";

pub async fn run(shell: &mut Shell, words: &[String], io: &Io) -> i32 {
    let procps = shell.system.machine.procps;
    let (mut batch, mut left, mut pause) = (false, u64::MAX, if procps { 3.0 } else { 5.0 });
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let letters = word.trim_start_matches('-');
        for (at, letter) in letters.char_indices() {
            let inline = &letters[at + letter.len_utf8()..];
            let mut value = || if inline.is_empty() { rest.next().cloned() } else { Some(inline.to_string()) };
            match letter {
                'b' => {
                    batch = true;
                    continue;
                }
                'n' => left = value().and_then(|given| given.parse().ok()).unwrap_or(1),
                'd' => pause = value().and_then(|given| given.parse::<f64>().ok()).unwrap_or(pause),
                _ => return wrong(shell, io, &format!("top: option '{letter}' is not simulated here")).await,
            }
            break;
        }
    }
    if procps && !batch && !shell.system.tty {
        return wrong(shell, io, "top: failed tty get").await;
    }
    loop {
        let screen = if procps { procps_screen(shell) } else { busybox_screen(shell) };
        let clear = if shell.system.tty && !batch { CLEAR } else { "" };
        let status = say(shell, io, &format!("{clear}{screen}")).await;
        left = left.saturating_sub(1);
        if left == 0 || status != 0 {
            return status;
        }
        shell.system.sleep((pause.clamp(0.1, 1e6) * 1e9).min(FOREVER as f64) as i64).await;
        if shell.system.interrupted() {
            return 130;
        }
    }
}

/// The processes, the busiest first, and what all of them use.
fn all(shell: &Shell) -> (Vec<(u32, Entry)>, (i64, i64)) {
    let all: BTreeMap<u32, Entry> = shell.process.all().all();
    let used = all.values().fold((0, 0), |sum, entry| (sum.0 + cpu(entry), sum.1 + entry.uses.1));
    let mut list: Vec<(u32, Entry)> = all.into_iter().collect();
    list.sort_by_key(|(pid, entry)| (std::cmp::Reverse(cpu(entry)), *pid));
    (list, used)
}

/// Thousandths of a CPU; none of who stands still.
fn cpu(entry: &Entry) -> i64 {
    if entry.stopped { 0 } else { entry.uses.0 }
}

/// Whether it runs just now: who looks does, and who is busy.
fn state(shell: &Shell, pid: u32, entry: &Entry) -> char {
    match () {
        () if entry.stopped => 'T',
        () if pid == shell.process.pid || cpu(entry) >= 500 => 'R',
        () => 'S',
    }
}

fn busybox_screen(shell: &Shell) -> String {
    let machine = shell.system.machine;
    let (list, (milli_cpu, memory)) = all(shell);
    let (total, used) = (machine.memory / 1024, memory / 1024);
    let busy = milli_cpu / 10 / machine.cpus.max(1) as i64;
    let load = milli_cpu as f64 / 1000.0;
    let mut text = format!(
        "Mem: {used}K used, {}K free, 0K shrd, 0K buff, 0K cached\n\
         CPU: {busy:>3}% usr   0% sys   0% nic {:>3}% idle   0% io   0% irq   0% sirq\n\
         Load average: {load:.2} {load:.2} {load:.2} 1/{} {}\n  PID  PPID USER     STAT   VSZ %VSZ CPU %CPU COMMAND\n",
        total - used,
        100 - busy,
        list.len(),
        list.iter().map(|(pid, _)| *pid).max().unwrap_or_default(),
    );
    for (pid, entry) in &list {
        let size = SMALL.0.max(entry.uses.1 / 1024);
        let shown = if size < 100_000 { size.to_string() } else { format!("{}m", size / 1024) };
        text.push_str(&format!(
            "{pid:>5}{:>6} {:<8} {}    {shown:>5}{:>4}%   0{:>4}% {}\n",
            entry.parent,
            entry.user,
            state(shell, *pid, entry),
            size * 100 / total.max(1),
            cpu(entry) / 10 / machine.cpus.max(1) as i64,
            entry.args.join(" "),
        ));
    }
    text
}

fn procps_screen(shell: &Shell) -> String {
    let machine = shell.system.machine;
    let (list, (milli_cpu, memory)) = all(shell);
    let states: Vec<char> = list.iter().map(|(pid, entry)| state(shell, *pid, entry)).collect();
    let count = |wanted: char| states.iter().filter(|state| **state == wanted).count();
    let busy = milli_cpu as f64 / 10.0 / machine.cpus.max(1) as f64;
    let mebi = |bytes: i64| bytes as f64 / f64::from(1 << 20);
    let load = milli_cpu as f64 / 1000.0;
    let minutes = shell.system.now().nanos / 60_000_000_000;
    let up = if minutes < 60 { format!("{minutes} min") } else { format!("{}:{:02}", minutes / 60, minutes % 60) };
    let mut text = format!(
        "top - {} up {up},  0 user,  load average: {load:.2}, {load:.2}, {load:.2}\n\
         Tasks: {:>3} total, {:>3} running, {:>3} sleeping, {:>3} stopped,   0 zombie\n\
         %Cpu(s): {busy:>4.1} us,  0.0 sy,  0.0 ni,{:>5.1} id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \n\
         MiB Mem : {:>8.1} total, {:>8.1} free, {:>8.1} used,      0.0 buff/cache     \n\
         MiB Swap:      0.0 total,      0.0 free,      0.0 used. {:>8.1} avail Mem \n\n    \
         PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND\n",
        shell.system.time().strftime("%H:%M:%S"),
        list.len(),
        count('R'),
        count('S'),
        count('T'),
        100.0 - busy,
        mebi(machine.memory),
        mebi(machine.memory - memory),
        mebi(memory),
        mebi(machine.memory - memory),
    );
    for ((pid, entry), state) in list.iter().zip(states) {
        let (virt, resident) = (SMALL.0.max(entry.uses.1 / 1024), SMALL.1.max(entry.uses.1 / 1024));
        text.push_str(&format!(
            "{pid:>7} {:<8}  20   0 {virt:>7} {resident:>6} {:>6} {state} {:>5.1} {:>5.1}   0:00.00 {}\n",
            entry.user,
            SMALL.2,
            cpu(entry) as f64 / 10.0,
            (resident * 1024) as f64 * 100.0 / machine.memory.max(1) as f64,
            entry.name(),
        ));
    }
    text
}
