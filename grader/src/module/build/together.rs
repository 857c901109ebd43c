//! Many modules as one program, which is told by its argument which of them it is.
//!
//! Most of what a compiler and a linker do for a module is the same for the next one: fifty of them take hardly longer
//! than five. They are only compiled together. Each still runs in a process of its own, behind the same walls.

use super::kit::Kit;
use super::rustc::{self, Compiled, Remark};
use super::{Program, Work, make_executable};
use crate::module::process::Start;
use crate::workspace::{Workspace, write};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A module by its text.
pub struct Text {
    /// The path of its file in the program, without the extension, so that errors and panics name it. No other has it.
    pub name: String,
    pub text: String,
}

impl Text {
    fn file(&self) -> PathBuf {
        PathBuf::from(format!("{}.rs", self.name))
    }

    /// What is said of this one.
    fn said(&self, remarks: &[Remark]) -> String {
        remarks.iter().filter(|remark| self.is_meant(remark)).map(|remark| remark.text.as_str()).collect()
    }

    fn is_meant(&self, remark: &Remark) -> bool {
        remark.file.as_ref().is_some_and(|file| file.ends_with(self.file()))
    }
}

/// So many modules share a program: of more of them the compiler's memory grows, and hardly any time is saved.
pub const SHARED: usize = 48;

/// Builds `modules` in `folder`, so many to a program, and returns their programs in the same order. One that does not
/// compile is left out, and the others are built without it.
pub fn together(workspace: &Workspace, folder: &Path, modules: &[Text], shared: usize) -> Result<Vec<Program>> {
    let kit = Kit::find(workspace)?;
    let mut programs: Vec<Option<Program>> = modules.iter().map(|_| None).collect();
    let places: Vec<usize> = (0..modules.len()).collect();
    let mut groups: Vec<Vec<usize>> = places.chunks(shared).map(<[usize]>::to_vec).collect();
    while let Some(group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        let members: Vec<&Text> = group.iter().map(|&place| &modules[place]).collect();
        let program = folder.join(format!("module-{}", group[0]));
        match build(workspace, &kit, &program, &members)? {
            Compiled::Program { warnings } => {
                for (argument, (&place, module)) in group.iter().zip(&members).enumerate() {
                    let command = vec![program.clone().into_os_string(), argument.to_string().into()];
                    let start = Start { command, readable: kit.run_time(), folder: None };
                    programs[place] = Some(Program::Ready { start, warnings: module.said(&warnings) });
                }
            }
            Compiled::Errors { errors, .. } if group.len() == 1 => {
                programs[group[0]] = Some(Program::Broken { errors });
            }
            Compiled::Errors { remarks, .. } => {
                let (broken, others): (Vec<usize>, Vec<usize>) =
                    group.iter().partition(|&&place| remarks.iter().any(|remark| modules[place].is_meant(remark)));
                for &place in &broken {
                    programs[place] = Some(Program::Broken { errors: modules[place].said(&remarks) });
                }
                if broken.is_empty() {
                    // Nobody is named, as when the compiler doesn't come to an end.
                    let (first, second) = others.split_at(others.len() / 2);
                    groups.extend([first.to_vec(), second.to_vec()]);
                } else {
                    groups.push(others);
                }
            }
        }
    }
    programs.into_iter().map(|program| program.context("each module is in one group")).collect()
}

/// Compiles a group into `program`, unless it lies there already.
fn build(workspace: &Workspace, kit: &Kit, program: &Path, modules: &[&Text]) -> Result<Compiled> {
    let main = main_of(modules);
    let source = program.with_extension("rs");
    let all = modules.iter().fold(format!("{}\n{main}", kit.identity()), |all, module| all + &module.text);
    if program.is_file() && std::fs::read_to_string(&source).is_ok_and(|built| built == all) {
        return Ok(Compiled::Program { warnings: Vec::new() });
    }
    let work = Work::new(program.parent().context("a program lies in a folder")?)?;
    for module in modules {
        write(&work.0.join(module.file()), &module.text)?;
    }
    let input = work.0.join("main.rs");
    write(&input, &main)?;
    let compiled = rustc::compile(workspace, kit, &input, None, modules.len() as u32, &work.0)?;
    if let Compiled::Program { warnings } = &compiled {
        let _ = std::fs::remove_file(&source);
        let built = rustc::left(&work.0, rustc::OUTPUT).context("the compiler made no program")?;
        make_executable(&built);
        std::fs::rename(built, program).with_context(|| format!("can't write {}", program.display()))?;
        // With warnings it is built again, so that they are seen again.
        if warnings.is_empty() {
            write(&source, &all)?;
        }
    }
    Ok(compiled)
}

fn main_of(modules: &[&Text]) -> String {
    let (mut declared, mut chosen) = (String::new(), String::new());
    for (argument, module) in modules.iter().enumerate() {
        let _ = writeln!(declared, "#[path = {:?}]\nmod m{argument};", module.file());
        let _ = writeln!(chosen, "        Some(\"{argument}\") => m{argument}::main(),");
    }
    format!(
        "{declared}\nfn main() -> std::process::ExitCode {{\n    match std::env::args().nth(1).as_deref() {{\n{chosen}        \
         _ => std::process::ExitCode::FAILURE,\n    }}\n}}\n"
    )
}
