//! Hashes every file and compresses what gets smaller, on all processors.
//!
//! What comes out depends on the files alone, not on the number of processors or their order.

use super::entry::Entry;
use super::error::PackError;
use super::links;
use super::progress::Progress;
use flate2::{Compression, GzBuilder};
use quartz_abi::site::{Coding, ContentHash, mime};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What a compressed form has to save, in bytes: it costs a header field in each answer.
const LEAST_GAIN: usize = 64;
/// Files that are not compressed because it would take minutes.
const MOST: u64 = 256 << 20;
/// Larger files are compressed by brotli 9, which is ten times as fast.
const THOROUGH: usize = 8 << 20;

/// What is known of a file when it was read.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Hash of its content.
    pub hash: u128,
    /// A compressed form that was made, in gzip and in brotli.
    pub made: [Option<Form>; 2],
    /// A compressed form that the site has itself: the entry, in gzip and in brotli.
    pub own: [Option<usize>; 2],
    /// What an HTML page leads to.
    pub links: Vec<String>,
}

/// A compressed form.
#[derive(Debug)]
pub(super) struct Form {
    pub hash: u128,
    pub bytes: Vec<u8>,
}

/// The codings of [`Prepared::made`] and [`Prepared::own`].
pub(super) const CODINGS: [Coding; 2] = [Coding::Gzip, Coding::Brotli];

/// Reads all of `entries`.
pub(super) fn prepare(
    entries: &[Entry],
    compress: bool,
    progress: &Progress,
) -> Result<Vec<Prepared>, PackError> {
    let by_name: HashMap<&[u8], usize> = entries
        .iter()
        .enumerate()
        .map(|(number, entry)| (entry.bytes_of_name(), number))
        .collect();
    // The largest first, so that no processor is left alone with one in the end.
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|&number| Reverse(entries[number].size));
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Vec<Mutex<Prepared>> = entries.iter().map(|_| Mutex::default()).collect();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let own = CODINGS.map(|coding| {
                let name = [entries[number].bytes_of_name(), coding.suffix().as_bytes()].concat();
                by_name.get(&name[..]).copied()
            });
            match one(entries, number, own, compress) {
                Ok(prepared) => *lock(&results[number]) = prepared,
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
            progress.advance(entries[number].size);
        }
        Ok(())
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..processors.min(entries.len()))
            .map(|_| scope.spawn(work))
            .collect();
        // A panic of one goes on here.
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;
    let results = results.into_iter();
    Ok(results
        .map(|r| r.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect())
}

fn lock(slot: &Mutex<Prepared>) -> std::sync::MutexGuard<'_, Prepared> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn one(
    entries: &[Entry],
    number: usize,
    own: [Option<usize>; 2],
    compress: bool,
) -> Result<Prepared, PackError> {
    let entry = &entries[number];
    let name = entry.bytes_of_name();
    let kind = mime::of(name);
    let is_page = kind.name == "text/html";
    let worth = compress && kind.is_compressible() && entry.size <= MOST;
    if !worth && !is_page && own == [None; 2] {
        return Ok(Prepared {
            hash: entry.hash()?,
            ..Prepared::default()
        });
    }
    let content = entry.content()?;
    let mut prepared = Prepared {
        hash: ContentHash::of(&content),
        ..Prepared::default()
    };
    if is_page {
        prepared.links = links::of(&content);
    }
    for (slot, coding) in CODINGS.into_iter().enumerate() {
        if let Some(other) = own[slot] {
            // The site's own form is taken if it is one: `a.gz` beside `a` may be anything.
            let form = entries[other].content()?;
            if form.len() < content.len() && decodes_to(coding, &form, &content) {
                prepared.own[slot] = Some(other);
            }
        } else if worth {
            let bytes = encode(coding, &content).map_err(PackError::Write)?;
            if bytes.len() + LEAST_GAIN <= content.len() {
                let hash = ContentHash::of(&bytes);
                prepared.made[slot] = Some(Form { hash, bytes });
            }
        }
    }
    Ok(prepared)
}

fn encode(coding: Coding, content: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Identity => Ok(content.to_vec()),
        Coding::Gzip => {
            // No time and no name in the header: the same bytes every time.
            let mut encoder = GzBuilder::new().write(Vec::new(), Compression::new(9));
            encoder.write_all(content)?;
            encoder.finish()
        }
        Coding::Brotli => {
            let mut bytes = Vec::new();
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: if content.len() <= THOROUGH { 11 } else { 9 },
                // RFC 7932: the largest window that every decoder has.
                lgwin: 24,
                size_hint: content.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &content[..], &mut bytes, &parameters)?;
            Ok(bytes)
        }
    }
}

/// Whether `form` is `content` in this coding.
fn decodes_to(coding: Coding, form: &[u8], content: &[u8]) -> bool {
    let mut decoded = Vec::new();
    // One byte more than there should be is enough to know.
    let most = content.len() as u64 + 1;
    let read = match coding {
        Coding::Identity => return form == content,
        Coding::Gzip => {
            let decoder = flate2::read::MultiGzDecoder::new(form);
            decoder.take(most).read_to_end(&mut decoded)
        }
        Coding::Brotli => {
            let decoder = brotli::Decompressor::new(form, 4096);
            decoder.take(most).read_to_end(&mut decoded)
        }
    };
    read.is_ok() && decoded == content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let content: Vec<u8> = (0..50_000u32)
            .flat_map(|n| (n / 7).to_string().into_bytes())
            .collect();
        for coding in CODINGS {
            let form = encode(coding, &content).unwrap();
            assert!(form.len() * 3 < content.len(), "{coding:?}");
            assert_eq!(form, encode(coding, &content).unwrap());
            assert!(decodes_to(coding, &form, &content));
            assert!(!decodes_to(coding, &form, &content[1..]));
            assert!(!decodes_to(coding, &form[1..], &content));
            assert!(!decodes_to(coding, &form[..form.len() / 2], &content));
            assert!(!decodes_to(coding, b"", &content));
        }
    }
}
