//! Kind: compile — a constant takes an hour to compute
#![allow(long_running_const_eval)]

const NUMBER: u64 = {
    let mut n = 0;
    while n < 100_000_000_000 {
        n += 1;
    }
    n
};

fn main() {
    println!("{NUMBER}");
}
