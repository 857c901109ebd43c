//! What a template is made of.

/// One piece of a template.
#[derive(Debug)]
pub enum Node {
    /// As it stands.
    Text(String),
    /// `{{pipeline}}`
    Output(Pipeline),
    /// `{{$name := pipeline}}`, or `=` for a name that is known.
    Assign(String, bool, Pipeline),
    /// `{{if $name := pipeline}}`, `{{with}}`: with `with`, the value is the dot.
    If { with: bool, names: Vec<String>, pipeline: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    /// `{{range $index, $element := pipeline}}`
    Range { names: Vec<String>, pipeline: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// `{{break}}`, `{{continue}}`
    Leave(Leave),
}

/// What ends an element of a range before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The whole range.
    Break,
    /// Only this element.
    Continue,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug)]
pub struct Pipeline(pub Vec<Command>);

/// A function with arguments, or one operand.
#[derive(Debug)]
pub struct Command {
    /// Where it begins.
    pub pos: usize,
    /// Where it ends.
    pub end: usize,
    /// The function and its arguments.
    pub operands: Vec<Operand>,
}

/// What a command is made of.
#[derive(Debug)]
pub enum Operand {
    /// The name of a function.
    Function(String),
    /// `.A.B`: fields of the dot, none for the dot itself.
    Dot(Vec<String>, usize),
    /// `$name.A.B`
    Variable(String, Vec<String>, usize),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// `true`, `false`.
    Bool(bool),
    /// `nil`
    Nil,
    /// `(pipeline).A`
    Paren(Pipeline, Vec<String>, usize),
}
