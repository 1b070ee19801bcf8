//! Bytes that are easy to make again and hard to mistake: a seeded stream, and its SHA-256.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// An endless stream of bytes; equal seeds give equal streams. SplitMix64 (Steele, Lea, Flood
/// 2014), little-endian.
pub struct Pattern {
    state: u64,
}

impl Pattern {
    pub fn new(seed: u64) -> Pattern {
        Pattern { state: seed }
    }

    /// The next bytes of the stream; `bytes` is a multiple of 8 long, but for the last call.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// How much of a stream there was, and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digested {
    pub bytes: u64,
    pub sha256: String,
}

/// What `bytes` bytes of the pattern of `seed` come to.
pub fn digest(seed: u64, bytes: u64) -> Digested {
    let mut hash = HashingSink(Sha256::new(), 0);
    write_pattern(&mut hash, seed, bytes).expect("hashing cannot fail");
    hash.finish()
}

/// Writes `bytes` bytes of the pattern of `seed`.
///
/// # Errors
/// Those of the writer.
pub fn write_pattern(to: &mut impl Write, seed: u64, bytes: u64) -> io::Result<()> {
    let mut pattern = Pattern::new(seed);
    let mut buffer = vec![0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(buffer.len() as u64) as usize;
        pattern.fill(&mut buffer[..length]);
        to.write_all(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// Reads to the end, or to an error; what came before it counts.
pub fn read_digest(from: &mut impl Read) -> (Digested, io::Result<()>) {
    read_digest_by(from, 64 << 10, || {})
}

/// The same with reads of at most so many bytes and a call of `between` after each.
pub fn read_digest_by(
    from: &mut impl Read,
    bytes: usize,
    mut between: impl FnMut(),
) -> (Digested, io::Result<()>) {
    let mut hash = HashingSink(Sha256::new(), 0);
    let mut buffer = vec![0; bytes];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return (hash.finish(), Ok(())),
            Ok(count) => {
                hash.write_all(&buffer[..count]).expect("hashing cannot fail");
                between();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (hash.finish(), Err(error)),
        }
    }
}

/// Reads slowly but steadily, 20 kB every 30 ms. Here the waiting is the subject: how fast the
/// reader is is what the proxy must cope with.
pub fn read_digest_slowly(from: &mut impl Read) -> (Digested, io::Result<()>) {
    read_digest_by(from, 20_000, || std::thread::sleep(std::time::Duration::from_millis(30)))
}

struct HashingSink(Sha256, u64);

impl HashingSink {
    fn finish(self) -> Digested {
        let mut sha256 = String::new();
        for byte in self.0.finalize() {
            sha256.push_str(&format!("{byte:02x}"));
        }
        Digested { bytes: self.1, sha256 }
    }
}

impl Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
