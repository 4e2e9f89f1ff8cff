//! From a request to its answer: the endpoints first, then the application's handlers, then the
//! site.

use super::answer::{Answer, Choice};
use super::condition::{self, Outcome, Validators};
use super::negotiation;
use super::range::{self, Asked, Spans};
use super::request::{Method, Request};
use super::status::Status;
use crate::app::Found;
use crate::endpoints::{Endpoint, Question};
use crate::service::Service;
use crate::site::{Resolved, Site};

/// What a request is answered with. Several ranges of a file are written to `spans`.
#[cfg_attr(target_os = "none", optimize(speed))]
pub(super) fn decide(
    request: &Request<'_>,
    service: &mut Service,
    port: u16,
    spans: &mut Spans,
) -> Answer {
    if request.method == Method::Options {
        return Answer::Status(Status::NoContent);
    }
    let reads = matches!(request.method, Method::Get | Method::Head);
    let admin = service.admin == Some(port);
    if (admin || service.public_endpoints)
        && Endpoint::may_be(request.path, admin)
        && let Some(endpoint) = Endpoint::route(&asked(request), admin)
    {
        return match reads {
            true => Answer::Endpoint(endpoint),
            false => Answer::Status(Status::MethodNotAllowed),
        };
    }
    match service.application.find(request.method, request.path) {
        Found::Route(route) => return Answer::Handler(route),
        Found::Others(methods) => return Answer::NotAllowed(methods),
        Found::Nothing => {}
    }
    if !reads {
        return Answer::Status(Status::MethodNotAllowed);
    }
    match service.site.resolve(request.path) {
        Resolved::File(number) => file(number, request, &service.site, spans),
        Resolved::Redirect(status) => Answer::Redirect(status),
        Resolved::Nothing(Some(number)) => match chosen(number, request, &service.site) {
            Some(choice) => Answer::Missing(choice),
            None => Answer::Status(Status::NotFound),
        },
        Resolved::Nothing(None) => Answer::Status(Status::NotFound),
        Resolved::Malformed => Answer::Status(Status::BadRequest),
    }
}

/// What an endpoint has to know of a request.
fn asked<'a>(request: &Request<'a>) -> Question<'a> {
    Question {
        path: request.path,
        query: request.query,
        gzip: request.path == b"/" && negotiation::takes_gzip(&request.codings()),
    }
}

/// The answer about a file: first which representation, then the conditions, then the ranges (RFC
/// 9110, 13.2.2).
#[cfg_attr(target_os = "none", optimize(speed))]
fn file(number: u32, request: &Request<'_>, site: &Site, spans: &mut Spans) -> Answer {
    let Some(choice) = chosen(number, request, site) else {
        return Answer::Status(Status::NotAcceptable);
    };
    if !request.is_conditional() {
        return Answer::File(choice);
    }
    let conditions = &request.conditions();
    let file = site.file(number);
    let representation = choice.of(site);
    let own = Validators {
        tag: representation.head.tag(),
        modified: file.modified,
    };
    match condition::evaluate(conditions, own) {
        Outcome::NotModified => return Answer::NotModified(choice),
        Outcome::Failed => return Answer::Status(Status::PreconditionFailed),
        Outcome::Proceed => {}
    }
    // RFC 9110, 14.2: ranges are defined for GET alone.
    if request.method != Method::Get || !condition::range_applies(&conditions.if_range, own) {
        return Answer::File(choice);
    }
    match range::read(&conditions.range, representation.content.len()) {
        Asked::Whole => Answer::File(choice),
        Asked::Nothing => Answer::NoSuchRange(choice),
        Asked::Spans(asked) => match asked.as_slice() {
            [span] => Answer::Part(choice, *span),
            _ => {
                *spans = asked;
                Answer::Parts(choice)
            }
        },
    }
}

#[cfg_attr(target_os = "none", optimize(speed))]
fn chosen(number: u32, request: &Request<'_>, site: &Site) -> Option<Choice> {
    let which = negotiation::choose(&request.codings(), site.file(number).representations)?;
    Some(Choice {
        file: number,
        which: which as u8,
    })
}
