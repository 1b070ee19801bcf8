//! The directory that all contestants serve: one file of each size.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::kind::FILE_BYTES;

/// The name of the file with so many bytes.
pub fn name(bytes: usize) -> String {
    format!("file-{bytes}.bin")
}

/// The directory, which stays for the next run.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("files-benchmark")
}

/// Makes what is not there yet, and reads the file with so many bytes into memory.
///
/// # Errors
/// There is no room, or the files cannot be read.
pub fn prepare(bytes: usize) -> io::Result<()> {
    let directory = directory();
    fs::create_dir_all(&directory)?;
    for bytes in FILE_BYTES {
        let path = directory.join(name(bytes));
        if fs::metadata(&path).map_or(0, |found| found.len()) != bytes as u64 {
            let mut file = File::create(path)?;
            io::copy(&mut io::repeat(b'a').take(bytes as u64), &mut file)?;
            file.sync_all()?;
        }
    }
    io::copy(&mut File::open(directory.join(name(bytes)))?, &mut io::sink())?;
    Ok(())
}
