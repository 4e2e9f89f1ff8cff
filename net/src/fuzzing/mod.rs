//! What the targets in `net/fuzz` call, with what must hold for every input. A violation panics.

mod images;
mod paths;
mod ranges;
mod requests;

pub use images::{images, made_of};
pub use paths::{Paths, image as paths_image};
pub use ranges::ranges;
pub use requests::requests;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::vec::Vec;

    /// What the fuzzer has kept for a target.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let files = fs::read_dir(folder).expect("a corpus");
        let inputs: Vec<_> = files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!inputs.is_empty());
        inputs
    }

    #[test]
    fn requests_of_the_corpus() {
        corpus("request").iter().for_each(|data| requests(data));
    }

    #[test]
    fn paths_of_the_corpus() {
        let site = crate::Site::from_tar(paths_image().leak()).expect("a good archive");
        let mut paths = Paths::new(site);
        corpus("path").iter().for_each(|path| paths.check(path));
    }

    #[test]
    fn ranges_of_the_corpus() {
        for data in corpus("range") {
            if let Some((len, field)) = data.split_first_chunk() {
                ranges(u32::from_le_bytes(*len), field);
            }
        }
    }

    #[test]
    fn images_of_the_corpus() {
        for data in corpus("image") {
            made_of(&data, |image| images(image.to_vec().leak()));
        }
    }
}
