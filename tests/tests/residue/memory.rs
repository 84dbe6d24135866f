//! Another process's memory, as its user can read it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::needles::Needles;

const PAGE: usize = 4096;
const LOOK: usize = 1 << 20;

/// What of the needles lies in a process's memory, and where.
pub(crate) fn search(process: u32, needles: &Needles) -> BTreeSet<String> {
    let (finder, overlap) = (needles.finder(), needles.longest());
    let memory = File::open(format!("/proc/{process}/mem")).expect("the process can be read");
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let (mut found, mut read) = (BTreeSet::new(), 0);
    let mut buffer = vec![0; LOOK];
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [mut at, end] = [start, end].map(|n| u64::from_str_radix(n, 16).unwrap());
        let mut here = BTreeSet::new();
        while at < end {
            let most = usize::try_from(end - at).unwrap().min(LOOK);
            // What can't be read is a device's.
            let Ok(length) = memory.read_at(&mut buffer[..most], at) else { break };
            read += length;
            for (n, page) in buffer[..length].chunks(PAGE).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    // Into the next page, so that no border hides anything.
                    let from = n * PAGE;
                    let to = (from + PAGE + overlap).min(length);
                    needles.search(&finder, &buffer[from..to], &mut here);
                }
            }
            if length <= overlap || at + length as u64 >= end {
                break;
            }
            at += (length - overlap) as u64;
        }
        let place = line.split_whitespace().nth(5).unwrap_or("heap or a thread's stack").to_owned();
        found.extend(here.into_iter().map(|needle| format!("{needle}: in {place}")));
    }
    assert!(read > 1 << 16, "hardly any memory of process {process} was read");
    found
}
