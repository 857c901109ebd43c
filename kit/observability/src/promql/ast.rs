//! Expressions (`promql/parser/ast.go`).

use super::functions::Function;
use crate::labels::Matcher;

/// An expression whose types fit.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A number.
    Number(f64),
    /// A text, as an argument.
    Text(String),
    /// Brackets around another one.
    Paren(Box<Expr>),
    /// `name{matchers}`.
    Selector(Selector),
    /// `selector[range]`.
    Range(Selector, i64),
    /// `expr[range:step]`.
    Subquery {
        /// What is evaluated at each step.
        expr: Box<Expr>,
        /// How far back, in milliseconds.
        range: i64,
        /// How far apart, in milliseconds; the engine's default if none is given.
        step: Option<i64>,
        /// `offset`, in milliseconds.
        offset: i64,
        /// `@`.
        at: Option<At>,
    },
    /// `-expr`.
    Negate(Box<Expr>),
    /// `lhs op rhs`.
    Binary {
        /// What is done.
        op: BinaryOp,
        /// The left side.
        lhs: Box<Expr>,
        /// The right side.
        rhs: Box<Expr>,
        /// A comparison says 0 or 1, instead of filtering.
        return_bool: bool,
        /// Which samples of both sides belong together.
        matching: Matching,
    },
    /// `op by (grouping) (param, expr)`.
    Aggregate {
        /// What is done with a group.
        op: Aggregation,
        /// The parameter of `topk`, `quantile` and so on.
        param: Option<Box<Expr>>,
        /// What is aggregated.
        expr: Box<Expr>,
        /// Labels.
        grouping: Vec<String>,
        /// Whether the labels are those that are left out.
        without: bool,
    },
    /// `function(args)`.
    Call(&'static Function, Vec<Expr>),
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One number.
    Scalar,
    /// A text.
    Text,
    /// Samples of one instant.
    Vector,
    /// Samples over a range.
    Matrix,
}

impl Kind {
    /// How messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Scalar => "scalar",
            Kind::Text => "string",
            Kind::Vector => "instant vector",
            Kind::Matrix => "range vector",
        }
    }
}

impl Expr {
    /// What it yields.
    pub fn kind(&self) -> Kind {
        match self {
            Expr::Number(_) => Kind::Scalar,
            Expr::Text(_) => Kind::Text,
            Expr::Paren(inner) | Expr::Negate(inner) => inner.kind(),
            Expr::Selector(_) | Expr::Aggregate { .. } => Kind::Vector,
            Expr::Range(..) | Expr::Subquery { .. } => Kind::Matrix,
            Expr::Binary { lhs, rhs, .. } if lhs.kind() == Kind::Scalar && rhs.kind() == Kind::Scalar => Kind::Scalar,
            Expr::Binary { .. } => Kind::Vector,
            Expr::Call(function, _) => function.returns,
        }
    }

    /// The expression within brackets.
    pub fn unwrapped(&self) -> &Expr {
        match self {
            Expr::Paren(inner) => inner.unwrapped(),
            other => other,
        }
    }
}

/// Which series, and when.
#[derive(Clone, Debug)]
pub struct Selector {
    /// The name in front of the braces; it is among the matchers, too.
    pub name: Option<String>,
    /// All of them must fit.
    pub matchers: Vec<Matcher>,
    /// `offset`, in milliseconds.
    pub offset: i64,
    /// `@`.
    pub at: Option<At>,
}

/// The modifier `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A time in milliseconds.
    Time(i64),
    /// `start()` or `end()` of the query: its time, where it is asked for one instant.
    Query,
}

/// Operators between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Unless,
}

impl BinaryOp {
    /// Each with its sign and how tightly it binds (`generated_parser.y`).
    const ALL: [(&'static str, BinaryOp, u8); 16] = [
        ("or", BinaryOp::Or, 1),
        ("and", BinaryOp::And, 2),
        ("unless", BinaryOp::Unless, 2),
        ("==", BinaryOp::Equal, 3),
        ("!=", BinaryOp::NotEqual, 3),
        ("<", BinaryOp::Less, 3),
        ("<=", BinaryOp::LessOrEqual, 3),
        (">", BinaryOp::Greater, 3),
        (">=", BinaryOp::GreaterOrEqual, 3),
        ("+", BinaryOp::Add, 4),
        ("-", BinaryOp::Sub, 4),
        ("*", BinaryOp::Mul, 5),
        ("/", BinaryOp::Div, 5),
        ("%", BinaryOp::Mod, 5),
        ("atan2", BinaryOp::Atan2, 5),
        ("^", BinaryOp::Pow, 6),
    ];

    /// The operator that is written so, and how tightly it binds.
    pub fn of(sign: &str) -> Option<(BinaryOp, u8)> {
        Self::ALL.iter().find(|(s, ..)| *s == sign).map(|(_, op, binds)| (*op, *binds))
    }

    /// How it is written.
    pub fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, op, _)| *op == self).map_or("", |(sign, ..)| sign)
    }

    /// `==`, `<` and so on.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }
}

/// How many samples of a side may belong to one of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    /// One each.
    #[default]
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
}

/// Which samples of two vectors belong together.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// `on` or `ignoring`.
    pub on: bool,
    /// The labels of either.
    pub labels: Vec<String>,
    /// `group_left`, `group_right`.
    pub card: Cardinality,
    /// Labels that are taken from the side of which there is one.
    pub include: Vec<String>,
}

/// What makes one sample of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Aggregation {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
}

impl Aggregation {
    /// The aggregation of this name.
    pub fn of(name: &str) -> Option<Aggregation> {
        use Aggregation::*;
        Some(match name {
            "sum" => Sum,
            "avg" => Avg,
            "count" => Count,
            "min" => Min,
            "max" => Max,
            "group" => Group,
            "stddev" => Stddev,
            "stdvar" => Stdvar,
            "topk" => Topk,
            "bottomk" => Bottomk,
            "count_values" => CountValues,
            "quantile" => Quantile,
            _ => return None,
        })
    }

    /// What its first argument must be, where it takes two.
    pub fn param(self) -> Option<Kind> {
        use Aggregation::*;
        match self {
            Topk | Bottomk | Quantile => Some(Kind::Scalar),
            CountValues => Some(Kind::Text),
            _ => None,
        }
    }
}
