//! The guest's command line, checked for a person before a guest is started with it.

use quartz_abi::words::WORDS;
use quartz_abi::{CommandLine, CommandLineError};

/// Parses the words of `--append`, or of a configuration's `append`.
///
/// # Errors
/// What the guest would refuse, with what would be taken.
pub fn parse(words: &str) -> Result<CommandLine, String> {
    CommandLine::parse(words).map_err(|error| match error {
        CommandLineError::UnknownKey(_) => {
            let keys: Vec<&str> = WORDS.iter().map(|word| word.key).collect();
            format!("{error}; the keys are {}", keys.join(", "))
        }
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_told_with_those_that_there_are() {
        let text = parse("prot=80").unwrap_err();
        assert!(text.starts_with("unknown key `prot`; the keys are ip, gw,"));
        assert!(text.contains("port") && text.contains("conns_per_source"));
        assert!(parse("port=80").is_ok());
        assert_eq!(parse("x").unwrap_err(), "`x` is not of the form key=value");
    }
}
