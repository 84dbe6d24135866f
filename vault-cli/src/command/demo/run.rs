//! Made-up runs, and the comparison of folders byte for byte.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Failure, Kind, Outcome};
use crate::output;

const READS: u32 = 20_000;
const LARGE: usize = 96 << 20;
const SMALL_FILES: u32 = 300;

/// A small generator of made-up data (xorshift64*, Vigna 2016); nothing secret comes from it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn letters(&mut self, alphabet: &[u8; 4], n: usize) -> Vec<u8> {
        (0..n).map(|_| alphabet.get(usize::from((self.next() >> 60) as u8 & 3)).copied().unwrap_or(b'N')).collect()
    }
}

/// Writes a run: paired FASTQ, one large file, a sample sheet, some hundred small files. Says what it wrote.
pub(super) fn write(folder: &Path, seed: u64) -> Outcome<String> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
    make(&folder.join("InterOp/metrics"))?;
    for read in ["R1", "R2"] {
        fastq(&folder.join(format!("sample_{read}.fastq")), read, READS, &mut random)?;
    }
    large(&folder.join("sample.bam"), &mut random)?;
    save(&folder.join("SampleSheet.csv"), b"Lane,Sample_ID,Index\n1,S1,ACGTAC\n1,S2,TTGCAA\n")?;
    save(&folder.join("CopyComplete.txt"), b"")?;
    save(&folder.join("备注.txt"), "样本一\n".as_bytes())?;
    for i in 0..SMALL_FILES {
        let size = usize::try_from(random.next() % 20_000).unwrap_or(0);
        let path = folder.join(format!("InterOp/metrics/tile-{i:04}.bin"));
        let bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(size).collect();
        save(&path, &bytes)?;
    }
    let files = files(folder)?;
    let size: u64 = files.iter().filter_map(|f| fs::metadata(folder.join(f)).ok()).map(|m| m.len()).sum();
    Ok(format!(
        "made up: {} files, {}: paired FASTQ, a large file, a sample sheet, small files",
        files.len(),
        output::bytes(size)
    ))
}

/// Writes a second, small run.
pub(super) fn write_small(folder: &Path) -> Outcome<()> {
    make(folder)?;
    fastq(&folder.join("follow-up_R1.fastq"), "R1", 1_000, &mut Random(7))
}

fn fastq(path: &Path, read: &str, reads: u32, random: &mut Random) -> Outcome<()> {
    let file = File::create(path).map_err(|e| Failure::file(path, &e))?;
    let mut out = BufWriter::new(file);
    for i in 0..reads {
        let bases = random.letters(b"ACGT", 100);
        let quality = random.letters(b"F:,#", 100);
        let write = |out: &mut BufWriter<File>| -> std::io::Result<()> {
            writeln!(out, "@demo:1:{i} {read}")?;
            out.write_all(&bases)?;
            out.write_all(b"\n+\n")?;
            out.write_all(&quality)?;
            out.write_all(b"\n")
        };
        write(&mut out).map_err(|e| Failure::file(path, &e))?;
    }
    out.flush().map_err(|e| Failure::file(path, &e))
}

fn large(path: &Path, random: &mut Random) -> Outcome<()> {
    let file = File::create(path).map_err(|e| Failure::file(path, &e))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for _ in 0..LARGE / 8 {
        out.write_all(&random.next().to_le_bytes()).map_err(|e| Failure::file(path, &e))?;
    }
    out.flush().map_err(|e| Failure::file(path, &e))
}

fn make(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).map_err(|e| Failure::file(folder, &e))
}

fn save(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes).map_err(|e| Failure::file(path, &e))
}

/// Compares what was fetched with the run, byte for byte. Says what it compared.
pub(super) fn compare(run: &Path, fetched: &Path) -> Outcome<String> {
    compare_both(&[run], fetched)
}

/// As [`compare`], for several runs in one folder.
pub(super) fn compare_both(runs: &[&Path], fetched: &Path) -> Outcome<String> {
    let mut expected = BTreeSet::new();
    for run in runs {
        for file in files(run)? {
            if !same(&run.join(&file), &fetched.join(&file))? {
                return Err(Failure::integrity(format!("{} differs from what was uploaded", file.display())));
            }
            expected.insert(file);
        }
    }
    let found: BTreeSet<PathBuf> = files(fetched)?.into_iter().collect();
    if found == expected {
        Ok(format!("  {} files compared byte for byte: the same", found.len()))
    } else {
        Err(Failure::new(Kind::Integrity, "other files were fetched than were uploaded"))
    }
}

/// The regular files below a folder, as relative paths.
fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = waiting.pop() {
        let here = folder.join(&below);
        for entry in fs::read_dir(&here).map_err(|e| Failure::file(&here, &e))? {
            let entry = entry.map_err(|e| Failure::file(&here, &e))?;
            let kind = entry.file_type().map_err(|e| Failure::file(&entry.path(), &e))?;
            let name = below.join(entry.file_name());
            if kind.is_dir() {
                waiting.push(name);
            } else if kind.is_file() {
                found.push(name);
            }
        }
    }
    Ok(found)
}

fn same(a: &Path, b: &Path) -> Outcome<bool> {
    let open = |path: &Path| File::open(path).map_err(|e| Failure::file(path, &e));
    let (mut left, mut right) = (open(a)?, open(b)?);
    let (mut x, mut y) = (vec![0u8; 1 << 20], vec![0u8; 1 << 20]);
    loop {
        let n = fill(&mut left, &mut x).map_err(|e| Failure::file(a, &e))?;
        let m = fill(&mut right, &mut y).map_err(|e| Failure::file(b, &e))?;
        if x.get(..n) != y.get(..m) {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while let Some(rest) = buffer.get_mut(at..).filter(|r| !r.is_empty()) {
        match file.read(rest)? {
            0 => break,
            n => at += n,
        }
    }
    Ok(at)
}
