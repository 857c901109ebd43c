//! The functions: what they take and return (`promql/parser/functions.go`).

use super::ast::Kind;

/// A function's signature.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    arguments: &'static [Kind],
    /// How many of the last arguments may be left out; the last may be repeated without end where it is `None`.
    optional: Option<usize>,
    /// What it returns.
    pub returns: Kind,
}

impl Function {
    /// The fewest arguments.
    pub fn least(&self) -> usize {
        self.arguments.len() - self.optional.unwrap_or(1)
    }

    /// The most arguments, if there is a limit.
    pub fn most(&self) -> Option<usize> {
        self.optional.map(|_| self.arguments.len())
    }

    /// What the argument at `index` must be.
    pub fn argument(&self, index: usize) -> Kind {
        self.arguments.get(index).or(self.arguments.last()).copied().unwrap_or(Kind::Vector)
    }
}

/// The function of this name.
pub fn function(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

const fn takes(name: &'static str, arguments: &'static [Kind]) -> Function {
    Function { name, arguments, optional: Some(0), returns: Kind::Vector }
}

const fn of_vector(name: &'static str) -> Function {
    takes(name, &[Kind::Vector])
}

const fn of_range(name: &'static str) -> Function {
    takes(name, &[Kind::Matrix])
}

const fn of_time(name: &'static str) -> Function {
    Function { optional: Some(1), ..of_vector(name) }
}

const fn scalar(name: &'static str, arguments: &'static [Kind]) -> Function {
    Function { returns: Kind::Scalar, ..takes(name, arguments) }
}

use Kind::{Matrix, Scalar, Text, Vector};

/// Functions of native histograms are left out: nothing here has samples of that kind.
static FUNCTIONS: [Function; 67] = [
    of_vector("abs"),
    of_vector("absent"),
    of_range("absent_over_time"),
    of_vector("acos"),
    of_vector("acosh"),
    of_vector("asin"),
    of_vector("asinh"),
    of_vector("atan"),
    of_vector("atanh"),
    of_range("avg_over_time"),
    of_vector("ceil"),
    of_range("changes"),
    takes("clamp", &[Vector, Scalar, Scalar]),
    takes("clamp_max", &[Vector, Scalar]),
    takes("clamp_min", &[Vector, Scalar]),
    of_vector("cos"),
    of_vector("cosh"),
    of_range("count_over_time"),
    of_time("day_of_month"),
    of_time("day_of_week"),
    of_time("day_of_year"),
    of_time("days_in_month"),
    of_vector("deg"),
    of_range("delta"),
    of_range("deriv"),
    of_vector("exp"),
    of_vector("floor"),
    takes("histogram_quantile", &[Scalar, Vector]),
    takes("holt_winters", &[Matrix, Scalar, Scalar]),
    of_time("hour"),
    of_range("idelta"),
    of_range("increase"),
    of_range("irate"),
    Function { optional: None, ..takes("label_join", &[Vector, Text, Text, Text]) },
    takes("label_replace", &[Vector, Text, Text, Text, Text]),
    of_range("last_over_time"),
    of_vector("ln"),
    of_vector("log10"),
    of_vector("log2"),
    of_range("max_over_time"),
    of_range("min_over_time"),
    of_time("minute"),
    of_time("month"),
    scalar("pi", &[]),
    takes("predict_linear", &[Matrix, Scalar]),
    of_range("present_over_time"),
    takes("quantile_over_time", &[Scalar, Matrix]),
    of_vector("rad"),
    of_range("rate"),
    of_range("resets"),
    Function { optional: Some(1), ..takes("round", &[Vector, Scalar]) },
    scalar("scalar", &[Vector]),
    of_vector("sgn"),
    of_vector("sin"),
    of_vector("sinh"),
    of_vector("sort"),
    of_vector("sort_desc"),
    of_vector("sqrt"),
    of_range("stddev_over_time"),
    of_range("stdvar_over_time"),
    of_range("sum_over_time"),
    of_vector("tan"),
    of_vector("tanh"),
    scalar("time", &[]),
    of_vector("timestamp"),
    takes("vector", &[Scalar]),
    of_time("year"),
];
