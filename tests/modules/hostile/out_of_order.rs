//! Kind: protocol — it answers the second question before the first

use std::io::Write;

fn main() {
    let mut out = std::io::stdout();

    let _ = std::io::stdin().read_line(&mut String::new());
    let _ = out.write_all(b"{\"id\":1,\"answer\":\"Fits\"}\n{\"id\":0,\"answer\":null}\n");
    let _ = std::io::stdin().read_line(&mut String::new());
}
