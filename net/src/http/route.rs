//! From a request to its answer: the endpoints first, then the site.

use super::request::Request;
use super::response::Answer;
use super::status::Status;
use crate::endpoints::Endpoint;
use crate::service::Service;
use crate::site::{Resolved, Site};

/// What a request is answered with.
pub(super) fn decide(request: &Request<'_>, service: &mut Service, port: u16) -> Answer {
    let path = match request.target.iter().position(|&b| b == b'?') {
        Some(query) => &request.target[..query],
        None => request.target,
    };
    if service.endpoints_on(port)
        && let Some(endpoint) = Endpoint::route(path, service.admin == Some(port))
    {
        return Answer::Endpoint(endpoint);
    }
    match service.site.resolve(path) {
        Resolved::File(number) => match request.if_none_match {
            Some(tags) if has(tags, &mut service.site, number) => Answer::NotModified(number),
            _ => Answer::File(number),
        },
        Resolved::Directory(number) => Answer::Redirect(number),
        Resolved::Nothing => Answer::Status(Status::NotFound),
        Resolved::Malformed => Answer::Status(Status::BadRequest),
    }
}

/// Whether a list of tags names the file's (RFC 9110, 13.1.2; weak comparison, 8.8.3.2).
fn has(tags: &[u8], site: &mut Site, number: u32) -> bool {
    let Some(own) = site.tag(number) else {
        return false;
    };
    tags.split(|&b| b == b',').any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own
    })
}
