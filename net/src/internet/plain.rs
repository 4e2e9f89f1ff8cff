//! Makes a packet plain: without a priority tag and without IPv6 extension headers, as all later
//! code expects it.

use super::fragment::Key;
use crate::segment::{ETHERNET, IPV6, Refusal, ipv4_address, ipv6_address};

/// Most extension headers of a packet that is looked at.
const MOST_HEADERS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

/// A piece of a datagram; its bytes stand in the plain frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Which datagram it belongs to.
    pub key: Key,
    /// Where it lies in the datagram, in bytes.
    pub offset: usize,
    /// Others follow.
    pub more: bool,
    /// Length of the frame's headers, in front of the piece.
    pub start: usize,
    /// Length of the frame.
    pub end: usize,
    /// The protocol of the datagram's content.
    pub protocol: u8,
}

/// What a frame has become.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A plain frame of this length.
    Frame(usize),
    /// A plain frame with a piece of a datagram.
    Fragment(Fragment),
    /// It cannot be used.
    Refused(Refusal),
}

/// Whether a protocol number is that of an IPv6 extension header that hosts look behind.
pub(crate) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// Writes the plain form of `frame` into `target`. The frame has an Ethernet header.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn plain(frame: &[u8], target: &mut [u8]) -> Form {
    let (head, rest) = frame.split_at(ETHERNET);
    // IEEE 802.1Q, 9.3: a tag of VLAN 0 carries a priority and nothing else.
    let (kind, packet) = match (head, rest) {
        ([.., 0x81, 0x00], [_, _, a, b, packet @ ..]) => ([*a, *b], packet),
        ([.., a, b], packet) => ([*a, *b], packet),
        _ => return Form::Refused(Refusal::Malformed),
    };
    target[..12].copy_from_slice(&head[..12]);
    target[12..ETHERNET].copy_from_slice(&kind);
    match kind {
        [0x08, 0x00] => ipv4(packet, target),
        [0x86, 0xdd] => ipv6(packet, target),
        // Two tags: somebody tunnels.
        [0x81, 0x00] => Form::Refused(Refusal::Vlan),
        _ => copy(packet, target, ETHERNET),
    }
}

/// Puts `bytes` behind the first `at` bytes of `target`.
fn copy(bytes: &[u8], target: &mut [u8], at: usize) -> Form {
    match target.get_mut(at..at + bytes.len()) {
        Some(room) => {
            room.copy_from_slice(bytes);
            Form::Frame(at + bytes.len())
        }
        None => Form::Refused(Refusal::Malformed),
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn ipv4(packet: &[u8], target: &mut [u8]) -> Form {
    const MALFORMED: Form = Form::Refused(Refusal::Malformed);
    let Some(ip) = packet.first_chunk::<20>() else {
        return MALFORMED;
    };
    let header = usize::from(ip[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if header < 20 || total < header || total > packet.len() {
        return MALFORMED;
    }
    let offset = usize::from(u16::from_be_bytes([ip[6] & 0x1f, ip[7]])) * 8;
    let more = ip[6] & 0x20 != 0;
    if offset == 0 && !more {
        return copy(&packet[..total], target, ETHERNET);
    }
    target[ETHERNET..ETHERNET + 20].copy_from_slice(ip);
    let start = ETHERNET + 20;
    match copy(&packet[header..total], target, start) {
        Form::Frame(end) => Form::Fragment(Fragment {
            key: Key {
                source: ipv4_address(ip, 12),
                destination: ipv4_address(ip, 16),
                id: u32::from(u16::from_be_bytes([ip[4], ip[5]])),
                protocol: ip[9],
            },
            offset,
            more,
            start,
            end,
            protocol: ip[9],
        }),
        other => other,
    }
}

#[cfg_attr(target_os = "none", optimize(size))]
fn ipv6(packet: &[u8], target: &mut [u8]) -> Form {
    const MALFORMED: Form = Form::Refused(Refusal::Malformed);
    let Some(ip) = packet.first_chunk::<IPV6>() else {
        return MALFORMED;
    };
    let end = IPV6 + usize::from(u16::from_be_bytes([ip[4], ip[5]]));
    let Some(packet) = packet.get(..end) else {
        return MALFORMED;
    };
    let start = ETHERNET + IPV6;
    target[ETHERNET..start].copy_from_slice(ip);
    let mut protocol = ip[6];
    let mut at = IPV6;
    let mut piece = None;
    for n in 0.. {
        if !is_extension(protocol) {
            break;
        }
        let Some(&[next, words, a, b, ..]) = packet.get(at..at + 8) else {
            return MALFORMED;
        };
        if n == MOST_HEADERS {
            return Form::Refused(Refusal::Ignored);
        }
        match protocol {
            FRAGMENT => {
                let field = u16::from_be_bytes([a, b]);
                at += 8;
                protocol = next;
                // RFC 6946: one that is its own whole is no fragment.
                if field & 0xfff9 != 0 {
                    let id = &packet[at - 4..at];
                    piece = Some((field, u32::from_be_bytes([id[0], id[1], id[2], id[3]])));
                    break;
                }
                continue;
            }
            // RFC 8200, 4.3: nowhere but in front.
            HOP_BY_HOP if n > 0 => return MALFORMED,
            // RFC 8200, 4.4; RFC 5095: we are the last stop, or it is not for us.
            ROUTING if b != 0 => return Form::Refused(Refusal::Ignored),
            _ => {}
        }
        let len = usize::from(words) * 8 + 8;
        let Some(header) = packet.get(at..at + len) else {
            return MALFORMED;
        };
        if protocol != ROUTING && !skippable(&header[2..]) {
            return Form::Refused(Refusal::Ignored);
        }
        at += len;
        protocol = next;
    }
    let body = &packet[at..];
    target[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&(body.len() as u16).to_be_bytes());
    target[ETHERNET + 6] = protocol;
    match (copy(body, target, start), piece) {
        (Form::Frame(end), Some((field, id))) => Form::Fragment(Fragment {
            key: Key {
                source: ipv6_address(ip, 8),
                destination: ipv6_address(ip, 24),
                id,
                protocol: 0,
            },
            offset: usize::from(field & 0xfff8),
            more: field & 1 != 0,
            start,
            end,
            protocol,
        }),
        (form, _) => form,
    }
}

/// Whether all options may be skipped by one who does not know them (RFC 8200, 4.2: the two
/// highest bits of the type are zero).
fn skippable(mut options: &[u8]) -> bool {
    loop {
        options = match options {
            [] => return true,
            [0, rest @ ..] => rest,
            [kind, len, rest @ ..] if kind >> 6 == 0 && rest.len() >= usize::from(*len) => {
                &rest[usize::from(*len)..]
            }
            _ => return false,
        };
    }
}
