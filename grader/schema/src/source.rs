//! The source of the kit, as far as contracts are made of it.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::visit::Visit;
use syn::{Attribute, Expr, ExprLit, Item, ItemImpl, ItemTrait, Lit, Meta, Type, UseTree};

/// All files of some rooms of the kit.
pub struct Sources {
    files: BTreeMap<PathBuf, File>,
}

struct File {
    syntax: syn::File,
    /// What each name in `use` stands for: `Taint` → `kit_api::core::Taint`.
    uses: BTreeMap<String, Vec<String>>,
}

/// Where a type is defined.
pub enum Place<'a> {
    /// By the kit: the item, and the file that it stands in.
    Kit(&'a Item, &'a Path),
    /// By Kubernetes, under this name of its OpenAPI document.
    Kubernetes(String),
}

impl Sources {
    pub fn load(root: &Path, rooms: &[&str]) -> Result<Sources> {
        let mut files = BTreeMap::new();
        for room in rooms {
            load(&root.join(room), &mut files)?;
        }
        Ok(Sources { files })
    }

    /// The trait inside of a file's `contract!`.
    pub fn contract(&self, file: &Path) -> Result<ItemTrait> {
        let syntax = &self.files.get(file).with_context(|| format!("there is no {}", file.display()))?.syntax;
        let found = syntax.items.iter().find_map(|item| match item {
            Item::Macro(item) if item.mac.path.is_ident("contract") => Some(item),
            _ => None,
        });
        let found = found.with_context(|| format!("{} has no contract!", file.display()))?;
        syn::parse2(found.mac.tokens.clone()).with_context(|| format!("the contract in {}", file.display()))
    }

    /// Where the type `path`, written in `file`, is defined.
    pub fn find(&self, path: &[String], file: &Path) -> Result<Place<'_>> {
        let name = path.last().context("a type has a name")?;
        if let ([_], Some((item, file))) = (path, self.files.get_key_value(file).and_then(|(f, s)| define(f, s, name)))
        {
            return Ok(Place::Kit(item, file));
        }
        let full = self.full(path, file);
        if let [first, rest @ ..] = &full[..]
            && first == "k8s_openapi"
        {
            return Ok(Place::Kubernetes(format!("io.k8s.{}", rest.join("."))));
        }
        // Of several types with one name it is the one whose file the path names, in the crate that it names; below the file that
        // speaks of it if that has modules of its own.
        let crate_of = |file: &Path| match full.first().map(String::as_str) {
            Some("kit_api" | "api") => file.components().any(|part| part.as_os_str() == "api"),
            _ => false,
        };
        let own = file.with_extension("");
        let named = |file: &Path| {
            usize::from(crate_of(file))
                + usize::from(file.starts_with(&own))
                + full
                    .iter()
                    .filter(|part| {
                        file.components().any(|c| c.as_os_str().to_string_lossy().trim_end_matches(".rs") == **part)
                    })
                    .count()
        };
        let mut found: Vec<(&Item, &Path)> = self.files.iter().filter_map(|(f, s)| define(f, s, name)).collect();
        found.sort_by_key(|(_, file)| std::cmp::Reverse(named(file)));
        match found[..] {
            [(item, file)] => Ok(Place::Kit(item, file)),
            [(item, first), (_, second), ..] if named(first) > named(second) => Ok(Place::Kit(item, first)),
            [] => bail!("{}: nothing in the kit defines {}", file.display(), path.join("::")),
            _ => bail!("{}: several types are named {}", file.display(), path.join("::")),
        }
    }

    /// A path with what its first name was imported as, down to where it comes from.
    fn full(&self, path: &[String], file: &Path) -> Vec<String> {
        let mut path = path.to_vec();
        if let Some(import) = self.files.get(file).and_then(|file| file.uses.get(&path[0])) {
            path.splice(..1, import.iter().cloned());
        }
        // A contract may take a type from its neighbour, which has it from elsewhere.
        let is_here = |first: &String| first == "crate" || first == "super";
        if path.first().is_some_and(is_here)
            && let Some(last) = path.last()
        {
            let neighbours = self.files.iter().filter(|(other, _)| other.parent() == file.parent() && *other != file);
            let mut passed = neighbours.filter_map(|(_, neighbour)| neighbour.uses.get(last));
            if let Some(import) = passed.find(|import| !import.first().is_some_and(is_here)) {
                path = import.clone();
            }
        }
        // kit-api passes Kubernetes' types on: whole modules in its first file, as `core`, and single types elsewhere.
        let passed_on = |file: &str, name: &String| {
            let file = self.files.iter().find(|(path, _)| path.ends_with(format!("kit/api/src/{file}.rs")))?.1;
            file.uses.get(name)
        };
        let origin = match &path[..] {
            [first, second, rest @ ..] if first == "kit_api" || first == "api" => {
                match (passed_on("lib", second), rest) {
                    (Some(origin), rest) => Some((origin, rest)),
                    (None, [third, rest @ ..]) => passed_on(second, third).map(|origin| (origin, rest)),
                    (None, []) => None,
                }
            }
            _ => None,
        };
        match origin {
            Some((origin, rest)) => origin.iter().chain(rest).cloned().collect(),
            None => path,
        }
    }

    /// What a type with its own `Deserialize` is read from: `String` in `String::deserialize(deserializer)`.
    pub fn read_from(&self, name: &str, file: &Path) -> Option<Type> {
        struct Finder(Option<Type>);
        impl Visit<'_> for Finder {
            fn visit_expr_path(&mut self, expr: &syn::ExprPath) {
                let mut path = expr.path.clone();
                if path.segments.len() > 1 && path.segments.last().is_some_and(|last| last.ident == "deserialize") {
                    path.segments.pop();
                    // `Option::<String>::` of an expression is `Option<String>` of a type.
                    path.segments.pop_punct();
                    self.0.get_or_insert(Type::Path(syn::TypePath { qself: None, path }));
                }
            }
        }
        let is_ours = |item: &ItemImpl| {
            let of = matches!(item.self_ty.as_ref(), Type::Path(path) if path.path.is_ident(name));
            of && item
                .trait_
                .as_ref()
                .is_some_and(|(_, path, _)| path.segments.last().is_some_and(|s| s.ident == "Deserialize"))
        };
        let mut finder = Finder(None);
        for item in &self.files.get(file)?.syntax.items {
            if let Item::Impl(item) = item
                && is_ours(item)
            {
                finder.visit_item_impl(item);
            }
        }
        finder.0
    }
}

