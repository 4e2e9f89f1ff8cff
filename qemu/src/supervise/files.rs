//! Whether the files that a guest was started with are still the same: kernel and site by what their
//! file systems say of them, not by what is in them.

use super::config::Config;
use crate::image::Image;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Directories below each other that are looked into.
const DEPTH: usize = 32;
/// Files that are looked at.
const MOST: u64 = 100_000;

/// What is told of a file, or of everything below a directory. A change of contents, a file that is
/// replaced, added or taken away makes another one.
#[derive(Default)]
struct Mark {
    root: u64,
    files: u64,
    bytes: u64,
    /// The latest change of a file's contents or name, in nanoseconds since 1970.
    changed: i128,
}

impl Mark {
    fn of(path: &Path) -> Mark {
        let mut mark = Mark {
            root: fs::metadata(path).map_or(0, |metadata| metadata.ino()),
            ..Mark::default()
        };
        mark.add(path, DEPTH);
        mark
    }

    fn add(&mut self, path: &Path, depth: usize) {
        // Who cannot be read is told of when the site is opened.
        let Ok(metadata) = fs::metadata(path) else {
            return;
        };
        if self.files == MOST {
            return;
        }
        self.files += 1;
        let changed =
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        self.changed = self.changed.max(changed);
        match metadata.is_dir() {
            false => self.bytes = self.bytes.wrapping_add(metadata.len()),
            true if depth > 0 => {
                for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                    self.add(&entry.path(), depth - 1);
                }
            }
            true => {}
        }
    }
}

/// The marks of the kernel and the site of `config`, to be compared with earlier ones.
#[must_use]
pub fn marks(config: &Config) -> String {
    let kernel = Image::find(config.kernel.as_deref())
        .ok()
        .map(|image| image.path);
    let paths = [kernel.as_deref(), config.site.as_deref()];
    let marks = paths.into_iter().flatten().map(|path| {
        let mark = Mark::of(path);
        format!(
            "{}:{}:{}:{}",
            mark.root, mark.files, mark.bytes, mark.changed
        )
    });
    marks.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_change_of_a_site_is_another_mark() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        fs::create_dir_all(site.join("a")).unwrap();
        fs::write(site.join("a/page.html"), "one").unwrap();
        let text = format!(
            "listen = \"127.0.0.1:1\"\nkernel = \"/bin/true\"\nsite = \"{}\"\n",
            site.display()
        );
        let config = Config::parse(&text).unwrap();
        let mut last = marks(&config);
        assert_eq!(marks(&config), last);
        let page = site.join("a/page.html");
        let other = folder.path().join("other");
        fs::write(&other, "six").unwrap();
        let changes: [(&str, &dyn Fn()); 4] = [
            ("contents of the same length", &|| {
                fs::write(&page, "two").unwrap()
            }),
            ("replaced by an older one", &|| {
                fs::rename(&other, &page).unwrap()
            }),
            ("added", &|| fs::write(site.join("b"), "").unwrap()),
            ("taken away", &|| fs::remove_file(site.join("b")).unwrap()),
        ];
        for (what, change) in changes {
            // A file system's clock has ticks.
            std::thread::sleep(Duration::from_millis(20));
            change();
            let now = marks(&config);
            assert_ne!(now, last, "{what}");
            last = now;
        }
    }
}
