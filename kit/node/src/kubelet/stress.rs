//! The two programs with which the documentation of Kubernetes fills memory, CPUs and disks: `stress` of the image
//! `polinux/stress`, and that of `vish/stress`.
//!
//! Sources: `content/en/docs/tasks/configure-pod-container/assign-memory-resource.md` and `assign-cpu-resource.md` of
//! github.com/kubernetes/website; `stress.c` of stress 1.0.4, `main.go` of github.com/vishh/stress.

use super::image::{Image, called};
use kit_api::Quantity;
use kit_api::core::Container;

/// What it is called.
const NAME: &str = "stress";
/// Memory comes page by page: so many bytes in a second.
const FILLS: f64 = 1_073_741_824.0;
/// Nobody has more workers, or more bytes.
const MOST: (f64, i64) = (1e6, 1 << 50);
/// `--vm-bytes` and `--hdd-bytes`, where they aren't given.
const DEFAULTS: (f64, f64) = (268_435_456.0, 1_073_741_824.0);

/// What a container does that runs `stress`; none if it doesn't.
pub fn behaviour(container: &Container) -> Option<Image> {
    let words: Vec<&str> = container.command.iter().chain(&container.args).flatten().map(String::as_str).collect();
    let image = container.image.as_deref().unwrap_or_default();
    let by_name = words.first().is_some_and(|word| called(word) == NAME);
    if !by_name && (container.command.is_some() || called(image) != NAME) {
        return None;
    }
    let options = &words[usize::from(by_name)..];
    Some(if options.iter().any(|word| word.starts_with("-mem") || *word == "-cpus") {
        vish(options)
    } else {
        polinux(options)
    })
}

/// What follows one of these names, as a word of its own or after `=`.
fn after<'a>(options: &[&'a str], names: &[&str]) -> Option<&'a str> {
    options.iter().enumerate().find_map(|(at, word)| {
        let (name, value) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        names.contains(&name).then(|| value.or_else(|| options.get(at + 1).copied())).flatten()
    })
}

/// A number with a suffix: `B`, `K`, `M`, `G` for sizes, `s`, `m`, `h`, `d` for times.
fn amount(text: &str) -> Option<f64> {
    let times = match text.chars().last()? {
        'k' | 'K' => 1024.0,
        'M' => 1_048_576.0,
        'g' | 'G' => 1_073_741_824.0,
        'm' => 60.0,
        'h' => 3_600.0,
        'd' => 86_400.0,
        _ => 1.0,
    };
    text.trim_end_matches(char::is_alphabetic).parse::<f64>().ok().map(|number| number * times)
}

fn polinux(options: &[&str]) -> Image {
    let number = |names: &[&str], default: f64, most: f64| {
        after(options, names).and_then(amount).unwrap_or(default).clamp(0.0, most)
    };
    let [cpus, io, memory, disks] =
        [["-c", "--cpu"], ["-i", "--io"], ["-m", "--vm"], ["-d", "--hdd"]].map(|names| number(&names, 0.0, MOST.0));
    let size = |name: &str, default: f64| number(&[name], default, MOST.1 as f64);
    let bytes = (memory * size("--vm-bytes", DEFAULTS.0)).min(MOST.1 as f64);
    // Who only holds its memory (`--vm-hang`) needs no CPU for it.
    let turns = if after(options, &["--vm-hang"]).is_some() || options.contains(&"--vm-keep") { 0.0 } else { memory };
    Image {
        memory: (1 << 20) + bytes as i64,
        fills_after: Some((bytes / FILLS).max(1.0)),
        milli_cpu: ((cpus + turns) * 1000.0) as i64 + 1,
        disk: (disks * size("--hdd-bytes", DEFAULTS.1)).min(MOST.1 as f64) as i64,
        processes: 1 + (cpus + io + memory + disks) as i64,
        exits_after: after(options, &["-t", "--timeout"]).and_then(amount).map(|seconds| seconds.clamp(0.0, 1e9)),
        stop: 0.1,
        exit_code: 0,
        ..Image::default()
    }
}

fn vish(options: &[&str]) -> Image {
    let size = |name: &str, default: i64| {
        let amount = after(options, &[name]).and_then(|text| text.parse::<Quantity>().ok());
        amount.map_or(default, |amount| amount.value().clamp(0, MOST.1))
    };
    let (total, each) = (size("-mem-total", 0), size("-mem-alloc-size", 4096).max(1));
    let pause = after(options, &["-mem-alloc-sleep"]).map_or(0.001, |text| {
        let number = |unit: &str| text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok());
        number("ms").map(|ms| ms / 1000.0).or_else(|| number("s")).unwrap_or(0.001)
    });
    Image {
        memory: (4 << 20) + total,
        fills_after: Some((total as f64 / each as f64 * pause).max(1.0)),
        milli_cpu: 1 + 1000
            * after(options, &["-cpus"]).and_then(|cpus| cpus.parse::<i64>().ok()).unwrap_or(0).clamp(0, 1_000_000),
        stop: 0.1,
        ..Image::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_documentation_use_what_they_say() {
        const MI: i64 = 1 << 20;
        /// Image, words after a command's name, and memory, CPU, disk, processes.
        type Case = (&'static str, &'static str, Option<(i64, i64, i64, i64)>);
        let cases: [Case; 7] = [
            ("polinux/stress", "stress --vm 1 --vm-bytes 150M --vm-hang 1", Some((151 * MI, 1, 0, 2))),
            ("polinux/stress", "stress -c 2 --timeout 10s", Some((MI, 2001, 0, 3))),
            ("busybox", "stress --hdd 2 --hdd-bytes=3G", Some((MI, 1, 6 << 30, 3))),
            ("polinux/stress", "stress -m 2", Some((513 * MI, 2001, 0, 3))),
            ("vish/stress", "-cpus 2", Some((4 * MI, 2001, 0, 1))),
            ("vish/stress", "-mem-total 150Mi -mem-alloc-size 10Mi -mem-alloc-sleep 1s", Some((154 * MI, 1, 0, 1))),
            ("busybox", "sleep 10", None),
        ];
        for (image, words, expected) in cases {
            let words = words.split(' ').map(str::to_string).collect();
            let container = Container { image: Some(image.into()), args: Some(words), ..Container::default() };
            let uses = |image: Image| (image.memory, image.milli_cpu, image.disk, image.processes);
            assert_eq!(behaviour(&container).map(uses), expected, "{:?}", container.args);
        }
    }

    #[test]
    fn what_is_too_much_is_all_that_there_is() {
        for words in [
            "stress --vm 1e300 --vm-bytes 1e300 --hdd 9e99 -c nan -t -1s",
            "stress -cpus 9223372036854775807 -mem-total 7Ei",
        ] {
            let args = words.split(' ').map(str::to_string).collect();
            let image = behaviour(&Container { args: Some(args), ..Container::default() }).expect("it is stress");
            assert!(image.memory > MOST.1 && image.memory < 2 * MOST.1, "{words}: {image:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let container = Container {
            args: Some(vec!["stress".into(), "--vm".into(), "many".into(), "-t".into()]),
            ..Container::default()
        };
        assert_eq!(behaviour(&container).map(|image| (image.processes, image.exits_after)), Some((1, None)));
    }
}
