//! The other end: which names a program tries for the one that it was given, and what that costs.
//!
//! The file `resolv.conf` names the search paths and `ndots`. C libraries read it differently, and that decides incidents.

use super::plugin::Response;
use super::record::{Rcode, RecordType};

/// Who resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Library {
    /// The resolvers of glibc and of Go (`res_nsearch`; `net.nameList`): a name with `ndots` dots or more is tried first as it is, and
    /// the search paths come after it. A name that exists without addresses doesn't end the search.
    #[default]
    Glibc,
    /// musl's, in Alpine (`name_from_dns_search`): a name with `ndots` dots or more is tried only as it is, and a name that exists without
    /// addresses ends the search.
    Musl,
}

/// What a program is told about names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Search paths, with or without a dot at the end.
    pub search: Vec<String>,
    /// A name with fewer dots is tried with the search paths first.
    pub ndots: usize,
    /// Whose rules apply.
    pub library: Library,
}

/// One question that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The name, absolute.
    pub name: String,
    /// A or AAAA.
    pub record_type: RecordType,
    /// How many records came back, or which error.
    pub outcome: Result<usize, Rcode>,
}

/// A lookup from its first question to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// All questions, in order.
    pub queries: Vec<Query>,
    /// The name that had an address.
    pub found: Option<String>,
}

impl Resolver {
    /// From the search paths and options of a `resolv.conf`. Without an option `ndots` it is 1.
    pub fn new(search: &[String], options: &[String], library: Library) -> Self {
        let ndots = options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse::<usize>().ok());
        // Both libraries take 15 for more (`RES_MAXNDOTS`).
        Resolver { search: search.to_vec(), ndots: ndots.unwrap_or(1).min(15), library }
    }

    /// The names to try, absolute, in order.
    pub fn tries(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.into()];
        }
        let as_it_is = format!("{name}.");
        let searched = self.search.iter().map(|path| match path.trim_end_matches('.') {
            "" => as_it_is.clone(),
            path => format!("{name}.{path}."),
        });
        let enough_dots = name.matches('.').count() >= self.ndots;
        match (enough_dots, self.library) {
            (true, Library::Musl) => vec![as_it_is],
            (true, Library::Glibc) => std::iter::once(as_it_is.clone()).chain(searched).collect(),
            (false, _) => searched.chain(std::iter::once(as_it_is.clone())).collect(),
        }
    }

    /// Asks for A and AAAA records of one name after the other, until there is an address.
    pub fn walk(&self, name: &str, mut ask: impl FnMut(&str, RecordType) -> Response) -> Walk {
        let mut queries = Vec::new();
        for name in self.tries(name) {
            let (mut addresses, mut exists) = (false, false);
            for record_type in [RecordType::A, RecordType::AAAA] {
                let response = ask(&name, record_type);
                let records = response.answer.iter().filter(|record| record.data.record_type() == record_type).count();
                addresses |= records > 0;
                exists |= response.rcode == Rcode::NoError;
                let outcome = if response.rcode == Rcode::NoError { Ok(records) } else { Err(response.rcode) };
                queries.push(Query { name: name.clone(), record_type, outcome });
            }
            if addresses {
                return Walk { queries, found: Some(name) };
            }
            if exists && self.library == Library::Musl {
                break;
            }
        }
        Walk { queries, found: None }
    }
}

impl Walk {
    /// The lookup as a table that people read, one line for each question.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (number, query) in (1..).zip(&self.queries) {
            let outcome = match query.outcome {
                Ok(0) => "NODATA".to_string(),
                Ok(1) => "1 record".to_string(),
                Ok(records) => format!("{records} records"),
                Err(rcode) => rcode.to_string(),
            };
            lines.push(format!("{number}. {} {}: {outcome}", query.name, query.record_type));
        }
        lines
    }
}
