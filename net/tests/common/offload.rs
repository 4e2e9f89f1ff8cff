//! What a network card does with what is left to it.

use quartz_net::Outgoing;

/// Cuts a segment as its sender wants it: each piece has the headers, with lengths, numbers and
/// flags of its own.
pub fn cut(frame: Vec<u8>, outgoing: &Outgoing) -> Vec<Vec<u8>> {
    let Some(cut) = outgoing.cut else {
        return vec![frame];
    };
    let (headers, data) = frame.split_at(usize::from(cut.headers));
    let start = usize::from(outgoing.partial.expect("what is cut has no checksum"));
    assert_eq!(headers.len(), start + 20, "options in front of data");
    let field = [frame[start + 16], frame[start + 17]];
    assert_eq!(field, begun(&frame, start), "the checksum was not begun");
    let seq = u32::from_be_bytes(frame[start + 4..start + 8].try_into().unwrap());
    let size = usize::from(cut.size);
    assert!(data.len() > size, "there is nothing to cut");
    let pieces = data.chunks(size).enumerate();
    let mut frames: Vec<Vec<u8>> = pieces
        .map(|(n, piece)| {
            let mut frame = [headers, piece].concat();
            let len = (frame.len() - 14) as u16;
            if cut.ipv6 {
                frame[18..20].copy_from_slice(&(len - 40).to_be_bytes());
            } else {
                frame[16..18].copy_from_slice(&len.to_be_bytes());
                frame[24..26].fill(0);
                let sum = !sum(&frame[14..34]);
                frame[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            let seq = seq.wrapping_add((n * size) as u32);
            frame[start + 4..start + 8].copy_from_slice(&seq.to_be_bytes());
            // FIN and PSH are the last one's.
            if (n + 1) * size < data.len() {
                frame[start + 13] &= !0x09;
            }
            let begun = begun(&frame, start);
            frame[start + 16..start + 18].copy_from_slice(&begun);
            frame
        })
        .collect();
    frames.iter_mut().for_each(Vec::shrink_to_fit);
    frames
}

/// Completes the checksum of a segment whose header begins at `start`.
pub fn complete(frame: &mut [u8], start: usize) {
    let field = [frame[start + 16], frame[start + 17]];
    assert_eq!(field, begun(frame, start), "the checksum was not begun");
    let sum = !sum(&frame[start..]);
    frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

/// The sum of the pseudo-header.
fn begun(frame: &[u8], start: usize) -> [u8; 2] {
    let addresses = match start {
        34 => 26..34,
        _ => 22..54,
    };
    let mut pseudo = frame[addresses].to_vec();
    pseudo.extend_from_slice(&((frame.len() - start) as u32).to_be_bytes());
    pseudo.extend_from_slice(&[0, 0, 0, 6]);
    sum(&pseudo).to_be_bytes()
}

fn sum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    bytes.chunks(2).map(word).fold(0_u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(word);
        sum + u16::from(carry)
    })
}
