//! What a script consists of.

/// A command, or several.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// One command with its words.
    Simple { assigns: Vec<(String, Word)>, words: Vec<Word>, redirects: Vec<Redirect> },
    /// `a | b`.
    Pipeline(Vec<Node>),
    /// `! a`.
    Not(Box<Node>),
    /// `a && b`.
    And(Box<Node>, Box<Node>),
    /// `a || b`.
    Or(Box<Node>, Box<Node>),
    /// `a; b`.
    List(Vec<Node>),
    /// `a &`.
    Background(Box<Node>),
    /// `if`, with each `elif`, and `else`.
    If { arms: Vec<(Node, Node)>, otherwise: Option<Box<Node>> },
    /// `while`, and `until` if it is so.
    Loop { until: bool, condition: Box<Node>, body: Box<Node> },
    /// `for name in words`.
    For { name: String, words: Vec<Word>, body: Box<Node> },
    /// `( a )`.
    Subshell(Box<Node>),
    /// A compound command with redirections.
    Redirected(Box<Node>, Vec<Redirect>),
}

/// `2>&1` and the like.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// Which descriptor.
    pub fd: u32,
    /// Where to.
    pub how: How,
    /// The file, or the number of another descriptor.
    pub to: Word,
}

/// How a descriptor is redirected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    /// `<`
    Read,
    /// `>`
    Write,
    /// `>>`
    Append,
    /// `>&`
    Copy,
}

/// A word before expansion.
pub type Word = Vec<Part>;

/// A piece of a word; what is `quoted` is not split.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// As it stands.
    Text { text: String, quoted: bool },
    /// `$name`, or `${name:-word}` with its operator.
    Variable { name: String, operator: Option<(String, Word)>, quoted: bool },
    /// `$(…)`.
    Command { node: Node, quoted: bool },
    /// `$((…))`.
    Arithmetic { text: Word },
}
