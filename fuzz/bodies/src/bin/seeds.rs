//! Writes the seeds of one target into a folder, a file each: `fuzz-seeds TARGET FOLDER`. Without arguments: the targets' names.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a tool")]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        vault_fuzz::TARGETS.iter().for_each(|target| println!("{}", target.name));
        return if arguments.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    };
    let Some(target) = vault_fuzz::TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("there is no target {name}");
        return ExitCode::from(2);
    };
    let write = || -> std::io::Result<usize> {
        std::fs::create_dir_all(folder)?;
        let seeds = (target.seeds)();
        for (n, seed) in seeds.iter().enumerate() {
            std::fs::write(Path::new(folder).join(format!("seed-{n:04}")), seed)?;
        }
        Ok(seeds.len())
    };
    match write() {
        Ok(count) => {
            println!("{name}: {count} seeds");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{folder}: {error}");
            ExitCode::FAILURE
        }
    }
}
