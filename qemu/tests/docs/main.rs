//! What a person reads: the command's own words, its manual pages and completions.

mod command;
