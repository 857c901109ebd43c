//! The terminal's side of what somebody types: echo, lines, and the keys that mean something.
//!
//! Source: termios(3), canonical mode with ECHO, ICRNL and ONLCR.

/// The line that is being typed.
#[derive(Debug, Default)]
pub struct Tty {
    line: Vec<u8>,
}

/// What came of some typing.
#[derive(Debug, Default, PartialEq)]
pub struct Typed {
    /// What the terminal shows.
    pub echo: Vec<u8>,
    /// Whole lines for the program.
    pub lines: Vec<u8>,
    /// Ctrl-D on an empty line.
    pub closed: bool,
    /// Ctrl-C.
    pub interrupted: bool,
}

impl Tty {
    /// Takes bytes as they are typed.
    pub fn typed(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => {
                    typed.echo.extend(b"\r\n");
                    typed.lines.append(&mut self.line);
                    typed.lines.push(b'\n');
                }
                0x7f | 0x08 if self.line.is_empty() => {}
                0x7f | 0x08 => {
                    // A character may have several bytes.
                    while self.line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                    typed.echo.extend(b"\x08 \x08");
                }
                0x03 => {
                    self.line.clear();
                    typed.echo.extend(b"^C\r\n");
                    typed.interrupted = true;
                }
                0x04 if self.line.is_empty() => typed.closed = true,
                0x04 => typed.lines.append(&mut self.line),
                byte if *byte < 0x20 && *byte != b'\t' => typed.echo.extend([b'^', byte + 0x40]),
                byte => {
                    self.line.push(*byte);
                    typed.echo.push(*byte);
                }
            }
        }
        typed
    }

    /// What the terminal shows of what a program writes.
    pub fn shown(bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if *byte == b'\n' {
                shown.push(b'\r');
            }
            shown.push(*byte);
        }
        shown
    }
}
