//! The figures of the last time, to compare with: a change that costs shows in review.

use super::BenchError;
use super::cost::{Figures, to_json};
use super::statistics::short;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Where they are kept.
pub const FILE: &str = "qemu/bench/baseline.json";

/// Prints the figures beside those of the file, if it is there.
///
/// # Errors
/// The file is no JSON.
pub fn compare(figures: &Figures, file: &Path) -> Result<(), BenchError> {
    let baseline: Value = match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| BenchError::Baseline(file.to_owned(), error.to_string()))?,
        Err(_) => Value::Null,
    };
    println!(
        "{:<42} {:>14} {:>14} {:>8}",
        "", "now", "baseline", "change"
    );
    for (key, figure) in figures {
        match baseline[key].as_f64() {
            Some(before) if before > 0.0 => println!(
                "{key:<42} {:>14} {:>14} {:>+7.1}%",
                short(*figure),
                short(before),
                (figure / before - 1.0) * 100.0
            ),
            Some(before) => println!("{key:<42} {:>14} {:>14}", short(*figure), short(before)),
            None => println!("{key:<42} {:>14} {:>14}", short(*figure), "–"),
        }
    }
    Ok(())
}

/// Makes the figures the baseline.
///
/// # Errors
/// The file cannot be written.
pub fn keep(figures: &Figures, file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{:#}\n", to_json(figures)))
}
