//! ICMP (RFC 792) and ICMPv6 (RFC 4443): what a message wants of us.

use crate::checksum;
use crate::segment::{IPV6, TCP, Tuple, ipv4_address, ipv6_address};

/// The message of an error: four bytes, four that depend on its type, then the packet's beginning.
const HEAD: usize = 8;
/// The MTUs that are common below a packet's size, for routers that do not tell theirs (RFC 1191,
/// 7.1).
const PLATEAUS: [u32; 8] = [8166, 4352, 2002, 1492, 1280, 1006, 576, 508];

/// A message that is whole and has a right checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Somebody wants his own words back.
    Echo,
    /// A segment of ours did not arrive.
    Error(Complaint),
    /// Nothing that we answer or heed: redirects, source quench (RFC 6633), replies.
    Other,
}

/// What is said about a segment of ours. Nothing proves who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Its connection.
    pub tuple: Tuple,
    /// Its sequence number.
    pub seq: u32,
    /// What was wrong.
    pub fault: Fault,
}

/// Why a segment did not arrive (RFC 1122, 4.2.3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It may pass.
    Soft,
    /// There is nobody.
    Hard,
    /// The packet was longer than this many bytes.
    TooBig(u32),
}

/// Reads a message to `destination` from `source`. `None`: it is damaged.
#[cfg_attr(target_os = "none", optimize(size))]
pub(crate) fn parse(message: &[u8], v4: bool, source: u128, destination: u128) -> Option<Message> {
    let sum = match v4 {
        true => checksum::plain(message),
        false => checksum::icmpv6(message, source, destination),
    };
    let (head, quote) = message.split_at_checked(HEAD)?;
    if sum != 0 {
        return None;
    }
    let field = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let fault = match (v4, head[0], head[1]) {
        (true, 8, 0) | (false, 128, 0) => return Some(Message::Echo),
        (true, 3, 4) => Fault::TooBig(match field & 0xffff {
            0 => plateau(quote),
            mtu => mtu,
        }),
        (true, 3, 2 | 3) => Fault::Hard,
        (true, 3 | 11 | 12, _) => Fault::Soft,
        (false, 2, _) => Fault::TooBig(field),
        (false, 1, 4) | (false, 4, 1) => Fault::Hard,
        (false, 1 | 3 | 4, _) => Fault::Soft,
        _ => return Some(Message::Other),
    };
    let complaint = match v4 {
        true => quoted4(quote),
        false => quoted6(quote),
    };
    Some(match complaint {
        Some((tuple, seq)) if tuple.local == destination => {
            Message::Error(Complaint { tuple, seq, fault })
        }
        _ => Message::Other,
    })
}

/// The size below that of the quoted packet.
fn plateau(quote: &[u8]) -> u32 {
    let total = match quote {
        [_, _, a, b, ..] => u32::from(u16::from_be_bytes([*a, *b])),
        _ => 0,
    };
    let below = PLATEAUS.into_iter().find(|&size| size < total);
    below.unwrap_or(0)
}

fn quoted4(quote: &[u8]) -> Option<(Tuple, u32)> {
    let ip = quote.first_chunk::<20>()?;
    // Of a fragment only the first has our header; we send none.
    let whole = ip[6] & 0x1f | ip[7] == 0;
    let header = usize::from(ip[0] & 0x0f) * 4;
    let segment = quote.get(header.max(20)..)?;
    (ip[0] >> 4 == 4 && ip[9] == TCP && whole).then_some(())?;
    segment_of(segment, ipv4_address(ip, 12), ipv4_address(ip, 16))
}

fn quoted6(quote: &[u8]) -> Option<(Tuple, u32)> {
    let ip = quote.first_chunk::<IPV6>()?;
    (ip[0] >> 4 == 6 && ip[6] == TCP).then_some(())?;
    segment_of(&quote[IPV6..], ipv6_address(ip, 8), ipv6_address(ip, 24))
}

fn segment_of(tcp: &[u8], local: u128, remote: u128) -> Option<(Tuple, u32)> {
    let head = tcp.first_chunk::<8>()?;
    let tuple = Tuple {
        remote,
        local,
        remote_port: u16::from_be_bytes([head[2], head[3]]),
        local_port: u16::from_be_bytes([head[0], head[1]]),
    };
    let seq = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Some((tuple, seq))
}
