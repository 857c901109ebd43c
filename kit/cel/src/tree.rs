//! What an expression is made of. Macros are nodes of their own.

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Where it stands, in bytes.
    pub at: usize,
    /// What it is.
    pub node: Node,
}

/// What a part of an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// `of.field`, `of.?field`, or with `test` `has(of.field)`.
    Select {
        of: Box<Expr>,
        field: String,
        test: bool,
        optional: bool,
    },
    /// `of[index]` or `of[?index]`.
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// A function or an operator; the receiver, if there is one, is the first argument.
    Call {
        name: String,
        member: bool,
        args: Vec<Expr>,
    },
    /// Items, and whether each is there only if it has a value.
    List(Vec<(Expr, bool)>),
    Map(Vec<(Expr, Expr, bool)>),
    /// `&&` or `||` of all parts.
    Logic {
        and: bool,
        parts: Vec<Expr>,
    },
    If(Box<[Expr; 3]>),
    Loop(Box<Loop>),
    /// `optMap` and, if `flat`, `optFlatMap`.
    OptMap {
        of: Box<Expr>,
        name: String,
        body: Box<Expr>,
        flat: bool,
    },
}

/// A macro that goes over a list or a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    pub kind: LoopKind,
    pub range: Expr,
    /// The name of the index or the key, where both have names.
    pub key: Option<String>,
    /// The name of the item; of maps without a name for the value, of the key.
    pub item: String,
    pub only: Option<Expr>,
    pub body: Expr,
}

/// What a loop makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformMap,
}
