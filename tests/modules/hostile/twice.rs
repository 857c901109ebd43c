//! Kind: protocol — it gives each answer twice

use std::io::Write;

fn main() {
    let mut out = std::io::stdout();

    for (id, _) in std::io::stdin().lines().enumerate() {
        let answer = if id == 0 { "null" } else { "\"Fits\"" };
        let line = format!("{{\"id\":{id},\"answer\":{answer}}}\n");
        let _ = out.write_all(line.repeat(2).as_bytes());
    }
}
