//! A path of a request in plain form: escapes decoded, dot parts removed (RFC 3986, 5.2.4, 6.2.2).

/// Writes the plain form of `path`, which has no slash at its front, to `plain`; gives its
/// length. `None`: it is not a path, or too long.
///
/// Escapes are decoded first, then `.` and `..` parts go, so that no way of writing them climbs
/// above the root: there `..` does nothing.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn plain(path: &[u8], plain: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        let byte = match byte {
            b'%' => figure(*bytes.next()?)? << 4 | figure(*bytes.next()?)?,
            byte => byte,
        };
        // No name holds it, and what cuts text at it would see another name.
        if byte == 0 {
            return None;
        }
        *plain.get_mut(len)? = byte;
        len += 1;
    }
    Some(remove_dots(&mut plain[..len]))
}

/// Removes dot parts in place; gives the new length.
fn remove_dots(path: &mut [u8]) -> usize {
    let (mut read, mut write) = (0, 0);
    while read < path.len() {
        let end = path[read..]
            .iter()
            .position(|&b| b == b'/')
            .map_or(path.len(), |at| read + at);
        // With its slash, if there is one: a last dot part stands for its directory.
        let next = (end + 1).min(path.len());
        match &path[read..end] {
            b"." => {}
            b".." => {
                let before = path[..write].strip_suffix(b"/").unwrap_or(&path[..write]);
                write = before
                    .iter()
                    .rposition(|&b| b == b'/')
                    .map_or(0, |at| at + 1);
            }
            _ => {
                path.copy_within(read..next, write);
                write += next - read;
            }
        }
        read = next;
    }
    write
}

/// Whether a byte can stand in a path as it is (RFC 3986, 3.3, without what HTML would escape).
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$()*+,;=:@/".contains(&byte)
}

fn figure(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec;

    fn form(path: &str) -> Option<String> {
        let mut memory = vec![0; 64];
        let len = plain(path.as_bytes(), &mut memory)?;
        Some(String::from_utf8_lossy(&memory[..len]).into_owned())
    }

    #[test]
    fn plain_forms() {
        for (path, expected) in [
            ("", ""),
            ("a/b", "a/b"),
            ("a/", "a/"),
            ("a%20b", "a b"),
            ("%61%2Fb", "a/b"),
            ("%C3%a9", "é"),
            ("100%25", "100%"),
            ("%2561", "%61"),
            (".", ""),
            ("./a", "a"),
            ("a/./b", "a/b"),
            ("a/.", "a/"),
            ("a/..", ""),
            ("a/b/..", "a/"),
            ("a/b/../", "a/"),
            ("a/../b", "b"),
            ("..", ""),
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../../b", "b"),
            ("%2e%2e/%2E./b", "b"),
            ("a%2f..%2fb", "b"),
            ("...", "..."),
            ("a/.b", "a/.b"),
            ("a/..b/c", "a/..b/c"),
            ("a//b", "a//b"),
            ("/..", ""),
            ("//../a", "/a"),
            ("..\\a", "..\\a"),
        ] {
            assert_eq!(form(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_path() {
        for path in ["%", "%4", "%zz", "%4g", "a%", "%%30", "a%00", "%00/.."] {
            assert_eq!(form(path), None, "{path}");
        }
        assert_eq!(form(&"a".repeat(65)), None);
    }

    #[test]
    fn no_form_holds_a_dot_part() {
        // Every path of these parts, up to six of them.
        let parts = ["", ".", "..", "a", "%2e", "%2e%2e"];
        for number in 0..6usize.pow(6) {
            let mut path = String::new();
            let mut rest = number;
            for _ in 0..6 {
                path += parts[rest % 6];
                path.push('/');
                rest /= 6;
            }
            let found = form(&path).unwrap();
            assert!(
                found.split('/').all(|part| part != "." && part != ".."),
                "{path}"
            );
        }
    }
}
