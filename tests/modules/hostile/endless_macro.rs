//! Kind: compile — a macro doubles its argument thirty times
#![recursion_limit = "30"]

macro_rules! double {
    ($($tokens:tt)*) => { double!($($tokens)* $($tokens)*); };
}

double!(x);

fn main() {}
