//! Kind: protocol — its answer is a hundred thousand lists in each other

use std::io::Write;

fn main() {
    let mut out = std::io::stdout();

    for (id, _) in std::io::stdin().lines().enumerate() {
        let answer =
            if id == 0 { b"null".to_vec() } else { ["[".repeat(100_000), "]".repeat(100_000)].concat().into_bytes() };
        let line = [format!("{{\"id\":{id},\"answer\":").as_bytes(), &answer[..], b"}\n"].concat();
        let _ = out.write_all(&line);
    }
}
