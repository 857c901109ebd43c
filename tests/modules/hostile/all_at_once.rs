//! Kind: protocol — it answers before anything is asked

use std::io::Write;

fn main() {
    let mut out = std::io::stdout();

    let mut lines = String::from("{\"id\":0,\"answer\":null}\n");
    for id in 1..64 {
        lines.push_str(&format!("{{\"id\":{id},\"answer\":\"Fits\"}}\n"));
    }
    let _ = out.write_all(lines.as_bytes());
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
