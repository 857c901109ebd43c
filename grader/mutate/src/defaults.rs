//! What a function that does nothing could return.

use syn::{GenericArgument, PathArguments, ReturnType, Type, TypePath};

/// Values that stand for "I have no idea", as expressions. Some may not compile; then they are no mutants.
pub fn of(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec!["()".into()],
        ReturnType::Type(_, of) => values(of),
    }
}

fn values(of: &Type) -> Vec<String> {
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    match of {
        Type::Path(path) => named(path),
        Type::Reference(reference) => match reference.elem.as_ref() {
            Type::Path(path) if path.path.is_ident("str") => strings(&["\"\""]),
            Type::Slice(_) => strings(&["&[]"]),
            _ => Vec::new(),
        },
        Type::Tuple(tuple) => {
            let firsts: Option<Vec<_>> = tuple.elems.iter().map(|element| values(element).into_iter().next()).collect();
            firsts.into_iter().map(|firsts| format!("({})", firsts.join(", "))).collect()
        }
        // `impl Iterator` and the like.
        _ => Vec::new(),
    }
}

fn named(path: &TypePath) -> Vec<String> {
    let Some(last) = path.path.segments.last() else { return Vec::new() };
    let inner = || match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(of)) => values(of),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let wrapped = |name: &str| inner().into_iter().map(|value| format!("{name}({value})")).collect::<Vec<_>>();
    let name = last.ident.to_string();
    match name.as_str() {
        "bool" => vec!["true".into(), "false".into()],
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => vec!["0".into(), "1".into()],
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => vec!["0".into(), "1".into(), "-1".into()],
        "f32" | "f64" => vec!["0.0".into(), "1.0".into(), "-1.0".into()],
        "Option" => [vec!["None".to_string()], wrapped("Some")].concat(),
        "Result" => wrapped("Ok"),
        "Box" => wrapped("Box::new"),
        "Ordering" => ["Less", "Equal", "Greater"].iter().map(|o| format!("std::cmp::Ordering::{o}")).collect(),
        _ => vec!["Default::default()".into()],
    }
}