fn load(dir: &Path, into: &mut BTreeMap<PathBuf, File>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("can't read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            load(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            let syntax = syn::parse_file(&text).with_context(|| path.display().to_string())?;
            let mut uses = BTreeMap::new();
            for item in &syntax.items {
                if let Item::Use(item) = item {
                    collect(&item.tree, &mut Vec::new(), &mut uses);
                }
            }
            into.insert(path, File { syntax, uses });
        }
    }
    Ok(())
}

fn collect(tree: &UseTree, path: &mut Vec<String>, into: &mut BTreeMap<String, Vec<String>>) {
    let with = |name: &syn::Ident| path.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            collect(&tree.tree, path, into);
            path.pop();
        }
        UseTree::Name(tree) => _ = into.insert(tree.ident.to_string(), with(&tree.ident)),
        UseTree::Rename(tree) => _ = into.insert(tree.rename.to_string(), with(&tree.ident)),
        UseTree::Group(tree) => tree.items.iter().for_each(|tree| collect(tree, path, into)),
        UseTree::Glob(_) => {}
    }
}

fn define<'a>(path: &'a Path, file: &'a File, name: &str) -> Option<(&'a Item, &'a Path)> {
    let found = file.syntax.items.iter().find(|item| match item {
        Item::Struct(item) => item.ident == name,
        Item::Enum(item) => item.ident == name,
        Item::Type(item) => item.ident == name,
        _ => false,
    });
    found.map(|item| (item, path))
}

/// The comment on an item, as one text.
pub fn described(attributes: &[Attribute]) -> Option<String> {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_string()),
            _ => None,
        },
        _ => None,
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n").trim().to_string())
}
